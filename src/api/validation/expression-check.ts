// Where validation meets CEL. Validators find the expressions of an object and know what each may refer to; whether one
// compiles is said by an `ExpressionCheck`, which whoever has a compiler hands in. Without one, expressions are looked at
// for what can be seen without compiling: whether they are there, and not too long.

import type { FieldError } from "../meta/field-error.ts";
import type { ParamKind, Variable } from "../types/admissionregistration-v1.ts";

/** What an expression is for; it decides the type it must evaluate to and how errors word it. */
export type ExpressionPurpose =
  | "matchCondition"
  | "validation"
  | "messageExpression"
  | "auditAnnotation"
  | "variable"
  | "applyConfiguration"
  | "jsonPatch"
  | "deviceSelector";

export interface ExpressionUse {
  readonly purpose: ExpressionPurpose;
  /** As the client wrote it: columns in errors count from its beginning. */
  readonly expression: string;
  /** Where errors belong: "spec.validations[0].expression". */
  readonly field: string;
  /** `params` may be used: the policy has a paramKind. */
  readonly hasParams: boolean;
  readonly paramKind?: ParamKind | undefined;
  /**
   * Those of the policy before this expression, in order; `variables.NAME` refers to them. One list for all expressions of a
   * policy, which grows meanwhile.
   */
  readonly variables: readonly Variable[];
  /** The object had this expression before: it may use what new ones may no longer, or not yet, use. */
  readonly stored: boolean;
}

/** Adds the problems of one expression to a list. */
export type ExpressionCheck = (errors: FieldError[], use: ExpressionUse) => void;
