// The conditions of a job's status and the numbers in it, in upstream's words.
import { findCondition, withCondition } from "../../api/semantics/conditions.ts";
import type { Job, JobCondition, JobStatus } from "../../api/types/batch-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";
import { isSuspended } from "./job-facts.ts";
import type { IndexState, Verdict } from "./job-state.ts";

/** A job's pods as they are after a run. */
export interface PodCounts {
  readonly active: number;
  readonly ready: number;
  readonly terminating: number;
}

export const completionsReached: Verdict = {
  outcome: "succeeded",
  reason: "CompletionsReached",
  message: "Reached expected number of succeeded pods",
  announced: false,
};

/** The status with the time of the job's start and with present numbers. */
export function withCounts(job: Job, { active, ready, terminating }: PodCounts, nowMs: number): JobStatus {
  const { startTime = isSuspended(job) ? undefined : formatTime(nowMs), ...status } = job.status ?? {};
  return { ...status, ...(startTime ? { startTime } : {}), active, ready, terminating };
}

/** Without the numbers and texts that are absent on the wire where they say nothing. */
export function withoutZeros({ active, succeeded, failed, completedIndexes, ...status }: JobStatus): JobStatus {
  return {
    ...status,
    ...(active ? { active } : {}),
    ...(succeeded ? { succeeded } : {}),
    ...(failed ? { failed } : {}),
    ...(completedIndexes ? { completedIndexes } : {}),
  };
}

export function withIndexes(status: JobStatus, { succeeded, failed }: IndexState): JobStatus {
  return {
    ...status,
    succeeded: succeeded.size,
    completedIndexes: succeeded.toString(),
    ...(failed ? { failedIndexes: failed.toString() } : {}),
  };
}

/** Suspension and resumption, which start the job's time anew; `event` where something has changed. */
export function withSuspension(
  status: JobStatus,
  suspended: boolean,
  nowMs: number,
): { readonly status: JobStatus; readonly event?: EventToRecord } {
  const known = findCondition(status.conditions, "Suspended");
  const wanted = suspended ? "True" : "False";
  if (known ? known.status === wanted : !suspended) return { status };
  const [reason, message] = suspended ? ["Suspended", "Job suspended"] : ["Resumed", "Job resumed"];
  const conditions = withCondition(
    status.conditions,
    condition({ type: "Suspended", status: wanted, reason: `Job${reason}`, message }, nowMs),
  );
  const { startTime: _, ...stopped } = status;
  return {
    status: { ...stopped, conditions, ...(suspended ? {} : { startTime: formatTime(nowMs) }) },
    event: { type: "Normal", reason, message },
  };
}

/** Says how the job is about to end: while its pods are still to be counted or to end. */
export function withAnnouncement(status: JobStatus, { outcome, reason, message, announced }: Verdict, nowMs: number): JobStatus {
  if (announced) return status;
  const type = outcome === "succeeded" ? "SuccessCriteriaMet" : "FailureTarget";
  return { ...status, conditions: withCondition(status.conditions, condition({ type, status: "True", reason, message }, nowMs)) };
}

/** Says that the job has ended. */
export function withEnd(status: JobStatus, { outcome, reason, message }: Verdict, nowMs: number): JobStatus {
  const type = outcome === "succeeded" ? "Complete" : "Failed";
  return {
    ...status,
    conditions: withCondition(status.conditions, condition({ type, status: "True", reason, message }, nowMs)),
    ...(outcome === "succeeded" ? { completionTime: formatTime(nowMs) } : {}),
  };
}

/** Events that tell of the end. */
export function endEvents(job: Job, status: JobStatus, { outcome, reason, message }: Verdict): readonly EventToRecord[] {
  if (outcome === "failed") return [{ type: "Warning", reason, message }];
  const completed: EventToRecord = { type: "Normal", reason: "Completed", message: "Job completed" };
  if ((status.succeeded ?? 0) <= (job.spec.completions ?? Number.POSITIVE_INFINITY)) return [completed];
  const tooMany = "Too many succeeded pods running after completion count reached";
  return [{ type: "Warning", reason: "TooManySucceededPods", message: tooMany }, completed];
}

function condition(fields: Pick<JobCondition, "type" | "status" | "reason" | "message">, nowMs: number): JobCondition {
  const at = formatTime(nowMs);
  return { ...fields, lastProbeTime: at, lastTransitionTime: at };
}
