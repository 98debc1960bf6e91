// What evaluates expressions of the Common Expression Language, as the rest of Coracle sees it: environments that declare
// variables, compiled expressions that are typed, costed and run with a budget. Values in and out are JSON values; the
// declared types say what they are to an expression (a string of format date-time is a timestamp to it).

/** The type of a declared variable or of an expression's result. */
export type CelType =
  | { readonly kind: "dyn" | "bool" | "int" | "uint" | "double" | "string" | "bytes" | "null" | "timestamp" | "duration" }
  | { readonly kind: "list"; readonly items: CelType; readonly maxItems?: number }
  | { readonly kind: "map"; readonly values: CelType; readonly maxProperties?: number }
  | CelObjectType
  /** A type of a library: "kubernetes.Quantity", "net.IP", "kubernetes.authorization.Authorizer". */
  | { readonly kind: "opaque"; readonly name: string };

export interface CelObjectType {
  readonly kind: "object";
  /** As error messages name it: "apps.v1.Deployment", "Object.spec". */
  readonly name: string;
  /** Made when first read: types may refer to each other in circles. */
  readonly fields: () => ReadonlyMap<string, CelField>;
}

export interface CelField {
  readonly type: CelType;
  readonly required: boolean;
  /** Largest size of the value (characters, items), for estimates. */
  readonly maxLength?: number;
}

/** Something wrong with an expression: its text is the wire's ("ERROR: <input>:1:5: undeclared reference to 'x' (in container '')…"). */
export interface CelProblem {
  readonly message: string;
}

export interface CelCostEstimate {
  readonly min: number;
  readonly max: number;
}

export interface CelProgram {
  readonly expression: string;
  readonly resultType: CelType;
  /** What evaluating may cost, in upstream's units, for the sizes the types declare. Saturates at Number.MAX_SAFE_INTEGER. */
  readonly cost: CelCostEstimate;
  /** Names of the declared variables that it reads. */
  readonly variables: ReadonlySet<string>;
  /**
   * Evaluates with one value for each variable it reads: JSON values, CEL values of a library (an authorizer), or a function
   * that makes one when it is first read. Throws CelError; `exceededBudget` tells that the cost limit ended it.
   */
  evaluate(variables: Readonly<Record<string, unknown>>, options?: CelEvaluateOptions): CelResult;
}

export interface CelEvaluateOptions {
  /** The most it may cost. Default 1,000,000, as upstream's per call. */
  readonly costLimit?: number;
  /** For now(). Milliseconds since the epoch. */
  readonly nowMs?: number;
}

export interface CelResult {
  /** As JSON: integers beyond 2^53 as strings of digits, timestamps and durations as their texts, objects as plain objects. */
  readonly value: unknown;
  /** What it cost. */
  readonly cost: number;
}
