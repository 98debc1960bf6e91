// What is wrong with values, while it is being collected: upstream validates with one library and translates its findings,
// so each carries the path and text of the first and what the second makes of it.
import { FieldError, invalidValue, notSupported, required, tooLong, tooMany } from "../meta/field-error.ts";
import { sortedJson } from "./json.ts";

export interface ValueProblem {
  /** Where; begins with a dot at the root of an object. Empty: the whole, or a problem that no place is told of. */
  readonly path: string;
  /** Two problems of the same text are one. */
  readonly message: string;
  readonly toError: (field: string) => FieldError;
}

/** Problems, each once, and how many checks passed, which decides between alternatives. */
export class Findings {
  /** Most values have none. */
  #problems: Map<string, ValueProblem> | undefined;
  matches = 0;

  get problems(): readonly ValueProblem[] {
    return this.#problems ? [...this.#problems.values()] : [];
  }

  get hasProblems(): boolean {
    return this.#problems !== undefined;
  }

  add(problem: ValueProblem): void {
    this.#problems ??= new Map();
    if (!this.#problems.has(problem.message)) this.#problems.set(problem.message, problem);
  }

  /** Forgets the problems, not what passed. */
  forgive(): void {
    this.#problems = undefined;
  }

  merge(other: Findings): void {
    if (other.#problems) for (const problem of other.#problems.values()) this.add(problem);
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

/** `what`: "should match '^a$'". */
export function unfit(path: string, value: unknown, what: string): ValueProblem {
  const message = `${path} in body ${what}`;
  return { path, message, toError: (field) => invalidValue(field, value, message) };
}

/** A problem that names the place in its text only. */
export function placeless(message: string): ValueProblem {
  return { path: "", message, toError: (field) => invalidValue(field, "", message) };
}

export function missing(path: string): ValueProblem {
  return { path, message: `${path} in body is required`, toError: (field) => required(field) };
}

export function notAmong(path: string, value: unknown, values: readonly unknown[]): ValueProblem {
  const texts = values.map((allowed) => (typeof allowed === "string" ? allowed : (JSON.stringify(allowed) ?? "null")));
  return {
    path,
    message: `${path} in body should be one of ${texts.join(" ")}`,
    toError: (field) => notSupported(field, sortedJson(value), texts),
  };
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
