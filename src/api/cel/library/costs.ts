// What calls of the Kubernetes libraries cost, at run time and as estimates: most are charged by how much text they go through.
import { type CelCostEstimate, maxCelCost } from "../../../cel/cel.ts";
import type { CelCallSite, CelOverload, CelSizedNode } from "../../../cel/library.ts";
import { CelList, CelMap, CelOpaque, type CelValue } from "../../../cel/values.ts";
import { byteLength } from "../../meta/names.ts";

/** Of going through one character. */
export const characterCost = 0.1;
/** Of one character of a regular expression, for each ten characters it is matched with. */
export const patternCharacterCost = 0.25;

type Costs = Pick<CelOverload, "cost" | "estimate">;

/** Costs in proportion to the size of one argument; 0 is the first, or what a member is called on. */
export function costByText(argument = 0, factor = characterCost): Costs {
  return {
    cost: (args) => Math.ceil(sizeOf(args[argument]) * factor),
    estimate: (site) => {
      const node = nodesOf(site)[argument];
      return node && { cost: times(node.size, factor) };
    },
  };
}

/** What a call is called on, if anything, and its arguments. */
export const nodesOf = ({ target, args }: CelCallSite): readonly CelSizedNode[] => (target ? [target, ...args] : args);

/** Elements of a collection, characters of a text; 1 of anything else. */
export function sizeOf(value: CelValue | undefined): number {
  if (typeof value === "string") return characterCount(value);
  if (value instanceof Uint8Array) return value.length;
  if (value instanceof CelList || value instanceof CelMap) return value.size;
  return value instanceof CelOpaque ? (value.size ?? 1) : 1;
}

function characterCount(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0xd800 && unit < 0xdc00) {
      count--;
      i++;
    }
  }
  return count;
}

/** Of going through a value with all that is in it. */
export function traversalCost(value: CelValue): number {
  if (typeof value === "string") return Math.floor(byteLength(value) * characterCost);
  if (value instanceof Uint8Array) return Math.floor(value.length * characterCost);
  if (value instanceof CelList) {
    let cost = 0;
    for (const item of value) cost += traversalCost(item);
    return cost;
  }
  if (!(value instanceof CelMap)) return 1;
  let cost = 0;
  for (const key of value.keys()) cost += traversalCost(key) + traversalCost(value.find(key) ?? null);
  return cost;
}

export const times = ({ min, max }: CelCostEstimate, factor: number): CelCostEstimate => ({
  min: saturated(Math.ceil(min * factor)),
  max: saturated(Math.ceil(max * factor)),
});

export const plus = (a: CelCostEstimate, b: CelCostEstimate): CelCostEstimate => ({
  min: saturated(a.min + b.min),
  max: saturated(a.max + b.max),
});

export const product = (a: CelCostEstimate, b: CelCostEstimate): CelCostEstimate => ({
  min: saturated(a.min * b.min),
  max: saturated(a.max * b.max),
});

const saturated = (cost: number): number => Math.min(cost, maxCelCost);
