// Expressions (CEL) in the server's configuration files: what maps claims of tokens to users, and which requests a webhook is
// asked about. This is all the rest of authentication and authorization knows of the language.

import { FieldError, invalidValue } from "../../api/meta/field-error.ts";

/** The variable an expression is about. */
export type ExpressionVariable =
  /** The claims of a token. */
  | "claims"
  /** What a token's claims have been mapped to: username, uid, groups, extra. */
  | "user"
  /** The spec of a SubjectAccessReview. */
  | "request";

export interface Expression {
  readonly text: string;
  /** Whether the expression reads this field of its variable. */
  reads(field: string): boolean;
  /** The result as JSON. Throws what went wrong. */
  evaluate(value: object): unknown;
}

/** What an expression may give. */
export type ExpressionResult = "bool" | "string" | "string or list";

export interface ExpressionCompiler {
  /** Throws ExpressionError. */
  compile(text: string, about: { readonly variable: ExpressionVariable; readonly result: ExpressionResult }): Expression;
}

/** What is wrong with an expression, as the detail of a field's error. */
export class ExpressionError extends Error {
  /** A constant part of it has no value: upstream's "internal error". */
  readonly isInternal: boolean;

  constructor(message: string, { isInternal = false }: { readonly isInternal?: boolean | undefined } = {}) {
    super(message);
    this.name = "ExpressionError";
    this.isInternal = isInternal;
  }

  /** As the error of the field that has the expression. */
  fieldError(field: string, text: string): FieldError {
    return this.isInternal ? new FieldError("InternalError", field, null, this.message) : invalidValue(field, text, this.message);
  }
}
