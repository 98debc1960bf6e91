// What a job has come to, read off its status and its pods: how many have succeeded and failed, which indexes are done, and
// whether that ends the job. Pure: the same job, pods and time give the same answer.
import { parseTime } from "../../api/meta/time.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import { isPodActive, isPodTerminating } from "../../api/semantics/pod-status.ts";
import type { Job } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { IndexSet } from "./index-set.ts";
import {
  completionIndexOf,
  finishedAtMs,
  hasLimitPerIndex,
  hasValidIndex,
  ignoredIndexFailures,
  indexFailures,
  isFailed,
  isIndexed,
  isSuspended,
  isTracked,
} from "./job-facts.ts";
import { type FailureRecord, withEnded } from "./pod-backoff.ts";
import { judgePodFailure } from "./pod-failure-policy.ts";

/** How a job ends. `announced`: its status says so already, in the condition SuccessCriteriaMet or FailureTarget. */
export interface Verdict {
  readonly outcome: "succeeded" | "failed";
  readonly reason: string;
  readonly message: string;
  readonly announced: boolean;
}

export interface JobState {
  readonly job: Job;
  /** All pods of the job, those whose end has been counted included. */
  readonly pods: readonly Pod[];
  readonly active: readonly Pod[];
  readonly terminating: readonly Pod[];
  readonly succeeded: number;
  readonly backoff: FailureRecord;
  /** Only of an Indexed Job. */
  readonly indexes?: IndexState;
  readonly verdict?: Verdict;
}

export interface IndexState {
  readonly succeeded: IndexSet;
  /** Only where there is a limit per index. */
  readonly failed?: IndexSet;
  /** By index, the failed pods that stay until another has taken over their count of failures. */
  readonly waiting: ReadonlyMap<number, Pod>;
}

export interface JobObservation {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly backoff: FailureRecord;
  readonly nowMs: number;
}

export function assessJob({ job, pods, backoff, nowMs }: JobObservation): JobState {
  const uncounted = job.status?.uncountedTerminatedPods ?? {};
  const countable = pods.filter((pod) => isTracked(pod) && hasValidIndex(job, pod));
  const succeededPods = countable.filter((pod) => pod.status?.phase === "Succeeded" && !uncounted.succeeded?.includes(pod.metadata.uid));
  const failedPods = countable.filter((pod) => isFailed(job, pod) && !uncounted.failed?.includes(pod.metadata.uid));
  const active = pods.filter(isPodActive);
  const indexes = isIndexed(job) ? assessIndexes(job, countable, active) : undefined;
  const failed =
    (job.status?.failed ?? 0) +
    (uncounted.failed?.length ?? 0) +
    failedPods.filter((pod) => judgePodFailure(job, pod).action !== "Ignore").length;
  const verdict = decideVerdict({ job, pods, failed, nowMs, ...(indexes ? { indexes } : {}) });
  return {
    job,
    pods,
    active,
    terminating: pods.filter(isPodTerminating),
    succeeded: indexes?.succeeded.size ?? (job.status?.succeeded ?? 0) + (uncounted.succeeded?.length ?? 0) + succeededPods.length,
    backoff: withEnded(backoff, succeededPods, failedPods),
    ...(indexes ? { indexes } : {}),
    ...(verdict ? { verdict } : {}),
  };
}

function assessIndexes(job: Job, countable: readonly Pod[], active: readonly Pod[]): IndexState {
  const { completions = 0 } = job.spec;
  const newlySucceeded = countable.filter((pod) => pod.status?.phase === "Succeeded");
  const succeeded = IndexSet.parse(job.status?.completedIndexes, completions).union(indexesOf(newlySucceeded));
  if (!hasLimitPerIndex(job)) return { succeeded, waiting: new Map() };
  const newlyFailed = countable.filter((pod) => failsIndex(job, pod));
  const failed = IndexSet.parse(job.status?.failedIndexes, completions).union(indexesOf(newlyFailed));
  const settled = succeeded.union(failed).union(indexesOf(active));
  return { succeeded, failed, waiting: waitingPods(job, countable, settled) };
}

function failsIndex(job: Job, pod: Pod): boolean {
  if (!isFailed(job, pod)) return false;
  const { action } = judgePodFailure(job, pod);
  if (action === "FailIndex") return true;
  return action !== "Ignore" && indexFailures(pod) >= (job.spec.backoffLimitPerIndex ?? 0);
}

/** Of each index that is to be tried again the pod that failed last: the next one continues its count. */
function waitingPods(job: Job, countable: readonly Pod[], settled: IndexSet): ReadonlyMap<number, Pod> {
  const waiting = new Map<number, Pod>();
  const count = (pod: Pod): number => indexFailures(pod) + ignoredIndexFailures(pod);
  for (const pod of countable) {
    const index = completionIndexOf(pod);
    if (index === undefined || settled.has(index) || !isFailed(job, pod)) continue;
    const known = waiting.get(index);
    if (!known || (count(known) <= count(pod) && finishedAtMs(pod) >= finishedAtMs(known))) waiting.set(index, pod);
  }
  return waiting;
}

/** The completion indexes of these pods. */
export function indexesOf(pods: readonly Pod[]): IndexSet {
  return IndexSet.of(pods.flatMap((pod) => completionIndexOf(pod) ?? []));
}

interface Findings {
  readonly job: Job;
  readonly pods: readonly Pod[];
  readonly failed: number;
  readonly indexes?: IndexState;
  readonly nowMs: number;
}

/** What was announced stands; then reasons to fail come before reasons to succeed. */
function decideVerdict(findings: Findings): Verdict | undefined {
  const { job } = findings;
  const announced = announcedVerdict(job);
  if (announced) return announced;
  const failure = failureOf(findings);
  if (failure) return { outcome: "failed", ...failure, announced: false };
  const rule = matchingSuccessRule(job, findings.indexes);
  if (rule === undefined) return undefined;
  return { outcome: "succeeded", reason: "SuccessPolicy", message: `Matched rules at index ${rule}`, announced: false };
}

function announcedVerdict(job: Job): Verdict | undefined {
  for (const [type, outcome] of [
    ["SuccessCriteriaMet", "succeeded"],
    ["FailureTarget", "failed"],
  ] as const) {
    const condition = findCondition(job.status?.conditions, type);
    if (condition?.status === "True") return { outcome, reason: condition.reason ?? "", message: condition.message ?? "", announced: true };
  }
  return undefined;
}

function failureOf({ job, pods, failed, indexes, nowMs }: Findings): { readonly reason: string; readonly message: string } | undefined {
  const { spec } = job;
  for (const pod of spec.podFailurePolicy ? pods : []) {
    const judged = isFailed(job, pod) ? judgePodFailure(job, pod) : undefined;
    if (judged?.action === "FailJob") return { reason: "PodFailurePolicy", message: judged.message };
  }
  if (failed > backoffLimit(job) || restartedTooOften(job, pods))
    return { reason: "BackoffLimitExceeded", message: "Job has reached the specified backoff limit" };
  const leftMs = deadlineLeftMs(job, nowMs);
  if (leftMs !== undefined && leftMs <= 0) return { reason: "DeadlineExceeded", message: "Job was active longer than specified deadline" };
  const failedIndexes = indexes?.failed?.size ?? 0;
  if (spec.maxFailedIndexes !== undefined && failedIndexes > spec.maxFailedIndexes)
    return { reason: "MaxFailedIndexesExceeded", message: "Job has exceeded the specified maximal number of failed indexes" };
  if (indexes && failedIndexes > 0 && failedIndexes + indexes.succeeded.size >= (spec.completions ?? 0))
    return { reason: "FailedIndexes", message: "Job has failed indexes" };
  return undefined;
}

const backoffLimit = (job: Job): number => job.spec.backoffLimit ?? (hasLimitPerIndex(job) ? Number.POSITIVE_INFINITY : 6);

/** Where containers are restarted in their pods, restarts count towards the limit. */
function restartedTooOften(job: Job, pods: readonly Pod[]): boolean {
  if (job.spec.template.spec?.restartPolicy !== "OnFailure") return false;
  let restarts = 0;
  for (const { status } of pods) {
    if (status?.phase !== "Running" && status?.phase !== "Pending") continue;
    for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += container.restartCount;
  }
  return restarts >= Math.max(1, backoffLimit(job));
}

/** Milliseconds until .spec.activeDeadlineSeconds is over; undefined where nothing runs towards it. */
export function deadlineLeftMs(job: Job, nowMs: number): number | undefined {
  const startMs = parseTime(job.status?.startTime ?? "");
  const { activeDeadlineSeconds } = job.spec;
  if (activeDeadlineSeconds === undefined || startMs === undefined || isSuspended(job)) return undefined;
  return startMs + activeDeadlineSeconds * 1000 - nowMs;
}

/** The position of the first rule of .spec.successPolicy that is met. */
function matchingSuccessRule(job: Job, indexes: IndexState | undefined): number | undefined {
  if (!indexes || indexes.succeeded.size === 0) return undefined;
  const { succeeded } = indexes;
  const position = (job.spec.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && succeeded.size >= succeededCount;
    const required = IndexSet.parse(succeededIndexes, job.spec.completions ?? 0);
    const met = required.overlap(succeeded);
    return required.size > 0 && (met === required.size || (succeededCount !== undefined && met >= succeededCount));
  });
  return position < 0 ? undefined : position;
}
