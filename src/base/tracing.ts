// Traces: what was done, how long it took, and as part of what. Spans that are open are found by those begun within them
// (AsyncLocalStorage), and go to an exporter in batches; while it is away they are kept up to a bound, and then dropped.
import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "./clock.ts";
import type { Running } from "./lifecycle.ts";
import { errorText, type Logger } from "./log.ts";

export type SpanAttributes = Readonly<Record<string, string | number>>;

/** What a span is part of, or tied to: as a traceparent header says it (https://www.w3.org/TR/trace-context). */
export interface SpanContext {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly sampled: boolean;
}

/** What was done by this process itself, for another, by another. */
export type SpanKind = "internal" | "server" | "client";

export interface FinishedSpan {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  /** Empty for the first of a trace. */
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly kind: SpanKind;
  /** Nanoseconds since 1970. */
  readonly beganNs: bigint;
  readonly endedNs: bigint;
  readonly attributes: SpanAttributes;
  /** Spans of other traces that it has to do with. */
  readonly links?: readonly SpanContext[];
  /** What failed, "" where that is not known; undefined where nothing did. */
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
  /** Default internal. */
  readonly kind?: SpanKind;
}

export interface RootOptions extends SpanOptions {
  /** What it is part of in another process, which decides whether it is kept. Default: a trace of its own. */
  readonly parent?: SpanContext | undefined;
  readonly links?: readonly SpanContext[];
}

/** A span whose end is told. */
export interface ActiveSpan {
  /** Spans begun by the work are within this one. */
  run<T>(work: () => T): T;
  /** Once; `more` is known only now. */
  end(more?: SpanAttributes, error?: string): void;
}

/** What a traceparent header says; undefined for what is none. */
export function parseTraceparent(header: string | undefined): SpanContext | undefined {
  const [, version, traceId = "", spanId = "", flags = "", more = ""] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(header ?? "") ?? [];
  if (version === undefined || version === "ff" || (version === "00" && more !== "")) return undefined;
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined;
  return { traceId: Buffer.from(traceId, "hex"), spanId: Buffer.from(spanId, "hex"), sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

const million = 1_000_000;
const batchMs = 5_000;
const batchSize = 512;
const maxQueued = 2_048;

export class Tracer implements Running {
  readonly #deps: TracerDependencies;
  readonly #bound: bigint;
  readonly #current = new AsyncLocalStorage<SpanContext>();
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
    return this.#around(this.#begin(name, { ...options, span, parent }), work);
  }

  /** The same where a span is open that is kept; else just the work. */
  within<T>(name: string, options: SpanOptions, work: () => Promise<T>): Promise<T> {
    return this.#current.getStore()?.sampled ? this.span(name, options, work) : work();
  }

  /** Within the span that is open, to be ended by the caller; undefined where none is that is kept. */
  step(name: string, options: SpanOptions = {}): ActiveSpan | undefined {
    const parent = this.#current.getStore();
    return parent?.sampled ? this.#begin(name, { ...options, parent, span: this.#open(parent) }) : undefined;
  }

  /** The first span of a trace in this process; undefined where it is not to be kept. */
  root(name: string, options: RootOptions = {}): ActiveSpan | undefined {
    const span = this.#open(options.parent);
    return span.sampled ? this.#begin(name, { ...options, span }) : undefined;
  }

  /** As a header says the span that is open; undefined where none is that is kept. */
  traceparent(): string | undefined {
    const span = this.#current.getStore();
    if (!span?.sampled) return undefined;
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
    return `00-${hex(span.traceId)}-${hex(span.spanId)}-01`;
  }

  async #around<T>(span: ActiveSpan, work: () => Promise<T>): Promise<T> {
    let failure: string | undefined;
    try {
      return await span.run(work);
    } catch (error) {
      failure = errorText(error);
      throw error;
    } finally {
      span.end({}, failure);
    }
  }

  #begin(
    name: string,
    { span, parent, attributes = {}, kind = "internal", links }: RootOptions & { readonly span: SpanContext },
  ): ActiveSpan {
    const { clock } = this.#deps;
    const [beganMs, begunAt] = [clock.now(), clock.monotonic()];
    let isOver = false;
    return {
      run: (work) => this.#current.run(span, work),
      end: (more = {}, error) => {
        if (isOver) return;
        isOver = true;
        const beganNs = BigInt(Math.round(beganMs * 1000)) * 1000n;
        const endedNs = beganNs + BigInt(Math.round((clock.monotonic() - begunAt) * 1000)) * 1000n;
        const { traceId, spanId } = span;
        this.#keep({
          ...{ traceId, spanId, parentSpanId: parent?.spanId ?? new Uint8Array(), name, kind, beganNs, endedNs },
          attributes: { ...attributes, ...more },
          ...(links ? { links } : {}),
          ...(error === undefined ? {} : { error }),
        });
      },
    };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#flush();
    await this.#exporting;
  }

  #open(parent: SpanContext | undefined): SpanContext {
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
