// What is wrong with values, while it is being collected: upstream validates with one library and translates its findings,
// so each carries the path and text of the first and what the second makes of it.
import { FieldError, invalidValue, notSupported, required, tooLong, tooMany } from "../meta/field-error.ts";
import { sortedJson } from "./json.ts";
import { WorkLimit } from "./work-limit.ts";

export interface ValueProblem {
  /** Where; begins with a dot at the root of an object. Empty: the whole, or a problem that no place is told of. */
  readonly path: string;
  /** Two problems of the same text are one. */
  readonly message: string;
  /** The same in short, where the text repeats much of the schema. */
  readonly key?: string;
  readonly toError: (field: string) => FieldError;
}

/** Most that problems of one object are collected: more than is told of them. */
const maxToldCharacters = 2 * 1024 * 1024;

/** A problem takes a step, and one more for so many characters of its text. */
const charactersOfStep = 16;

/** A place among the problems, to go back to. */
interface Mark {
  readonly told: number;
  readonly characters: number;
  readonly count: number;
}

/** Problems, each once, and how many checks passed, which decides between alternatives. */
export class Findings {
  /** Most values have none. */
  #told: ValueProblem[] | undefined;
  #keys: Set<string> | undefined;
  #characters = 0;
  /** Of all problems, also those that were told before or are beyond what can be told. */
  #count = 0;
  matches = 0;
  readonly work: WorkLimit;

  constructor(work = new WorkLimit()) {
    this.work = work;
  }

  get problems(): readonly ValueProblem[] {
    return this.#told ?? [];
  }

  get hasProblems(): boolean {
    return this.#count > 0;
  }

  /** Whether what else is wrong would not be told: it need not be put into words. */
  get isFull(): boolean {
    return this.#characters > maxToldCharacters;
  }

  add(problem: ValueProblem): void {
    this.#count++;
    if (this.isFull) return;
    // The length of a text is known before it is put together.
    const { message, key = message } = problem;
    this.work.spend(1 + Math.ceil(key.length / charactersOfStep));
    this.#keys ??= new Set();
    if (this.#keys.has(key)) return;
    this.#keys.add(key);
    this.#told ??= [];
    this.#told.push(problem);
    this.#characters += message.length;
  }

  /** Adds a problem that is put into words only where it would be told. `path`: where it is, which its text repeats. */
  addLater(path: string, make: () => ValueProblem): void {
    if (this.isFull) {
      this.#count++;
      return;
    }
    this.work.spend(1 + Math.ceil(path.length / charactersOfStep));
    this.add(make());
  }

  mark(): Mark {
    return { told: this.#told?.length ?? 0, characters: this.#characters, count: this.#count };
  }

  hasProblemsSince(mark: Mark): boolean {
    return this.#count > mark.count;
  }

  /** Forgets the problems since, not what passed. */
  forgiveSince({ told, characters, count }: Mark): void {
    this.#count = count;
    this.#characters = characters;
    if (!this.#told) return;
    for (const { message, key = message } of this.#told.slice(told)) this.#keys?.delete(key);
    this.#told.length = told;
  }

  merge(other: Findings): void {
    for (const problem of other.problems) this.add(problem);
    this.#count += other.#count - other.problems.length;
    this.matches += other.matches;
  }
}

/** As errors of an object, or of a part of it that lies at `base`. */
export function asFieldErrors(problems: readonly ValueProblem[], base = ""): FieldError[] {
  return problems.map(({ path, toError }) => {
    const field = path.startsWith(".") ? path.slice(1) : path;
    if (field === "") return toError(base === "" ? "<nil>" : base);
    return toError(base === "" ? field : `${base}.${field}`);
  });
}

export function wrongType(path: string, expected: string, found: string): ValueProblem {
  const message = `${path} in body must be of type ${expected}: ${JSON.stringify(found)}`;
  return { path, message, toError: (field) => new FieldError("FieldValueTypeInvalid", field, found, message) };
}

/** `what`: "should match '^a$'"; `key`: what stands for it where it is long. */
export function unfit(path: string, value: unknown, what: string, key = what): ValueProblem {
  const message = `${path} in body ${what}`;
  return { path, message, key: `${path} in body ${key}`, toError: (field) => invalidValue(field, value, message) };
}

/** A problem that names the place in its text only. */
export function placeless(message: string): ValueProblem {
  return { path: "", message, toError: (field) => invalidValue(field, "", message) };
}

export function missing(path: string): ValueProblem {
  return { path, message: `${path} in body is required`, toError: (field) => required(field) };
}

/** The problem of values that are not among those of an enum. What is said of these is put together once, not for each value. */
export function notAmong(values: readonly unknown[]): (path: string, value: unknown) => ValueProblem {
  const texts = values.map((allowed) => (typeof allowed === "string" ? allowed : (JSON.stringify(allowed) ?? "null")));
  const listed = `should be one of ${texts.join(" ")}`;
  const { detail } = notSupported("", "", texts);
  const key = shortKey(listed);
  return (path, value) => ({
    path,
    message: `${path} in body ${listed}`,
    key: `${path} in body ${key}`,
    toError: (field) => new FieldError("FieldValueNotSupported", field, sortedJson(value), detail),
  });
}

const maxKeyCharacters = 200;

/** Stands for a text of a schema where texts are only compared: itself, or its length and two hashes (FNV-1a, and one by 31). */
export function shortKey(text: string): string {
  if (text.length <= maxKeyCharacters) return text;
  let one = 0x811c9dc5;
  let other = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    one = Math.imul(one ^ code, 0x01000193);
    other = (Math.imul(other, 31) + code) | 0;
  }
  return `${text.length} ${one} ${other}`;
}

export function longerThan(path: string, max: number): ValueProblem {
  return { path, message: `${path} in body should be at most ${max} chars long`, toError: (field) => tooLong(field, max) };
}

export function moreThan(path: string, actual: number, max: number, what: "items" | "properties"): ValueProblem {
  return { path, message: `${path} in body should have at most ${max} ${what}`, toError: (field) => tooMany(field, actual, max) };
}

export function forbiddenProperty(path: string, property: string): ValueProblem {
  const message = `${path}.${property} in body is a forbidden property`;
  return { path, message, toError: (field) => invalidValue(field, property, message) };
}
