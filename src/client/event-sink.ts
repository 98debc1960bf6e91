// Where recorders put what is to be written: a bounded buffer that one writer empties, so that recording never waits for the
// API server. New events are written side by side, a change of one that may be among them after those before it. When the
// buffer is full the newest is dropped; when the server cannot be reached a write is tried again, a bounded number of times.
import { setMaxListeners } from "node:events";
import { StatusError } from "../api/meta/status-error.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";

export interface EventSinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Events waiting to be written; more are dropped. Default 1000. */
  readonly maxBuffered?: number;
  /** Whether the component has more important things to ask of the server: then events wait, for a while and while there is room. */
  readonly isBusy?: () => boolean;
}

/** One event to be written; throws what the client throws. */
export type EventWrite = (signal: AbortSignal) => Promise<void>;

interface Waiting {
  readonly write: EventWrite;
  /** On the monotonic clock. */
  readonly sinceMs: number;
  /** It changes an event that others may be about to create. */
  readonly inOrder: boolean;
}

/** Writes under way at a time. */
const maxTogether = 32;
/** Events wait for what is more important for so long, looking up now and then, and while so much of the buffer is free. */
const maxYieldMs = 10_000;
const yieldMs = 50;
const yieldShare = 0.75;

const maxTries = 12;
const retryMs = 10_000;
/** How long stop() lets the buffer drain. */
const drainMs = 2_000;

export class EventSink implements Running {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #maxBuffered: number;
  readonly #isBusy: () => boolean;
  readonly #abort = new AbortController();
  readonly #buffer: Waiting[] = [];
  #writer: Promise<void> | undefined;
  #dropped = 0;
  #stopping = false;

  constructor(options: EventSinkOptions) {
    // One listener per write under way: many are no leak.
    setMaxListeners(0, this.#abort.signal);
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#maxBuffered = options.maxBuffered ?? 1000;
    this.#isBusy = options.isBusy ?? (() => false);
  }

  /** Events dropped because the buffer was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Never waits, never throws. `inOrder`: when all that was put before it has been written, and before what is put later. */
  put(write: EventWrite, { inOrder = false } = {}): void {
    if (this.#abort.signal.aborted || this.#buffer.length >= this.#maxBuffered) {
      this.#dropped++;
      return;
    }
    this.#buffer.push({ write, inOrder, sinceMs: this.#clock.monotonic() });
    this.#writer ??= this.#drain();
  }

  /** Resolves when everything put so far has been written or given up. */
  async flushed(): Promise<void> {
    await this.#writer;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const limit = this.#clock.after(drainMs, () => this.#abort.abort(new Error("the event recorder is stopped")));
    await this.#writer;
    limit.cancel();
    this.#abort.abort(new Error("the event recorder is stopped"));
  }

  async #drain(): Promise<void> {
    while (this.#buffer.length > 0) {
      if (this.#yields()) {
        await this.#clock.sleep(yieldMs, this.#abort.signal).catch(() => undefined);
        continue;
      }
      const together = this.#buffer.splice(0, this.#countTogether());
      if (this.#abort.signal.aborted) this.#dropped += together.length;
      else await Promise.all(together.map(({ write }) => this.#write(write)));
    }
    this.#writer = undefined;
  }

  #yields(): boolean {
    if (this.#stopping || this.#buffer.length > this.#maxBuffered * yieldShare || !this.#isBusy()) return false;
    const [oldest] = this.#buffer;
    return oldest !== undefined && this.#clock.monotonic() - oldest.sinceMs < maxYieldMs;
  }

  /** How many of the first in the buffer may be written side by side. */
  #countTogether(): number {
    if (this.#buffer[0]?.inOrder) return 1;
    const end = this.#buffer.slice(0, maxTogether).findIndex(({ inOrder }) => inOrder);
    return end < 0 ? maxTogether : end;
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
