// What the API server counts about requests, under upstream's metric names.
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { isLongRunning } from "./request-info.ts";

export interface RequestMetrics {
  begin(): void;
  end(context: RequestContext, response: ApiResponse, durationMs: number): void;
}

const durationBuckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

export function createRequestMetrics(registry: MetricsRegistry): RequestMetrics {
  const requests = registry.counter(
    "apiserver_request_total",
    "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
    ["code", "component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"],
  );
  const durations = registry.histogram(
    "apiserver_request_duration_seconds",
    "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
    { labels: ["component", "dry_run", "group", "resource", "scope", "subresource", "verb", "version"], buckets: durationBuckets },
  );
  const inflight = registry
    .gauge("apiserver_current_inflight_requests", "[STABLE] Requests that are being handled, by kind.", ["request_kind"])
    .series("all");
  /** By what tells requests apart, so that one look-up finds both series. What was never served is among them: emptied when full. */
  const known = new Map<string, Counted>();
  return {
    begin: () => inflight.add(1),
    end(context, response, durationMs) {
      inflight.add(-1);
      const { info } = context;
      const verb = verbOf(context);
      const scope = scopeOf(context);
      const isDry = info.isResourceRequest && context.request.query.size > 0 && context.request.query.get("dryRun") === "All";
      const resource = info.isResourceRequest ? info.resource : "";
      const subresource = info.isResourceRequest ? info.subresource : plainPath(info.path);
      const code = "status" in response ? response.status : response.kind === "watch" ? 200 : 101;
      const key = `${code}${isDry ? "?" : " "}${verb}/${scope}/${info.apiGroup}/${info.apiVersion}/${resource}/${subresource}`;
      let counted = known.get(key);
      if (!counted) {
        const rest = [isDry ? "All" : "", info.apiGroup, resource, scope, subresource, verb, info.apiVersion];
        counted = {
          requests: requests.series(String(code), "apiserver", ...rest),
          durations: isLongRunning(info) ? undefined : durations.series("apiserver", ...rest),
        };
        if (known.size >= maxKnown) known.clear();
        known.set(key, counted);
      }
      counted.requests.add();
      counted.durations?.observe(durationMs / 1000);
    },
  };
}

const maxKnown = 2000;

interface Counted {
  readonly requests: Series;
  readonly durations: HistogramSeries | undefined;
}

const metricVerbs: Readonly<Record<string, string>> = {
  get: "GET",
  list: "LIST",
  watch: "WATCH",
  create: "POST",
  update: "PUT",
  patch: "PATCH",
  delete: "DELETE",
  deletecollection: "DELETECOLLECTION",
};

function verbOf({ info, request }: RequestContext): string {
  if (info.isResourceRequest) return metricVerbs[info.verb] ?? "other";
  return /^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)$/.test(request.method) ? request.method : "other";
}

function scopeOf({ info }: RequestContext): string {
  if (!info.isResourceRequest) return "";
  if (info.name !== "" || info.verb === "create") return "resource";
  return info.namespace === "" ? "cluster" : "namespace";
}

/** Only well-known paths become label values: anyone can ask for any other. */
function plainPath(path: string): string {
  return /^\/(healthz|livez|readyz|metrics|version)(\/|$)/.test(path) ? path : "";
}
