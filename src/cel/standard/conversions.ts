// int(), uint(), double(), string(), bytes(), bool(), timestamp(), duration(), dyn(), type().

import { CelError } from "../cel-error.ts";
import { traversalOf } from "../cost/actual.ts";
import { decodingEstimate, encodingEstimate } from "../cost/call-estimates.ts";
import { doubleText, durationText, floorDivide, timestampText } from "../go-text.ts";
import type { CelFunction, CelOverload } from "../library.ts";
import { maxSeconds, minSeconds, parseDuration, parseTimestamp } from "../time-text.ts";
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  stringType,
  timestampType,
  typeParameter,
  uintType,
} from "../types.ts";
import { CelDuration, CelTimestamp, CelTypeValue, CelUint, type CelValue, celTypeName } from "../values.ts";
import { checkedUint } from "./arithmetic.ts";

type Conversion = (value: never) => CelValue;

const from = (id: string, type: CelType, result: CelType, convert: Conversion): CelOverload => ({
  id,
  parameters: [type],
  result,
  call: ([value]) => convert(value as never),
});

const same = (id: string, type: CelType): CelOverload => from(id, type, type, (value) => value);

/** The value of a text, or the error that it is none. */
const ofText =
  <T extends CelValue>(type: string, parse: (text: string) => T | undefined) =>
  (text: string): T => {
    const value = parse(text);
    if (value === undefined) throw new CelError(`type conversion error from 'string' to '${type}'`);
    return value;
  };

const within = (value: bigint, min: bigint, max: bigint): bigint | undefined => (value >= min && value <= max ? value : undefined);

// No number is made of more digits than 64 bits have: that takes long, and costs 1.
function parseInteger(text: string): bigint | undefined {
  const [, sign, digits] = /^([+-]?)0*(\d{1,20})$/.exec(text) ?? [];
  if (digits === undefined) return undefined;
  return within(sign === "-" ? -BigInt(digits) : BigInt(digits), -(2n ** 63n), 2n ** 63n - 1n);
}

function parseUnsigned(text: string): CelUint | undefined {
  const digits = /^0*(\d{1,20})$/.exec(text)?.[1];
  const value = digits === undefined ? undefined : within(BigInt(digits), 0n, 2n ** 64n - 1n);
  return value === undefined ? undefined : new CelUint(value);
}

function parseDouble(text: string): number | undefined {
  if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  const named = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (!named || (named[1] && named[2]?.toLowerCase() === "nan")) return undefined;
  return named[2]?.toLowerCase() === "nan" ? Number.NaN : named[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

function parseBool(text: string): boolean | undefined {
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(?:0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

function toInt(value: number): bigint {
  if (!Number.isFinite(value) || value <= -(2 ** 63) || value >= 2 ** 63) throw new CelError("integer overflow");
  return BigInt(Math.trunc(value));
}

function toUint(value: number): CelUint {
  if (!Number.isFinite(value) || value < 0 || value >= 2 ** 64) throw new CelError("unsigned integer overflow");
  return new CelUint(BigInt(Math.trunc(value)));
}

function uintToInt({ value }: CelUint): bigint {
  if (value > 2n ** 63n - 1n) throw new CelError("integer overflow");
  return value;
}

function instant(text: string): CelTimestamp | undefined {
  const value = parseTimestamp(text);
  if (value && floorDivide(value.nanoseconds, 1_000_000_000n) < minSeconds) throw new CelError("timestamp overflow");
  return value;
}

function secondsToTimestamp(seconds: bigint): CelTimestamp {
  if (seconds < minSeconds || seconds > maxSeconds) throw new CelError("timestamp overflow");
  return new CelTimestamp(seconds * 1_000_000_000n);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new CelError("invalid UTF-8 in bytes, cannot convert to string", { cause: error });
  }
}

const conversion = (name: string, overloads: readonly CelOverload[]): CelFunction => ({ name, overloads, ambiguousCost: 1 });
const A = typeParameter("A");

export const conversions: readonly CelFunction[] = [
  conversion("bool", [same("bool_to_bool", boolType), from("string_to_bool", stringType, boolType, ofText("bool", parseBool))]),
  conversion("bytes", [
    same("bytes_to_bytes", bytesType),
    {
      ...from("string_to_bytes", stringType, bytesType, (text: string) => new TextEncoder().encode(text)),
      cost: traversalOf(0),
      estimate: encodingEstimate,
    },
  ]),
  conversion("double", [
    same("double_to_double", doubleType),
    from("int64_to_double", intType, doubleType, (value: bigint) => Number(value)),
    from("string_to_double", stringType, doubleType, ofText("double", parseDouble)),
    from("uint64_to_double", uintType, doubleType, ({ value }: CelUint) => Number(value)),
  ]),
  conversion("duration", [
    same("duration_to_duration", durationType),
    from("int64_to_duration", intType, durationType, (value: bigint) => new CelDuration(value)),
    from("string_to_duration", stringType, durationType, ofText("google.protobuf.Duration", parseDuration)),
  ]),
  { name: "dyn", overloads: [from("to_dyn", A, dynType, (value) => value)] },
  conversion("int", [
    same("int64_to_int64", intType),
    from("double_to_int64", doubleType, intType, toInt),
    from("duration_to_int64", durationType, intType, ({ nanoseconds }: CelDuration) => nanoseconds),
    from("string_to_int64", stringType, intType, ofText("int", parseInteger)),
    from("timestamp_to_int64", timestampType, intType, ({ nanoseconds }: CelTimestamp) => floorDivide(nanoseconds, 1_000_000_000n)),
    from("uint64_to_int64", uintType, intType, uintToInt),
  ]),
  conversion("string", [
    same("string_to_string", stringType),
    from("bool_to_string", boolType, stringType, (value: boolean) => String(value)),
    { ...from("bytes_to_string", bytesType, stringType, decode), cost: traversalOf(0), estimate: decodingEstimate },
    from("double_to_string", doubleType, stringType, doubleText),
    from("duration_to_string", durationType, stringType, durationText),
    from("int64_to_string", intType, stringType, (value: bigint) => String(value)),
    from("timestamp_to_string", timestampType, stringType, timestampText),
    from("uint64_to_string", uintType, stringType, ({ value }: CelUint) => String(value)),
  ]),
  conversion("timestamp", [
    same("timestamp_to_timestamp", timestampType),
    from("int64_to_timestamp", intType, timestampType, secondsToTimestamp),
    from("string_to_timestamp", stringType, timestampType, ofText("google.protobuf.Timestamp", instant)),
  ]),
  { name: "type", overloads: [from("type", A, { kind: "type", of: A }, (value) => new CelTypeValue(celTypeName(value)))] },
  conversion("uint", [
    same("uint64_to_uint64", uintType),
    from("double_to_uint64", doubleType, uintType, toUint),
    from("int64_to_uint64", intType, uintType, checkedUint),
    from("string_to_uint64", stringType, uintType, ofText("uint", parseUnsigned)),
  ]),
];

/** Calls of these on constants are constants themselves, worked out once. */
export const conversionNames: ReadonlySet<string> = new Set(conversions.map(({ name }) => name));
