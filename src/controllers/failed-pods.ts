// How often a failed pod that has one certain place is replaced: the kubelet may refuse every new one at once, and replacing each
// would be a race between the two. Per place (a key of the controller's own) the delay doubles from a second to the longest.
import { LruMap } from "../base/lru-map.ts";

const firstMs = 1000;
const maxRemembered = 10_000;

export class FailedPodBackoff {
  readonly #delays = new LruMap<string, { readonly delayMs: number; readonly atMs: number }>(maxRemembered);
  readonly #longestMs: number;

  constructor({ longestMs }: { readonly longestMs: number }) {
    this.#longestMs = longestMs;
  }

  /** How long to wait before a failed pod of this place may be replaced; 0 for not at all. */
  leftMs(place: string, nowMs: number): number {
    const last = this.#recent(place, nowMs);
    return last ? Math.max(0, last.atMs + last.delayMs - nowMs) : 0;
  }

  /** A failed pod is replaced now. */
  replaced(place: string, nowMs: number): void {
    const last = this.#recent(place, nowMs);
    this.#delays.set(place, { delayMs: last ? Math.min(2 * last.delayMs, this.#longestMs) : firstMs, atMs: nowMs });
  }

  /** After twice the longest delay without a failure the next one counts as the first. */
  #recent(place: string, nowMs: number): { readonly delayMs: number; readonly atMs: number } | undefined {
    const last = this.#delays.get(place);
    return last && nowMs - last.atMs <= 2 * this.#longestMs ? last : undefined;
  }
}
