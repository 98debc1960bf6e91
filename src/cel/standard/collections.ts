// size() and in.

import { celEquals } from "../compare.ts";
import { actualSize } from "../cost/actual.ts";
import { membershipEstimate } from "../cost/call-estimates.ts";
import type { CelFunction, CelOverload } from "../library.ts";
import { boolType, bytesType, type CelType, intType, listOf, mapOf, stringType, typeParameter } from "../types.ts";
import type { CelList, CelMap, CelValue } from "../values.ts";
import { noSuchOverload } from "./operator-traits.ts";

const [A, B] = [typeParameter("A"), typeParameter("B")];

const sizes = (name: string, type: CelType): CelOverload[] => {
  const call = ([value]: readonly CelValue[]) => BigInt(actualSize(value ?? null));
  return [
    { id: `size_${name}`, parameters: [type], result: intType, call },
    { id: `${name}_size`, member: true, parameters: [type], result: intType, call },
  ];
};

export function contains(list: CelList, wanted: CelValue): boolean {
  for (let index = 0; index < list.size; index++) if (celEquals(wanted, list.at(index))) return true;
  return false;
}

export const collections: readonly CelFunction[] = [
  {
    name: "size",
    overloads: [...sizes("bytes", bytesType), ...sizes("list", listOf(A)), ...sizes("map", mapOf(A, B)), ...sizes("string", stringType)],
    ambiguousCost: 1,
    dispatchesByValue: true,
    mismatch: () => "no such overload: size",
  },
  {
    name: "@in",
    overloads: [
      {
        id: "in_list",
        parameters: [A, listOf(A)],
        result: boolType,
        call: ([wanted, list]) => contains(list as CelList, wanted ?? null),
        cost: ([, list]) => actualSize(list ?? null),
        chargedFirst: true,
        estimate: membershipEstimate,
      },
      {
        id: "in_map",
        parameters: [A, mapOf(A, B)],
        result: boolType,
        call: ([key, map]) => isIn(map as CelMap, key ?? null),
      },
    ],
    ambiguousCost: 1,
    dispatchesByValue: true,
    mismatch: noSuchOverload,
  },
];

const isIn = (map: CelMap, key: CelValue): boolean => map.has?.(key) ?? map.find(key) !== undefined;
