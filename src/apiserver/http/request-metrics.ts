// What the API server counts about requests, under upstream's metric names. What tells requests apart becomes one key, which
// finds all series of such requests: a request costs one look-up and a few additions.
import type { Clock } from "../../base/clock.ts";
import type { HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";
import type { ApiResponse, RequestContext } from "../request.ts";
import { type RequestFamilies, requestFamilies } from "./request-families.ts";
import { isLongRunning } from "./request-info.ts";

export interface RequestMetrics {
  /** The series that go on being counted while the answer is written. */
  end(context: RequestContext, response: ApiResponse, times: RequestTimes): CountedAnswer;
}

export interface RequestTimes {
  readonly clock: Pick<Clock, "monotonic">;
  /** When the request arrived, by that clock. */
  readonly startMs: number;
}

/** What is known only when an answer is written. */
export interface CountedAnswer {
  /** Of reads: the bytes of the answer. */
  readonly sizes: HistogramSeries | undefined;
  /** Of watches: how many events, and the bytes of each. */
  readonly events: Series | undefined;
  readonly eventSizes: HistogramSeries | undefined;
  /** The request goes on until the returned function is called: a stream, a connection. Undefined where it is none of those. */
  begun(): (() => void) | undefined;
  /** The answer was broken off. */
  aborted(): void;
}

export function createRequestMetrics(registry: MetricsRegistry): RequestMetrics {
  const families = requestFamilies(registry);
  /** By what tells requests apart, so that one look-up finds all series. What was never served is not among them: its path may be anything. */
  const known = new Map<string, Counted>();
  return {
    end(context, response, times) {
      const route = routeOf(context, response);
      const counted = seriesOf(context, response, route);
      if (context.terminated !== undefined) counted.terminated(context.terminated);
      if (!route) {
        // What flow control turned away is counted all the same.
        if ("status" in response && response.status === 429) counted.requests.add();
        return counted;
      }
      const end = (): void => countEnd(counted, context, times);
      if (response.kind !== "watch" || !response.stream.onceEnded) end();
      else {
        const ended = counted.begun();
        response.stream.onceEnded(() => {
          ended?.();
          end();
        });
      }
      return counted;
    },
  };

  function seriesOf(context: RequestContext, response: ApiResponse, route: Route | undefined): Counted {
    const { info, request } = context;
    const verb = verbOf(context);
    const scope = scopeOf(context);
    const dryRun = info.isResourceRequest && request.query.size > 0 ? dryRunOf(request.query) : "";
    const resource = info.isResourceRequest ? info.resource : "";
    // What was broken off has the path where it is no resource.
    const path = info.isResourceRequest || context.terminated === undefined ? undefined : info.path;
    const subresource = info.isResourceRequest ? info.subresource : (route?.path ?? path ?? "");
    const code = "status" in response ? response.status : response.kind === "watch" ? 200 : 101;
    const mark = route === undefined ? "-" : dryRun === "" ? " " : `?${dryRun}`;
    const key = `${code}${mark}${verb}/${scope}${info.name === "" ? "" : "."}/${info.apiGroup}/${info.apiVersion}/${resource}/${subresource}`;
    let counted = known.get(key);
    if (!counted) {
      const labels = {
        ...shortLabels({ group: info.apiGroup, version: info.apiVersion, resource, subresource }),
        verb,
        action: info.verb,
        scope,
      };
      const by = info.isResourceRequest ? component : (route?.by ?? "");
      counted = new Counted(families, labels, { code: String(code), dryRun, isLong: isLongRunning(info), isNamed: info.name !== "", by });
      if (route && key.length <= maxKeyCharacters) {
        if (known.size >= maxKnown) known.clear();
        known.set(key, counted);
      }
    }
    return counted;
  }

  function countEnd(counted: Counted, context: RequestContext, { clock, startMs }: RequestTimes): void {
    const { info, request } = context;
    const durationMs = clock.monotonic() - startMs;
    counted.requests.add();
    counted.durations.observe(durationMs / 1000);
    counted.ownDurations?.observe((durationMs - (context.waitedMs ?? 0)) / 1000);
    if (context.bodyBytes !== undefined) counted.bodySizes.observe(context.bodyBytes);
    const hasQuery = info.isResourceRequest && request.query.size > 0;
    if (counted.writes) families.validations.series(validationOf(hasQuery, context)).observe(durationMs / 1000);
    if (context.user.name === "system:apiserver") counted.self.add();
    if (context.removedRelease !== undefined) counted.deprecated(context.removedRelease);
  }
}

/** What upstream's router has a handler for that counts; everything else is answered uncounted. */
interface Route {
  /** Of what is no resource: as the label "subresource" has it. */
  readonly path?: string;
  /** The component; none of most of what is no resource. */
  readonly by?: string;
}

const resourceRoute: Route = {};
const health: ReadonlySet<string> = new Set(["/healthz", "/livez", "/readyz"]);

function routeOf({ info, isRouted }: RequestContext, response: ApiResponse): Route | undefined {
  if (info.isResourceRequest) {
    // What patches cannot be of is refused by the router.
    const isRefused = !isRouted || (info.verb === "patch" && "status" in response && response.status === 415);
    return isRefused ? undefined : resourceRoute;
  }
  const { path } = info;
  if (health.has(path)) return { path };
  if (path === "/openapi/v3" || path.startsWith("/openapi/v3/")) return { path: "openapi/v3" };
  const isAggregated = response.kind === "bytes" && response.contentType.includes("as=APIGroupDiscoveryList");
  return isAggregated ? { path: path.startsWith("/apis") ? "apis" : "api", by: component } : undefined;
}

const maxKnown = 2000;
const maxKeyCharacters = 1024;
/** No name of what is served is longer. */
const maxLabelCharacters = 253;

/** Of a path, which may be as long as a request's head. */
function shortLabels<T extends Readonly<Record<string, string>>>(labels: T): T {
  if (!Object.values(labels).some((value) => value.length > maxLabelCharacters)) return labels;
  return Object.fromEntries(
    Object.entries(labels).map(([name, value]) => [name, value.length > maxLabelCharacters ? "other" : value]),
  ) as T;
}

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

/** What is not in all labels. */
interface Seen {
  readonly code: string;
  /** As the label has it. */
  readonly dryRun: "" | "All" | "invalid";
  readonly isLong: boolean;
  readonly isNamed: boolean;
  /** The component: none of what is no resource. */
  readonly by: string;
}

/** The series of requests that are alike. Those that few of them need are made when they do. */
class Counted implements CountedAnswer {
  readonly writes: boolean;
  readonly #families: RequestFamilies;
  readonly #labels: Labels;
  readonly #seen: Seen;
  #requests: Series | undefined;
  #durations: HistogramSeries | undefined;
  #ownDurations: HistogramSeries | undefined;
  #eventSizes: HistogramSeries | undefined;
  #self: Series | undefined;
  #sizes: HistogramSeries | undefined;
  #bodySizes: HistogramSeries | undefined;
  #events: Series | undefined;

  constructor(families: RequestFamilies, labels: Labels, seen: Seen) {
    const { resource, verb } = labels;
    this.#families = families;
    this.#labels = labels;
    this.#seen = seen;
    this.writes = resource !== "" && /^(POST|PUT|PATCH|APPLY)$/.test(verb);
  }

  // Series are made when they count: those of a watch at its end.
  get requests(): Series {
    const { code, dryRun, by } = this.#seen;
    return (this.#requests ??= this.#families.requests.series(code, by, dryRun, ...this.#alike()));
  }

  get durations(): HistogramSeries {
    const { dryRun, by } = this.#seen;
    return (this.#durations ??= this.#families.durations.series(by, dryRun, ...this.#alike()));
  }

  get ownDurations(): HistogramSeries | undefined {
    const { dryRun, by } = this.#seen;
    if (dryRun !== "" || this.#labels.action === "watch") return undefined;
    return (this.#ownDurations ??= this.#families.ownDurations.series(by, ...this.#alike()));
  }

  #alike(): readonly string[] {
    const { group, resource, scope, subresource, verb, version } = this.#labels;
    return [group, resource, scope, subresource, verb, version];
  }

  begun(): (() => void) | undefined {
    if (!this.#seen.isLong) return undefined;
    const { group, resource, scope, subresource, verb, version } = this.#labels;
    // The name may stand in a field selector.
    const seenAs = this.#seen.isNamed ? "resource" : scope;
    const open = this.#families.open.series(component, group, resource, seenAs, subresource, verb, version);
    open.add();
    let isOpen = true;
    return () => {
      if (isOpen) open.add(-1);
      isOpen = false;
    };
  }

  get bodySizes(): HistogramSeries {
    const { group, resource, action } = this.#labels;
    const verb = action === "deletecollection" ? "delete_collection" : action;
    this.#bodySizes ??= this.#families.bodySizes.series(group, resource, verb);
    return this.#bodySizes;
  }

  get sizes(): HistogramSeries | undefined {
    const { verb } = this.#labels;
    if (verb !== "GET" && verb !== "LIST" && verb !== "WATCH") return undefined;
    if (!this.#requests && verb !== "WATCH") return undefined; // not counted at all
    this.#sizes ??= this.#families.sizes.series(this.#seen.by, ...this.#alike());
    return this.#sizes;
  }

  get events(): Series | undefined {
    const { group, resource, verb, version } = this.#labels;
    if (verb !== "WATCH") return undefined;
    this.#events ??= this.#families.events.series(group, resource, version);
    return this.#events;
  }

  get eventSizes(): HistogramSeries | undefined {
    const { group, resource, verb, version } = this.#labels;
    if (verb !== "WATCH") return undefined;
    this.#eventSizes ??= this.#families.eventSizes.series(group, resource, version);
    return this.#eventSizes;
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
  deletecollection: "DELETE",
};

const connects: ReadonlySet<string> = new Set(["log", "exec", "portforward", "attach", "proxy"]);

function verbOf({ info, request }: RequestContext): string {
  if (info.isResourceRequest) {
    if (info.subresource !== "" && connects.has(info.subresource)) return "CONNECT";
    if (info.verb === "patch" && request.headers["content-type"] === "application/apply-patch+yaml") return "APPLY";
    return metricVerbs[info.verb] ?? "other";
  }
  return /^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)$/.test(request.method) ? request.method : "other";
}

function scopeOf({ info }: RequestContext): string {
  if (!info.isResourceRequest) return "";
  if (info.parts.length > 1 || info.verb === "create") return "resource";
  return info.namespace === "" ? "cluster" : "namespace";
}

function dryRunOf(query: URLSearchParams): Seen["dryRun"] {
  const asked = query.getAll("dryRun");
  if (asked.length === 0) return "";
  return asked.every((value) => value === "All") ? "All" : "invalid";
}

const validations: ReadonlySet<string> = new Set(["Ignore", "Warn", "Strict"]);

function validationOf(hasQuery: boolean, { request }: RequestContext): string {
  const asked = hasQuery ? request.query.get("fieldValidation") : null;
  if (asked === null) return "";
  return validations.has(asked) ? asked : "invalid";
}
