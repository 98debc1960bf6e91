// Regular expressions in the syntax of Go (RE2), which is what schemas and expressions of the API are written in, as ones of
// JavaScript. Flags such as (?i) are worked into the pattern, as they may change within it; classes mean ASCII as they do in
// Go. Texts that Go refuses are refused with Go's words. JavaScript backtracks where RE2 does not (docs/deviations.md).

export class GoPatternError extends Error {
  constructor(problem: string, part: string) {
    super(`error parsing regexp: ${problem}: \`${part}\``);
    this.name = "GoPatternError";
  }
}

const compiled = new Map<string, RegExp>();
const maxCompiled = 1000;

/** Compiles a pattern of Go. Throws GoPatternError. */
export function compileGoPattern(pattern: string): RegExp {
  const known = compiled.get(pattern);
  if (known) return known;
  const expression = new RegExp(new Translator(pattern).translate(), "v");
  if (compiled.size >= maxCompiled) compiled.clear();
  compiled.set(pattern, expression);
  return expression;
}

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly U: boolean;
}

type Flag = keyof Flags;

/** Inside of brackets: what classes stand for. */
const perlClasses: Readonly<Record<string, string>> = { d: "0-9", w: "0-9A-Za-z_", s: "\\t\\n\\f\\r\\u{20}" };

const posixClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\u{0}-\\u{7f}",
  blank: "\\t\\u{20}",
  cntrl: "\\u{0}-\\u{1f}\\u{7f}",
  digit: "0-9",
  graph: "\\u{21}-\\u{7e}",
  lower: "a-z",
  print: "\\u{20}-\\u{7e}",
  punct: "\\u{21}-\\u{2f}\\u{3a}-\\u{40}\\u{5b}-\\u{60}\\u{7b}-\\u{7e}",
  space: "\\t\\n\\v\\f\\r\\u{20}",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

const escapes: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const maxRepeat = 1000;
const literal = (code: number): string => `\\u{${code.toString(16)}}`;

class Translator {
  readonly #text: string;
  #at = 0;
  #flags: Flags = { i: false, m: false, s: false, U: false };
  /** What was written by a group that is open: where it began and the flags around it. */
  readonly #groups: { readonly flags: Flags }[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  translate(): string {
    let output = "";
    /** What can be repeated: nothing, something, or something that is repeated already. */
    let before: "nothing" | "atom" | "repeated" = "nothing";
    let repetition = "";
    while (this.#at < this.#text.length) {
      const start = this.#at;
      const char = this.#next();
      const repeat = this.#repeat(char, start);
      if (repeat !== undefined) {
        const written = this.#text.slice(start, this.#at);
        if (before === "nothing") throw new GoPatternError("missing argument to repetition operator", written);
        if (before === "repeated") throw new GoPatternError("invalid nested repetition operator", repetition + written);
        output += repeat;
        repetition = written;
        before = "repeated";
        continue;
      }
      const part = this.#part(char, start);
      output += part.text;
      before = part.repeatable ? "atom" : "nothing";
    }
    if (this.#groups.length > 0) throw new GoPatternError("missing closing )", this.#text);
    return output;
  }

  #next(): string {
    const char = String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return char;
  }

  #take(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  /** A repetition operator that begins with this character, in JavaScript; undefined where it is none. */
  #repeat(char: string, start: number): string | undefined {
    let operator = char;
    if (char === "{") {
      const counts = /^\{(\d+)(?:(,)(\d*))?\}/.exec(this.#text.slice(start));
      if (!counts) return undefined;
      [operator] = counts;
      this.#at = start + operator.length;
      const [min, max] = [Number(counts[1]), counts[3] ? Number(counts[3]) : undefined];
      if (min > maxRepeat || (max !== undefined && (max > maxRepeat || max < min)))
        throw new GoPatternError("invalid repeat count", operator);
    } else if (char !== "*" && char !== "+" && char !== "?") return undefined;
    const lazy = this.#take("?") !== this.#flags.U;
    return lazy ? `${operator}?` : operator;
  }

  #part(char: string, start: number): { readonly text: string; readonly repeatable: boolean } {
    const atom = (text: string) => ({ text, repeatable: true });
    switch (char) {
      case "(":
        return { text: this.#open(start), repeatable: false };
      case ")":
        return atom(this.#close());
      case "|":
        return { text: "|", repeatable: false };
      case "[":
        return atom(this.#class(start));
      case ".":
        return atom(this.#flags.s ? "[^]" : "[^\\n]");
      case "^":
        return atom(this.#flags.m ? "(?:(?<![^\\n]))" : "(?:^)");
      case "$":
        return atom(this.#flags.m ? "(?:(?![^\\n]))" : "(?:$)");
      case "\\":
        return atom(this.#escape(start));
      default:
        return atom(this.#literal(char.codePointAt(0) ?? 0));
    }
  }

  #literal(code: number): string {
    const other = this.#flags.i ? otherCase(code) : undefined;
    return other === undefined ? literal(code) : `[${literal(code)}${literal(other)}]`;
  }

  #open(start: number): string {
    const around = this.#flags;
    if (!this.#take("?")) {
      this.#groups.push({ flags: around });
      return "(";
    }
    const name = /^P?<(\w+)>/.exec(this.#text.slice(this.#at));
    if (name) {
      this.#at += name[0].length;
      this.#groups.push({ flags: around });
      return "(";
    }
    const flags = /^([imsU]*)(?:-([imsU]+))?([:)])/.exec(this.#text.slice(this.#at));
    if (!flags) {
      const end = /^[a-zA-Z-]*(?:[<=!>]|.)?/s.exec(this.#text.slice(this.#at));
      throw new GoPatternError("invalid or unsupported Perl syntax", this.#text.slice(start, this.#at + Math.min(end?.[0].length ?? 0, 2)));
    }
    this.#at += flags[0].length;
    const changed: Record<Flag, boolean> = { ...around };
    for (const flag of flags[1] ?? "") changed[flag as Flag] = true;
    for (const flag of flags[2] ?? "") changed[flag as Flag] = false;
    this.#flags = changed;
    if (flags[3] === ")") return "";
    this.#groups.push({ flags: around });
    return "(?:";
  }

  #close(): string {
    const group = this.#groups.pop();
    if (!group) throw new GoPatternError("unexpected )", this.#text);
    this.#flags = group.flags;
    return ")";
  }

  /** What follows a backslash outside of brackets. */
  #escape(start: number): string {
    if (this.#at >= this.#text.length) throw new GoPatternError("trailing backslash at end of expression", "");
    if (this.#take("A")) return "(?:^)";
    if (this.#take("z")) return "(?:$)";
    if (this.#take("b")) return "(?:\\b)";
    if (this.#take("B")) return "(?:\\B)";
    if (this.#take("C")) return "[^]";
    if (this.#take("Q")) return this.#quoted();
    const group = this.#classEscape(start);
    return group ?? this.#literal(this.#escapedCode(start));
  }

  #quoted(): string {
    const end = this.#text.indexOf("\\E", this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#text.length : end + 2;
    return `(?:${[...text].map((char) => this.#literal(char.codePointAt(0) ?? 0)).join("")})`;
  }

  /** \d, \W, \pL, \P{Greek}: a class of its own; undefined where none follows. */
  #classEscape(start: number): string | undefined {
    const char = this.#text[this.#at] ?? "";
    const perl = perlClasses[char.toLowerCase()];
    if (perl !== undefined) {
      this.#at++;
      return char === char.toLowerCase() ? `[${perl}]` : `[^${perl}]`;
    }
    if (char !== "p" && char !== "P") return undefined;
    const named = /^.(?:\{(\^?)(\w+)\}|([A-Z]))/.exec(this.#text.slice(this.#at));
    if (!named) throw new GoPatternError("invalid character class range", this.#text.slice(start, this.#at + 2));
    this.#at += named[0].length;
    const negated = (char === "P") !== (named[1] === "^");
    const property = unicodeProperty(named[2] ?? named[3] ?? "");
    if (property === undefined) throw new GoPatternError("invalid character class range", this.#text.slice(start, this.#at));
    return `[${negated ? "^" : ""}${property}]`;
  }

  /** The character that an escape stands for. */
  #escapedCode(start: number): number {
    const char = this.#next();
    const control = escapes[char];
    if (control !== undefined) return control;
    if (char === "x") {
      const hex = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))/.exec(this.#text.slice(this.#at));
      const code = hex ? Number.parseInt(hex[1] ?? hex[2] ?? "", 16) : Number.POSITIVE_INFINITY;
      if (!hex || code > 0x10ffff) throw new GoPatternError("invalid escape sequence", this.#text.slice(start, this.#at + 1));
      this.#at += hex[0].length;
      return code;
    }
    if (/[0-7]/.test(char)) {
      const octal = /^[0-7]{1,3}/.exec(this.#text.slice(this.#at - 1))?.[0] ?? "";
      if (char !== "0" && octal.length < 2) throw new GoPatternError("invalid escape sequence", `\\${char}`);
      this.#at += octal.length - 1;
      return Number.parseInt(octal, 8);
    }
    if (/[\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]/.test(char)) return char.charCodeAt(0);
    throw new GoPatternError("invalid escape sequence", `\\${char}`);
  }

  /** A class in brackets, after the opening one. */
  #class(start: number): string {
    const negated = this.#take("^");
    const parts: string[] = [];
    for (let first = true; first || this.#text[this.#at] !== "]"; first = false) {
      if (this.#at >= this.#text.length) throw new GoPatternError("missing closing ]", this.#text.slice(start));
      parts.push(this.#classPart(start));
    }
    this.#at++;
    return `[${negated ? "^" : ""}${parts.join("")}]`;
  }

  #classPart(start: number): string {
    const posix = /^\[:(\^?)(\w+):\]/.exec(this.#text.slice(this.#at));
    if (posix) {
      const members = posixClasses[posix[2] ?? ""];
      if (members === undefined) throw new GoPatternError("invalid character class range", posix[0]);
      this.#at += posix[0].length;
      return `[${posix[1] ?? ""}${members}]`;
    }
    const from = this.#at;
    if (this.#take("\\")) {
      const group = this.#classEscape(from);
      if (group !== undefined) return group;
      this.#at = from;
    }
    const low = this.#classCode(start);
    if (this.#text[this.#at] !== "-" || this.#text[this.#at + 1] === "]" || this.#at + 1 >= this.#text.length) return this.#range(low, low);
    this.#at++;
    const high = this.#classCode(start);
    if (high < low) throw new GoPatternError("invalid character class range", this.#text.slice(from, this.#at));
    return this.#range(low, high);
  }

  #classCode(start: number): number {
    const from = this.#at;
    if (this.#at >= this.#text.length) throw new GoPatternError("missing closing ]", this.#text.slice(start));
    const char = this.#next();
    if (char !== "\\") return char.codePointAt(0) ?? 0;
    if (this.#at >= this.#text.length) throw new GoPatternError("missing closing ]", this.#text.slice(start));
    return this.#escapedCode(from);
  }

  #range(low: number, high: number): string {
    const range = `${literal(low)}-${literal(high)}`;
    if (!this.#flags.i) return range;
    const folded = [range];
    for (const [from, to, shift] of [
      [65, 90, 32],
      [97, 122, -32],
    ] as const) {
      const [first, last] = [Math.max(low, from), Math.min(high, to)];
      if (first <= last) folded.push(`${literal(first + shift)}-${literal(last + shift)}`);
    }
    return folded.join("");
  }
}

function otherCase(code: number): number | undefined {
  const char = String.fromCodePoint(code);
  const other = char.toLowerCase() === char ? char.toUpperCase() : char.toLowerCase();
  return other === char || [...other].length !== 1 ? undefined : other.codePointAt(0);
}

/** A general category ("L", "Lu") or a script ("Greek") as JavaScript names it. */
function unicodeProperty(name: string): string | undefined {
  for (const property of [`\\p{${name}}`, `\\p{Script=${name}}`]) {
    try {
      new RegExp(property, "v");
      return property;
    } catch {
      // Not a property: the other kind, or none.
    }
  }
  return undefined;
}
