// What a pod's status means to those who manage pods: active, ended, ready, available, terminating.
import { parseTime } from "../meta/time.ts";
import type { Pod, PodCondition } from "../types/core-v1.ts";
import { findCondition } from "./conditions.ts";

/** Succeeded or Failed: its containers will not run again. */
export function isPodTerminal(pod: Pod): boolean {
  const phase = pod.status?.phase;
  return phase === "Succeeded" || phase === "Failed";
}

/** Neither ended nor being deleted: what counts towards a number of replicas. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined;
}

/** Being deleted, with containers that may still run. */
export function isPodTerminating(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined;
}

export function podReadyCondition(pod: Pod): PodCondition | undefined {
  return findCondition(pod.status?.conditions, "Ready");
}

export function isPodReady(pod: Pod): boolean {
  return podReadyCondition(pod)?.status === "True";
}

/** When a ready pod became ready, in milliseconds; undefined where it is not ready or does not say. */
export function podReadySinceMs(pod: Pod): number | undefined {
  const condition = podReadyCondition(pod);
  return condition?.status === "True" && condition.lastTransitionTime ? parseTime(condition.lastTransitionTime) : undefined;
}

/** Ready for at least so long. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!isPodReady(pod)) return false;
  if (minReadySeconds === 0) return true;
  const sinceMs = podReadySinceMs(pod);
  return sinceMs !== undefined && sinceMs + minReadySeconds * 1000 <= nowMs;
}

/** Milliseconds until the first of the ready pods that are not yet available becomes so; undefined when none will. */
export function nextPodAvailabilityMs(pods: readonly Pod[], minReadySeconds: number, nowMs: number): number | undefined {
  if (minReadySeconds <= 0) return undefined;
  let next: number | undefined;
  for (const pod of pods) {
    const sinceMs = podReadySinceMs(pod);
    const inMs = sinceMs === undefined ? 0 : sinceMs + minReadySeconds * 1000 - nowMs;
    if (inMs > 0 && (next === undefined || inMs < next)) next = inMs;
  }
  return next;
}
