// What operators say where the values do not fit them. Upstream's ask the first value's type whether it has the operation at
// all: one that has not is told of by the operator's name, except where the type has methods, which are asked then.

import { CelDuration, CelList, CelTimestamp, type CelValue, celTypeName } from "../values.ts";

const numbers = ["int", "uint", "double"];

/** Types that have an operation, by the operator. Lists, instants and spans come besides. */
const scalars: Readonly<Record<string, readonly string[]>> = {
  "_+_": [...numbers, "string", "bytes"],
  "_-_": numbers,
  "_*_": numbers,
  "_/_": numbers,
  "_%_": ["int", "uint"],
  "-_": ["int", "double", "bool"],
};
const comparable = [...numbers, "string", "bytes", "bool"];

/** Operators say no more than this where the first value's type has them. */
export const noSuchOverload = (): string => "no such overload";

function hasOperation(name: string, value: CelValue): boolean {
  // These have methods: what they cannot do is asked of those.
  if (typeof value === "string" || value instanceof CelTimestamp || value instanceof CelDuration) return true;
  if (value instanceof CelList) return name === "_+_";
  return (scalars[name] ?? comparable).includes(celTypeName(value));
}

export const operatorMismatch =
  (name: string) =>
  ([first = null]: readonly CelValue[]): string =>
    hasOperation(name, first) ? noSuchOverload() : `no such overload: ${name}`;
