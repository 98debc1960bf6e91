// Deletes keys whose time to live has passed, each with a revision of its own: what etcd does with leases. A key stays
// visible until that delete is committed.
import type { Clock, Timer } from "../base/clock.ts";
import { SortedMap } from "../base/sorted-map.ts";
import { isTombstone, type Version } from "./version-index.ts";

/** At most so many keys are deleted at a time. */
const sweepLimit = 1000;
/** Expiries are not looked for more often than this. */
const minDelayMs = 100;
/** The wait after a sweep in which a delete failed. */
const retryDelayMs = 5000;

export interface ExpiryOptions {
  readonly clock: Clock;
  /** Deletes the key if it still is at this version. */
  readonly expire: (version: Version) => Promise<void>;
}

export class Expiry {
  readonly #clock: Clock;
  readonly #expire: (version: Version) => Promise<void>;
  readonly #pending = new SortedMap<Version>();
  #timer: Timer | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #sweeping = false;
  #stopped = false;

  constructor({ clock, expire }: ExpiryOptions) {
    this.#clock = clock;
    this.#expire = expire;
  }

  /** Takes note of a committed version, which replaces what its key held before. */
  track(version: Version): void {
    if (version.previous?.expiresAtMs) this.#pending.delete(pendingKey(version.previous));
    if (version.expiresAtMs > 0 && !isTombstone(version)) {
      this.#pending.set(pendingKey(version), version);
      this.#arm(0);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #arm(notBeforeMs: number): void {
    const next = this.#pending.first();
    if (!next || this.#stopped || this.#sweeping) return;
    const nowMs = this.#clock.now();
    const atMs = Math.max(next.expiresAtMs, notBeforeMs, nowMs + minDelayMs);
    if (this.#timer && this.#timerAtMs <= atMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#clock.after(atMs - nowMs, () => void this.#sweep());
  }

  async #sweep(): Promise<void> {
    this.#timer = undefined;
    this.#sweeping = true;
    const nowMs = this.#clock.now();
    const due: Version[] = [];
    for (const version of this.#pending.between("", "~")) {
      if (version.expiresAtMs > nowMs || due.length >= sweepLimit) break;
      due.push(version);
    }
    const results = await Promise.allSettled(due.map((version) => this.#expire(version)));
    this.#sweeping = false;
    // A failed delete (a full disk) is still pending: its key expires later.
    this.#arm(results.some((r) => r.status === "rejected") ? this.#clock.now() + retryDelayMs : 0);
  }
}

/** Sorts by time. */
function pendingKey({ expiresAtMs, key }: Version): string {
  return `${String(expiresAtMs).padStart(16, "0")} ${key}`;
}
