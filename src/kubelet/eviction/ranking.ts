// In which order pods are evicted when a resource of the node runs short: first those that use more than they asked for, of
// these the less important ones, of these those furthest above what they asked for. Process ids are not asked for, so only
// importance and use count there. A pod of which nothing is known goes first.
import { podAmounts } from "../../api/semantics/pod-resources.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodStats } from "../stats/summary.ts";
import { diskUsage, memoryUsage, partsOn, processUsage, type StatsByPod } from "./pod-usage.ts";
import { type DiskLayout, type EvictionSignal, resourceOfSignal } from "./thresholds.ts";

interface Ranked {
  readonly pod: Pod;
  /** Undefined when nothing is known of the pod. */
  readonly usage: number | undefined;
  readonly exceeds: boolean;
  readonly priority: number;
  /** Usage beyond what was asked for. */
  readonly excess: number;
}

/** The first to be evicted comes first. */
export function rankPods(signal: EvictionSignal, pods: readonly Pod[], stats: StatsByPod, layout: DiskLayout): readonly Pod[] {
  const ranked = pods.map((pod) => rank(signal, pod, stats.get(pod.metadata.uid), layout));
  return ranked.sort(before).map((r) => r.pod);
}

function rank(signal: EvictionSignal, pod: Pod, stats: PodStats | undefined, layout: DiskLayout): Ranked {
  const resource = resourceOfSignal(signal);
  const usage = stats && usageOf(signal, pod, stats, layout);
  const requests = resource === "pids" ? {} : podAmounts(pod.spec);
  // Against inodes, too, upstream sets the storage that was asked for: a pod that asked goes later.
  const offset = requests[resource === "inodes" ? "ephemeral-storage" : resource] ?? 0;
  return {
    pod,
    usage,
    exceeds: resource !== "pids" && (usage ?? 0) > (requests[resource] ?? 0),
    priority: pod.spec.priority ?? 0,
    excess: (usage ?? 0) - offset,
  };
}

function usageOf(signal: EvictionSignal, pod: Pod, stats: PodStats, layout: DiskLayout): number {
  const resource = resourceOfSignal(signal);
  if (resource === "memory") return memoryUsage(stats);
  if (resource === "pids") return processUsage(stats);
  return diskUsage(pod, stats, partsOn(signal, layout), resource);
}

function before(a: Ranked, b: Ranked): number {
  const known = Number(a.usage !== undefined) - Number(b.usage !== undefined);
  return known || Number(b.exceeds) - Number(a.exceeds) || a.priority - b.priority || b.excess - a.excess;
}
