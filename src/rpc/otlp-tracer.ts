// A tracer whose spans go to a collector. Loaded by processes that are told of one.
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { Tracer } from "../base/tracing.ts";
import { connectTraceExporter, type TraceExporterOptions } from "./otlp.ts";

export interface OtlpTracerOptions extends TraceExporterOptions {
  /** Of a million traces that begin in this process so many are kept. */
  readonly perMillion: number;
}

/** Stopping it hands over what it has, and closes the connection. */
export function startOtlpTracer(
  deps: { readonly clock: Clock; readonly logger: Logger },
  { perMillion, ...options }: OtlpTracerOptions,
): Tracer {
  const exporter = connectTraceExporter(options);
  const tracer = new Tracer({ ...deps, exportSpans: (spans) => exporter.export(spans) }, { perMillion });
  const stop = tracer.stop.bind(tracer);
  return Object.assign(tracer, { stop: () => stop().finally(() => exporter.close()) });
}
