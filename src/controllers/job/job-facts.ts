// What the job controller reads off a job and its pods: names of the wire contract, and what counts as failed, finished,
// and when.
import { parseTime } from "../../api/meta/time.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import { podReadyCondition } from "../../api/semantics/pod-status.ts";
import type { Job } from "../../api/types/batch-v1.ts";
import type { ContainerStatus, Pod } from "../../api/types/core-v1.ts";

/** Keeps a pod until its end has been counted in the job's status. */
export const trackingFinalizer = "batch.kubernetes.io/job-tracking";
/** Annotation and label with a pod's completion index. */
export const completionIndexName = "batch.kubernetes.io/job-completion-index";
/** Failures of an index before this pod that count towards the limit, and those that a policy ignored. */
export const indexFailureCountAnnotation = "batch.kubernetes.io/job-index-failure-count";
export const indexIgnoredFailureCountAnnotation = "batch.kubernetes.io/job-index-ignored-failure-count";
const jobControllerName = "kubernetes.io/job-controller";

export const isIndexed = (job: Job): boolean => job.spec.completionMode === "Indexed";
export const isSuspended = (job: Job): boolean => job.spec.suspend === true;
export const hasLimitPerIndex = (job: Job): boolean => isIndexed(job) && job.spec.backoffLimitPerIndex !== undefined;
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) ?? false;

/** Complete or Failed. */
export function isJobFinished(job: Job): boolean {
  return isConditionTrue(job.status?.conditions, "Complete") || isConditionTrue(job.status?.conditions, "Failed");
}

/** Another controller takes care of the job. */
export function isManagedElsewhere(job: Job): boolean {
  return job.spec.managedBy !== undefined && job.spec.managedBy !== jobControllerName;
}

/** Pods are replaced when they have failed, not already while they terminate. */
export function replacesOnlyFailed(job: Job): boolean {
  return job.spec.podReplacementPolicy === "Failed" || job.spec.podFailurePolicy !== undefined;
}

/** A deleted pod counts as failed before it has ended, unless the job waits for that. */
export function isFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === "Failed") return true;
  return !replacesOnlyFailed(job) && pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== "Succeeded";
}

/** The pod's completion index; undefined where it has none or one that is no number. */
export function completionIndexOf(pod: Pod): number | undefined {
  const text = pod.metadata.annotations?.[completionIndexName];
  return text !== undefined && /^\+?\d+$/.test(text) ? Number(text) : undefined;
}

/** Whether the job counts this pod: an Indexed Job only those with an index it has. */
export function hasValidIndex(job: Job, pod: Pod): boolean {
  if (!isIndexed(job)) return true;
  const index = completionIndexOf(pod);
  return index !== undefined && index < (job.spec.completions ?? 0);
}

/** Earlier failures of the pod's index that count towards the limit. */
export const indexFailures = (pod: Pod): number => countIn(pod, indexFailureCountAnnotation);
/** Earlier failures of the pod's index that did not count. */
export const ignoredIndexFailures = (pod: Pod): number => countIn(pod, indexIgnoredFailureCountAnnotation);

function countIn(pod: Pod, annotation: string): number {
  const text = pod.metadata.annotations?.[annotation] ?? "";
  const value = /^\+?\d+$/.test(text) ? Number(text) : 0;
  return value <= 2 ** 31 - 1 ? value : 0;
}

/** When the pod ended, in milliseconds, as well as its status tells. */
export function finishedAtMs(pod: Pod): number {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, creationTimestamp } = pod.metadata;
  const ready = podReadyCondition(pod);
  const unreadySince = ready?.status === "False" ? parseTime(ready.lastTransitionTime ?? "") : undefined;
  const deletedAt = parseTime(deletionTimestamp ?? "");
  return (
    lastContainerEnd(pod) ??
    unreadySince ??
    (deletedAt === undefined ? undefined : deletedAt - deletionGracePeriodSeconds * 1000) ??
    parseTime(creationTimestamp) ??
    0
  );
}

/** The end of the container that ended last; undefined while one of them has not. Sidecars end after the others. */
function lastContainerEnd(pod: Pod): number | undefined {
  const sidecars = new Set(pod.spec.initContainers?.filter((c) => c.restartPolicy === "Always").map((c) => c.name));
  const statuses: readonly ContainerStatus[] = [
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.initContainerStatuses ?? []).filter((status) => sidecars.has(status.name)),
  ];
  let latest: number | undefined;
  for (const { state } of statuses) {
    const endMs = parseTime(state?.terminated?.finishedAt ?? "");
    if (endMs === undefined) return undefined;
    latest = Math.max(latest ?? 0, endMs);
  }
  return latest;
}
