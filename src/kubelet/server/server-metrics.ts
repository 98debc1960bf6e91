// What the kubelet's server does, under upstream's names: requests by path (kubelet_http_*), and what the API server is asked
// about callers (apiserver_delegated_*, authentication_token_cache_*). In a registry of its own: the server listens before there
// is a kubelet, whose /metrics includes it.
import { isStatus } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import { type Family, type GaugeSeries, type HistogramSeries, MetricsRegistry, type Series } from "../../base/metrics.ts";

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const reviewSeconds = [0.25, 0.5, 0.7, 1, 1.5, 3, 5, 10];

const knownMethods = new Set(["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"]);
const knownPaths = new Set([
  ...["healthz", "pods", "stats", "metrics", "metrics/cadvisor", "metrics/probes", "metrics/resource", "flagz", "statusz"],
  ...["run", "exec", "attach", "portForward", "containerLogs", "configz", "runningpods", "checkpoint", "pprof", "logs", "debug"],
]);
/** Upstream's list is in lower case, so that its port-forwards do not count among them. */
const longRunning = new Set(["exec", "attach", "portforward", "debug"]);

export type ReviewKind = "authn" | "authz";

export interface CountedRequest {
  readonly method: string;
  readonly pathname: string;
  /** Whether it came by the port that asks nobody who they are. */
  readonly readOnly: boolean;
}

export class ServerMetrics {
  readonly registry = new MetricsRegistry();
  readonly #clock: Clock;
  readonly #requests: Family<Series>;
  readonly #inFlight: Family<GaugeSeries>;
  readonly #durations: Family<HistogramSeries>;
  readonly #reviews: Readonly<Record<ReviewKind, { readonly total: Family<Series>; readonly durations: Family<HistogramSeries> }>>;
  readonly #tokens: { readonly total: Family<Series>; readonly durations: Family<HistogramSeries>; readonly fetches: Family<Series> };
  readonly #fetching: GaugeSeries;

  constructor(clock: Clock) {
    this.#clock = clock;
    const { registry } = this;
    const labels = ["method", "path", "server_type", "long_running"];
    this.#requests = registry.counter(
      "kubelet_http_requests_total",
      "[ALPHA] Number of the http requests received since the server started",
      labels,
    );
    this.#inFlight = registry.gauge("kubelet_http_inflight_requests", "[ALPHA] Number of the inflight http requests", labels);
    this.#durations = registry.histogram("kubelet_http_requests_duration_seconds", "How long answers took.", { labels, buckets: seconds });
    const reviews = (kind: ReviewKind, what: string) => ({
      total: registry.counter(`apiserver_delegated_${kind}_request_total`, `Questions ${what}, by status.`, ["code"]),
      durations: registry.histogram(`apiserver_delegated_${kind}_request_duration_seconds`, "How long their answers took.", {
        ...{ labels: ["code"], buckets: reviewSeconds },
      }),
    });
    this.#reviews = { authn: reviews("authn", "who bears a token"), authz: reviews("authz", "what somebody may do") };
    const cache = "authentication_token_cache";
    const status = ["status"];
    this.#tokens = {
      total: registry.counter(`${cache}_request_total`, "Tokens looked up among those that are known.", status),
      durations: registry.histogram(`${cache}_request_duration_seconds`, "How long that took.", { labels: status, buckets: seconds }),
      fetches: registry.counter(`${cache}_fetch_total`, "Tokens that had to be asked about.", status),
    };
    this.#fetching = registry.gauge(`${cache}_active_fetch_count`, "Tokens that are being asked about.", status).series("in_flight");
  }

  /** Counts a request; what it gives back is to be called when it has been answered. */
  begin({ method, pathname, readOnly }: CountedRequest): () => void {
    const path = pathLabel(pathname);
    const of = [knownMethods.has(method) ? method : "other", path, readOnly ? "readonly" : "readwrite", String(longRunning.has(path))];
    const begunMs = this.#clock.monotonic();
    this.#requests.series(...of).add();
    this.#inFlight.series(...of).add();
    return () => {
      this.#inFlight.series(...of).add(-1);
      this.#durations.series(...of).observe((this.#clock.monotonic() - begunMs) / 1000);
    };
  }

  /** Asks the API server, and counts its answer. */
  async review<T>(kind: ReviewKind, ask: () => Promise<T>): Promise<T> {
    const { total, durations } = this.#reviews[kind];
    const begunMs = this.#clock.monotonic();
    let code = "201";
    try {
      return await ask();
    } catch (error) {
      code = isStatus(error) ? String(error.code) : "<error>";
      throw error;
    } finally {
      total.series(code).add();
      durations.series(code).observe((this.#clock.monotonic() - begunMs) / 1000);
    }
  }

  /** A token whose bearer is known. */
  tokenHit(): void {
    this.#tokens.total.series("hit").add();
    this.#tokens.durations.series("hit").observe(0);
  }

  async tokenMiss<T>(fetch: () => Promise<T>): Promise<T> {
    const begunMs = this.#clock.monotonic();
    let outcome = "error";
    this.#fetching.add();
    try {
      const found = await fetch();
      outcome = "ok";
      return found;
    } finally {
      this.#fetching.add(-1);
      this.#tokens.fetches.series(outcome).add();
      this.#tokens.total.series("miss").add();
      this.#tokens.durations.series("miss").observe((this.#clock.monotonic() - begunMs) / 1000);
    }
  }
}

/** The first part of a path, of metrics the first two; "other" for those nobody has heard of. */
function pathLabel(pathname: string): string {
  const [first = "", second] = pathname.split("/").slice(1);
  const label = first === "metrics" && second ? `${first}/${second}` : first;
  return knownPaths.has(label) ? label : "other";
}
