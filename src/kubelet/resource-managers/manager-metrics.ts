// What the managers of CPUs and of topology have done, under upstream's names.
import type { GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

export interface ManagerMetrics {
  /** Containers that asked for CPUs of their own. */
  readonly pinningRequests: Series;
  readonly pinningErrors: Series;
  readonly sharedPoolMilli: GaugeSeries;
  readonly exclusiveCount: GaugeSeries;
  readonly admissions: Series;
  readonly admissionErrors: Series;
  readonly admissionMs: HistogramSeries;
}

const buckets = Array.from({ length: 15 }, (_, i) => 0.05 * 2 ** i);

export function registerManagerMetrics(registry: MetricsRegistry): ManagerMetrics {
  const counter = (name: string, help: string): Series => registry.counter(`kubelet_${name}`, help).series();
  const gauge = (name: string, help: string): GaugeSeries => registry.gauge(`kubelet_${name}`, help).series();
  return {
    pinningRequests: counter("cpu_manager_pinning_requests_total", "Containers that asked for CPUs of their own."),
    pinningErrors: counter("cpu_manager_pinning_errors_total", "Containers that asked for CPUs of their own and could not have them."),
    sharedPoolMilli: gauge("cpu_manager_shared_pool_size_millicores", "CPUs that containers share, in thousandths."),
    exclusiveCount: gauge("cpu_manager_exclusive_cpu_allocation_count", "CPUs that belong to single containers."),
    admissions: counter("topology_manager_admission_requests_total", "Pods whose resources were to be aligned."),
    admissionErrors: counter("topology_manager_admission_errors_total", "Pods whose resources could not be aligned."),
    admissionMs: registry
      .histogram("kubelet_topology_manager_admission_duration_ms", "How long pods took to be admitted.", { buckets })
      .series(),
  };
}
