// How many requests were served or waiting at most in the second that has just passed, reading ones apart from writing ones. The
// seconds are told apart when a request comes or the figures are read: no timer runs for it.
import type { Clock } from "../../base/clock.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";

const secondMs = 1000;
const readingVerbs = new Set(["get", "list", "watch"]);

/** One number, and its greatest value of late. */
class HighWatermark {
  #now = 0;
  #second = 0;
  #high = 0;
  #highBefore = 0;

  change(by: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#now += by;
    if (this.#now > this.#high) this.#high = this.#now;
  }

  /** Of the last whole second and the one that has begun. */
  read(nowMs: number): number {
    this.#turn(nowMs);
    return Math.max(this.#highBefore, this.#high);
  }

  #turn(nowMs: number): void {
    const second = Math.floor(nowMs / secondMs);
    if (second === this.#second) return;
    this.#highBefore = second === this.#second + 1 ? this.#high : this.#now;
    this.#high = this.#now;
    this.#second = second;
  }
}

interface RequestKind {
  readonly executing: HighWatermark;
  readonly waiting: HighWatermark;
}

const kind = (): RequestKind => ({ executing: new HighWatermark(), waiting: new HighWatermark() });

export class InFlight {
  readonly #reading = kind();
  readonly #writing = kind();

  /** `by`: 1 when it begins, -1 when it ends. */
  executing(verb: string, by: 1 | -1, nowMs: number): void {
    this.#of(verb).executing.change(by, nowMs);
  }

  waiting(verb: string, by: 1 | -1, nowMs: number): void {
    this.#of(verb).waiting.change(by, nowMs);
  }

  register(metrics: MetricsRegistry, clock: Pick<Clock, "monotonic">): void {
    const labels = ["request_kind"];
    const executing = metrics.gauge(
      "apiserver_current_inflight_requests",
      "[STABLE] Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
      labels,
    );
    const waiting = metrics.gauge(
      "apiserver_current_inqueue_requests",
      "[ALPHA] Maximal number of queued requests in this apiserver per request kind in last second.",
      labels,
    );
    metrics.beforeScrape(() => {
      const nowMs = clock.monotonic();
      for (const [name, counts] of [
        ["mutating", this.#writing],
        ["readOnly", this.#reading],
      ] as const) {
        executing.series(name).set(counts.executing.read(nowMs));
        waiting.series(name).set(counts.waiting.read(nowMs));
      }
    });
  }

  #of(verb: string): RequestKind {
    return readingVerbs.has(verb) ? this.#reading : this.#writing;
  }
}
