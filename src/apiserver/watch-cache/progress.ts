// How far a mirror of the store has come, and who waits for it to come further.
import type { Clock } from "../../base/clock.ts";

/** A revision was not reached in time. */
export class RevisionNotReachedError extends Error {
  readonly revision: number;
  readonly current: number;
  constructor(revision: number, current: number) {
    super(`Too large resource version: ${revision}, current: ${current}`);
    this.name = "RevisionNotReachedError";
    this.revision = revision;
    this.current = current;
  }
}

interface Waiting {
  readonly revision: number;
  readonly resolve: () => void;
}

export class Progress {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #revision = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get revision(): number {
    return this.#revision;
  }

  advance(revision: number): void {
    if (revision > this.#revision) this.#revision = revision;
    if (this.#waiting.size === 0) return;
    for (const waiter of this.#waiting) {
      if (waiter.revision > this.#revision) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  /** Resolves when `revision` has been reached; throws RevisionNotReachedError after `timeoutMs`. */
  reach(revision: number, timeoutMs: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#waiting.delete(waiter);
        reject(new RevisionNotReachedError(revision, this.#revision));
      });
      const waiter: Waiting = {
        revision,
        resolve: () => {
          timer.cancel();
          resolve();
        },
      };
      this.#waiting.add(waiter);
    });
  }
}
