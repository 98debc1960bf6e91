// Texts of values as Go writes them: in messages ("no such key: x"), and what string() makes of numbers, instants and spans.

import {
  CelDuration,
  CelList,
  CelMap,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  celTypeName,
} from "./values.ts";

/** A value in a message, as Go's %v writes it. */
export function goText(value: CelValue): string {
  if (typeof value === "number") return doubleText(value);
  if (value === null) return "0";
  if (typeof value !== "object") return String(value);
  if (value instanceof CelUint) return String(value.value);
  if (value instanceof CelTimestamp) return timestampText(value);
  if (value instanceof CelDuration) return durationText(value);
  if (value instanceof CelTypeValue) return value.name;
  if (value instanceof Uint8Array) return `[${value.join(" ")}]`;
  if (value instanceof CelList) return `[${[...value].map(goText).join(", ")}]`;
  if (value instanceof CelMap)
    return `{${[...value.keys()].map((key) => `${goText(key)}: ${goText(value.find(key) ?? null)}`).join(", ")}}`;
  if (value instanceof CelOptional) return value.value === undefined ? "optional.none()" : `optional(${goText(value.value)})`;
  return value instanceof CelOpaque ? String(value) : celTypeName(value);
}

/** As Go's %g: the shortest digits; with an exponent below 1e-4 and from 1e6. */
export function doubleText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return plainDigits(value);
  const size = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits}e${exponent < 0 ? "-" : "+"}${size}`;
}

/** All digits, without an exponent. */
function plainDigits(value: number): string {
  const text = String(value);
  if (!text.includes("e")) return text;
  const [digits, power] = text.split("e") as [string, string];
  const [whole, fraction = ""] = digits.replace("-", "").split(".");
  const exponent = Number(power);
  const all = `${whole}${fraction}`;
  const result = exponent < 0 ? `0.${"0".repeat(-exponent - 1)}${all}` : all.padEnd(exponent + 1, "0");
  return value < 0 ? `-${result}` : result;
}

/** "2020-01-01T00:00:00.5Z": RFC 3339 with the fraction's digits that are needed, in the zone it was written in. */
export function timestampText(value: CelTimestamp): string {
  const nanoseconds = value.nanoseconds + BigInt(value.offset) * 1_000_000_000n;
  const seconds = floorDivide(nanoseconds, 1_000_000_000n);
  const fraction = String(nanoseconds - seconds * 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${text}${fraction && `.${fraction}`}${zoneText(value.offset)}`;
}

function zoneText(offset: number): string {
  if (offset === 0) return "Z";
  const minutes = Math.floor(Math.abs(offset) / 60);
  const two = (count: number) => String(count).padStart(2, "0");
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** Seconds: "90s", "0.5s". */
export function durationText(value: CelDuration): string {
  const size = value.nanoseconds < 0n ? -value.nanoseconds : value.nanoseconds;
  const seconds = Number(size / 1_000_000_000n) + Number(size % 1_000_000_000n) / 1e9;
  return `${value.nanoseconds < 0n ? "-" : ""}${plainDigits(seconds)}s`;
}

/** Rounded down. */
export function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor !== 0n && value < 0n !== divisor < 0n ? quotient - 1n : quotient;
}
