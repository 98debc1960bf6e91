// Matches regular expressions in time that is proportional to the text: the pattern becomes a small program whose possible
// positions are all followed at once, character by character, as RE2 does. No text and no pattern can make it run away, which
// the engine's own expressions cannot promise: patterns come from users and run in the API server.

import { LruMap } from "../lru-map.ts";
import { memberTest } from "./classes.ts";
import { type Assertion, PatternError, type PatternNode, parsePattern } from "./syntax.ts";

export { PatternError } from "./syntax.ts";

type Instruction =
  | { readonly op: "char"; readonly has: (code: number) => boolean }
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "jump"; to: number }
  | { readonly op: "assert"; readonly what: Assertion }
  | { readonly op: "match" };

export interface PatternMatch {
  /** In UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** Programs larger than that are refused: what Go's compiler does for its own limit of memory. */
const maxInstructions = 20_000;
/** Some 100 bytes each: instructions, and the ranges of the characters they take. */
const maxRememberedParts = 300_000;
const cache = new LruMap<string, Pattern>(500, {
  maxWeight: maxRememberedParts,
  weigh: (text, pattern) => pattern.size + Math.ceil(text.length / 50),
});

/** Compiled once for as long as it is used. Throws PatternError. */
export function compilePattern(pattern: string): Pattern {
  const known = cache.get(pattern);
  if (known) return known;
  const compiled = new Pattern(pattern);
  cache.set(pattern, compiled);
  return compiled;
}

/** Steps after which they are told: so few take no time worth mentioning. */
const stepsAtOnce = 16_384;

/** Counts the steps of one or several searches: a short pattern can have thousands of places that all are followed at once. */
export class PatternSteps {
  #untold = 0;
  readonly #tell: (steps: number) => void;

  /** `tell` is called now and then with how many steps were taken since; what it throws ends the search. */
  constructor(tell: (steps: number) => void) {
    this.#tell = tell;
  }

  add(steps: number): void {
    this.#untold += steps;
    if (this.#untold < stepsAtOnce) return;
    const told = this.#untold;
    this.#untold = 0;
    this.#tell(told);
  }
}

export class Pattern {
  readonly #program: readonly Instruction[];
  /** What a search needs, kept for the next one. */
  #idle: [Threads, Threads] | undefined = undefined;
  /** How many parts it has: what it takes of memory, and what compiling it again would take of time. */
  readonly size: number;

  constructor(pattern: string) {
    const program: Instruction[] = [];
    const parsed = parsePattern(pattern);
    compile(parsed, program, pattern);
    program.push({ op: "match" });
    this.#program = program;
    this.size = program.length + rangesIn(parsed);
  }

  /** Whether it matches somewhere in the text. */
  test(text: string, steps?: PatternSteps): boolean {
    return this.#search(text, 0, true, steps) !== undefined;
  }

  /** The first match from an index on: the leftmost, and of those the one that the pattern prefers. */
  find(text: string, from = 0, steps?: PatternSteps): PatternMatch | undefined {
    return this.#search(text, from, false, steps);
  }

  #search(text: string, from: number, anyWillDo: boolean, steps: PatternSteps | undefined): PatternMatch | undefined {
    const [threads, next] = this.#idle ?? [new Threads(this.#program.length), new Threads(this.#program.length)];
    this.#idle = undefined;
    threads.clear();
    next.clear();
    const found = this.#run(threads, next, { text, from, anyWillDo, steps });
    this.#idle = [threads, next];
    return found;
  }

  #run(threads: Threads, next: Threads, { text, from, anyWillDo, steps }: Search): PatternMatch | undefined {
    let found: PatternMatch | undefined;
    for (let at = from; ; ) {
      // A thread that starts here comes after all that started earlier; none starts once there is a match.
      if (!found) this.#follow(threads, 0, { text, at, start: at });
      if (threads.count === 0 && found) return found;
      steps?.add(threads.places + threads.count + 1);
      const code = at < text.length ? (text.codePointAt(at) ?? 0) : -1;
      const after = at + (code > 0xffff ? 2 : 1);
      for (let index = 0; index < threads.count; index++) {
        const instruction = this.#program[threads.at[index] as number] as Instruction;
        const start = threads.starts[index] as number;
        if (instruction.op === "match") {
          found = { start, end: at };
          if (anyWillDo) return found;
          break;
        }
        if (instruction.op === "char" && code >= 0 && instruction.has(code))
          this.#follow(next, (threads.at[index] as number) + 1, { text, at: after, start });
      }
      if (code < 0) return found;
      at = after;
      threads.clear();
      [threads, next] = [next, threads];
    }
  }

  /** Adds the places that can be reached from one without reading a character. */
  #follow(threads: Threads, from: number, state: { readonly text: string; readonly at: number; readonly start: number }): void {
    const open = [from];
    for (let place = open.pop(); place !== undefined; place = open.pop()) {
      if (!threads.visit(place)) continue;
      const instruction = this.#program[place] as Instruction;
      switch (instruction.op) {
        case "jump":
          open.push(instruction.to);
          break;
        case "split":
          open.push(instruction.second, instruction.first);
          break;
        case "assert":
          if (holds(instruction.what, state.text, state.at)) open.push(place + 1);
          break;
        default:
          threads.add(place, state.start);
      }
    }
  }
}

interface Search {
  readonly text: string;
  readonly from: number;
  /** Whether there is a match is all that is asked. */
  readonly anyWillDo: boolean;
  readonly steps: PatternSteps | undefined;
}

/** Places of a program with where their matches started, in the order of preference, each place once. */
class Threads {
  readonly at: Int32Array;
  readonly starts: Int32Array;
  count = 0;
  /** How many were come by, also those where no character is read. */
  places = 0;
  readonly #visited: Int32Array;
  #round = 1;

  constructor(size: number) {
    this.at = new Int32Array(size);
    this.starts = new Int32Array(size);
    this.#visited = new Int32Array(size);
  }

  visit(place: number): boolean {
    if (this.#visited[place] === this.#round) return false;
    this.#visited[place] = this.#round;
    this.places++;
    return true;
  }

  add(place: number, start: number): void {
    this.at[this.count] = place;
    this.starts[this.count++] = start;
  }

  clear(): void {
    this.count = 0;
    this.places = 0;
    this.#round++;
  }
}

/** Each set once, however often it is repeated: what repeats it shares the ranges. */
function rangesIn(node: PatternNode): number {
  switch (node.kind) {
    case "set":
      return node.set.ranges.length;
    case "sequence":
      return node.parts.reduce((sum, part) => sum + rangesIn(part), 0);
    case "choice":
      return node.options.reduce((sum, option) => sum + rangesIn(option), 0);
    case "repeat":
      return rangesIn(node.part);
    case "assert":
      return 0;
  }
}

function isWord(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);
}

function holds(what: Assertion, text: string, at: number): boolean {
  switch (what) {
    case "textStart":
      return at === 0;
    case "textEnd":
      return at >= text.length;
    case "lineStart":
      return at === 0 || text[at - 1] === "\n";
    case "lineEnd":
      return at >= text.length || text[at] === "\n";
    case "boundary":
      return isWord(text, at - 1) !== isWord(text, at);
    case "noBoundary":
      return isWord(text, at - 1) === isWord(text, at);
  }
}

function compile(node: PatternNode, program: Instruction[], pattern: string): void {
  if (program.length > maxInstructions) throw new PatternError("expression too large", pattern);
  switch (node.kind) {
    case "set":
      program.push({ op: "char", has: memberTest(node.set) });
      return;
    case "assert":
      program.push({ op: "assert", what: node.what });
      return;
    case "sequence":
      for (const part of node.parts) compile(part, program, pattern);
      return;
    case "choice":
      compileChoice(node.options, program, pattern);
      return;
    case "repeat":
      compileRepeat(node, program, pattern);
  }
}

function compileChoice(options: readonly PatternNode[], program: Instruction[], pattern: string): void {
  const ends: { to: number }[] = [];
  for (const [index, option] of options.entries()) {
    if (index === options.length - 1) {
      compile(option, program, pattern);
      break;
    }
    const split = { op: "split" as const, first: program.length + 1, second: 0 };
    program.push(split);
    compile(option, program, pattern);
    const end = { op: "jump" as const, to: 0 };
    program.push(end);
    ends.push(end);
    split.second = program.length;
  }
  for (const end of ends) end.to = program.length;
}

function compileRepeat(node: PatternNode & { kind: "repeat" }, program: Instruction[], pattern: string): void {
  const { part, min, max, greedy } = node;
  for (let count = 0; count < min; count++) compile(part, program, pattern);
  const split = () => {
    const made = { op: "split" as const, first: program.length + 1, second: 0 };
    program.push(made);
    return made;
  };
  /** Where the part is not taken, it goes on after it. */
  const close = (made: { first: number; second: number }) => {
    made.second = program.length;
    if (!greedy) [made.first, made.second] = [made.second, made.first];
  };
  if (max === Number.POSITIVE_INFINITY) {
    const start = program.length;
    const made = split();
    compile(part, program, pattern);
    program.push({ op: "jump", to: start });
    close(made);
    return;
  }
  const splits: { first: number; second: number }[] = [];
  for (let count = min; count < max; count++) {
    splits.push(split());
    compile(part, program, pattern);
  }
  for (const made of splits) close(made);
}
