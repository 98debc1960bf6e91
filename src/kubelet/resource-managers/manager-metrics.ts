// What the managers of CPUs, memory and topology have done, under upstream's names.
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

export interface ManagerMetrics {
  /** Containers that asked for CPUs of their own. */
  readonly pinningRequests: Series;
  readonly pinningErrors: Series;
  readonly sharedPoolMilli: GaugeSeries;
  readonly exclusiveCount: GaugeSeries;
  /** By NUMA node. */
  readonly exclusiveByNode: Family<GaugeSeries>;
  /** Containers that asked for memory of their own. */
  readonly memoryRequests: Series;
  readonly memoryErrors: Series;
  /** By scope (container, pod) and boundary (physical_cpu, numa_node, uncore_cache). */
  readonly aligned: Family<Series>;
  readonly notAligned: Family<Series>;
  readonly admissions: Series;
  readonly admissionErrors: Series;
  readonly admissionMs: HistogramSeries;
}

const buckets = Array.from({ length: 15 }, (_, i) => 0.05 * 2 ** i);

export function registerManagerMetrics(registry: MetricsRegistry): ManagerMetrics {
  const counter = (name: string, help: string): Series => registry.counter(`kubelet_${name}`, help).series();
  const byBoundary = ["scope", "boundary"];
  const aligned = registry.counter("kubelet_container_aligned_compute_resources_count", "Containers given aligned resources.", byBoundary);
  const notAligned = registry.counter(
    "kubelet_container_aligned_compute_resources_failure_count",
    "Containers that could not be given aligned resources.",
    byBoundary,
  );
  const gauge = (name: string, help: string): GaugeSeries => registry.gauge(`kubelet_${name}`, help).series();
  return {
    pinningRequests: counter("cpu_manager_pinning_requests_total", "[ALPHA] The number of cpu core allocations which required pinning."),
    pinningErrors: counter("cpu_manager_pinning_errors_total", "[ALPHA] The number of cpu core allocations which required pinning failed."),
    sharedPoolMilli: gauge(
      "cpu_manager_shared_pool_size_millicores",
      "[ALPHA] The size of the shared CPU pool for non-guaranteed QoS pods, in millicores.",
    ),
    exclusiveCount: gauge(
      "cpu_manager_exclusive_cpu_allocation_count",
      "[ALPHA] The total number of CPUs exclusively allocated to containers running on this node",
    ),
    exclusiveByNode: registry.gauge("kubelet_cpu_manager_allocation_per_numa", "CPUs that belong to single containers, by NUMA node.", [
      "numa_node",
    ]),
    memoryRequests: counter(
      "memory_manager_pinning_requests_total",
      "[ALPHA] The number of memory pages allocations which required pinning.",
    ),
    memoryErrors: counter(
      "memory_manager_pinning_errors_total",
      "[ALPHA] The number of memory pages allocations which required pinning that failed.",
    ),
    ...{ aligned, notAligned },
    admissions: counter(
      "topology_manager_admission_requests_total",
      "[ALPHA] The number of admission requests where resources have to be aligned.",
    ),
    admissionErrors: counter(
      "topology_manager_admission_errors_total",
      "[ALPHA] The number of admission request failures where resources could not be aligned.",
    ),
    admissionMs: registry
      .histogram("kubelet_topology_manager_admission_duration_ms", "[ALPHA] Duration in milliseconds to serve a pod admission request.", {
        buckets,
      })
      .series(),
  };
}
