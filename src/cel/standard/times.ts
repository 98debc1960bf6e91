// Parts of instants (getFullYear(), getHours("Europe/Berlin")…) and of spans of time. Without a time zone, in UTC.

import { timeZone } from "../../base/time-zone.ts";
import { CelError } from "../cel-error.ts";
import { floorDivide } from "../go-text.ts";
import type { CelFunction, CelOverload } from "../library.ts";
import { durationType, intType, stringType, timestampType } from "../types.ts";
import type { CelDuration, CelTimestamp } from "../values.ts";

const million = 1_000_000n;

/** Milliseconds east of UTC at an instant, in a zone by name or as "-08:00". Throws CelError. */
function offsetAt(atMs: number, zone: string): number {
  const colon = zone.indexOf(":");
  if (colon < 0) {
    const known = timeZone(zone);
    if (!known) throw new CelError(`unknown time zone ${zone}`);
    return known.offsetMs(atMs);
  }
  const [hours, minutes] = [integer(zone.slice(0, colon)), integer(zone.slice(colon + 1))];
  return (hours * 60 + (zone.startsWith("-") ? -minutes : minutes)) * 60_000;
}

function integer(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new CelError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

/** The instant in a zone, as if that were UTC. */
function localDate({ nanoseconds }: CelTimestamp, zone: string): Date {
  const ms = Number(floorDivide(nanoseconds, million));
  return new Date(ms + offsetAt(ms, zone));
}

function dayOfYear(date: Date): number {
  const start = new Date(date);
  start.setUTCMonth(0, 1);
  return Math.round((date.getTime() - start.getTime()) / 86_400_000);
}

interface Part {
  readonly name: string;
  readonly id: string;
  readonly of: (date: Date) => number;
  /** For spans: nanoseconds of the unit. */
  readonly unit?: bigint;
}

const parts: readonly Part[] = [
  { name: "getFullYear", id: "year", of: (date) => date.getUTCFullYear() },
  { name: "getMonth", id: "month", of: (date) => date.getUTCMonth() },
  { name: "getDayOfYear", id: "day_of_year", of: dayOfYear },
  { name: "getDayOfMonth", id: "day_of_month", of: (date) => date.getUTCDate() - 1 },
  { name: "getDate", id: "day_of_month_1_based", of: (date) => date.getUTCDate() },
  { name: "getDayOfWeek", id: "day_of_week", of: (date) => date.getUTCDay() },
  { name: "getHours", id: "hours", of: (date) => date.getUTCHours(), unit: 3_600_000n * million },
  { name: "getMinutes", id: "minutes", of: (date) => date.getUTCMinutes(), unit: 60_000n * million },
  { name: "getSeconds", id: "seconds", of: (date) => date.getUTCSeconds(), unit: 1000n * million },
  { name: "getMilliseconds", id: "milliseconds", of: (date) => date.getUTCMilliseconds(), unit: million },
];

function accessors({ name, id, of, unit }: Part): CelFunction {
  const overloads: CelOverload[] = [
    {
      id: `timestamp_to_${id}`,
      member: true,
      parameters: [timestampType],
      result: intType,
      call: ([at]) => BigInt(of(localDate(at as CelTimestamp, "UTC"))),
    },
    {
      id: `timestamp_to_${id}_with_tz`,
      member: true,
      parameters: [timestampType, stringType],
      result: intType,
      call: ([at, zone]) => BigInt(of(localDate(at as CelTimestamp, zone as string))),
    },
  ];
  if (unit !== undefined)
    overloads.push({
      id: `duration_to_${id}`,
      member: true,
      parameters: [durationType],
      result: intType,
      call: ([span]) => (span as CelDuration).nanoseconds / unit,
    });
  return { name, overloads, ambiguousCost: 1 };
}

export const times: readonly CelFunction[] = parts.map(accessors);
