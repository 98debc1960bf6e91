// How long a job waits before it makes pods again after failures: 10 s, doubling with each failure since the last success up
// to 10 minutes, counted from when the last pod failed. A job with a limit per index counts for each index on its own.

import type { Pod } from "../../api/types/core-v1.ts";
import { backoffDelay } from "../../base/backoff.ts";
import { finishedAtMs, ignoredIndexFailures, indexFailures } from "./job-facts.ts";

const podBackoff = { baseMs: 10_000, maxMs: 600_000 };

/** Failures in a row of a job's pods. */
export interface FailureRecord {
  readonly failures: number;
  readonly lastFailureMs: number;
}

export const noFailures: FailureRecord = { failures: 0, lastFailureMs: 0 };

/** The record after these pods have ended as well. */
export function withEnded(record: FailureRecord, succeeded: readonly Pod[], failed: readonly Pod[]): FailureRecord {
  const ends = failed.map(finishedAtMs);
  if (succeeded.length === 0) {
    if (ends.length === 0) return record;
    return { failures: record.failures + ends.length, lastFailureMs: Math.max(...ends) };
  }
  const lastSuccessMs = Math.max(...succeeded.map(finishedAtMs));
  const since = ends.filter((end) => end > lastSuccessMs);
  return since.length === 0 ? noFailures : { failures: since.length, lastFailureMs: Math.max(...since) };
}

/** Milliseconds until pods may be made again; 0 for now. */
export function backoffLeftMs({ failures, lastFailureMs }: FailureRecord, nowMs: number): number {
  if (failures === 0) return 0;
  return Math.max(0, lastFailureMs + backoffDelay(failures - 1, podBackoff) - nowMs);
}

/** The same for one index, of which this pod failed last. */
export function indexBackoffLeftMs(lastFailed: Pod | undefined, nowMs: number): number {
  if (!lastFailed) return 0;
  const failures = indexFailures(lastFailed) + ignoredIndexFailures(lastFailed) + 1;
  return backoffLeftMs({ failures, lastFailureMs: finishedAtMs(lastFailed) }, nowMs);
}
