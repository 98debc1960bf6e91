// What a value is as JSON: plain objects and arrays; ints beyond 2^53 as strings of digits, bytes as base64, instants and spans
// as their texts. What came from JSON is given back as it is, not copied.

import { encodeBase64, JsonList, JsonMap, JsonObject } from "./adapt.ts";
import { CelError } from "./cel-error.ts";
import { durationText, timestampText } from "./go-text.ts";
import {
  CelDuration,
  CelList,
  CelMap,
  CelObject,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelUint,
  type CelValue,
  celTypeName,
} from "./values.ts";

/** Throws CelError for what JSON cannot say: a type, a map with keys that are no scalars, an opaque value. */
export function celToJson(value: CelValue): unknown {
  if (typeof value === "bigint") return integer(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
  if (value === null || typeof value !== "object") return value;
  if (value instanceof JsonList || value instanceof JsonMap || value instanceof JsonObject) return value.json;
  if (value instanceof CelUint) return integer(value.value);
  if (value instanceof CelList) return [...value].map(celToJson);
  if (value instanceof CelMap)
    return Object.fromEntries([...value.keys()].map((key) => [keyText(key), celToJson(value.find(key) ?? null)]));
  if (value instanceof CelObject || value instanceof CelOpaque) return value.toJson();
  if (value instanceof Uint8Array) return encodeBase64(value);
  if (value instanceof CelTimestamp) return timestampText(value);
  if (value instanceof CelDuration) return durationText(value);
  if (value instanceof CelOptional) return value.value === undefined ? null : celToJson(value.value);
  throw new CelError(`unsupported type conversion from '${celTypeName(value)}' to JSON`);
}

function integer(value: bigint): unknown {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function keyText(key: CelValue): string {
  if (key instanceof CelUint) return String(key.value);
  if (typeof key === "string" || typeof key === "bigint" || typeof key === "boolean" || typeof key === "number") return String(key);
  throw new CelError(`unsupported type conversion from '${celTypeName(key)}' to a JSON key`);
}
