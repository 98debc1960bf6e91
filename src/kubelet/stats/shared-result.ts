// One measurement for all who ask at the same time, and for those who ask soon after: a caller says how old it may be. A caller
// that gives up does not end the measurement, which has deadlines of its own.
import type { Clock } from "../../base/clock.ts";

export class SharedResult<T> {
  readonly #clock: Clock;
  readonly #make: () => Promise<T>;
  #last: { readonly value: T; readonly atMs: number } | undefined;
  #running: Promise<T> | undefined;

  constructor(clock: Clock, make: () => Promise<T>) {
    this.#clock = clock;
    this.#make = make;
  }

  async get(maxAgeMs: number, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const last = this.#last;
    if (last && maxAgeMs > 0 && this.#clock.monotonic() - last.atMs <= maxAgeMs) return last.value;
    this.#running ??= this.#measure();
    return signal ? raceAbort(this.#running, signal) : this.#running;
  }

  async #measure(): Promise<T> {
    try {
      const value = await this.#make();
      this.#last = { value, atMs: this.#clock.monotonic() };
      return value;
    } finally {
      this.#running = undefined;
    }
  }
}

/** Rejects with the signal's reason when it aborts first; the work goes on. */
export function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
