// The extension of sets: lists taken as sets. sets.contains, sets.equivalent, sets.intersects.

import { actualSize } from "../cost/actual.ts";
import { addRanges, fixed, multiplyRanges, scaleRange } from "../cost/estimates.ts";
import type { CelLibrary, CelOverload } from "../library.ts";
import { contains } from "../standard/collections.ts";
import { boolType, listOf, typeParameter } from "../types.ts";
import type { CelList } from "../values.ts";

const list = listOf(typeParameter("T"));

function containsAll(whole: CelList, part: CelList): boolean {
  for (const item of part) if (!contains(whole, item)) return false;
  return true;
}

function intersects(a: CelList, b: CelList): boolean {
  for (const item of a) if (contains(b, item)) return true;
  return false;
}

/** `passes`: how often every item of one is compared with every item of the other. */
const overTwo = (id: string, passes: number, holds: (a: CelList, b: CelList) => boolean): CelOverload => ({
  id,
  parameters: [list, list],
  result: boolType,
  call: ([a, b]) => holds(a as CelList, b as CelList),
  cost: ([a, b]) => 1 + actualSize(a ?? null) * actualSize(b ?? null) * passes,
  chargedFirst: true,
  estimate: ({ args: [a, b] }) => a && b && { cost: addRanges(scaleRange(multiplyRanges(a.size, b.size), passes), fixed(1)) },
});

export const sets: CelLibrary = {
  name: "cel.lib.ext.sets",
  functions: [
    { name: "sets.contains", overloads: [overTwo("list_sets_contains_list", 1, containsAll)] },
    { name: "sets.equivalent", overloads: [overTwo("list_sets_equivalent_list", 2, (a, b) => containsAll(a, b) && containsAll(b, a))] },
    { name: "sets.intersects", overloads: [overTwo("list_sets_intersects_list", 1, intersects)] },
  ],
};
