// Sets of characters, as regular expressions name them: ranges of code points, and Unicode properties that the engine knows.

export type CharRange = readonly [number, number];

export interface CharacterSet {
  readonly ranges: readonly CharRange[];
  /** Properties, any of which makes a character a member. */
  readonly tests?: readonly RegExp[];
  readonly isNegated?: boolean;
}

const range = (text: string): CharRange => [text.charCodeAt(0), text.charCodeAt(text.length - 1)];
const ranges = (...texts: string[]): readonly CharRange[] => texts.map(range);

/** In Go these mean ASCII. */
export const perlClasses: Readonly<Record<string, readonly CharRange[]>> = {
  d: ranges("09"),
  w: ranges("09", "AZ", "__", "az"),
  s: [
    [9, 10],
    [12, 13],
    [32, 32],
  ],
};

export const posixClasses: Readonly<Record<string, readonly CharRange[]>> = {
  alnum: ranges("09", "AZ", "az"),
  alpha: ranges("AZ", "az"),
  ascii: [[0, 127]],
  blank: [
    [9, 9],
    [32, 32],
  ],
  cntrl: [
    [0, 31],
    [127, 127],
  ],
  digit: ranges("09"),
  graph: ranges("!~"),
  lower: ranges("az"),
  print: ranges(" ~"),
  punct: ranges("!/", ":@", "[`", "{~"),
  space: [
    [9, 13],
    [32, 32],
  ],
  upper: ranges("AZ"),
  word: ranges("09", "AZ", "__", "az"),
  xdigit: ranges("09", "AF", "af"),
};

export function negatedRanges(members: readonly CharRange[]): readonly CharRange[] {
  const others: CharRange[] = [];
  let next = 0;
  for (const [low, high] of members.toSorted((a, b) => a[0] - b[0])) {
    if (low > next) others.push([next, low - 1]);
    next = Math.max(next, high + 1);
  }
  if (next <= 0x10ffff) others.push([next, 0x10ffff]);
  return others;
}

/** With the other case of every letter; of large ranges only ASCII letters are looked at. */
export function foldedRanges(members: readonly CharRange[]): readonly CharRange[] {
  const folded = [...members];
  for (const [low, high] of members) {
    const end = Math.min(high, high - low > 2000 ? 127 : high);
    for (let code = low; code <= end; code++) {
      const char = String.fromCodePoint(code);
      for (const other of [char.toLowerCase(), char.toUpperCase()]) {
        const otherCode = other.codePointAt(0) ?? 0;
        if (otherCode !== code && [...other].length === 1) folded.push([otherCode, otherCode]);
      }
    }
  }
  return folded;
}

/** A general category ("L", "Lu") or a script ("Greek"); undefined where there is none of the name. */
export function unicodeSet(name: string, isNegated: boolean): CharacterSet | undefined {
  const letter = isNegated ? "P" : "p";
  if (name === "Any") return { ranges: isNegated ? [] : [[0, 0x10ffff]] };
  for (const property of [`\\${letter}{${name}}`, `\\${letter}{Script=${name}}`]) {
    try {
      return { ranges: [], tests: [new RegExp(property, "u")] };
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  return undefined;
}

const tests = new WeakMap<CharacterSet, (code: number) => boolean>();

/** Whether a set has a character, as a function of its code point: one for each set, however often a pattern repeats it. */
export function memberTest(set: CharacterSet): (code: number) => boolean {
  let test = tests.get(set);
  if (!test) {
    test = makeTest(set);
    tests.set(set, test);
  }
  return test;
}

/** A comparison for single characters; for sets, a table for ASCII and a search beyond. */
function makeTest(set: CharacterSet): (code: number) => boolean {
  const [first] = set.ranges;
  if (set.ranges.length === 1 && first && first[0] === first[1] && !set.tests && !set.isNegated) return (code) => code === first[0];
  const isMember = (code: number): boolean => {
    const isIn =
      set.ranges.some(([low, high]) => code >= low && code <= high) ||
      (set.tests?.some((test) => test.test(String.fromCodePoint(code))) ?? false);
    return isIn !== (set.isNegated ?? false);
  };
  const ascii = Uint8Array.from({ length: 128 }, (_, code) => Number(isMember(code)));
  return (code) => (code < 128 ? ascii[code] === 1 : isMember(code));
}
