// Ownership of what runs. Whatever is started belongs to someone who stops it: a component returns a `Running` from its
// start function, a `StopStack` stops a group in the reverse order of its start.

export interface Running {
  /** Stops and resolves when nothing of it runs any more; safe to call twice. */
  stop(): Promise<void>;
}

export class StopStack implements Running {
  readonly #stops: (() => Promise<void> | void)[] = [];
  #stopping: Promise<void> | undefined;

  /** Registers what has been started and returns it. After stop() has begun, it is stopped at once. */
  add<T extends Running>(running: T): T {
    this.defer(() => running.stop());
    return running;
  }

  defer(stop: () => Promise<void> | void): void {
    if (this.#stopping) void Promise.resolve(stop());
    else this.#stops.push(stop);
  }

  /** What is still being started may as well not be. */
  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Stops everything, last first; one failure does not keep the others from being stopped. */
  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      const errors: unknown[] = [];
      for (const stop of this.#stops.splice(0).reverse()) {
        try {
          await stop();
        } catch (error) {
          errors.push(error);
        }
      }
      if (errors.length > 0) throw new AggregateError(errors, `stopping: ${errors.map(String).join("; ")}`);
    })();
    return this.#stopping;
  }
}

/** Keeps the process alive until the work is done: timers of the clock do not, and work may be waiting for nothing else. */
export async function keepingAlive<T>(work: Promise<T>): Promise<T> {
  const handle = setInterval(() => undefined, 2 ** 30);
  try {
    return await work;
  } finally {
    clearInterval(handle);
  }
}
