// What this server keeps as it has to be while it runs: it is looked at when the server starts, and again after every period.
// Looks never overlap; one that fails is told of, and made again with the next.
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";

export interface KeptOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** "The service kubernetes": what was not brought up to date. */
  readonly what: string;
  readonly periodMs: number;
  reconcile(): Promise<void>;
}

export class Kept implements Running {
  readonly #options: KeptOptions;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();
  #cancel: () => void = () => undefined;

  constructor(options: KeptOptions) {
    this.#options = options;
  }

  /** Resolves with the first look, and rejects where that fails. */
  async start(): Promise<void> {
    const { clock, logger, what, periodMs } = this.#options;
    await this.#options.reconcile();
    if (this.#stopped) return;
    const timer = clock.every(periodMs, () => {
      this.#running = this.#running
        .then(() => (this.#stopped ? undefined : this.#options.reconcile()))
        .catch((error: unknown) => logger.warn(`${what} was not brought up to date`, { error }));
    });
    this.#cancel = () => timer.cancel();
  }

  /** Waits for a look that has begun after the first. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#running;
  }
}
