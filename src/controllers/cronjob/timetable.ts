// When a cron schedule fires, in a time zone. Times are instants whose local minute matches the schedule: a local time that
// the clocks skip in spring does not fire, one that they show twice in autumn fires twice. Looks five years ahead.
import { type CronFields, parseCronSchedule } from "../../api/semantics/cron-schedule.ts";
import type { TimeZone } from "../../base/time-zone.ts";

export interface Timetable {
  /** The first time after `afterMs`, in milliseconds since the epoch; undefined where there is none. */
  next(afterMs: number): number | undefined;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const horizonYears = 5;

/** The times of a schedule. Throws CronError where it cannot be read. */
export function timetable(schedule: string, zone: TimeZone): Timetable {
  const parsed = parseCronSchedule(schedule);
  if (parsed.kind === "fields") return { next: (afterMs) => nextMatch(parsed, zone, afterMs) };
  // Intervals are of whole seconds and fire on whole seconds.
  return { next: (afterMs) => (Math.floor(afterMs / 1000) + parsed.seconds) * 1000 };
}

function nextMatch(fields: CronFields, zone: TimeZone, afterMs: number): number | undefined {
  let atMs = (Math.floor(afterMs / minuteMs) + 1) * minuteMs;
  const lastYear = new Date(atMs).getUTCFullYear() + horizonYears;
  for (;;) {
    // The local time, as a date whose UTC fields it is.
    const local = new Date(atMs + zone.offsetMs(atMs));
    if (local.getUTCFullYear() > lastYear) return undefined;
    const skipMs = skipFrom(fields, local);
    if (skipMs === 0) return atMs;
    atMs = landing(zone, atMs, skipMs);
  }
}

/** How far it is from this local time to the next that is worth looking at; 0 where it matches. */
function skipFrom(fields: CronFields, local: Date): number {
  const localMs = local.getTime();
  if (!fields.months.has(local.getUTCMonth() + 1)) return Date.UTC(local.getUTCFullYear(), local.getUTCMonth() + 1, 1) - localMs;
  if (!isDayOf(fields, local)) return (Math.floor(localMs / dayMs) + 1) * dayMs - localMs;
  const toNextHour = (60 - local.getUTCMinutes()) * minuteMs;
  if (!fields.hours.has(local.getUTCHours())) return toNextHour;
  for (let minute = local.getUTCMinutes(); minute < 60; minute++)
    if (fields.minutes.has(minute)) return (minute - local.getUTCMinutes()) * minuteMs;
  return toNextHour;
}

/** Where both kinds of days are restricted, one of them is enough. */
function isDayOf({ daysOfMonth, daysOfWeek, anyDayOfMonth, anyDayOfWeek }: CronFields, local: Date): boolean {
  const byMonth = daysOfMonth.has(local.getUTCDate());
  const byWeek = daysOfWeek.has(local.getUTCDay());
  return anyDayOfMonth || anyDayOfWeek ? byMonth && byWeek : byMonth || byWeek;
}

/** The instant so much later by the local clock. */
function landing(zone: TimeZone, atMs: number, skipMs: number): number {
  const landedMs = atMs + skipMs;
  // Within a day's hours time passes as it does everywhere.
  if (skipMs <= hourMs) return landedMs;
  const gainedMs = zone.offsetMs(landedMs) - zone.offsetMs(atMs);
  if (gainedMs <= 0) return landedMs;
  // The clocks were put forward on the way: the local time came earlier, unless it is one that they skipped.
  const earlierMs = landedMs - gainedMs;
  return zone.offsetMs(earlierMs) === zone.offsetMs(landedMs) ? earlierMs : landedMs;
}
