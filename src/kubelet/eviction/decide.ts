// The eviction manager's decision, pure: from what was observed now, the thresholds and what it remembers, which conditions
// the node has and which resource has to be reclaimed, if any; and for a resource, which pod goes. A threshold counts once
// its grace period is over, stays until its minimum is reclaimed, and is acted on only by measurements made since the last
// time. A condition lasts for the transition period after its last cause, so that it does not flap.
import type { Pod } from "../../api/types/core-v1.ts";
import { isCriticalPod } from "../pods/pod-spec.ts";
import { type EvictionReason, evictionReason } from "./eviction-message.ts";
import { type StorageExcess, storageExcess } from "./local-storage.ts";
import type { Observations } from "./observations.ts";
import type { StatsByPod } from "./pod-usage.ts";
import { rankPods } from "./ranking.ts";
import {
  conditionOfSignal,
  type DiskLayout,
  type EvictionSignal,
  isHard,
  type PressureCondition,
  resourceOfSignal,
  type Threshold,
  thresholdQuantity,
} from "./thresholds.ts";

/** What the manager remembers from one look to the next. */
export interface EvictionMemory {
  /** Since when each threshold has been undercut. */
  readonly undercutSince: ReadonlyMap<Threshold, number>;
  readonly conditionSeenAt: ReadonlyMap<PressureCondition, number>;
  /** Undercut beyond their grace period when last looked at. */
  readonly met: readonly Threshold[];
  readonly observations: Observations;
}

export const blankMemory: EvictionMemory = {
  undercutSince: new Map(),
  conditionSeenAt: new Map(),
  met: [],
  observations: new Map(),
};

export interface Verdict {
  readonly memory: EvictionMemory;
  readonly conditions: readonly PressureCondition[];
  /** To be acted on, the most urgent first; empty when nothing is to be reclaimed. */
  readonly urgent: readonly Threshold[];
}

export interface JudgeInput {
  readonly memory: EvictionMemory;
  readonly thresholds: readonly Threshold[];
  readonly observations: Observations;
  readonly pressureTransitionMs: number;
  readonly nowMs: number;
}

export function judge({ memory, thresholds, observations, pressureTransitionMs, nowMs }: JudgeInput): Verdict {
  const unresolved = undercut(memory.met, observations, { withMinReclaim: true });
  const active = [...new Set([...undercut(thresholds, observations), ...unresolved])];
  const undercutSince = new Map(active.map((t) => [t, memory.undercutSince.get(t) ?? nowMs]));
  const conditionSeenAt = new Map(memory.conditionSeenAt);
  for (const { signal } of active) conditionSeenAt.set(conditionOfSignal(signal), nowMs);
  const conditions = [...conditionSeenAt].filter(([, atMs]) => nowMs - atMs < pressureTransitionMs).map(([condition]) => condition);
  const met = active.filter((t) => nowMs - (undercutSince.get(t) ?? nowMs) >= t.gracePeriodMs);
  const urgent = met.filter(({ signal }) => isNews(observations, memory.observations, signal)).sort(byUrgency);
  return { memory: { undercutSince, conditionSeenAt, met, observations }, conditions, urgent };
}

/** Of the thresholds, those that the observations fall short of; with what they want reclaimed on top, or without. */
export function undercut(
  thresholds: readonly Threshold[],
  observations: Observations,
  { withMinReclaim = false }: { readonly withMinReclaim?: boolean } = {},
): readonly Threshold[] {
  return thresholds.filter(({ signal, value, minReclaim }) => {
    const observed = observations.get(signal);
    if (!observed) return false;
    const wanted = thresholdQuantity(value, observed.capacity);
    const enough = withMinReclaim && minReclaim ? wanted.add(thresholdQuantity(minReclaim, observed.capacity)) : wanted;
    return enough.compare(observed.available) > 0;
  });
}

function isNews(now: Observations, before: Observations, signal: EvictionSignal): boolean {
  const [current, last] = [now.get(signal), before.get(signal)];
  if (!current) return false;
  return last?.atMs === undefined || current.atMs === undefined || current.atMs > last.atMs;
}

/** Memory before everything else. */
function byUrgency(a: Threshold, b: Threshold): number {
  const isMemory = (t: Threshold): number => Number(resourceOfSignal(t.signal) === "memory");
  return isMemory(b) - isMemory(a);
}

/** What of the node itself can be given up before any pod, in this order. */
export type NodeReclaim = "containers" | "images";

export function nodeReclaims(signal: EvictionSignal, { dedicatedImageFs, separateContainerFs }: DiskLayout): readonly NodeReclaim[] {
  const resource = resourceOfSignal(signal);
  if (resource === "memory" || resource === "pids") return [];
  if (!dedicatedImageFs) return ["containers", "images"];
  if (separateContainerFs) return signal.startsWith("imagefs.") ? ["images"] : ["containers"];
  return signal.startsWith("nodefs.") ? [] : ["containers", "images"];
}

export interface Eviction extends Partial<EvictionReason> {
  readonly pod: Pod;
  readonly message: string;
  readonly graceSeconds: number;
  /** As the metric of evictions names it. */
  readonly signal: string;
}

export interface ChooseInput {
  /** As judge() gave them. */
  readonly urgent: readonly Threshold[];
  readonly observations: Observations;
  readonly pods: readonly Pod[];
  readonly stats: StatsByPod;
  readonly layout: DiskLayout;
  readonly maxPodGraceSeconds: number;
}

const hurriedGraceSeconds = 1;

/** The one pod to evict for the most urgent threshold; undefined when there is none that may be. */
export function choosePod({ urgent, observations, pods, stats, layout, maxPodGraceSeconds }: ChooseInput): Eviction | undefined {
  const [threshold] = urgent;
  if (!threshold) return undefined;
  const pod = rankPods(threshold.signal, pods, stats, layout).find((p) => !isCriticalPod(p));
  if (!pod) return undefined;
  const own = pod.spec.terminationGracePeriodSeconds ?? maxPodGraceSeconds;
  return {
    pod,
    graceSeconds: isHard(threshold) ? hurriedGraceSeconds : Math.min(maxPodGraceSeconds, own),
    signal: threshold.signal,
    ...evictionReason(resourceOfSignal(threshold.signal), pod, stats.get(pod.metadata.uid), { thresholds: urgent, observations }),
  };
}

/** All pods beyond a limit of their local storage. */
export function overStorageLimits(pods: readonly Pod[], stats: StatsByPod, layout: DiskLayout): readonly Eviction[] {
  return pods.flatMap((pod) => {
    const measured = stats.get(pod.metadata.uid);
    const excess: StorageExcess | undefined = measured && !isCriticalPod(pod) ? storageExcess(pod, measured, layout) : undefined;
    return excess ? [{ pod, graceSeconds: hurriedGraceSeconds, ...excess }] : [];
  });
}
