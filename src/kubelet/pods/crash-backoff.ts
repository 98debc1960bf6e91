// The delays between restarts of a container that keeps ending, and between pulls of an image that keep failing: 10 s,
// doubling to 300 s; forgotten when nothing went wrong for twice the longest delay (upstream's client-go flowcontrol
// back-off). The first restart is immediate.
import type { Clock } from "../../base/clock.ts";

interface Entry {
  readonly delayMs: number;
  readonly updatedAtMs: number;
}

export interface BackOffOptions {
  /** Default 10 s. */
  readonly initialMs?: number;
  /** Default 300 s. */
  readonly maxMs?: number;
}

export class CrashBackOff {
  readonly #clock: Clock;
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, options: BackOffOptions = {}) {
    this.#clock = clock;
    this.#maxMs = options.maxMs ?? 300_000;
    // No delay is longer than the longest, the first one neither.
    this.#initialMs = Math.min(options.initialMs ?? 10_000, this.#maxMs);
  }

  /** The delay in force after an end at `sinceMs`, or undefined when the next try may be made now. */
  delayAfter(key: string, sinceMs: number): { readonly delayMs: number; readonly untilMs: number } | undefined {
    const entry = this.#entries.get(key);
    if (!entry || this.#expired(entry, sinceMs)) return undefined;
    const untilMs = sinceMs + entry.delayMs;
    return this.#clock.now() < untilMs ? { delayMs: entry.delayMs, untilMs } : undefined;
  }

  /** The same, counted from the last failure that was recorded. */
  delay(key: string): { readonly delayMs: number; readonly untilMs: number } | undefined {
    const entry = this.#entries.get(key);
    return entry && this.delayAfter(key, entry.updatedAtMs);
  }

  /** A try is being made after an end at `sinceMs`: lengthens the delay before the one after it. */
  next(key: string, sinceMs: number): void {
    const entry = this.#entries.get(key);
    const delayMs = !entry || this.#expired(entry, sinceMs) ? this.#initialMs : Math.min(entry.delayMs * 2, this.#maxMs);
    this.#entries.set(key, { delayMs, updatedAtMs: this.#clock.now() });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }

  /** Drops every key that begins so: of a pod that is gone. */
  forgetPrefix(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }

  #expired(entry: Entry, eventMs: number): boolean {
    return eventMs - entry.updatedAtMs > 2 * this.#maxMs;
  }
}
