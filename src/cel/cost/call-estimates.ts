// What calls may cost, by what is known of the sizes of their arguments: upstream's estimates of the standard functions.

import type { CelCallEstimate, CelCallSite, CelSizedNode } from "../library.ts";
import { maxCelCost } from "../limits.ts";
import { addRanges, fixed, multiplyRanges, patternFactor, type Range, scaleRange, traversalFactor } from "./estimates.ts";

type Estimate = (call: CelCallSite) => CelCallEstimate | undefined;

/** All arguments, the one it is called on first. */
const allNodes = ({ target, args }: CelCallSite): readonly CelSizedNode[] => (target ? [target, ...args] : args);

const sizeOf = (call: CelCallSite, index: number): Range => allNodes(call)[index]?.size ?? { min: 0, max: maxCelCost };

/** Reading the argument at an index once; `factor` times for more. */
export const traversalEstimate =
  (index: number, factor = 1): Estimate =>
  (call) => ({ cost: scaleRange(sizeOf(call, index), factor * traversalFactor) });

/** As traversalEstimate, for what gives a text of the size of the argument. */
export const sameSizeEstimate =
  (index: number): Estimate =>
  (call) => {
    const size = sizeOf(call, index);
    return { cost: scaleRange(size, traversalFactor), resultSize: size };
  };

export const comparisonEstimate: Estimate = (call) => {
  const max = Math.min(sizeOf(call, 0).max, sizeOf(call, 1).max);
  return { cost: scaleRange({ min: max > 0 ? 1 : 0, max }, traversalFactor) };
};

export const concatenationEstimate: Estimate = (call) => {
  const resultSize = addRanges(sizeOf(call, 0), sizeOf(call, 1));
  return { cost: scaleRange(resultSize, traversalFactor), resultSize };
};

export const listConcatenationEstimate: Estimate = (call) => ({
  cost: fixed(1),
  resultSize: addRanges(sizeOf(call, 0), sizeOf(call, 1)),
});

export const membershipEstimate: Estimate = (call) => ({ cost: scaleRange(sizeOf(call, 1), 1) });

/** Matching a text with a pattern. */
function matchRange(text: Range, pattern: Range): Range {
  return multiplyRanges(scaleRange(addRanges(text, fixed(1)), traversalFactor), scaleRange(pattern, patternFactor));
}

export const matchEstimate: Estimate = (call) => ({ cost: matchRange(sizeOf(call, 0), sizeOf(call, 1)) });

export const containsEstimate: Estimate = (call) => ({
  cost: multiplyRanges(scaleRange(sizeOf(call, 0), traversalFactor), scaleRange(sizeOf(call, 1), traversalFactor)),
});

export const encodingEstimate: Estimate = (call) => {
  const { min, max } = sizeOf(call, 0);
  return { cost: scaleRange({ min, max }, traversalFactor), resultSize: { min, max: Math.min(max * 4, maxCelCost) } };
};

export const decodingEstimate: Estimate = (call) => {
  const { min, max } = sizeOf(call, 0);
  return { cost: scaleRange({ min, max }, traversalFactor), resultSize: { min: Math.floor(min / 4), max } };
};
