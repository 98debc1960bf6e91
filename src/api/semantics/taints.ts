// Taints and tolerations: what the scheduler, the node lifecycle, taint eviction and daemon sets agree on.
import type { Taint, Toleration } from "../types/core-v1.ts";

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === "Exists") return true;
  // Without a key only Exists tolerates everything.
  return (toleration.key ?? "") === taint.key && (toleration.value ?? "") === (taint.value ?? "");
}

/** The first taint that nothing tolerates, of those that pass `concerns`. */
export function untoleratedTaint(
  taints: readonly Taint[] | undefined,
  tolerations: readonly Toleration[] | undefined,
  concerns: (taint: Taint) => boolean,
): Taint | undefined {
  return taints?.find((taint) => concerns(taint) && !tolerations?.some((t) => tolerates(t, taint)));
}

/** Taints that keep a pod from being placed. */
export const keepsOut = (taint: Taint): boolean => taint.effect === "NoSchedule" || taint.effect === "NoExecute";

export const notReadyTaintKey = "node.kubernetes.io/not-ready";
export const unreachableTaintKey = "node.kubernetes.io/unreachable";
export const unschedulableTaintKey = "node.kubernetes.io/unschedulable";
export const outOfServiceTaintKey = "node.kubernetes.io/out-of-service";
export const memoryPressureTaintKey = "node.kubernetes.io/memory-pressure";
export const diskPressureTaintKey = "node.kubernetes.io/disk-pressure";
export const pidPressureTaintKey = "node.kubernetes.io/pid-pressure";
export const networkUnavailableTaintKey = "node.kubernetes.io/network-unavailable";

/** Key and effect make a taint what it is; its value and time do not. */
export function isSameTaint(a: Pick<Taint, "key" | "effect">, b: Pick<Taint, "key" | "effect">): boolean {
  return a.key === b.key && a.effect === b.effect;
}
