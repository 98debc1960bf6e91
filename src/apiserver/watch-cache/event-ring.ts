// The recent events of a watch cache, oldest first: what a watch that begins at an older revision is given. It holds at
// least `minEvents`, keeps what is younger than `maxAgeMs`, and never more than `maxEvents`, nor versions of objects that are
// over of more than `maxBytes`.
import type { CacheEvent } from "./cache-event.ts";

export interface EventRingOptions {
  /** Default 256. */
  readonly minEvents?: number;
  /** Default 32768. */
  readonly maxEvents?: number;
  /** Of JSON that only the ring still keeps; in memory an object takes about as much again. Default 32 MiB. */
  readonly maxBytes?: number;
  /** Default 75 s: upstream's, longer than a client takes to come back after its watch has timed out. */
  readonly maxAgeMs?: number;
}

export class EventRing {
  readonly #minEvents: number;
  readonly #maxEvents: number;
  readonly #maxAgeMs: number;
  readonly #maxBytes: number;
  #bytes = 0;
  #events: CacheEvent[] = [];
  #times: number[] = [];
  /** Of what was before each event. */
  #sizes: number[] = [];
  #head = 0;
  #completeAfter = 0;

  constructor(options: EventRingOptions = {}) {
    this.#minEvents = options.minEvents ?? 256;
    this.#maxEvents = options.maxEvents ?? 32_768;
    this.#maxBytes = options.maxBytes ?? 32 * 2 ** 20;
    this.#maxAgeMs = options.maxAgeMs ?? 75_000;
  }

  /** All events with a greater revision are here. */
  get completeAfter(): number {
    return this.#completeAfter;
  }

  get capacity(): number {
    return this.#maxEvents;
  }

  get size(): number {
    return this.#events.length - this.#head;
  }

  /** Starts over from a state read at `revision`. */
  reset(revision: number): void {
    this.#events = [];
    this.#times = [];
    this.#sizes = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#completeAfter = revision;
  }

  push(event: CacheEvent, nowMs: number): void {
    this.#events.push(event);
    this.#times.push(nowMs);
    this.#sizes.push(bytesOf(event));
    this.#bytes += bytesOf(event);
    this.trim(nowMs);
  }

  /** How long until events are too old that are more than are kept anyhow; undefined where there are none of those. */
  msUntilTrim(nowMs: number): number | undefined {
    if (this.size <= this.#minEvents) return undefined;
    return Math.max(0, (this.#times[this.#events.length - 1 - this.#minEvents] as number) + this.#maxAgeMs - nowMs);
  }

  /** Forgets what is too old. */
  trim(nowMs: number): void {
    const first = this.#head;
    while (this.size > this.#maxEvents || (this.size > this.#minEvents && this.#isOver(nowMs))) {
      this.#completeAfter = (this.#events[this.#head] as CacheEvent).revision;
      this.#bytes -= this.#sizes[this.#head] as number;
      this.#head++;
    }
    // Dropped slots are given back in one move when they are half of the array: constant work per event.
    if (this.#head > 1024 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#times = this.#times.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    } else if (this.#head > first) {
      (this.#events as (CacheEvent | undefined)[]).fill(undefined, first, this.#head);
    }
  }

  /** Whether the oldest event need not be kept any longer. */
  #isOver(nowMs: number): boolean {
    return this.#bytes > this.#maxBytes || (this.#times[this.#head] as number) <= nowMs - this.#maxAgeMs;
  }

  /** Puts older events in front, which reach back to `completeAfter`. Gives false, and does nothing, where they are too many. */
  prepend(events: readonly CacheEvent[], completeAfter: number, nowMs: number): boolean {
    if (this.size + events.length > this.#maxEvents) return false;
    this.#events = [...events, ...this.#events.slice(this.#head)];
    this.#times = [...events.map(() => this.#times[this.#head] ?? nowMs), ...this.#times.slice(this.#head)];
    const sizes = events.map(bytesOf);
    this.#sizes = [...sizes, ...this.#sizes.slice(this.#head)];
    this.#head = 0;
    this.#bytes = this.#sizes.reduce((sum, size) => sum + size, 0);
    this.#completeAfter = completeAfter;
    return true;
  }

  /** Visits the events with a revision greater than `revision`, oldest first. */
  forEachAfter(revision: number, visit: (event: CacheEvent) => void): void {
    let low = this.#head;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#events[middle] as CacheEvent).revision <= revision) low = middle + 1;
      else high = middle;
    }
    for (; low < this.#events.length; low++) visit(this.#events[low] as CacheEvent);
  }
}

/** What was before a change is kept for the ring alone. */
function bytesOf({ previous }: CacheEvent): number {
  return previous?.storedBytes ?? 0;
}
