// The syntax tree of an expression, as the parser and macros make it and the checker, the estimate and the planner read it.
// Operators are calls of functions with upstream's names ("_+_", "_?_:_", "_[_]"). Every node has an id that is unique in its
// expression; the ids are the keys of what the checker finds out (types, references) and of the places in the source.

import type { CelValue } from "./values.ts";

export type CelExpr = CelLiteral | CelIdent | CelSelect | CelCall | CelListExpr | CelMapExpr | CelStructExpr | CelComprehension;

export interface CelLiteral {
  readonly kind: "literal";
  readonly id: number;
  readonly value: CelValue;
}

export interface CelIdent {
  readonly kind: "ident";
  readonly id: number;
  /** With a leading dot where it is written so: looked up from the root. */
  readonly name: string;
}

export interface CelSelect {
  readonly kind: "select";
  readonly id: number;
  readonly operand: CelExpr;
  readonly field: string;
  /** has(operand.field). */
  readonly testOnly: boolean;
}

export interface CelCall {
  readonly kind: "call";
  readonly id: number;
  readonly name: string;
  /** What a member function is called on. */
  readonly target?: CelExpr;
  readonly args: readonly CelExpr[];
}

export interface CelListExpr {
  readonly kind: "list";
  readonly id: number;
  readonly elements: readonly CelExpr[];
  /** Indices of elements written `?x`. */
  readonly optional: readonly number[];
}

export interface CelMapExpr {
  readonly kind: "map";
  readonly id: number;
  readonly entries: readonly { readonly id: number; readonly key: CelExpr; readonly value: CelExpr; readonly optional: boolean }[];
}

/** Name{field: value}. */
export interface CelStructExpr {
  readonly kind: "struct";
  readonly id: number;
  readonly name: string;
  readonly fields: readonly { readonly id: number; readonly name: string; readonly value: CelExpr; readonly optional: boolean }[];
}

/**
 * A loop: for each element of the range, while the condition is not false, the accumulator becomes the step; at the end, the
 * result. What all(), map() and the like expand to.
 */
export interface CelComprehension {
  readonly kind: "comprehension";
  readonly id: number;
  readonly range: CelExpr;
  /** The element of a list or key of a map; with a second variable, the index or key. */
  readonly variable: string;
  /** The element or value. */
  readonly variable2?: string;
  readonly accumulator: string;
  readonly init: CelExpr;
  readonly condition: CelExpr;
  readonly step: CelExpr;
  readonly result: CelExpr;
}

/** The name of the accumulator of macros: not one that an expression can write. */
export const accumulatorName = "@result";
