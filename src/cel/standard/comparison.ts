// == != < <= > >=: equality of any two values of a type (and of numbers of any kind), order of scalars.

import { celCompare, celEquals } from "../compare.ts";
import { comparisonCost, equalityCost } from "../cost/actual.ts";
import { comparisonEstimate, equalityEstimate } from "../cost/call-estimates.ts";
import type { CelFunction, CelOverload } from "../library.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  intType,
  stringType,
  timestampType,
  typeParameter,
  uintType,
} from "../types.ts";
import { operatorMismatch } from "./operator-traits.ts";

const numbers: readonly (readonly [string, CelType])[] = [
  ["int64", intType],
  ["uint64", uintType],
  ["double", doubleType],
];

function ordering(name: string, word: string, holds: (order: number) => boolean): CelFunction {
  const overload = (id: string, parameters: readonly CelType[], isText = false): CelOverload => ({
    id: `${word}_${id}`,
    parameters,
    result: boolType,
    call: ([a, b]) => holds(celCompare(a ?? null, b ?? null) as number),
    ...(isText && { cost: comparisonCost, chargedFirst: true, estimate: comparisonEstimate }),
  });
  const overloads = [overload("bool", [boolType, boolType])];
  for (const [left, leftType] of numbers) {
    for (const [right, rightType] of numbers) overloads.push(overload(left === right ? left : `${left}_${right}`, [leftType, rightType]));
  }
  overloads.push(
    overload("string", [stringType, stringType], true),
    overload("bytes", [bytesType, bytesType], true),
    overload("timestamp", [timestampType, timestampType]),
    overload("duration", [durationType, durationType]),
  );
  return { name, overloads, ambiguousCost: 1, dispatchesByValue: true, mismatch: operatorMismatch(name) };
}

const anyTwo = [typeParameter("A"), typeParameter("A")];

const equality = (name: string, id: string, rest: Pick<CelOverload, "call" | "cost" | "estimate">): CelFunction => ({
  name,
  overloads: [{ id, parameters: anyTwo, result: boolType, chargedFirst: true, ...rest }],
});

export const comparison: readonly CelFunction[] = [
  equality("_==_", "equals", {
    call: ([a, b]) => celEquals(a ?? null, b ?? null),
    cost: equalityCost,
    estimate: equalityEstimate,
  }),
  equality("_!=_", "not_equals", {
    call: ([a, b]) => !celEquals(a ?? null, b ?? null),
    cost: comparisonCost,
    estimate: comparisonEstimate,
  }),
  ordering("_<_", "less", (order) => order < 0),
  ordering("_<=_", "less_equals", (order) => order <= 0),
  ordering("_>_", "greater", (order) => order > 0),
  ordering("_>=_", "greater_equals", (order) => order >= 0),
];
