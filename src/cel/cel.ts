// What evaluates expressions of the Common Expression Language, as the rest of Coracle sees it: environments that declare
// variables, functions and types; compiled expressions that are typed, costed and run with a budget. The language is the one
// of cel-go 0.26 with the options that Kubernetes v1.36 sets; nothing here knows a kind or function of Kubernetes: those come
// as libraries (library.ts) and types (types.ts).
//
//   const environment = createCelEnvironment({ libraries: [optionals, strings2], variables: { object: dynType } });
//   const compiled = environment.compile("object.metadata.name.startsWith('a')");
//   if (compiled.program) compiled.program.evaluate({ object: pod }).value === true;

import type { CelLibrary } from "./library.ts";
import type { CelType } from "./types.ts";
import type { CelValue } from "./values.ts";

export interface CelEnvironmentOptions {
  /** Variables that expressions may read, by name; a name may be qualified ("com.example.x"). */
  readonly variables?: Readonly<Record<string, CelType>>;
  /** In addition to the standard functions and macros. A later library may add overloads to a function of an earlier one. */
  readonly libraries?: readonly CelLibrary[];
  /** Types by name, for `Name{field: value}`, for names of types as values, and for fields: asked when an expression names one. */
  readonly types?: (name: string) => CelType | undefined;
  /**
   * The declaration that estimates take for what is reached by no path of declarations from a variable (an element of a literal,
   * a field of what a function gives): upstream's estimate of rules takes the type of `self` for it.
   */
  readonly estimateRoot?: CelType;
  /**
   * Whether all elements of a list literal and all values of a map literal have to be of one type; otherwise mixed ones are dyn.
   * Kubernetes says no, and has literal-validators.ts see to it, which lets format() have mixed lists. Default: true.
   */
  readonly homogeneousLiterals?: boolean;
}

export interface CelEnvironment {
  /** An environment with more; cheap, shares what this one has computed. A variable declared again replaces the earlier one. */
  extend(options: CelEnvironmentOptions): CelEnvironment;
  /** Parses, checks, estimates and plans. Not cached: the caller keeps programs for as long as it needs them. */
  compile(expression: string): CelCompilation;
}

export type CelCompilation =
  | {
      readonly program: CelProgram;
      readonly stage?: undefined;
      readonly problems?: undefined;
      readonly message?: undefined;
      readonly resultType?: undefined;
    }
  | {
      readonly program?: undefined;
      /**
       * "plan": the expression is well-formed and typed, but a constant part of it has no value (`int('a')`); the message is then
       * only the error's text. Upstream's words for it are "program instantiation failed: " and that.
       */
      readonly stage: "parse" | "check" | "plan";
      readonly problems: readonly CelProblem[];
      /** All problems as the wire shows them, one after the other: "ERROR: <input>:1:5: …\n | source\n | ....^". */
      readonly message: string;
      /** At stage "plan": what it would evaluate to. */
      readonly resultType?: CelType;
    };

/** Something wrong with an expression. */
export interface CelProblem {
  /** "undeclared reference to 'x' (in container '')", "Syntax error: …": without its place. */
  readonly message: string;
  /** From 1; 0 where the problem has no place (too long an expression). */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
}

/** What evaluating may cost, in upstream's units. Saturates at maxCelCost. */
export interface CelCostEstimate {
  readonly min: number;
  readonly max: number;
}

export interface CelProgram {
  readonly expression: string;
  readonly resultType: CelType;
  /** For the sizes that the types declare. Computed when first read. */
  readonly cost: CelCostEstimate;
  /** Names of the declared variables that it reads. */
  readonly variables: ReadonlySet<string>;
  /** Whether a path of fields of a variable is read somewhere: `reads("object", "metadata")`. A variable used whole reads every path. */
  reads(variable: string, ...path: readonly string[]): boolean;
  /**
   * Evaluates with a value for each variable it reads: JSON (wrapped lazily by the variable's type, never copied), a CelValue, or
   * a function that makes one of them, called at most once, when the variable is first read. Throws CelError. What a library's
   * function throws that is no CelError passes through unchanged and is never absorbed by && or ||.
   */
  evaluate(variables: Readonly<Record<string, unknown>>, options?: CelEvaluateOptions): CelResult;
}

export interface CelEvaluateOptions {
  /** The most it may cost. Default 1,000,000, as upstream's per call. */
  readonly costLimit?: number;
}

export interface CelResult {
  /** celToJson (values.ts) makes JSON of it. */
  readonly value: CelValue;
  /** What it cost. */
  readonly cost: number;
}

export { CelError } from "./cel-error.ts";
export { createCelEnvironment } from "./environment.ts";
export { maxCelCost } from "./limits.ts";
