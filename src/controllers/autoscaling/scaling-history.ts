// What an autoscaler has recommended and done lately: recommendations are stabilised against each other, and the rates of its
// policies are counted against its own changes. Kept in memory only, as upstream; what no window looks at any more is dropped.

export interface Recommendation {
  readonly replicas: number;
  readonly atMs: number;
}

export interface ScaleChange {
  /** Pods added or taken away. */
  readonly pods: number;
  readonly atMs: number;
}

export interface ScalingHistory {
  readonly recommendations: readonly Recommendation[];
  readonly added: readonly ScaleChange[];
  readonly removed: readonly ScaleChange[];
}

export const emptyHistory: ScalingHistory = { recommendations: [], added: [], removed: [] };

/** More than any window holds at the shortest period; a bound should the clock be odd. */
const maxEntries = 4096;

/** The list with an entry more, without those that are older than the longest window. */
export function remember<T extends { readonly atMs: number }>(
  list: readonly T[],
  entry: T,
  { windowMs, nowMs }: { readonly windowMs: number; readonly nowMs: number },
): readonly T[] {
  return [...list.filter(({ atMs }) => atMs >= nowMs - windowMs), entry].slice(-maxEntries);
}

/** Pods of the changes within a period. */
export function changeWithin(changes: readonly ScaleChange[], periodSeconds: number, nowMs: number): number {
  return changes.reduce((sum, { pods, atMs }) => (atMs > nowMs - periodSeconds * 1000 ? sum + pods : sum), 0);
}
