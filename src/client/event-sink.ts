// Where recorders put what is to be written: a bounded buffer that one writer empties in order, so that recording never
// waits for the API server. When the buffer is full the newest is dropped; when the server cannot be reached a write is
// tried again, a bounded number of times.
import { StatusError } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";

export interface EventSinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Events waiting to be written; more are dropped. Default 1000. */
  readonly maxBuffered?: number;
}

/** One event to be written; throws what the client throws. */
export type EventWrite = (signal: AbortSignal) => Promise<void>;

const maxTries = 12;
const retryMs = 10_000;
/** How long stop() lets the buffer drain. */
const drainMs = 2_000;

export class EventSink implements Running {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxBuffered: number;
  readonly #abort = new AbortController();
  #buffer: EventWrite[] = [];
  #writer: Promise<void> | undefined;
  #dropped = 0;

  constructor(options: EventSinkOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#maxBuffered = options.maxBuffered ?? 1000;
  }

  /** Events dropped because the buffer was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Never waits, never throws. */
  put(write: EventWrite): void {
    if (this.#abort.signal.aborted || this.#buffer.length >= this.#maxBuffered) {
      this.#dropped++;
      return;
    }
    this.#buffer.push(write);
    this.#writer ??= this.#drain();
  }

  /** Resolves when everything put so far has been written or given up. */
  async flushed(): Promise<void> {
    await this.#writer;
  }

  async stop(): Promise<void> {
    const limit = this.#clock.after(drainMs, () => this.#abort.abort(new Error("the event recorder is stopped")));
    await this.#writer;
    limit.cancel();
    this.#abort.abort(new Error("the event recorder is stopped"));
  }

  async #drain(): Promise<void> {
    while (this.#buffer.length > 0) {
      const batch = this.#buffer;
      this.#buffer = [];
      for (const write of batch) {
        if (this.#abort.signal.aborted) this.#dropped++;
        else await this.#write(write);
      }
    }
    this.#writer = undefined;
  }

  async #write(write: EventWrite): Promise<void> {
    const { signal } = this.#abort;
    for (let attempt = 1; ; attempt++) {
      try {
        return await write(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof StatusError) {
          // The server has looked at the event and does not want it (its namespace may be going): no use to insist.
          this.#logger.info("The server refused an event", { error }, error.reason === "AlreadyExists" ? 5 : 2);
          return;
        }
        if (attempt >= maxTries) {
          this.#logger.error("Failed to write an event, giving up", { error });
          return;
        }
        await this.#clock.sleep(retryMs * (1 + this.#clock.random() * 0.25), signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason;
        });
      }
    }
  }
}
