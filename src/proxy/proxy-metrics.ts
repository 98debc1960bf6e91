// Figures of the proxy under upstream's names: how long writing the rules takes, when it was asked for and done, how much
// waits, and how old a change of endpoints is when it works.
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../base/metrics.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";

const doubling = Array.from({ length: 15 }, (_, i) => Number((0.001 * 2 ** i).toPrecision(12)));
const range = (first: number, step: number, count: number): readonly number[] => Array.from({ length: count }, (_, i) => first + i * step);
const programmingBuckets = [...range(0.25, 0.25, 2), ...range(1, 1, 59), ...range(60, 5, 12), ...range(120, 30, 7)];

export class ProxyMetrics {
  readonly #syncs: Family<HistogramSeries>;
  readonly #fullSyncs: Family<HistogramSeries>;
  readonly #partialSyncs: Family<HistogramSeries>;
  readonly #lastSync: Family<GaugeSeries>;
  readonly #lastQueued: Family<GaugeSeries>;
  readonly #programming: Family<HistogramSeries>;
  readonly #pending: Readonly<Record<"service" | "endpoint", GaugeSeries>>;
  readonly #changes: Readonly<Record<"service" | "endpoint", Series>>;
  readonly #noLocal: Family<GaugeSeries>;
  readonly #syncFailures: Family<Series>;
  readonly #cleanupFailures: Family<Series>;
  readonly #flows: Family<HistogramSeries>;
  readonly #flowsDeleted: Family<Series>;
  readonly #probes: Readonly<Record<"healthz" | "livez", Family<Series>>>;

  constructor(registry: MetricsRegistry) {
    const labels = ["ip_family"];
    const timed = (name: string, help: string, buckets: readonly number[] = doubling) =>
      registry.histogram(`kubeproxy_${name}`, help, { labels, buckets });
    this.#syncs = timed("sync_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds");
    this.#fullSyncs = timed("sync_full_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds for full resyncs");
    this.#partialSyncs = timed("sync_partial_proxy_rules_duration_seconds", "SyncProxyRules latency in seconds for partial resyncs");
    this.#programming = timed(
      "network_programming_duration_seconds",
      "In Cluster Network Programming Latency in seconds",
      programmingBuckets,
    );
    const gauge = (name: string, help: string, names = labels) => registry.gauge(`kubeproxy_sync_proxy_rules_${name}`, help, names);
    const counter = (name: string, help: string, names = labels) => registry.counter(`kubeproxy_${name}`, help, names);
    this.#lastSync = gauge("last_timestamp_seconds", "The last time proxy rules were successfully synced");
    this.#lastQueued = gauge("last_queued_timestamp_seconds", "The last time a sync of proxy rules was queued");
    this.#pending = {
      service: gauge("service_changes_pending", "Pending proxy rules Service changes", []).series(),
      endpoint: gauge("endpoint_changes_pending", "Pending proxy rules Endpoint changes", []).series(),
    };
    this.#changes = {
      service: counter("sync_proxy_rules_service_changes_total", "Cumulative proxy rules Service changes", []).series(),
      endpoint: counter("sync_proxy_rules_endpoint_changes_total", "Cumulative proxy rules Endpoint changes", []).series(),
    };
    this.#noLocal = gauge("no_local_endpoints_total", "Number of services with a Local traffic policy and no endpoints", [
      "traffic_policy",
      "ip_family",
    ]);
    this.#syncFailures = counter("sync_proxy_rules_nftables_sync_failures_total", "Cumulative proxy nftables sync failures");
    this.#cleanupFailures = counter("sync_proxy_rules_nftables_cleanup_failures_total", "Cumulative proxy nftables cleanup failures");
    this.#flows = timed("conntrack_reconciler_sync_duration_seconds", "ReconcileConntrackFlowsLatency latency in seconds");
    this.#flowsDeleted = counter(
      "conntrack_reconciler_deleted_entries_total",
      "Cumulative conntrack flows deleted by conntrack reconciler",
    );
    this.#probes = {
      healthz: counter("proxy_healthz_total", "Cumulative proxy healthz HTTP status", ["code"]),
      livez: counter("proxy_livez_total", "Cumulative proxy livez HTTP status", ["code"]),
    };
  }

  changed(what: "service" | "endpoint"): void {
    this.#changes[what].add();
    this.#pending[what].add();
  }

  queued(family: IpFamily, atMs: number): void {
    this.#lastQueued.series(family).set(atMs / 1000);
  }

  synced(family: IpFamily, { isFull, seconds, atMs }: { readonly isFull: boolean; readonly seconds: number; readonly atMs: number }): void {
    this.#syncs.series(family).observe(seconds);
    (isFull ? this.#fullSyncs : this.#partialSyncs).series(family).observe(seconds);
    this.#lastSync.series(family).set(atMs / 1000);
  }

  /** Everything that waited has been written. */
  settled(): void {
    this.#pending.service.set(0);
    this.#pending.endpoint.set(0);
  }

  /** From a change of endpoints, as their controller has seen it, until it works. */
  programmed(family: IpFamily, seconds: number): void {
    this.#programming.series(family).observe(seconds);
  }

  withoutLocalEndpoints(family: IpFamily, counts: { readonly internal: number; readonly external: number }): void {
    this.#noLocal.series("internal", family).set(counts.internal);
    this.#noLocal.series("external", family).set(counts.external);
  }

  syncFailed(family: IpFamily): void {
    this.#syncFailures.series(family).add();
  }

  cleanupFailed(family: IpFamily): void {
    this.#cleanupFailures.series(family).add();
  }

  flowsCleaned(family: IpFamily, seconds: number, count: number): void {
    this.#flows.series(family).observe(seconds);
    this.#flowsDeleted.series(family).add(count);
  }

  probed(endpoint: "healthz" | "livez", code: number): void {
    this.#probes[endpoint].series(String(code)).add();
  }
}
