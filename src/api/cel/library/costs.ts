// What calls of the Kubernetes libraries cost: most are charged by how much text they go through, and what they make of it
// counts as one thing when it is compared.
import { traversalOf } from "../../../cel/cost/actual.ts";
import { traversalEstimate } from "../../../cel/cost/call-estimates.ts";
import { fixed } from "../../../cel/cost/estimates.ts";
import type { CelFunction, CelOverload } from "../../../cel/library.ts";

/** Costs of reading the argument at an index; `factor` times for more. */
export const costByText = (index = 0, factor = 1): Pick<CelOverload, "cost" | "estimate"> => ({
  cost: traversalOf(index, factor),
  estimate: traversalEstimate(index, factor),
});

/** The functions, with results of structures known to be of size 1. */
export const withUnitResults = (functions: readonly CelFunction[]): readonly CelFunction[] =>
  functions.map((declared) => ({ ...declared, overloads: declared.overloads.map(withUnitResult) }));

function withUnitResult(overload: CelOverload): CelOverload {
  const { kind } = overload.result;
  if (kind !== "object" && kind !== "opaque") return overload;
  return {
    ...overload,
    estimate: (site) => ({ cost: fixed(1), ...overload.estimate?.(site), resultSize: fixed(1) }),
  };
}
