// Which pods of a workload go first when it has too many, in upstream's order: not yet on a node, not running, not ready,
// of lower deletion cost, beside more siblings on the same node, ready for a shorter time, restarted more often, younger.
// Times count by magnitude only (their binary logarithm), so that among pods of about the same age the choice spreads.
import { parseTime } from "../api/meta/time.ts";
import { isPodReady, podReadySinceMs } from "../api/semantics/pod-status.ts";
import type { Pod } from "../api/types/core-v1.ts";

const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";

/** The `count` pods to delete first. `related`: all pods of the same application, which are spread over nodes. */
export function podsToDelete(pods: readonly Pod[], related: readonly Pod[], options: { count: number; nowMs: number }): readonly Pod[] {
  if (options.count >= pods.length) return pods;
  const perNode = new Map<string, number>();
  for (const pod of related) {
    if (pod.metadata.deletionTimestamp !== undefined || !pod.spec.nodeName) continue;
    perNode.set(pod.spec.nodeName, (perNode.get(pod.spec.nodeName) ?? 0) + 1);
  }
  const ranked = pods.map((pod) => rank(pod, perNode.get(pod.spec.nodeName ?? "") ?? 0, options.nowMs));
  ranked.sort(compareRanks);
  return ranked.slice(0, options.count).map((r) => r.pod);
}

interface Rank {
  readonly pod: Pod;
  /** Compared one after another; the smaller goes first. */
  readonly order: readonly number[];
}

const phaseOrder: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

function rank(pod: Pod, siblings: number, nowMs: number): Rank {
  const [restarts, sidecarRestarts] = mostRestarts(pod);
  return {
    pod,
    order: [
      pod.spec.nodeName ? 1 : 0,
      phaseOrder[pod.status?.phase ?? "Pending"] ?? 0,
      isPodReady(pod) ? 1 : 0,
      deletionCost(pod),
      -siblings,
      magnitude(nowMs, podReadySinceMs(pod)),
      -restarts,
      -sidecarRestarts,
      magnitude(nowMs, parseTime(pod.metadata.creationTimestamp)),
    ],
  };
}

function compareRanks(a: Rank, b: Rank): number {
  for (let i = 0; i < a.order.length; i++) {
    const difference = (a.order[i] ?? 0) - (b.order[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.pod.metadata.uid < b.pod.metadata.uid ? -1 : 1;
}

/** The binary order of magnitude of how long ago something was (in nanoseconds, as upstream counts); -1 for not at all. */
function magnitude(nowMs: number, sinceMs: number | undefined): number {
  if (sinceMs === undefined) return -1;
  const nanos = (nowMs - sinceMs) * 1e6;
  return nanos > 0 ? Math.floor(Math.log2(nanos)) : -1;
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[deletionCostAnnotation];
  return text !== undefined && /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : 0;
}

function mostRestarts(pod: Pod): readonly [number, number] {
  const sidecars = new Set(pod.spec.initContainers?.filter((c) => c.restartPolicy === "Always").map((c) => c.name));
  const most = (counts: readonly number[]): number => counts.reduce((a, b) => Math.max(a, b), 0);
  return [
    most((pod.status?.containerStatuses ?? []).map((c) => c.restartCount)),
    most((pod.status?.initContainerStatuses ?? []).filter((c) => sidecars.has(c.name)).map((c) => c.restartCount)),
  ];
}
