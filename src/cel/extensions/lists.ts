// The extension of functions on lists, in upstream's version 3: slice, flatten, sort, sortBy, reverse, distinct and lists.range.

import type { CelExpr } from "../ast.ts";
import { CelError, exceededBudget } from "../cel-error.ts";
import { celCompare, celEquals } from "../compare.ts";
import { actualSize, costBeyond } from "../cost/actual.ts";
import { addRanges, fixed, multiplyRanges, type Range, scaleRange, traversalFactor } from "../cost/estimates.ts";
import {
  type CelCallEstimate,
  type CelExprFactory,
  type CelLibrary,
  CelMacroError,
  type CelOverload,
  type CelSizedNode,
} from "../library.ts";
import { maxCelCost, maxListSize } from "../limits.ts";
import { expandMap } from "../macros.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listOf,
  stringType,
  timestampType,
  typeParameter,
  uintType,
} from "../types.ts";
import { CelArray, CelList, type CelValue, celTypeName } from "../values.ts";

const list = listOf(typeParameter("T"));
const comparable: readonly (readonly [string, CelType])[] = [
  ["int", intType],
  ["uint", uintType],
  ["double", doubleType],
  ["bool", boolType],
  ["google.protobuf.Duration", durationType],
  ["google.protobuf.Timestamp", timestampType],
  ["string", stringType],
  ["bytes", bytesType],
];

function slice(of: CelList, start: bigint, end: bigint): CelList {
  const refused = `cannot slice(${start}, ${end}),`;
  if (start < 0n || end < 0n) throw new CelError(`${refused} negative indexes not supported`);
  if (start > end) throw new CelError(`${refused} start index must be less than or equal to end index`);
  if (end > of.size) throw new CelError(`${refused} list is length ${of.size}`);
  const items: CelValue[] = [];
  for (let index = Number(start); index < end; index++) items.push(of.at(index));
  return new CelArray(items);
}

function flatten(of: CelList, depth: bigint, into: CelValue[] = []): CelValue[] {
  if (depth < 0n) throw new CelError("level must be non-negative");
  for (const item of of) {
    if (item instanceof CelList && depth > 0n) flatten(item, depth - 1n, into);
    else if (into.push(item) > maxListSize) throw exceededBudget();
  }
  return into;
}

function sorted(of: CelList, keys: CelList): CelList {
  if (of.size !== keys.size)
    throw new CelError(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${of.size} and ${keys.size} elements respectively`,
    );
  const keyed = [...keys].map((key, index) => ({ key, item: of.at(index) }));
  const first = keyed[0];
  if (!first) return of;
  if (celCompare(first.key, first.key) === undefined) throw new CelError("list elements must be comparable");
  const type = celTypeName(first.key);
  if (keyed.some(({ key }) => celTypeName(key) !== type)) throw new CelError("list elements must have the same type");
  return new CelArray(keyed.sort((a, b) => celCompare(a.key, b.key) ?? 0).map(({ item }) => item));
}

function range(count: bigint): CelList {
  if (count > maxListSize) throw exceededBudget();
  return new CelArray(Array.from({ length: Math.max(0, Number(count)) }, (_, index) => BigInt(index)));
}

function distinct(of: CelList): CelList {
  const found: CelValue[] = [];
  for (const item of of) if (!found.some((other) => celEquals(item, other))) found.push(item);
  return new CelArray(found);
}

/** The call, the list that it makes, and each item so many times. */
const allocation = (count: number, factor = 1): number => Math.floor(count * factor) + 11;

function selfComparison(of: CelValue | undefined): number {
  if (!(of instanceof CelList) || of.size === 0) return allocation(0);
  const first = of.at(0);
  const isText = typeof first === "string" || first instanceof Uint8Array;
  return allocation(of.size * of.size, isText ? 2 + traversalFactor : 2);
}

const allocates = (size: Range, factor = 1): CelCallEstimate => ({
  cost: addRanges(scaleRange(size, factor), fixed(11)),
  resultSize: size,
});
const selfCompares = (size: Range, factor: number): CelCallEstimate => allocates(multiplyRanges(size, size), factor);
const textFactor = (type: CelType): number => (type.kind === "string" || type.kind === "bytes" ? 2 + traversalFactor : 2);

/** The value of a literal int; where it is none, the default. */
function literalInt(node: CelSizedNode | undefined, otherwise: number): number {
  return typeof node?.literal === "bigint" ? Math.max(0, Number(node.literal)) : otherwise;
}

function expandSortBy(target: CelExpr, args: readonly CelExpr[], make: CelExprFactory): CelExpr {
  if (!["list", "select", "ident", "comprehension", "call"].includes(target.kind))
    throw new CelMacroError("sortBy can only be applied to a list, identifier, comprehension, call or select expression", target);
  const name = "@__sortBy_input__";
  const keys = expandMap(make, make.ident(name), args);
  return make.comprehension({
    range: make.list([]),
    variable: "#unused",
    accumulator: name,
    init: target,
    condition: make.literal(false),
    step: make.ident(name),
    result: make.memberCall("@sortByAssociatedKeys", make.ident(name), [keys]),
  });
}

const sorts: readonly CelOverload[] = comparable.map(([name, type]) => ({
  id: `list_${name}_sort`,
  member: true,
  parameters: [listOf(type)],
  result: listOf(type),
  call: ([items]) => sorted(items as CelList, items as CelList),
  cost: ([items]) => selfComparison(items),
  chargedFirst: true,
  estimate: ({ target }) => target && selfCompares(target.size, textFactor(type)),
}));

const keyedSorts: readonly CelOverload[] = comparable.map(([name, type]) => ({
  id: `list_${name}_sortByAssociatedKeys`,
  member: true,
  parameters: [list, listOf(type)],
  result: list,
  call: ([items, keys]) => sorted(items as CelList, keys as CelList),
  cost: ([, keys]) => selfComparison(keys),
  chargedFirst: true,
  estimate: ({ args: [keys] }) => keys && selfCompares(keys.size, textFactor(type)),
}));

const flattenings: readonly CelOverload[] = [
  {
    id: "list_flatten",
    member: true,
    parameters: [listOf(list)],
    result: list,
    call: ([items]) => new CelArray(flatten(items as CelList, 1n)),
    cost: ([items = null], result) => allocation(actualSize(items)) + costBeyond(result, items),
    estimate: ({ target }) => target && allocates(target.size),
  },
  {
    id: "list_flatten_int",
    member: true,
    parameters: [listOf(dynType), intType],
    result: listOf(dynType),
    call: ([items, depth]) => new CelArray(flatten(items as CelList, depth as bigint)),
    cost: ([items = null, depth], result) => allocation(actualSize(items), Number(depth)) + costBeyond(result, items),
    estimate: ({ target, args: [depth] }) => target && allocates(target.size, literalInt(depth, maxCelCost)),
  },
];

export const lists: CelLibrary = {
  name: "cel.lib.ext.lists",
  macros: [{ name: "sortBy", member: true, arguments: 2, expand: ({ target, args }, make) => target && expandSortBy(target, args, make) }],
  functions: [
    {
      name: "slice",
      overloads: [
        {
          id: "list_slice",
          member: true,
          parameters: [list, intType, intType],
          result: list,
          call: ([items, start, end]) => slice(items as CelList, start as bigint, end as bigint),
          cost: (_, result) => allocation(actualSize(result)),
          estimate({ target, args: [start, end] }) {
            if (!target) return undefined;
            return allocates(fixed(Math.max(0, literalInt(end, target.size.max) - literalInt(start, 0))));
          },
        },
      ],
    },
    { name: "flatten", overloads: flattenings, ambiguousCost: 1 },
    { name: "sort", overloads: sorts, ambiguousCost: 1, dispatchesByValue: true },
    { name: "@sortByAssociatedKeys", overloads: keyedSorts, ambiguousCost: 1, dispatchesByValue: true },
    {
      name: "lists.range",
      overloads: [
        {
          id: "lists_range",
          parameters: [intType],
          result: listOf(intType),
          call: ([count]) => range(count as bigint),
          cost: ([count]) => allocation(Math.max(0, Number(count))),
          chargedFirst: true,
          estimate: ({ args: [count] }) => allocates(fixed(literalInt(count, maxCelCost))),
        },
      ],
    },
    {
      name: "reverse",
      overloads: [
        {
          id: "list_reverse",
          member: true,
          parameters: [list],
          result: list,
          call: ([items]) => new CelArray([...(items as CelList)].reverse()),
          cost: ([items]) => allocation(actualSize(items ?? null)),
          chargedFirst: true,
          estimate: ({ target }) => target && allocates(target.size),
        },
      ],
    },
    {
      name: "distinct",
      overloads: [
        {
          id: "list_distinct",
          member: true,
          parameters: [list],
          result: list,
          call: ([items]) => distinct(items as CelList),
          cost: ([items]) => selfComparison(items),
          chargedFirst: true,
          estimate: ({ target }) => target && selfCompares(target.size, 2),
        },
      ],
    },
  ],
};
