// How fast watches are written to. A write costs the server and the client a TLS record, a system call and a wake-up, whatever
// it holds: a hundred watchers that were each sent every change by itself would spend their time on that. So a watcher's event
// goes out at once while little is written; where writes come faster than the pace, watchers wait a few milliseconds after a
// write, and find what has happened meanwhile in one batch.
import type { Clock } from "../../base/clock.ts";

/** What a write counts: so long after it, the next is due. */
const writeMs = 0.4;
/** Writes may be ahead of the pace by so much. */
const slackMs = 4;
/** However many there are that watch, none waits longer. */
const longestPauseMs = 20;

export class WatchPace {
  readonly #clock: Clock;
  /** When the writes so far are through, at the pace. */
  #dueMs = 0;
  #pause: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes note of a write; gives what its writer has to wait for before it writes again. */
  wrote(): Promise<void> | undefined {
    const nowMs = this.#clock.monotonic();
    this.#dueMs = Math.max(this.#dueMs, nowMs) + writeMs;
    const aheadMs = this.#dueMs - nowMs;
    if (aheadMs <= slackMs) return undefined;
    this.#pause ??= this.#clock.sleep(Math.min(aheadMs, longestPauseMs)).then(() => {
      this.#pause = undefined;
    });
    return this.#pause;
  }
}
