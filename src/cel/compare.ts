// Equality and order of values. Numbers of the three kinds compare by what they count; values of different kinds are not equal;
// NaN equals nothing and has no order.

import { CelError } from "./cel-error.ts";
import {
  CelDuration,
  CelList,
  CelMap,
  CelObject,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
} from "./values.ts";

type Comparable = number | bigint | CelUint;
const isNumeric = (value: CelValue): value is Comparable =>
  typeof value === "number" || typeof value === "bigint" || value instanceof CelUint;
const plain = (value: Comparable): number | bigint => (value instanceof CelUint ? value.value : value);

/** Where one is a double, both are taken as doubles, as upstream does. */
const equalNumbers = (a: number | bigint, b: number | bigint): boolean => (typeof a === typeof b ? a === b : Number(a) === Number(b));

export function celEquals(a: CelValue, b: CelValue): boolean {
  if (a === b) return true;
  switch (typeof a) {
    case "string":
    case "boolean":
      return false;
    case "number":
    case "bigint":
      return isNumeric(b) && equalNumbers(a, plain(b));
  }
  if (a === null || b === null) return false;
  if (a instanceof CelUint) return isNumeric(b) && equalNumbers(a.value, plain(b));
  if (a instanceof CelOpaque) return a.equals(b);
  if (b instanceof CelOpaque) return b.equals(a);
  if (a instanceof CelList) return a.equals ? a.equals(b) : b instanceof CelList && equalLists(a, b);
  if (a instanceof CelMap) return a.equals ? a.equals(b) : b instanceof CelMap && equalMaps(a, b);
  if (a instanceof CelObject) return a.equals ? a.equals(b) : b instanceof CelObject && equalObjects(a, b);
  if (a instanceof Uint8Array) return b instanceof Uint8Array && compareBytes(a, b) === 0;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelTypeValue) return b instanceof CelTypeValue && a.name === b.name;
  if (!(a instanceof CelOptional) || !(b instanceof CelOptional)) return false;
  return a.value === undefined || b.value === undefined ? a.value === b.value : celEquals(a.value, b.value);
}

function equalLists(a: CelList, b: CelList): boolean {
  const { size } = a;
  if (size !== b.size) return false;
  for (let index = 0; index < size; index++) if (!celEquals(a.at(index), b.at(index))) return false;
  return true;
}

function equalMaps(a: CelMap, b: CelMap): boolean {
  if (a.size !== b.size) return false;
  for (const key of a.keys()) {
    const other = b.find(key);
    const value = a.find(key);
    if (other === undefined || value === undefined || !celEquals(value, other)) return false;
  }
  return true;
}

function equalObjects(a: CelObject, b: CelObject): boolean {
  if (a.typeName !== b.typeName || a.size !== b.size) return false;
  for (const field of a.fields()) {
    const [value, other] = [a.find(field), b.find(field)];
    if (value === undefined || other === undefined || !celEquals(value, other)) return false;
  }
  return true;
}

const sign = <T extends number | bigint | string | boolean>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);

/** Less than 0, 0 or more; undefined where the two have no order. Throws CelError for NaN. */
export function celCompare(a: CelValue, b: CelValue): number | undefined {
  if (typeof a === "string") return typeof b === "string" ? compareStrings(a, b) : undefined;
  if (isNumeric(a)) {
    if (!isNumeric(b)) return undefined;
    const [x, y] = [plain(a), plain(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) throw new CelError("NaN values cannot be ordered");
    return typeof x === "bigint" && typeof y === "bigint" ? sign(x, y) : sign(Number(x), Number(y));
  }
  if (typeof a === "boolean") return typeof b === "boolean" ? sign(a, b) : undefined;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp ? sign(a.nanoseconds, b.nanoseconds) : undefined;
  if (a instanceof CelDuration) return b instanceof CelDuration ? sign(a.nanoseconds, b.nanoseconds) : undefined;
  if (a instanceof Uint8Array) return b instanceof Uint8Array ? compareBytes(a, b) : undefined;
  return undefined;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const size = Math.min(a.length, b.length);
  for (let index = 0; index < size; index++) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** In the order of code points, as bytes of UTF-8 are ordered. */
export function compareStrings(a: string, b: string): number {
  if (a === b) return 0;
  const size = Math.min(a.length, b.length);
  for (let index = 0; index < size; index++) {
    const [x, y] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (x === y) continue;
    const [xPaired, yPaired] = [x >= 0xd800 && x < 0xe000, y >= 0xd800 && y < 0xe000];
    return xPaired === yPaired ? x - y : xPaired ? 1 : -1;
  }
  return a.length - b.length;
}
