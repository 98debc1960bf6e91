// How many pulls may begin (registryPullQPS, registryBurst): a bucket of tokens that fills at that rate. A pull for which
// there is none fails, and is tried again after its back-off, as upstream has it.
import type { Clock } from "../../base/clock.ts";

export class PullRate {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAtMs: number;

  /** `perSecond` 0 is no limit. */
  constructor(clock: Clock, { perSecond, burst }: { readonly perSecond: number; readonly burst: number }) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAtMs = clock.monotonic();
  }

  /** Throws when this pull is one too many. */
  take(): void {
    if (this.#perSecond <= 0) return;
    const now = this.#clock.monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAtMs) / 1000) * this.#perSecond);
    this.#filledAtMs = now;
    if (this.#tokens < 1) throw new Error("pull QPS exceeded");
    this.#tokens--;
  }
}
