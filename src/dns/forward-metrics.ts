// Figures about names outside: the cache, the resolvers, and what was too much. Names and labels are CoreDNS'.
import type { Family, HistogramSeries, MetricsRegistry, Series } from "../base/metrics.ts";
import { latencySeconds, serverLabel } from "./metric-scales.ts";
import { rcodeNames } from "./wire.ts";

export class ForwardMetrics {
  readonly #success: Series;
  readonly #denial: Series;
  readonly #misses: Series;
  readonly #rejects: Series;
  readonly #durations: Family<HistogramSeries>;
  readonly #failures: Family<Series>;

  constructor(registry: MetricsRegistry) {
    const hits = registry.counter("coredns_cache_hits_total", "Answers given from the cache.", ["server", "type", "zones", "view"]);
    this.#success = hits.series(serverLabel, "success", ".", "");
    this.#denial = hits.series(serverLabel, "denial", ".", "");
    const misses = registry.counter("coredns_cache_misses_total", "Questions that the cache could not answer.", [
      "server",
      "zones",
      "view",
    ]);
    this.#misses = misses.series(serverLabel, ".", "");
    this.#rejects = registry
      .counter("coredns_forward_max_concurrent_rejects_total", "Questions refused because too many were under way.")
      .series();
    const labels = ["proxy_name", "to", "rcode"];
    this.#durations = registry.histogram("coredns_proxy_request_duration_seconds", "How long resolvers took to answer.", {
      labels,
      buckets: latencySeconds,
    });
    this.#failures = registry.counter(
      "coredns_proxy_healthcheck_failures_total",
      "Questions that resolvers did not answer.",
      labels.slice(0, 2),
    );
  }

  /** The cache's entries, counted when somebody looks. */
  countEntries(registry: MetricsRegistry, entries: () => number): void {
    const gauge = registry.gauge("coredns_cache_entries", "Answers in the cache.", ["server", "type", "zones", "view"]);
    const series = gauge.series(serverLabel, "success", ".", "");
    registry.beforeScrape(() => series.set(entries()));
  }

  cacheHit(success: boolean): void {
    (success ? this.#success : this.#denial).add();
  }

  cacheMiss(): void {
    this.#misses.add();
  }

  rejected(): void {
    this.#rejects.add();
  }

  answered(to: string, code: number, tookMs: number): void {
    this.#durations.series("forward", to, rcodeNames[code] ?? String(code)).observe(tookMs / 1000);
  }

  failed(to: string): void {
    this.#failures.series("forward", to).add();
  }
}
