// What the API server counts about requests, under upstream's metric names. What tells requests apart becomes one key, which
// finds all series of such requests: a request costs one look-up and a few additions.
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { type RequestFamilies, requestFamilies } from "./request-families.ts";
import { isLongRunning } from "./request-info.ts";

export interface RequestMetrics {
  /** The series that go on being counted while the answer is written. */
  end(context: RequestContext, response: ApiResponse, durationMs: number): CountedAnswer;
}

/** What is known only when an answer is written. */
export interface CountedAnswer {
  /** Of reads: the bytes of the answer. */
  readonly sizes: HistogramSeries | undefined;
  /** Of watches. */
  readonly events: Series | undefined;
  /** The answer was broken off. */
  aborted(): void;
}

export function createRequestMetrics(registry: MetricsRegistry): RequestMetrics {
  const families = requestFamilies(registry);
  /** By what tells requests apart, so that one look-up finds all series. What was never served is among them: emptied when full. */
  const known = new Map<string, Counted>();
  return {
    end(context, response, durationMs) {
      const { info, request } = context;
      const verb = verbOf(context);
      const scope = scopeOf(context);
      const hasQuery = info.isResourceRequest && request.query.size > 0;
      const isDry = hasQuery && request.query.get("dryRun") === "All";
      const resource = info.isResourceRequest ? info.resource : "";
      const subresource = info.isResourceRequest ? info.subresource : plainPath(info.path);
      const code = "status" in response ? response.status : response.kind === "watch" ? 200 : 101;
      const key = `${code}${isDry ? "?" : " "}${verb}/${scope}/${info.apiGroup}/${info.apiVersion}/${resource}/${subresource}`;
      let counted = known.get(key);
      if (!counted) {
        const labels = { group: info.apiGroup, version: info.apiVersion, verb, action: info.verb, scope, resource, subresource };
        counted = new Counted(families, labels, { code: String(code), isDry, isLong: isLongRunning(info) });
        if (known.size >= maxKnown) known.clear();
        known.set(key, counted);
      }
      counted.requests.add();
      counted.durations?.observe(durationMs / 1000);
      counted.ownDurations?.observe((durationMs - (context.waitedMs ?? 0)) / 1000);
      if (context.bodyBytes !== undefined) counted.bodySizes.observe(context.bodyBytes);
      if (counted.writes) families.validations.series(validationOf(hasQuery, context)).observe(durationMs / 1000);
      if (context.user.name === "system:apiserver") counted.self.add();
      if (context.terminated !== undefined) counted.terminated(context.terminated);
      if (context.removedRelease !== undefined) counted.deprecated(context.removedRelease);
      return counted;
    },
  };
}

const maxKnown = 2000;

interface Labels {
  readonly group: string;
  readonly version: string;
  readonly verb: string;
  /** The verb as authorization has it. */
  readonly action: string;
  readonly scope: string;
  readonly resource: string;
  readonly subresource: string;
}

/** The series of requests that are alike. Those that few of them need are made when they do. */
class Counted implements CountedAnswer {
  readonly requests: Series;
  readonly durations: HistogramSeries | undefined;
  readonly ownDurations: HistogramSeries | undefined;
  readonly writes: boolean;
  readonly #families: RequestFamilies;
  readonly #labels: Labels;
  #self: Series | undefined;
  #sizes: HistogramSeries | undefined;
  #bodySizes: HistogramSeries | undefined;
  #events: Series | undefined;

  constructor(
    families: RequestFamilies,
    labels: Labels,
    seen: { readonly code: string; readonly isDry: boolean; readonly isLong: boolean },
  ) {
    const { group, version, verb, scope, resource, subresource } = labels;
    const { code, isDry, isLong } = seen;
    this.#families = families;
    this.#labels = labels;
    const alike = [group, resource, scope, subresource, verb, version];
    const dry = isDry ? "All" : "";
    this.requests = families.requests.series(code, component, dry, ...alike);
    this.durations = isLong ? undefined : families.durations.series(component, dry, ...alike);
    this.ownDurations = isLong || isDry ? undefined : families.ownDurations.series(component, ...alike);
    this.writes = resource !== "" && (verb === "POST" || verb === "PUT" || verb === "PATCH");
  }

  get bodySizes(): HistogramSeries {
    const { group, resource, action } = this.#labels;
    this.#bodySizes ??= this.#families.bodySizes.series(group, resource, action);
    return this.#bodySizes;
  }

  get sizes(): HistogramSeries | undefined {
    const { group, resource, scope, subresource, verb, version } = this.#labels;
    if (verb !== "GET" && verb !== "LIST") return undefined;
    this.#sizes ??= this.#families.sizes.series(component, group, resource, scope, subresource, verb, version);
    return this.#sizes;
  }

  get events(): Series | undefined {
    const { group, resource, verb, version } = this.#labels;
    if (verb !== "WATCH") return undefined;
    this.#events ??= this.#families.events.series(group, resource, version);
    return this.#events;
  }

  /** The server's own requests. */
  get self(): Series {
    const { group, resource, subresource, verb } = this.#labels;
    this.#self ??= this.#families.self.series(group, resource, subresource, verb);
    return this.#self;
  }

  terminated(code: number): void {
    const { group, resource, scope, subresource, verb, version } = this.#labels;
    // What is not available is an extension server.
    const by = code === 503 ? "aggregator" : component;
    this.#families.terminations.series(String(code), by, group, resource, scope, subresource, verb, version).add();
  }

  deprecated(removedRelease: string): void {
    const { group, resource, subresource, version } = this.#labels;
    this.#families.deprecated.series(group, removedRelease, resource, subresource, version).set(1);
  }

  aborted(): void {
    const { group, resource, scope, subresource, verb, version } = this.#labels;
    this.#families.aborts.series(group, resource, scope, subresource, verb, version).add();
  }
}

const component = "apiserver";

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

const validations: ReadonlySet<string> = new Set(["Ignore", "Warn", "Strict"]);

function validationOf(hasQuery: boolean, { request }: RequestContext): string {
  const asked = hasQuery ? request.query.get("fieldValidation") : null;
  if (asked === null) return "";
  return validations.has(asked) ? asked : "invalid";
}
