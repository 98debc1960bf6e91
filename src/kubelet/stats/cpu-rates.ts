// How many cores something uses at present, from the CPU time it had used at two moments. Readings closer together than a
// second would make a rate of noise: the last rate stands until then. What is no longer measured is forgotten.
import type { CpuReading } from "./measurement.ts";

interface Known {
  readonly timeMs: number;
  readonly nanoseconds: number;
  readonly nanoCores: number | undefined;
  round: number;
}

const minIntervalMs = 1000;

export class CpuRates {
  readonly #known = new Map<string, Known>();
  #round = 0;

  /** The reading with its rate. A counter that went back belongs to something new. */
  reading(key: string, timeMs: number, nanoseconds: number): CpuReading {
    const last = this.#known.get(key);
    const elapsedMs = last ? timeMs - last.timeMs : 0;
    if (last && nanoseconds >= last.nanoseconds && elapsedMs < minIntervalMs) {
      last.round = this.#round;
      return withRate(timeMs, nanoseconds, last.nanoCores);
    }
    const grew = last !== undefined && nanoseconds >= last.nanoseconds;
    const nanoCores = grew ? Math.round(((nanoseconds - last.nanoseconds) * 1000) / elapsedMs) : undefined;
    this.#known.set(key, { timeMs, nanoseconds, nanoCores, round: this.#round });
    return withRate(timeMs, nanoseconds, nanoCores);
  }

  /** A measurement is complete: what it did not read is gone. */
  endRound(): void {
    for (const [key, { round }] of this.#known) if (round !== this.#round) this.#known.delete(key);
    this.#round++;
  }
}

function withRate(timeMs: number, nanoseconds: number, nanoCores: number | undefined): CpuReading {
  return nanoCores === undefined ? { timeMs, nanoseconds } : { timeMs, nanoseconds, nanoCores };
}
