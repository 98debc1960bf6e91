// + - * / % and unary -, for ints and uints of 64 bits (overflow is an error), doubles, texts, bytes, lists, instants and spans.

import { CelError, exceededBudget } from "../cel-error.ts";
import { concatenationCost } from "../cost/actual.ts";
import { concatenationEstimate, listConcatenationEstimate } from "../cost/call-estimates.ts";
import { floorDivide } from "../go-text.ts";
import type { CelFunction, CelOverload } from "../library.ts";
import { maxListSize, maxTextSize } from "../limits.ts";
import { maxSeconds, minSeconds } from "../time-text.ts";
import {
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
} from "../types.ts";
import { CelArray, CelDuration, CelList, CelTimestamp, CelUint, type CelValue } from "../values.ts";
import { operatorMismatch } from "./operator-traits.ts";

const overflow = (): never => {
  throw new CelError("integer overflow");
};

const minInt = -(2n ** 63n);
const maxInt = 2n ** 63n - 1n;
const maxUint = 2n ** 64n - 1n;

const checkedInt = (value: bigint): bigint => (value < minInt || value > maxInt ? overflow() : value);

export function checkedUint(value: bigint): CelUint {
  if (value < 0n || value > maxUint) throw new CelError("unsigned integer overflow");
  return new CelUint(value);
}

function checkedTimestamp(nanoseconds: bigint, offset: number): CelTimestamp {
  const seconds = floorDivide(nanoseconds, 1_000_000_000n);
  if (seconds < minSeconds || seconds > maxSeconds) throw new CelError("timestamp overflow");
  return new CelTimestamp(nanoseconds, offset);
}

const checkedDuration = (nanoseconds: bigint): CelDuration => new CelDuration(checkedInt(nanoseconds));

function nonZero(divisor: bigint, problem: string): bigint {
  if (divisor === 0n) throw new CelError(problem);
  return divisor;
}

/** Ints, uints and doubles, by one function of two. */
function integers(name: string, of: (a: bigint, b: bigint) => bigint): CelOverload[] {
  return [
    {
      id: `${name}_int64`,
      parameters: [intType, intType],
      result: intType,
      call: ([a, b]) => checkedInt(of(a as bigint, b as bigint)),
    },
    {
      id: `${name}_uint64`,
      parameters: [uintType, uintType],
      result: uintType,
      call: ([a, b]) => checkedUint(of((a as CelUint).value, (b as CelUint).value)),
    },
  ];
}

const doubles = (name: string, of: (a: number, b: number) => number): CelOverload => ({
  id: `${name}_double`,
  parameters: [doubleType, doubleType],
  result: doubleType,
  call: ([a, b]) => of(a as number, b as number),
});

const times = (id: string, types: readonly [CelType, CelType, CelType], of: (a: never, b: never) => CelValue): CelOverload => ({
  id,
  parameters: [types[0], types[1]],
  result: types[2],
  call: ([a, b]) => of(a as never, b as never),
});

const listOfA = listOf(typeParameter("A"));

/** Up to this size lists are copied; larger ones are read where they are, as adding costs the same however long they are. */
const maxCopied = 64;

/** Two lists one after the other. */
class Concatenation extends CelList {
  readonly size: number;
  readonly #first: CelList;
  readonly #second: CelList;

  constructor(first: CelList, second: CelList) {
    super();
    this.#first = first;
    this.#second = second;
    this.size = first.size + second.size;
  }

  at(index: number): CelValue {
    const { size } = this.#first;
    return index < size ? this.#first.at(index) : this.#second.at(index - size);
  }
}

/** Two lists one after the other; the first tells how, where it has its own way. */
function concatenate(a: CelList, b: CelList): CelList {
  // This costs 1, however long they are: doubled again and again they would have no end.
  if (a.size + b.size > maxListSize) throw exceededBudget();
  if (a.concat) return a.concat(b);
  return a.size + b.size > maxCopied ? new Concatenation(a, b) : new CelArray([...a, ...b]);
}

function checkSize(size: number): void {
  if (size > maxTextSize) throw exceededBudget();
}

function joinedTexts(a: string, b: string): string {
  checkSize(a.length + b.length);
  return a + b;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  checkSize(a.length + b.length);
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

const concatenations: readonly CelOverload[] = [
  {
    id: "add_bytes",
    parameters: [bytesType, bytesType],
    result: bytesType,
    call: ([a, b]) => joined(a as Uint8Array, b as Uint8Array),
    cost: concatenationCost,
    chargedFirst: true,
    estimate: concatenationEstimate,
  },
  {
    id: "add_list",
    parameters: [listOfA, listOfA],
    result: listOfA,
    call: ([a, b]) => concatenate(a as CelList, b as CelList),
    estimate: listConcatenationEstimate,
  },
  {
    id: "add_string",
    parameters: [stringType, stringType],
    result: stringType,
    call: ([a, b]) => joinedTexts(a as string, b as string),
    cost: concatenationCost,
    chargedFirst: true,
    estimate: concatenationEstimate,
  },
];

const later = (at: CelTimestamp, by: CelDuration): CelTimestamp => checkedTimestamp(at.nanoseconds + by.nanoseconds, at.offset);

const additions: readonly CelOverload[] = [
  times("add_duration_duration", [durationType, durationType, durationType], (a: CelDuration, b: CelDuration) =>
    checkedDuration(a.nanoseconds + b.nanoseconds),
  ),
  times("add_duration_timestamp", [durationType, timestampType, timestampType], (a: CelDuration, b: CelTimestamp) => later(b, a)),
  times("add_timestamp_duration", [timestampType, durationType, timestampType], later),
];

const subtractions: readonly CelOverload[] = [
  times("subtract_duration_duration", [durationType, durationType, durationType], (a: CelDuration, b: CelDuration) =>
    checkedDuration(a.nanoseconds - b.nanoseconds),
  ),
  times("subtract_timestamp_duration", [timestampType, durationType, timestampType], (a: CelTimestamp, b: CelDuration) =>
    later(a, checkedDuration(-b.nanoseconds)),
  ),
  times("subtract_timestamp_timestamp", [timestampType, timestampType, durationType], (a: CelTimestamp, b: CelTimestamp) =>
    checkedDuration(a.nanoseconds - b.nanoseconds),
  ),
];

const operator = (name: string, overloads: readonly CelOverload[]): CelFunction => ({
  name,
  overloads,
  ambiguousCost: 1,
  dispatchesByValue: true,
  mismatch: operatorMismatch(name),
});

export const arithmetic: readonly CelFunction[] = [
  operator("_+_", [...concatenations, doubles("add", (a, b) => a + b), ...additions, ...integers("add", (a, b) => a + b)]),
  operator("_-_", [doubles("subtract", (a, b) => a - b), ...subtractions, ...integers("subtract", (a, b) => a - b)]),
  operator("_*_", [doubles("multiply", (a, b) => a * b), ...integers("multiply", (a, b) => a * b)]),
  operator("_/_", [doubles("divide", (a, b) => a / b), ...integers("divide", (a, b) => a / nonZero(b, "division by zero"))]),
  operator(
    "_%_",
    integers("modulo", (a, b) => (a === minInt && b === -1n ? overflow() : a % nonZero(b, "modulus by zero"))),
  ),
  operator("-_", [
    { id: "negate_double", parameters: [doubleType], result: doubleType, call: ([value]) => -(value as number) },
    { id: "negate_int64", parameters: [intType], result: intType, call: ([value]) => checkedInt(-(value as bigint)) },
  ]),
];
