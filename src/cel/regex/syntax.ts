// Reads regular expressions in the syntax of Go (RE2) into a tree. What Go refuses is refused with Go's words.

import { type CharacterSet, type CharRange, foldedRanges, negatedRanges, perlClasses, posixClasses, unicodeSet } from "./classes.ts";

export class PatternError extends Error {
  constructor(problem: string, part: string) {
    super(`error parsing regexp: ${problem}: \`${part}\``);
    this.name = "PatternError";
  }
}

export type PatternNode =
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "sequence"; readonly parts: readonly PatternNode[] }
  | { readonly kind: "choice"; readonly options: readonly PatternNode[] }
  | { readonly kind: "repeat"; readonly part: PatternNode; readonly min: number; readonly max: number; readonly greedy: boolean }
  | { readonly kind: "assert"; readonly what: Assertion };

export type Assertion = "textStart" | "textEnd" | "lineStart" | "lineEnd" | "boundary" | "noBoundary";

interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
  readonly U: boolean;
}

const maxRepeat = 1000;
const maxDepth = 1000;
const anyRange: readonly CharRange[] = [[0, 0x10ffff]];
const exceptNewline: readonly CharRange[] = [
  [0, 9],
  [11, 0x10ffff],
];
const escapes: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const one = (ranges: readonly CharRange[]): PatternNode => ({ kind: "set", set: { ranges } });

/** Throws PatternError. */
export function parsePattern(pattern: string): PatternNode {
  return new PatternParser(pattern).parse();
}

class PatternParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #flags: Flags = { i: false, m: false, s: false, U: false };

  constructor(text: string) {
    this.#text = text;
  }

  parse(): PatternNode {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw new PatternError("unexpected )", this.#text);
    return node;
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

  #found(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text);
    if (!found) return undefined;
    this.#at += found[0].length;
    return found;
  }

  #choice(): PatternNode {
    if (++this.#depth > maxDepth) throw new PatternError("expression nests too deeply", this.#text);
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? (options[0] as PatternNode) : { kind: "choice", options };
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = [];
    /** Where the part began that can be repeated, and the operator it was repeated by. */
    let repetition = "";
    let canRepeat = false;
    while (this.#at < this.#text.length && this.#text[this.#at] !== "|" && this.#text[this.#at] !== ")") {
      const start = this.#at;
      const counts = this.#repetition(start);
      if (counts) {
        const written = this.#text.slice(start, this.#at);
        const part = parts.pop();
        if (!part || !canRepeat) throw new PatternError("missing argument to repetition operator", written);
        if (repetition) throw new PatternError("invalid nested repetition operator", repetition + written);
        parts.push(this.#repeated(part, counts, written));
        repetition = written;
        continue;
      }
      const part = this.#part();
      if (part) parts.push(part);
      canRepeat = part !== undefined;
      repetition = "";
    }
    return parts.length === 1 ? (parts[0] as PatternNode) : { kind: "sequence", parts };
  }

  #repeated(part: PatternNode, counts: Counts, written: string): PatternNode {
    const { min, max } = counts;
    const isBounded = max !== Number.POSITIVE_INFINITY || min > 1;
    if (isBounded && Math.max(min, max === Number.POSITIVE_INFINITY ? 0 : max) * largestRepeat(part) > maxRepeat)
      throw new PatternError("invalid repeat count", written);
    return { kind: "repeat", part, min, max, greedy: counts.greedy };
  }

  #repetition(start: number): Counts | undefined {
    const char = this.#text[start];
    let [min, max] = [0, Number.POSITIVE_INFINITY];
    if (char === "{") {
      const counts = this.#found(/\{(\d+)(?:(,)(\d*))?\}/y);
      if (!counts) return undefined;
      min = Number(counts[1]);
      max = counts[2] === undefined ? min : counts[3] ? Number(counts[3]) : Number.POSITIVE_INFINITY;
      if (min > maxRepeat || (max !== Number.POSITIVE_INFINITY && (max > maxRepeat || max < min)))
        throw new PatternError("invalid repeat count", counts[0]);
    } else if (char === "*" || char === "+" || char === "?") {
      this.#at++;
      min = char === "+" ? 1 : 0;
      max = char === "?" ? 1 : max;
    } else return undefined;
    const isLazy = this.#take("?");
    return { min, max, greedy: isLazy === this.#flags.U };
  }

  /** undefined: what matches nothing and cannot be repeated (flags). */
  #part(): PatternNode | undefined {
    const start = this.#at;
    const char = this.#next();
    switch (char) {
      case "(":
        return this.#group(start);
      case "[":
        return this.#bracketed(start);
      case ".":
        return one(this.#flags.s ? anyRange : exceptNewline);
      case "^":
        return { kind: "assert", what: this.#flags.m ? "lineStart" : "textStart" };
      case "$":
        return { kind: "assert", what: this.#flags.m ? "lineEnd" : "textEnd" };
      case "\\":
        return this.#escape(start);
      default:
        return this.#character(char.codePointAt(0) ?? 0);
    }
  }

  #character(code: number): PatternNode {
    const range: CharRange = [code, code];
    return one(this.#flags.i ? foldedRanges([range]) : [range]);
  }

  #group(start: number): PatternNode | undefined {
    const around = this.#flags;
    if (this.#take("?")) {
      const named = this.#found(/P?<(\w+)>/y);
      if (!named) {
        const written = this.#found(/([imsU]*)(?:-([imsU]+))?([:)])/y);
        if (!written) throw this.#unknownGroup(start);
        this.#flags = changed(around, written[1] ?? "", written[2] ?? "");
        if (written[3] === ")") return undefined;
      }
    }
    const inner = this.#choice();
    if (!this.#take(")")) throw new PatternError("missing closing )", this.#text);
    this.#flags = around;
    return inner;
  }

  #unknownGroup(start: number): PatternError {
    if (/P?</y.test(this.#text.slice(this.#at)) && !/<[=!]/y.test(this.#text.slice(this.#at))) {
      const end = this.#text.indexOf(">", this.#at);
      return new PatternError("invalid named capture", this.#text.slice(start, end < 0 ? undefined : end + 1));
    }
    const flags = /[imsU-]*/y.exec(this.#text.slice(this.#at))?.[0].length ?? 0;
    const isLookbehind = this.#text[this.#at] === "<";
    return new PatternError("invalid or unsupported Perl syntax", this.#text.slice(start, this.#at + flags + (isLookbehind ? 2 : 1)));
  }

  #escape(start: number): PatternNode {
    if (this.#at >= this.#text.length) throw new PatternError("trailing backslash at end of expression", "");
    if (this.#take("A")) return { kind: "assert", what: "textStart" };
    if (this.#take("z")) return { kind: "assert", what: "textEnd" };
    if (this.#take("b")) return { kind: "assert", what: "boundary" };
    if (this.#take("B")) return { kind: "assert", what: "noBoundary" };
    if (this.#take("C")) return one(anyRange);
    if (this.#take("Q")) return this.#quoted();
    const set = this.#classEscape(start);
    return set ? { kind: "set", set } : this.#character(this.#escapedCode(start));
  }

  #quoted(): PatternNode {
    const end = this.#text.indexOf("\\E", this.#at);
    const text = this.#text.slice(this.#at, end < 0 ? undefined : end);
    this.#at = end < 0 ? this.#text.length : end + 2;
    return { kind: "sequence", parts: [...text].map((char) => this.#character(char.codePointAt(0) ?? 0)) };
  }

  /** \d, \W, \pL, \P{Greek}. */
  #classEscape(start: number): CharacterSet | undefined {
    const char = this.#text[this.#at] ?? "";
    const perl = perlClasses[char.toLowerCase()];
    if (perl) {
      this.#at++;
      return { ranges: char === char.toLowerCase() ? perl : negatedRanges(perl) };
    }
    if (char !== "p" && char !== "P") return undefined;
    const named = this.#found(/.(?:\{(\^?)(\w+)\}|([A-Z]))/y);
    if (!named) throw new PatternError("invalid character class range", this.#text.slice(start, this.#at + 2));
    const set = unicodeSet(named[2] ?? named[3] ?? "", (char === "P") !== (named[1] === "^"));
    if (!set) throw new PatternError("invalid character class range", this.#text.slice(start, this.#at));
    return set;
  }

  #escapedCode(start: number): number {
    const char = this.#next();
    const control = escapes[char];
    if (control !== undefined) return control;
    if (char === "x") {
      const hex = this.#found(/(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))/y);
      const code = hex ? Number.parseInt(hex[1] ?? hex[2] ?? "", 16) : Number.POSITIVE_INFINITY;
      if (code > 0x10ffff) throw new PatternError("invalid escape sequence", this.#text.slice(start, this.#at + 1));
      return code;
    }
    if (/[0-7]/.test(char)) {
      this.#at--;
      const octal = this.#found(/[0-7]{1,3}/y)?.[0] ?? "";
      if (char !== "0" && octal.length < 2) throw new PatternError("invalid escape sequence", `\\${char}`);
      return Number.parseInt(octal, 8);
    }
    if (/[\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]/.test(char)) return char.charCodeAt(0);
    throw new PatternError("invalid escape sequence", `\\${char}`);
  }

  /** A class in brackets, after the opening one. */
  #bracketed(start: number): PatternNode {
    const isNegated = this.#take("^");
    const ranges: CharRange[] = [];
    const sets: CharacterSet[] = [];
    for (let isFirst = true; isFirst || this.#text[this.#at] !== "]"; isFirst = false) {
      if (this.#at >= this.#text.length) throw new PatternError("missing closing ]", this.#text.slice(start));
      const part = this.#bracketedPart(start);
      if (part.tests) sets.push(part);
      else ranges.push(...part.ranges);
    }
    this.#at++;
    const folded = this.#flags.i ? foldedRanges(ranges) : ranges;
    if (sets.length === 0) return one(isNegated ? negatedRanges(folded) : folded);
    return { kind: "set", set: { ranges: folded, tests: sets.flatMap((set) => set.tests ?? []), isNegated } };
  }

  #bracketedPart(start: number): CharacterSet {
    const posix = this.#found(/\[:(\^?)(\w+):\]/y);
    if (posix) {
      const members = posixClasses[posix[2] ?? ""];
      if (!members) throw new PatternError("invalid character class range", posix[0]);
      return { ranges: posix[1] ? negatedRanges(members) : members };
    }
    const from = this.#at;
    if (this.#take("\\")) {
      const set = this.#classEscape(from);
      if (set) return set;
      this.#at = from;
    }
    const low = this.#bracketedCode(start);
    if (this.#text[this.#at] !== "-" || this.#text[this.#at + 1] === "]" || this.#at + 1 >= this.#text.length)
      return { ranges: [[low, low]] };
    this.#at++;
    const high = this.#bracketedCode(start);
    if (high < low) throw new PatternError("invalid character class range", this.#text.slice(from, this.#at));
    return { ranges: [[low, high]] };
  }

  #bracketedCode(start: number): number {
    const from = this.#at;
    if (this.#at >= this.#text.length) throw new PatternError("missing closing ]", this.#text.slice(start));
    const char = this.#next();
    if (char !== "\\") return char.codePointAt(0) ?? 0;
    if (this.#at >= this.#text.length) throw new PatternError("missing closing ]", this.#text.slice(start));
    return this.#escapedCode(from);
  }
}

interface Counts {
  readonly min: number;
  readonly max: number;
  readonly greedy: boolean;
}

function changed(flags: Flags, set: string, cleared: string): Flags {
  const has = (flag: keyof Flags) => (set.includes(flag) || flags[flag]) && !cleared.includes(flag);
  return { i: has("i"), m: has("m"), s: has("s"), U: has("U") };
}

/** How often a part repeats something inside of itself, all counts multiplied. */
function largestRepeat(node: PatternNode): number {
  switch (node.kind) {
    case "sequence":
      return Math.max(1, ...node.parts.map(largestRepeat));
    case "choice":
      return Math.max(1, ...node.options.map(largestRepeat));
    case "repeat": {
      const count = Math.max(1, node.min, node.max === Number.POSITIVE_INFINITY ? 0 : node.max);
      return count * largestRepeat(node.part);
    }
    default:
      return 1;
  }
}
