// Lets only so many pieces of work run at a time, urgent ones first, others in the order they came. Work that takes longer than
// its hold lets the next one begin without it, so that what hangs does not stop the rest.
import type { Clock } from "./clock.ts";

export interface TurnsOptions {
  /** How many run at a time. */
  readonly slots: number;
  /** After so long a piece of work no longer counts. Default 10 s. */
  readonly holdMs?: number;
}

export interface TurnRequest {
  /** Goes before all that are not. Default false. */
  readonly urgent?: boolean;
  /** Leaves the queue; work that has begun is its own business. */
  readonly signal?: AbortSignal;
}

export class Turns {
  readonly #clock: Clock;
  readonly #holdMs: number;
  #free: number;
  readonly #urgent = new Set<() => void>();
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock, { slots, holdMs = 10_000 }: TurnsOptions) {
    this.#clock = clock;
    this.#free = slots;
    this.#holdMs = holdMs;
  }

  /** Runs the work when its turn comes; rejects with the signal's reason when it is aborted before. */
  async take<T>(work: () => Promise<T>, { urgent = false, signal }: TurnRequest = {}): Promise<T> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#queue(urgent ? this.#urgent : this.#waiting, signal);
    let held = true;
    const release = (): void => {
      if (held) this.#next();
      held = false;
    };
    const tooLong = this.#clock.after(this.#holdMs, release);
    try {
      return await work();
    } finally {
      tooLong.cancel();
      release();
    }
  }

  #queue(queue: Set<() => void>, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        queue.delete(begin);
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        queue.delete(begin);
        reject(signal?.reason);
      };
      queue.add(begin);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** Hands the slot on, or keeps it for whoever comes. */
  #next(): void {
    const [begin] = this.#urgent.size > 0 ? this.#urgent : this.#waiting;
    if (begin) begin();
    else this.#free++;
  }
}
