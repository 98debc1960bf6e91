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
