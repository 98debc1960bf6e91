// Traces: what was done, how long it took, and as part of what. Spans that are open are found by those begun within them
// (AsyncLocalStorage), and go to an exporter in batches; while it is away they are kept up to a bound, and then dropped.
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "./clock.ts";
import type { Running } from "./lifecycle.ts";
import { errorText, type Logger } from "./log.ts";

export type SpanAttributes = Readonly<Record<string, string | number>>;

export interface FinishedSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  /** Empty for the first of a trace. */
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly isCall: boolean;
  /** Nanoseconds since 1970. */
  readonly beganNs: bigint;
  readonly endedNs: bigint;
  readonly attributes: SpanAttributes;
  /** What failed; undefined where nothing did. */
  readonly error?: string;
}

export interface TracerDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Rejects when they could not be handed over; they are not tried again. */
  readonly exportSpans: (spans: readonly FinishedSpan[]) => Promise<void>;
}

export interface SpanOptions {
  readonly attributes?: SpanAttributes;
  /** Something is asked of another process. Default false. */
  readonly isCall?: boolean;
}

interface OpenSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly sampled: boolean;
}

const million = 1_000_000;
const batchMs = 5_000;
const batchSize = 512;
const maxQueued = 2_048;

export class Tracer implements Running {
  readonly #deps: TracerDependencies;
  readonly #bound: bigint;
  readonly #current = new AsyncLocalStorage<OpenSpan>();
  #queue: FinishedSpan[] = [];
  #timer: Timer | undefined;
  #exporting: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `perMillion`: of a million traces so many are kept. */
  constructor(deps: TracerDependencies, { perMillion }: { readonly perMillion: number }) {
    this.#deps = deps;
    this.#bound = (2n ** 64n * BigInt(perMillion)) / BigInt(million);
  }

  /** Does the work as a span of that name, within the one that is open. */
  async span<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
    const parent = this.#current.getStore();
    const span = this.#open(parent);
    if (!span.sampled) return await (parent ? work() : this.#current.run(span, work));
    const { clock } = this.#deps;
    const [beganMs, begunAt] = [clock.now(), clock.monotonic()];
    let failure: string | undefined;
    try {
      return await this.#current.run(span, work);
    } catch (error) {
      failure = errorText(error);
      throw error;
    } finally {
      const beganNs = BigInt(Math.round(beganMs * 1000)) * 1000n;
      const endedNs = beganNs + BigInt(Math.round((clock.monotonic() - begunAt) * 1000)) * 1000n;
      const { attributes = {}, isCall = false } = options;
      const { traceId, spanId } = span;
      const parentSpanId = parent?.spanId ?? new Uint8Array();
      this.#keep({
        traceId,
        spanId,
        parentSpanId,
        name,
        isCall,
        beganNs,
        endedNs,
        attributes,
        ...(failure === undefined ? {} : { error: failure }),
      });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#flush();
    await this.#exporting;
  }

  #open(parent: OpenSpan | undefined): OpenSpan {
    if (parent) return { traceId: parent.traceId, spanId: parent.sampled ? randomBytes(8) : parent.spanId, sampled: parent.sampled };
    const traceId = randomBytes(16);
    return { traceId, spanId: randomBytes(8), sampled: traceId.readBigUInt64BE(8) < this.#bound };
  }

  #keep(span: FinishedSpan): void {
    if (this.#stopped || this.#queue.length >= maxQueued) return;
    this.#queue.push(span);
    if (this.#queue.length >= batchSize) this.#flush();
    else this.#timer ??= this.#deps.clock.after(batchMs, () => this.#flush());
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#queue.length === 0) return;
    this.#exporting = this.#exporting.then(() => this.#export());
  }

  async #export(): Promise<void> {
    const { logger, exportSpans } = this.#deps;
    const spans = this.#queue.splice(0, batchSize);
    try {
      if (spans.length > 0) await exportSpans(spans);
    } catch (error) {
      logger.info("Traces could not be handed over", { spans: spans.length, error: errorText(error) }, 1);
    }
    if (this.#queue.length > 0 && !this.#stopped) this.#timer ??= this.#deps.clock.after(batchMs, () => this.#flush());
  }
}

/** Does the work, as a span where there is a tracer. */
export const traced = <T>(tracer: Tracer | undefined, name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> =>
  tracer ? tracer.span(name, options, work) : work();
