// The pods of a workload as they are now, not as the cache shows them. Where a pod's place (a node, an ordinal) is only free
// when the pod has gone, one that this controller has just deleted must not look as if it had gone already: it is leaving.
import type { Pod } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import type { RecentWrites } from "../client/recent-writes.ts";

/** `cached` with what was written since; pods that were deleted but that the cache shows alive are marked as terminating. */
export function presentPods(
  recent: RecentWrites<Pod>,
  cached: readonly Pod[],
  { key, nowMs }: { readonly key: string; readonly nowMs: number },
): readonly Pod[] {
  const corrected = recent.correct(key, cached);
  const shown = new Set(corrected.map((pod) => pod.metadata.uid));
  const leaving = cached.filter((pod) => !shown.has(pod.metadata.uid));
  if (leaving.length === 0) return corrected;
  const deletionTimestamp = formatTime(nowMs);
  return [...corrected, ...leaving.map((pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp } }))];
}
