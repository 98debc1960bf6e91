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

/** The mirror is no longer kept: the server stops, or the resource is no longer served. */
export class CacheStoppedError extends Error {
  constructor() {
    super("the watch cache has been stopped");
    this.name = "CacheStoppedError";
  }
}

interface Waiting {
  readonly revision: number;
  readonly resolve: () => void;
  readonly fail: (error: Error) => void;
}

export class Progress {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #revision = 0;
  #stopped = false;

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

  /** There will be no more progress: who waits is told. */
  stop(): void {
    this.#stopped = true;
    for (const waiter of this.#waiting) waiter.fail(new CacheStoppedError());
    this.#waiting.clear();
  }

  /** Resolves when `revision` has been reached; throws RevisionNotReachedError after `timeoutMs`, CacheStoppedError. */
  reach(revision: number, timeoutMs: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve();
    if (this.#stopped) return Promise.reject(new CacheStoppedError());
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
        fail: (error) => {
          timer.cancel();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
    });
  }
}
