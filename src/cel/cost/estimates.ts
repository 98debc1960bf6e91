// Arithmetic of estimated costs and sizes: ranges that saturate at maxCelCost. Factors round up.

import type { CelCostEstimate } from "../cel.ts";
import { maxCelCost } from "../limits.ts";

export type Range = CelCostEstimate;

/** Upstream's cost of a character or byte that is read or written. */
export const traversalFactor = 0.1;
/** Upstream's cost of a character of a regular expression. */
export const patternFactor = 0.25;

export const unknownSize: Range = { min: 0, max: maxCelCost };
export const fixed = (value: number): Range => ({ min: value, max: value });

const saturated = (value: number): number => Math.min(value, maxCelCost);

export const addRanges = (a: Range, b: Range): Range => ({ min: saturated(a.min + b.min), max: saturated(a.max + b.max) });

export const multiplyRanges = (a: Range, b: Range): Range => ({ min: product(a.min, b.min), max: product(a.max, b.max) });

function product(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : saturated(a * b);
}

/** Each end times the factor, rounded up. */
export const scaleRange = (range: Range, factor: number): Range => ({
  min: saturated(Math.ceil(range.min * factor)),
  max: saturated(Math.ceil(range.max * factor)),
});

/** The range that holds both. */
export const uniteRanges = (a: Range, b: Range): Range => ({ min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) });
