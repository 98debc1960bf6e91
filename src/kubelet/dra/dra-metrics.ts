// How long preparing claims takes, and how many are in use, under upstream's names.
import type { Family, HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

export interface DraMetrics {
  /** By operation and whether it failed, in seconds: all claims of a pod. */
  readonly operations: Family<HistogramSeries>;
  /** By driver, method and status, in seconds. */
  readonly calls: Family<HistogramSeries>;
}

/** 15 of them from 0.1 to 40 seconds, each the same multiple of the one before. */
const buckets = Array.from({ length: 15 }, (_, i) => 0.1 * 400 ** (i / 14));

const anyDriver = "<any>";

/** `inUse`: how many prepared claims each driver has, and how many there are at all. */
export function registerDraMetrics(
  registry: MetricsRegistry,
  inUse: () => { readonly total: number; readonly byDriver: ReadonlyMap<string, number> },
): DraMetrics {
  const gauge = registry.gauge(
    "dra_resource_claims_in_use",
    "[ALPHA] The number of ResourceClaims that are currently in use on the node, by driver name (driver_name label value) and across all drivers (special value <any> for driver_name). Note that the sum of all by-driver counts is not the total number of in-use ResourceClaims because the same ResourceClaim might use devices from different drivers. Instead, use the count for the <any> driver_name.",
    ["driver_name"],
  );
  const shown = new Set<string>();
  registry.beforeScrape(() => {
    const { total, byDriver } = inUse();
    for (const driver of byDriver.keys()) shown.add(driver);
    gauge.series(anyDriver).set(total);
    for (const driver of shown) gauge.series(driver).set(byDriver.get(driver) ?? 0);
  });
  return {
    operations: registry.histogram("dra_operations_duration_seconds", "Handling all ResourceClaims of a pod when it starts or stops.", {
      labels: ["operation_name", "is_error"],
      buckets,
    }),
    calls: registry.histogram("dra_grpc_operations_duration_seconds", "Duration in seconds of the DRA gRPC operations", {
      labels: ["driver_name", "method_name", "grpc_status_code"],
      buckets,
    }),
  };
}
