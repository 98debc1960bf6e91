// Reads instants (RFC 3339) and spans of time (as Go's "1h30m", "0.5s") from text.

import { CelDuration, CelTimestamp } from "./values.ts";

const instant = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** The first and last seconds of the years 1 to 9999. */
export const minSeconds = -62_135_596_800n;
export const maxSeconds = 253_402_300_799n;

/** undefined where the text is none. */
export function parseTimestamp(text: string): CelTimestamp | undefined {
  const found = instant.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second] = found.map(Number) as [number, number, number, number, number, number, number];
  const milliseconds = utc(year, month, day);
  if (milliseconds === undefined || hour > 23 || minute > 59 || second > 59) return undefined;
  const [offsetHours, offsetMinutes] = [Number(found[9] ?? 0), Number(found[10] ?? 0)];
  if (offsetHours > 24 || offsetMinutes > 60) return undefined;
  const offset = (offsetHours * 3600 + offsetMinutes * 60) * (found[8] === "-" ? -1 : 1);
  const seconds = BigInt(milliseconds / 1000 + hour * 3600 + minute * 60 + second - offset);
  const fraction = BigInt((found[7] ?? "").slice(0, 9).padEnd(9, "0"));
  return new CelTimestamp(seconds * 1_000_000_000n + fraction, offset);
}

/** A day ("2020-12-31"): its beginning. */
export function parseDate(text: string): CelTimestamp | undefined {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  const milliseconds = found ? utc(Number(found[1]), Number(found[2]), Number(found[3])) : undefined;
  return milliseconds === undefined ? undefined : new CelTimestamp(BigInt(milliseconds) * 1_000_000n);
}

function utc(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  "\u00b5s": 1_000n,
  "\u03bcs": 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** Of 64 bits. */
const maxDigits = 19;

/** undefined where the text is none, or too long a span. */
export function parseDuration(text: string): CelDuration | undefined {
  const found = /^([+-]?)(.*)$/s.exec(text);
  const isNegative = found?.[1] === "-";
  const rest = found?.[2] ?? "";
  if (rest === "0") return new CelDuration(0n);
  if (!/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+$/.test(rest)) return undefined;
  let total = 0n;
  for (const [, whole = "", fraction = "", unit = "s"] of rest.matchAll(/(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g)) {
    const scale = units[unit] ?? 0n;
    const digits = whole.replace(/^0+/, "");
    // More digits are too much of any unit, and those of a fraction count for nothing.
    if (digits.length > maxDigits) return undefined;
    total += BigInt(digits) * scale;
    const counted = fraction.slice(0, maxDigits);
    if (counted) total += (BigInt(counted) * scale) / 10n ** BigInt(counted.length);
  }
  const value = isNegative ? -total : total;
  return value === BigInt.asIntN(64, value) ? new CelDuration(value) : undefined;
}
