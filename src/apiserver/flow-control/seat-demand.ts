// Measures how many seats a priority level wanted over a period: the seats in use and those waited for, as a function of time,
// of which the average, the deviation and the highest value are taken.
import type { Clock } from "../../base/clock.ts";
import type { SeatDemand } from "./concurrency-limits.ts";

/** Of the earlier smoothed value, after one period. */
const decay = 0.977;

export class SeatDemandMeter {
  readonly #clock: Clock;
  #value = 0;
  #sinceMs: number;
  #startMs: number;
  #sum = 0;
  #squares = 0;
  #high = 0;
  #smoothed = 0;
  /** Of the last whole period. */
  last: SeatDemand = { highWatermark: 0, average: 0, deviation: 0, smoothed: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = this.#sinceMs = clock.monotonic();
  }

  get value(): number {
    return this.#value;
  }

  /** `nowMs`: the clock's monotonic time. */
  set(value: number, nowMs: number): void {
    this.#integrate(nowMs);
    this.#value = value;
    if (value > this.#high) this.#high = value;
  }

  /** Ends the period and begins the next. */
  endPeriod(): SeatDemand {
    this.#integrate(this.#clock.monotonic());
    const lengthMs = this.#sinceMs - this.#startMs;
    const average = lengthMs > 0 ? this.#sum / lengthMs : this.#value;
    const deviation = lengthMs > 0 ? Math.sqrt(Math.max(0, this.#squares / lengthMs - average * average)) : 0;
    const envelope = average + deviation;
    this.#smoothed = Math.max(envelope, decay * this.#smoothed + (1 - decay) * envelope);
    this.last = { highWatermark: this.#high, average, deviation, smoothed: this.#smoothed };
    this.#startMs = this.#sinceMs;
    this.#sum = this.#squares = 0;
    this.#high = this.#value;
    return this.last;
  }

  #integrate(nowMs: number): void {
    const passedMs = nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    this.#sum += this.#value * passedMs;
    this.#squares += this.#value * this.#value * passedMs;
  }
}
