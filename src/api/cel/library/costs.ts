// What calls of the Kubernetes libraries cost, at run time and as estimates: most are charged by how much text they go through.
import { actualSize } from "../../../cel/cost/actual.ts";
import { allNodes } from "../../../cel/cost/call-estimates.ts";
import { scaleRange, traversalFactor } from "../../../cel/cost/estimates.ts";
import type { CelOverload } from "../../../cel/library.ts";
import { CelList, CelMap, CelObject, type CelValue } from "../../../cel/values.ts";
import { byteLength } from "../../meta/names.ts";

/** Costs in proportion to the size of one argument; 0 is the first, or what a member is called on. */
export function costByText(argument = 0, factor = traversalFactor): Pick<CelOverload, "cost" | "estimate"> {
  return {
    cost: (args) => Math.ceil(sizeOf(args[argument]) * factor),
    estimate: (site) => {
      const node = allNodes(site)[argument];
      return node && { cost: scaleRange(node.size, factor) };
    },
  };
}

/** Elements of a collection, characters of a text; 1 of anything else. */
export const sizeOf = (value: CelValue | undefined): number => actualSize(value ?? null);

/** Of going through a value with all that is in it. */
export function traversalCost(value: CelValue): number {
  if (typeof value === "string") return Math.floor(byteLength(value) * traversalFactor);
  if (value instanceof Uint8Array) return Math.floor(value.length * traversalFactor);
  if (value instanceof CelList) {
    let cost = 0;
    for (const item of value) cost += traversalCost(item);
    return cost;
  }
  let cost = 0;
  if (value instanceof CelMap) for (const key of value.keys()) cost += traversalCost(key) + traversalCost(value.find(key) ?? null);
  else if (value instanceof CelObject)
    for (const field of value.fields()) cost += traversalCost(field) + traversalCost(value.find(field) ?? null);
  else return 1;
  return cost;
}
