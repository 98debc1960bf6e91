// Whole lists: whether one is sorted, its sum, its least and greatest item, and where an item stands. That texts have indexOf
// and lastIndexOf too is the string library's doing.
import { CelError } from "../../../cel/cel.ts";
import { celCompare, celEquals } from "../../../cel/compare.ts";
import { deepTraversalCost } from "../../../cel/cost/actual.ts";
import { addRanges, multiplyRanges, scaleRange, traversalFactor } from "../../../cel/cost/estimates.ts";
import type { CelFunction, CelLibrary, CelOverload } from "../../../cel/library.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  intType,
  listOf,
  stringType,
  timestampType,
  typeParameter,
  uintType,
} from "../../../cel/types.ts";
import { CelDuration, type CelList, CelUint, type CelValue } from "../../../cel/values.ts";

const costs: Pick<CelOverload, "cost" | "chargedFirst" | "estimate"> = {
  cost: ([list]) => deepTraversalCost(list ?? null),
  chargedFirst: true,
  estimate: ({ target }) => {
    if (!target) return undefined;
    const item = target.element?.();
    const one = { min: 1, max: 1 };
    const isText = item?.type.kind === "string" || item?.type.kind === "bytes";
    return { cost: multiplyRanges(target.size, isText ? addRanges(one, scaleRange(item.size, traversalFactor)) : one) };
  },
};

const onList = (id: string, items: CelType, result: CelType, read: (list: CelList) => CelValue): CelOverload => ({
  id,
  member: true,
  parameters: [listOf(items)],
  result,
  call: ([list]) => read(list as CelList),
  ...costs,
});

const comparable: Readonly<Record<string, CelType>> = {
  int: intType,
  uint: uintType,
  double: doubleType,
  bool: boolType,
  duration: durationType,
  timestamp: timestampType,
  string: stringType,
  bytes: bytesType,
};

type Summable = "int" | "uint" | "double" | "duration";

const summable: Readonly<Record<Summable, CelType>> = { int: intType, uint: uintType, double: doubleType, duration: durationType };

const ofComparable = (name: string, overload: (type: string, items: CelType) => CelOverload): CelFunction => ({
  name,
  overloads: Object.entries(comparable).map(([type, items]) => overload(type, items)),
});

function order(a: CelValue, b: CelValue): number {
  const found = celCompare(a, b);
  if (found === undefined) throw new CelError("no such overload");
  return found;
}

function isSorted(list: CelList): boolean {
  for (let i = 1; i < list.size; i++) if (order(list.at(i - 1), list.at(i)) > 0) return false;
  return true;
}

/** The last item for which `sign` scaleRange its order with all others is not less. */
function extreme(list: CelList, name: "min" | "max"): CelValue {
  if (list.size === 0) throw new CelError(`${name} called on empty list`);
  const sign = name === "min" ? 1 : -1;
  let found = list.at(0);
  for (const item of list) if (order(found, item) * sign > 0) found = item;
  return found;
}

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);

function bounded(value: bigint, problem: string): bigint {
  if (value > maxInt64 || value < minInt64) throw new CelError(problem);
  return value;
}

const sums: Readonly<Record<Summable, (list: CelList) => CelValue>> = {
  int: (list) => [...list].reduce<bigint>((sum, item) => bounded(sum + numberOf<bigint>(item, "bigint"), "integer overflow"), 0n),
  double: (list) => [...list].reduce<number>((sum, item) => sum + numberOf<number>(item, "number"), 0),
  uint: (list) => {
    let sum = 0n;
    for (const item of list) {
      if (!(item instanceof CelUint)) throw new CelError("no such overload");
      sum += item.value;
      if (sum >= 2n ** 64n) throw new CelError("unsigned integer overflow");
    }
    return new CelUint(sum);
  },
  duration: (list) => {
    let sum = 0n;
    for (const item of list) {
      if (!(item instanceof CelDuration)) throw new CelError("no such overload");
      sum = bounded(sum + item.nanoseconds, "duration overflow");
    }
    return new CelDuration(sum);
  },
};

function numberOf<T extends bigint | number>(value: CelValue, type: "bigint" | "number"): T {
  if (typeof value !== type) throw new CelError("no such overload");
  return value as T; // of that type
}

function indexOf(list: CelList, wanted: CelValue): bigint {
  for (let i = 0; i < list.size; i++) if (celEquals(list.at(i), wanted)) return BigInt(i);
  return -1n;
}

function lastIndexOf(list: CelList, wanted: CelValue): bigint {
  for (let i = list.size - 1; i >= 0; i--) if (celEquals(list.at(i), wanted)) return BigInt(i);
  return -1n;
}

const anything = typeParameter("A");

const search = (name: string, id: string, find: (list: CelList, wanted: CelValue) => CelValue): CelFunction => ({
  name,
  overloads: [
    {
      id,
      member: true,
      parameters: [listOf(anything), anything],
      result: intType,
      call: ([list, wanted]) => find(list as CelList, wanted ?? null),
      ...costs,
    },
  ],
});

export const listLibrary: CelLibrary = {
  name: "kubernetes.lists",
  functions: [
    ofComparable("isSorted", (type, items) => onList(`list_${type}_is_sorted_bool`, items, boolType, isSorted)),
    {
      name: "sum",
      overloads: (Object.keys(summable) as Summable[]).map((type) =>
        onList(`list_${type}_sum_${type}`, summable[type], summable[type], sums[type]),
      ),
    },
    ofComparable("max", (type, items) => onList(`list_${type}_max_${type}`, items, items, (list) => extreme(list, "max"))),
    ofComparable("min", (type, items) => onList(`list_${type}_min_${type}`, items, items, (list) => extreme(list, "min"))),
    search("indexOf", "list_a_index_of_int", indexOf),
    search("lastIndexOf", "list_a_last_index_of_int", lastIndexOf),
  ],
};
