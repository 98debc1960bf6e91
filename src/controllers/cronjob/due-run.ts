// Which run of a cron job is due, and when the next one is. Of several runs that were missed only the last is made up for;
// how many there were is estimated from the distance of the first two, so that years of them cost nothing.
import { parseTime } from "../../api/meta/time.ts";
import type { CronJob } from "../../api/types/batch-v1.ts";
import type { Timetable } from "./timetable.ts";

/** More missed runs than this are worth a warning. */
const manyRuns = 100;
/** Waking up a little late is better than a little early by another clock. */
const lateMs = 100;

/** The schedule can be read and yet never comes to pass: "0 0 31 2 *". */
export class NeverDueError extends Error {
  constructor() {
    super("time difference between two schedules is less than 1 second");
    this.name = "NeverDueError";
  }
}

export interface DueRuns {
  /** From here on runs are looked for: the last run or the cron job's creation, or where the starting deadline lies. */
  readonly sinceMs: number;
  /** The last of the runs up to now. */
  readonly dueMs?: number;
  /** About how many there were, beyond the first. */
  readonly missed: number;
}

/** Throws NeverDueError. */
export function dueRuns(cronJob: CronJob, table: Timetable, { nowMs, heedDeadline }: { nowMs: number; heedDeadline: boolean }): DueRuns {
  const sinceMs = startOfSearch(cronJob, nowMs, heedDeadline);
  const first = table.next(sinceMs);
  if (first === undefined) throw new NeverDueError();
  if (nowMs < first) return { sinceMs, missed: 0 };
  const second = table.next(first);
  if (second === undefined) throw new NeverDueError();
  if (nowMs < second) return { sinceMs, dueMs: first, missed: 0 };
  const distanceMs = second - first;
  const missed = Math.floor((nowMs - first) / distanceMs) + 1;
  let dueMs: number | undefined;
  for (let at = table.next(first + (missed - 2) * distanceMs); at !== undefined && at <= nowMs; at = table.next(at)) dueMs = at;
  return { sinceMs, missed, ...(dueMs === undefined ? {} : { dueMs }) };
}

export const isTooMany = ({ missed }: DueRuns): boolean => missed > manyRuns;

function startOfSearch({ metadata, spec, status }: CronJob, nowMs: number, heedDeadline: boolean): number {
  const sinceMs = parseTime(status?.lastScheduleTime ?? metadata.creationTimestamp) ?? nowMs;
  if (!heedDeadline || spec.startingDeadlineSeconds === undefined) return sinceMs;
  return Math.max(sinceMs, nowMs - spec.startingDeadlineSeconds * 1000);
}

/** Milliseconds until the cron job is to be looked at again; undefined where it never fires again. */
export function nextWakeUpMs(cronJob: CronJob, table: Timetable, nowMs: number): number | undefined {
  const next = table.next(lastKnownRun(cronJob, table, nowMs));
  return next === undefined ? undefined : next + lateMs - nowMs;
}

function lastKnownRun(cronJob: CronJob, table: Timetable, nowMs: number): number {
  try {
    const { dueMs, missed, sinceMs } = dueRuns(cronJob, table, { nowMs, heedDeadline: false });
    return dueMs ?? (missed === 0 ? sinceMs : nowMs);
  } catch (error) {
    if (error instanceof NeverDueError) return nowMs;
    throw error;
  }
}
