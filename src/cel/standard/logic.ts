// Declarations of what the planner evaluates itself (&& || ?: and indexing), and negation.

import type { CelFunction, CelOverload } from "../library.ts";
import { boolType, type CelType, intType, listOf, mapOf, typeParameter } from "../types.ts";
import type { CelValue } from "../values.ts";
import { noSuchOverload } from "./operator-traits.ts";

/** What has no function: the planner knows how. */
export const planned = (): CelValue => {
  throw new Error("a function of the planner was called");
};

const declared = (id: string, parameters: readonly CelType[], result: CelType): CelOverload => ({ id, parameters, result, call: planned });
const [A, B] = [typeParameter("A"), typeParameter("B")];

export const logic: readonly CelFunction[] = [
  { name: "_&&_", overloads: [declared("logical_and", [boolType, boolType], boolType)] },
  { name: "_||_", overloads: [declared("logical_or", [boolType, boolType], boolType)] },
  { name: "_?_:_", overloads: [declared("conditional", [boolType, A, A], A)] },
  {
    name: "_[_]",
    overloads: [declared("index_list", [listOf(A), intType], A), declared("index_map", [mapOf(A, B), A], B)],
  },
  {
    name: "!_",
    overloads: [{ id: "logical_not", parameters: [boolType], result: boolType, call: ([value]) => value === false }],
    mismatch: noSuchOverload,
  },
  // Takes errors too: the planner passes true for one.
  {
    name: "@not_strictly_false",
    overloads: [{ id: "not_strictly_false", parameters: [boolType], result: boolType, call: ([value]) => value !== false }],
  },
];
