// Hands traces to a collector in OpenTelemetry's protocol (OTLP over gRPC), at localhost:4317 unless told otherwise.
import type { FinishedSpan, SpanAttributes, SpanKind } from "../base/tracing.ts";
import { connectRpc } from "./client.ts";
import type { CallOptions, Input, ProtocolTable } from "./protocol.ts";

interface KeyValue {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface Span {
  readonly traceId: Uint8Array;
  readonly spanId: Uint8Array;
  readonly parentSpanId: Uint8Array;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: bigint;
  readonly endTimeUnixNano: bigint;
  readonly attributes: readonly KeyValue[];
  readonly links: readonly { readonly traceId: Uint8Array; readonly spanId: Uint8Array }[];
  readonly status: { readonly message: string; readonly code: number } | undefined;
}

export interface ExportTraceServiceRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly Span[] }[];
  }[];
}

export interface TraceService {
  export(request: Input<ExportTraceServiceRequest>, options?: CallOptions): Promise<object>;
}

export const traceServiceV1: ProtocolTable = {
  package: "opentelemetry.proto.collector.trace.v1",
  services: { TraceService: { Export: "ExportTraceServiceRequest -> ExportTraceServiceResponse" } },
  enums: {},
  messages: {
    ExportTraceServiceRequest: "1 resourceSpans ResourceSpans[]",
    ExportTraceServiceResponse: "",
    ResourceSpans: "1 resource Resource; 2 scopeSpans ScopeSpans[]",
    Resource: "1 attributes KeyValue[]",
    ScopeSpans: "1 scope InstrumentationScope; 2 spans Span[]",
    InstrumentationScope: "1 name string",
    Span: "1 traceId bytes; 2 spanId bytes; 4 parentSpanId bytes; 5 name string; 6 kind int32; 7 startTimeUnixNano fixed64:bigint; 8 endTimeUnixNano fixed64:bigint; 9 attributes KeyValue[]; 13 links Link[]; 15 status Status",
    Link: "1 traceId bytes; 2 spanId bytes",
    Status: "2 message string; 3 code int32",
    KeyValue: "1 key string; 2 value AnyValue",
    AnyValue: "1 stringValue string?; 3 intValue int64?",
  },
};

export interface TraceExporter {
  export(spans: readonly FinishedSpan[]): Promise<void>;
  close(): void;
}

export interface TraceExporterOptions {
  /** "host:port", "dns:///host:port" or "unix:///path". Default localhost:4317. */
  readonly endpoint?: string;
  /** Who speaks: service.name and the like. */
  readonly resource: SpanAttributes;
  /** Whose code it is. */
  readonly scope: string;
}

const callTimeoutMs = 10_000;
const kinds: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 };
const errorCode = 2;

export function connectTraceExporter({ endpoint = "localhost:4317", resource, scope }: TraceExporterOptions): TraceExporter {
  const connection = connectRpc({ endpoint: targetOf(endpoint), timeoutMs: callTimeoutMs });
  const service = connection.service<TraceService>(traceServiceV1, "TraceService");
  return {
    async export(spans) {
      const scopeSpans = [{ scope: { name: scope }, spans: spans.map(spanOf) }];
      await service.export({ resourceSpans: [{ resource: { attributes: attributesOf(resource) }, scopeSpans }] });
    },
    close: () => connection.close(),
  };
}

/** What is wrong with an endpoint, in upstream's words; undefined where nothing is. */
export function endpointProblem(endpoint: string): string | undefined {
  const scheme = endpoint.includes("//") ? (/^([a-z-]*):/.exec(endpoint)?.[1] ?? "") : "dns";
  if (["dns", "unix", "unix-abstract"].includes(scheme)) return undefined;
  return `unsupported scheme: ${scheme}.  Options are none, dns, unix, or unix-abstract.  See https://github.com/grpc/grpc/blob/master/doc/naming.md`;
}

/** As gRPC takes it: a socket, or a name that is looked up. */
function targetOf(endpoint: string): string {
  if (/^unix(-abstract)?:/.test(endpoint)) return endpoint.replace(/^(unix-abstract:)\/+/, "$1");
  return `tcp://${endpoint.replace(/^dns:\/\/+/, "")}`;
}

function spanOf({ traceId, spanId, parentSpanId, name, kind, beganNs, endedNs, attributes, links, error }: FinishedSpan): Input<Span> {
  return {
    ...{ traceId, spanId, parentSpanId, name, startTimeUnixNano: beganNs, endTimeUnixNano: endedNs },
    kind: kinds[kind],
    attributes: attributesOf(attributes),
    ...(links ? { links: links.map(({ traceId, spanId }) => ({ traceId, spanId })) } : {}),
    ...(error === undefined ? {} : { status: { message: error, code: errorCode } }),
  };
}

const attributesOf = (attributes: SpanAttributes): readonly KeyValue[] =>
  Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: value } : { stringValue: value },
  }));
