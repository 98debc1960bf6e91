// How often a failed daemon pod is replaced: the kubelet may refuse every new one at once, and replacing each would be a race
// between the two. Per set, version and node the delay doubles from a second to a quarter of an hour.
import type { DaemonSet } from "../../api/types/apps-v1.ts";
import { LruMap } from "../../base/lru-map.ts";

const firstMs = 1000;
const longestMs = 15 * 60_000;
/** After so long without a failure it counts as the first. */
const forgottenMs = 2 * longestMs;
const maxRemembered = 10_000;

export class FailedPodBackoff {
  readonly #delays = new LruMap<string, { readonly delayMs: number; readonly atMs: number }>(maxRemembered);

  /** How long to wait before a failed pod of the set on this node may be replaced; 0 for not at all. */
  leftMs(set: DaemonSet, nodeName: string, nowMs: number): number {
    const last = this.#delays.get(keyFor(set, nodeName));
    return last && nowMs - last.atMs <= forgottenMs ? Math.max(0, last.atMs + last.delayMs - nowMs) : 0;
  }

  /** A failed pod is replaced now. */
  replaced(set: DaemonSet, nodeName: string, nowMs: number): void {
    const key = keyFor(set, nodeName);
    const last = this.#delays.get(key);
    const delayMs = last && nowMs - last.atMs <= forgottenMs ? Math.min(2 * last.delayMs, longestMs) : firstMs;
    this.#delays.set(key, { delayMs, atMs: nowMs });
  }
}

function keyFor({ metadata, status }: DaemonSet, nodeName: string): string {
  return `${metadata.uid}/${status?.observedGeneration ?? 0}/${nodeName}`;
}
