// Which pods a job needs next: as many at a time as its parallelism allows and its completions still need, each index once,
// none before the back-off is over, none while it is suspended or has ended. Pods are either made or removed, never both in
// one go, and at most 500 at a time.
import { isPodTerminating } from "../../api/semantics/pod-status.ts";
import type { Job } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { podsToDelete } from "../pod-ranking.ts";
import { completionIndexOf, hasLimitPerIndex, isIndexed, isSuspended, replacesOnlyFailed } from "./job-facts.ts";
import { indexesOf, type JobState } from "./job-state.ts";
import { backoffLeftMs, indexBackoffLeftMs } from "./pod-backoff.ts";

const burst = 500;

export type PodPlan =
  /** The job has ended: its active pods go, and what becomes of them counts. */
  | { readonly kind: "end"; readonly pods: readonly Pod[] }
  /** Pods that are not wanted: they go without being counted. */
  | { readonly kind: "remove"; readonly pods: readonly Pod[] }
  /** One pod for each entry, of which an Indexed Job's name the index. */
  | { readonly kind: "create"; readonly pods: readonly (number | undefined)[] }
  /** Pods are wanted once the back-off is over. */
  | { readonly kind: "wait"; readonly leftMs: number }
  | { readonly kind: "keep" };

export function planPods(state: JobState, nowMs: number): PodPlan {
  const { job, active } = state;
  if (state.verdict) return { kind: "end", pods: active };
  if (job.metadata.deletionTimestamp !== undefined) return { kind: "keep" };
  if (isSuspended(job)) return { kind: "remove", pods: active };
  const wanted = wantedActive(state);
  const surplus = surplusPods(state, Math.max(0, active.length - wanted), nowMs);
  if (surplus.length > 0) return { kind: "remove", pods: surplus.slice(0, burst) };
  const terminating = replacesOnlyFailed(job) ? state.terminating.length : 0;
  const missing = wanted - terminating - active.length;
  return missing > 0 ? planCreation(state, missing, nowMs) : { kind: "keep" };
}

function wantedActive({ job, active, succeeded }: JobState): number {
  const { completions, parallelism = 1 } = job.spec;
  // A work queue: its first success says that there is no more work than what is being done.
  if (completions === undefined) return succeeded > 0 ? active.length : parallelism;
  return Math.max(0, Math.min(parallelism, completions - succeeded));
}

/** At least so many pods; of an Indexed Job all that have no index, one that does not exist, or one that another has. */
function surplusPods({ job, active }: JobState, atLeast: number, nowMs: number): readonly Pod[] {
  const { surplus, kept } = isIndexed(job) ? duplicates(job, active, nowMs) : { surplus: [], kept: active };
  const more = atLeast - surplus.length;
  return more <= 0 ? surplus : [...surplus, ...podsToDelete(kept, [], { count: more, nowMs })];
}

function duplicates(job: Job, active: readonly Pod[], nowMs: number): { readonly surplus: Pod[]; readonly kept: readonly Pod[] } {
  const byIndex = new Map<number, Pod[]>();
  const surplus: Pod[] = [];
  for (const pod of active) {
    const index = completionIndexOf(pod);
    const same = index === undefined ? undefined : byIndex.get(index);
    if (index === undefined || index >= (job.spec.completions ?? 0)) surplus.push(pod);
    else if (same) same.push(pod);
    else byIndex.set(index, [pod]);
  }
  const kept: Pod[] = [];
  for (const same of byIndex.values()) {
    const removed = podsToDelete(same, [], { count: same.length - 1, nowMs });
    surplus.push(...removed);
    kept.push(...same.filter((pod) => !removed.includes(pod)));
  }
  return { surplus, kept };
}

function planCreation(state: JobState, missing: number, nowMs: number): PodPlan {
  const { job } = state;
  const count = Math.min(missing, burst);
  const leftMs = hasLimitPerIndex(job) ? 0 : backoffLeftMs(state.backoff, nowMs);
  if (leftMs > 0) return { kind: "wait", leftMs };
  if (!state.indexes) return { kind: "create", pods: Array.from({ length: count }, () => undefined) };
  const { waiting } = state.indexes;
  const pending = pendingIndexes(state, count).map((index) => ({ index, leftMs: indexBackoffLeftMs(waiting.get(index), nowMs) }));
  const ready = pending.filter((each) => each.leftMs === 0);
  if (ready.length > 0) return { kind: "create", pods: ready.map(({ index }) => index) };
  if (pending.length === 0) return { kind: "keep" };
  return { kind: "wait", leftMs: Math.min(...pending.map((each) => each.leftMs)) };
}

/** The lowest indexes that are neither done nor in work. */
function pendingIndexes({ job, pods, active, indexes }: JobState, count: number): readonly number[] {
  if (!indexes) return [];
  let taken = indexes.succeeded.union(indexesOf(active));
  if (replacesOnlyFailed(job)) taken = taken.union(indexesOf(pods.filter(isPodTerminating)));
  if (indexes.failed) taken = taken.union(indexes.failed);
  return taken.firstMissing(count, job.spec.completions ?? 0);
}
