// Gathers events and hands them on in batches, so that requests never wait for what is behind. The buffer has a bound: what
// finds it full is dropped and counted. Batches go out one after the other, or some at once where one may take long, and no more
// of them a second than allowed.
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Series } from "../../base/metrics.ts";
import { loggedAuditId } from "../request.ts";
import type { AuditBackend } from "./audit-backend.ts";
import type { AuditEvent } from "./audit-event.ts";

export interface BatchOptions {
  /** Events that may wait. */
  readonly bufferSize: number;
  /** Events in a batch. */
  readonly maxBatchSize: number;
  /** After so long an incomplete batch goes out; 0: at once. */
  readonly maxWaitMs: number;
  /** Batches that may be under way at once; default 1. */
  readonly concurrency?: number;
  /** Batches a second, and how many may go at once after a pause. Absent: no limit. */
  readonly throttle?: { readonly perSecond: number; readonly burst: number };
}

export interface BatchDeps {
  readonly next: AuditBackend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts what is lost behind. */
  readonly errors: Series;
  /** Counts what finds the buffer full. */
  readonly dropped: Series;
}

export function createBatchBackend(deps: BatchDeps, options: BatchOptions): AuditBackend {
  return new Batches(deps, options);
}

class Batches implements AuditBackend {
  readonly #deps: BatchDeps;
  readonly #options: BatchOptions;
  #buffer: AuditEvent[] = [];
  #timer: Timer | undefined;
  #sending: Promise<void> | undefined;
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;
  #tokens: number;
  #tokensAtMs: number;

  constructor(deps: BatchDeps, options: BatchOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#tokens = options.throttle?.burst ?? 0;
    this.#tokensAtMs = deps.clock.monotonic();
  }

  write(events: readonly AuditEvent[]): void {
    for (const event of events) {
      if (this.#stopped || this.#buffer.length >= this.#options.bufferSize) {
        this.#deps.dropped.add();
        this.#deps.logger.info("Audit event dropped: the buffer is full", { auditID: loggedAuditId(event.auditID) }, 2);
      } else this.#buffer.push(event);
    }
    if (this.#isFull() || this.#options.maxWaitMs <= 0) this.#send();
    else this.#timer ??= this.#deps.clock.after(this.#options.maxWaitMs, () => this.#send());
  }

  /** Sends what is left. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#send();
    await this.#sending;
    await Promise.all(this.#underWay);
    await this.#deps.next.stop();
  }

  /** No more can be waited for: a batch, or what there is room for. */
  #isFull(): boolean {
    return this.#buffer.length >= Math.min(this.#options.maxBatchSize, this.#options.bufferSize);
  }

  #send(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#buffer.length === 0) return;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined;
      // What came while the last batch went out, and is no whole batch, waits for its time.
      if (this.#buffer.length > 0) this.#timer ??= this.#deps.clock.after(this.#options.maxWaitMs, () => this.#send());
    });
  }

  async #drain(): Promise<void> {
    do {
      await this.#turn();
      const batch = this.#write(this.#buffer.splice(0, this.#options.maxBatchSize));
      this.#underWay.add(batch);
      void batch.then(() => this.#underWay.delete(batch));
      if (this.#underWay.size >= (this.#options.concurrency ?? 1)) await Promise.race(this.#underWay);
    } while (this.#isFull() || (this.#stopped && this.#buffer.length > 0));
  }

  async #write(batch: readonly AuditEvent[]): Promise<void> {
    const { next, logger, errors } = this.#deps;
    try {
      await next.write(batch);
    } catch (error) {
      errors.add(batch.length);
      logger.error("Audit events lost", { events: batch.length, error });
    }
  }

  /** Waits until another batch may go; what is left at the end may always. */
  async #turn(): Promise<void> {
    const { throttle } = this.#options;
    if (!throttle || this.#stopped) return;
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    this.#tokens = Math.min(throttle.burst, this.#tokens + ((nowMs - this.#tokensAtMs) / 1000) * throttle.perSecond);
    this.#tokensAtMs = nowMs;
    if (this.#tokens < 1) await clock.sleep(((1 - this.#tokens) / throttle.perSecond) * 1000);
    this.#tokens--;
  }
}
