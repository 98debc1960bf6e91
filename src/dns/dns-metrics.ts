// Figures under the names CoreDNS gives them, so that its dashboards and alerts fit. What is counted for every question is
// looked up once and then added to.
import { type HistogramSeries, MetricsRegistry, type Series } from "../base/metrics.ts";
import { version } from "../base/version.ts";
import { rcodeNames, type } from "./wire.ts";

export type Protocol = "udp" | "tcp";

/** 0.25 ms doubling to 8 s. */
const seconds = Array.from({ length: 16 }, (_, i) => 0.00025 * 2 ** i);
const sizes = [0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16_000, 32_000, 48_000, 64_000];

const server = "dns://:53";
const typeNames: ReadonlyMap<number, string> = new Map(Object.entries(type).map(([name, code]) => [code, name]));

export class DnsMetrics {
  readonly registry: MetricsRegistry;
  readonly #requests: (zone: string, protocol: Protocol, family: string, type: string) => Series;
  readonly #responses: (zone: string, code: string) => Series;
  readonly #durations: ReadonlyMap<string, HistogramSeries>;
  readonly #requestBytes: (zone: string, protocol: Protocol) => HistogramSeries;
  readonly #responseBytes: (zone: string, protocol: Protocol) => HistogramSeries;
  readonly #known = new Map<number, Series>();
  readonly #knownResponses = new Map<number, Series>();
  readonly #sizes = new Map<string, readonly [HistogramSeries, HistogramSeries]>();
  readonly #zones: readonly [string, string];
  readonly #hits: { readonly success: Series; readonly denial: Series };
  readonly #misses: Series;
  readonly #rejects: Series;
  readonly #forwards: (to: string, code: string) => HistogramSeries;
  readonly #forwardFailures: (to: string) => Series;

  /** `zone`: the cluster's domain with a final dot. */
  constructor(zone: string, registry = new MetricsRegistry()) {
    this.registry = registry;
    this.#zones = [zone, "."];
    const common = ["server", "zone", "view"];
    const requests = registry.counter("coredns_dns_requests_total", "Counter of DNS requests made per zone, protocol and family.", [
      ...common,
      "proto",
      "family",
      "type",
    ]);
    this.#requests = (name, protocol, family, recordType) => requests.series(server, name, "", protocol, family, recordType);
    const responses = registry.counter("coredns_dns_responses_total", "Counter of response status codes.", [...common, "rcode", "plugin"]);
    this.#responses = (name, code) => responses.series(server, name, "", code, name === "." ? "forward" : "kubernetes");
    const durations = registry.histogram(
      "coredns_dns_request_duration_seconds",
      "Histogram of the time (in seconds) each request took per zone.",
      {
        labels: common,
        buckets: seconds,
      },
    );
    this.#durations = new Map(this.#zones.map((name) => [name, durations.series(server, name, "")]));
    const bytes = (direction: string) => {
      const family = registry.histogram(
        `coredns_dns_${direction}_size_bytes`,
        `Size of the EDNS0 UDP buffer in bytes (64K for TCP), ${direction}.`,
        {
          labels: [...common, "proto"],
          buckets: sizes,
        },
      );
      return (name: string, protocol: Protocol): HistogramSeries => family.series(server, name, "", protocol);
    };
    this.#requestBytes = bytes("request");
    this.#responseBytes = bytes("response");
    const hits = registry.counter("coredns_cache_hits_total", "The count of cache hits.", ["server", "type", "zones", "view"]);
    this.#hits = { success: hits.series(server, "success", ".", ""), denial: hits.series(server, "denial", ".", "") };
    this.#misses = registry
      .counter("coredns_cache_misses_total", "The count of cache misses.", ["server", "zones", "view"])
      .series(server, ".", "");
    this.#rejects = registry
      .counter(
        "coredns_forward_max_concurrent_rejects_total",
        "Counter of the number of queries rejected because the concurrent queries were at maximum.",
      )
      .series();
    const forwards = registry.histogram("coredns_proxy_request_duration_seconds", "Histogram of the time each request took.", {
      labels: ["proxy_name", "to", "rcode"],
      buckets: seconds,
    });
    this.#forwards = (to, code) => forwards.series("forward", to, code);
    const failures = registry.counter("coredns_proxy_healthcheck_failures_total", "Counter of the number of failed healthchecks.", [
      "proxy_name",
      "to",
    ]);
    this.#forwardFailures = (to) => failures.series("forward", to);
    registry
      .gauge("coredns_build_info", "A metric with a constant '1' value labeled by version of the server.", ["version"])
      .series(`coracle-${version}`)
      .set(1);
  }

  answered(given: {
    readonly ofCluster: boolean;
    readonly protocol: Protocol;
    readonly ipv6: boolean;
    readonly type: number;
    readonly rcode: number;
    readonly tookMs: number;
    readonly requestBytes: number;
    readonly responseBytes: number;
  }): void {
    const zone = this.#zones[given.ofCluster ? 0 : 1];
    const tail = (given.ofCluster ? 4 : 0) + (given.ipv6 ? 2 : 0) + (given.protocol === "udp" ? 1 : 0);
    const key = given.type * 8 + tail;
    let requests = this.#known.get(key);
    if (!requests) {
      requests = this.#requests(zone, given.protocol, given.ipv6 ? "2" : "1", typeNames.get(given.type) ?? "other");
      // Of the 65,536 types only those with a name get an entry.
      if (typeNames.has(given.type)) this.#known.set(key, requests);
    }
    requests.add();
    const responseKey = given.rcode * 2 + (given.ofCluster ? 1 : 0);
    let responses = this.#knownResponses.get(responseKey);
    if (!responses) {
      responses = this.#responses(zone, rcodeNames[given.rcode] ?? String(given.rcode));
      this.#knownResponses.set(responseKey, responses);
    }
    responses.add();
    this.#durations.get(zone)?.observe(given.tookMs / 1000);
    const [requestBytes, responseBytes] = this.#sizesOf(zone, given.protocol);
    requestBytes.observe(given.requestBytes);
    responseBytes.observe(given.responseBytes);
  }

  #sizesOf(zone: string, protocol: Protocol): readonly [HistogramSeries, HistogramSeries] {
    const key = protocol === "udp" ? zone : `${zone}tcp`;
    let found = this.#sizes.get(key);
    if (!found) this.#sizes.set(key, (found = [this.#requestBytes(zone, protocol), this.#responseBytes(zone, protocol)]));
    return found;
  }

  cacheHit(success: boolean): void {
    (success ? this.#hits.success : this.#hits.denial).add();
  }

  cacheMiss(): void {
    this.#misses.add();
  }

  forwardRejected(): void {
    this.#rejects.add();
  }

  forwarded(to: string, code: number, tookMs: number): void {
    this.#forwards(to, rcodeNames[code] ?? String(code)).observe(tookMs / 1000);
  }

  forwardFailed(to: string): void {
    this.#forwardFailures(to).add();
  }
}
