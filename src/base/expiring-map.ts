// A bounded Map whose entries are good for a time: the caches of what others were asked.
import type { Clock } from "./clock.ts";
import { LruMap } from "./lru-map.ts";

interface Entry<V> {
  readonly value: V;
  readonly untilMs: number;
}

export class ExpiringMap<K, V> {
  readonly #entries: LruMap<K, Entry<V>>;
  readonly #clock: Pick<Clock, "monotonic">;

  constructor(maxEntries: number, clock: Pick<Clock, "monotonic">) {
    this.#entries = new LruMap(maxEntries);
    this.#clock = clock;
  }

  /** Those that are good no more may count too. */
  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.untilMs > this.#clock.monotonic()) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** Nothing is kept for a time of 0. */
  set(key: K, value: V, timeMs: number): void {
    if (timeMs > 0) this.#entries.set(key, { value, untilMs: this.#clock.monotonic() + timeMs });
  }
}
