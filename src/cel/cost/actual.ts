// What calls cost at run time, in upstream's units, by the sizes of their arguments.

import { PatternSteps } from "../../base/regex/pattern.ts";
import type { CelEvaluation } from "../library.ts";
import { characters } from "../source.ts";
import { CelList, CelMap, CelObject, CelOpaque, CelOptional, type CelValue } from "../values.ts";
import { patternFactor, traversalFactor } from "./estimates.ts";

/** What making a list, a map, a message costs. */
export const listCost = 10;
export const mapCost = 30;
export const structCost = 40;

/** How many elements a value has for costs: characters, bytes, items, entries; 1 for everything else. */
export function actualSize(value: CelValue): number {
  if (typeof value === "string") return characters(value);
  if (value === null || typeof value !== "object") return 1;
  if (value instanceof CelList || value instanceof CelMap || value instanceof CelObject) return value.size;
  if (value instanceof Uint8Array) return value.length;
  if (value instanceof CelOpaque) return value.size ?? 1;
  return value instanceof CelOptional && value.value !== undefined ? actualSize(value.value) : 1;
}

type Args = readonly CelValue[];

/** Reading the argument at an index once; `factor` times for more. */
export const traversalOf =
  (index: number, factor = 1) =>
  (args: Args): number =>
    Math.ceil(actualSize(args[index] ?? null) * factor * traversalFactor);

/** Comparing two: the smaller one is read. */
export const comparisonCost = ([a = null, b = null]: Args): number => Math.ceil(Math.min(actualSize(a), actualSize(b)) * traversalFactor);

/** As comparisonCost, but values of a library are equal or not at once. */
export const equalityCost = (args: Args): number => (args[0] instanceof CelOpaque ? 1 : comparisonCost(args));

/** Putting two together: both are read. */
export const concatenationCost = (args: Args): number =>
  Math.ceil((actualSize(args[0] ?? null) + actualSize(args[1] ?? null)) * traversalFactor);

/** Matching a text (the first) with a pattern (the second). */
export const matchCost = (args: Args): number =>
  Math.ceil((1 + actualSize(args[0] ?? null)) * traversalFactor) * Math.ceil(actualSize(args[1] ?? null) * patternFactor);

/** Steps of a pattern that cost one: where a pattern is as long as what it becomes, about what upstream charges one for. */
const stepsOfCost = 40;

/** Charges what following a pattern takes beyond what its length tells: `(x?){1000}` has a thousand places, all of them open at once. */
export const patternSteps = (evaluation: CelEvaluation): PatternSteps =>
  new PatternSteps((steps) => evaluation.charge(Math.ceil(steps / stepsOfCost)));

/** What upstream does not charge of results that are much larger than what they are made of, and of values whose types it learns only then. */
export const uncharged = 10_000;

/** What a call costs besides, as its result is so much larger than what upstream charges it by. */
export function costBeyond(result: CelValue, charged: CelValue): number {
  const excess = actualSize(result) - actualSize(charged) - uncharged;
  return excess > 0 ? Math.ceil(excess * (typeof result === "string" ? traversalFactor : 1)) : 0;
}

/** Looking for a text in another. */
export const containsCost = (args: Args): number => traversalOf(0)(args) * traversalOf(1)(args);

/** Cost of a text or of everything in a list or map, one by one; upstream counts bytes here and rounds down. */
export function deepTraversalCost(value: CelValue): number {
  if (typeof value === "string") return Math.floor(new TextEncoder().encode(value).length * traversalFactor);
  if (value instanceof Uint8Array) return Math.floor(value.length * traversalFactor);
  let cost = 0;
  if (value instanceof CelList) for (const item of value) cost += deepTraversalCost(item);
  else if (value instanceof CelMap)
    for (const key of value.keys()) cost += deepTraversalCost(key) + deepTraversalCost(value.find(key) ?? null);
  else if (value instanceof CelObject)
    for (const name of value.fields()) cost += deepTraversalCost(name) + deepTraversalCost(value.find(name) ?? null);
  else return 1;
  return cost;
}
