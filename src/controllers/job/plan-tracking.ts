// How the ends of pods get into a job's status, each exactly once. Pods carry a finalizer until they have been counted: their
// uids are first written to .status.uncountedTerminatedPods, then their finalizers are removed, and then the numbers grow by
// the uids whose pods no longer have the finalizer. Wherever the controller stops in between, the next run goes on from
// there. Succeeded pods of an Indexed Job need no list: their indexes say that they have been counted.
import type { Job, JobStatus, UncountedTerminatedPods } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { completionIndexOf, hasValidIndex, isFailed, isIndexed, isTracked } from "./job-facts.ts";
import type { JobState, Verdict } from "./job-state.ts";
import { judgePodFailure } from "./pod-failure-policy.ts";

/** Keeps the lists in the status below some 20 KB; the rest comes with the next run. */
const maxUncounted = 500;

export interface TrackingPlan {
  readonly uncounted: UncountedTerminatedPods;
  /** Their finalizers may go as soon as `uncounted` is written. */
  readonly release: readonly Pod[];
  /** There are more pods to count than one run takes. */
  readonly isPartial: boolean;
}

/** `verdict`: how the job ends, where nothing stands against ending it in this run. */
export function planTracking(state: JobState, status: JobStatus, verdict: Verdict | undefined): TrackingPlan {
  const { job } = state;
  const succeeded = [...(status.uncountedTerminatedPods?.succeeded ?? [])];
  const failed = [...(status.uncountedTerminatedPods?.failed ?? [])];
  const knownFailed = new Set(failed);
  const knownSucceeded = new Set(succeeded);
  const release: Pod[] = [];
  let newIndexes = 0;
  for (const pod of inOrder(job, state.pods.filter(isTracked))) {
    if (newIndexes + succeeded.length + failed.length >= maxUncounted)
      return { uncounted: uncountedPods(succeeded, failed), release, isPartial: true };
    if (!mayRelease(state, pod, verdict)) continue;
    release.push(pod);
    const { uid } = pod.metadata;
    if (knownFailed.has(uid)) continue;
    if (pod.status?.phase === "Succeeded") {
      if (isIndexed(job)) newIndexes++;
      else if (!knownSucceeded.has(uid)) succeeded.push(uid);
    } else if (countsAsFailed(job, pod, verdict)) failed.push(uid);
  }
  return { uncounted: uncountedPods(succeeded, failed), release, isPartial: false };
}

/** The status in which the uids of pods without finalizer have become numbers. */
export function countReleased(status: JobStatus, stillTracked: ReadonlySet<string>): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {};
  const leftSucceeded = succeeded.filter((uid) => stillTracked.has(uid));
  const leftFailed = failed.filter((uid) => stillTracked.has(uid));
  return {
    ...status,
    succeeded: (status.succeeded ?? 0) + succeeded.length - leftSucceeded.length,
    failed: (status.failed ?? 0) + failed.length - leftFailed.length,
    uncountedTerminatedPods: uncountedPods(leftSucceeded, leftFailed),
  };
}

export function hasUncounted({ uncountedTerminatedPods }: JobStatus): boolean {
  return (uncountedTerminatedPods?.succeeded?.length ?? 0) + (uncountedTerminatedPods?.failed?.length ?? 0) > 0;
}

function uncountedPods(succeeded: readonly string[], failed: readonly string[]): UncountedTerminatedPods {
  return { ...(succeeded.length > 0 ? { succeeded } : {}), ...(failed.length > 0 ? { failed } : {}) };
}

/** Indexes come into the status from the lowest on. */
function inOrder(job: Job, pods: readonly Pod[]): readonly Pod[] {
  if (!isIndexed(job)) return pods;
  return [...pods].sort((a, b) => (completionIndexOf(a) ?? -1) - (completionIndexOf(b) ?? -1));
}

function mayRelease({ job, indexes }: JobState, pod: Pod, verdict: Verdict | undefined): boolean {
  if (job.metadata.deletionTimestamp !== undefined || verdict || pod.status?.phase === "Succeeded") return true;
  if (!isFailed(job, pod)) return false;
  const index = completionIndexOf(pod);
  return index === undefined || indexes?.waiting.get(index)?.metadata.uid !== pod.metadata.uid;
}

/** When a job fails, every pod that has not succeeded has failed. */
function countsAsFailed(job: Job, pod: Pod, verdict: Verdict | undefined): boolean {
  if (!isFailed(job, pod) && verdict?.outcome !== "failed") return false;
  return hasValidIndex(job, pod) && judgePodFailure(job, pod).action !== "Ignore";
}
