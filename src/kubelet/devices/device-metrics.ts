// How often plugins have registered and how long allocations took, and what the pod-resources endpoint was asked, under
// upstream's names.
import type { Family, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

export interface DeviceMetrics {
  /** By resource. */
  readonly registrations: Family<Series>;
  /** By resource, in seconds. */
  readonly allocations: Family<HistogramSeries>;
}

const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function registerDeviceMetrics(registry: MetricsRegistry): DeviceMetrics {
  const labels = ["resource_name"];
  return {
    registrations: registry.counter("kubelet_device_plugin_registration_total", "Registrations of device plugins, by resource.", labels),
    allocations: registry.histogram("kubelet_device_plugin_alloc_duration_seconds", "How long plugins took to allocate, by resource.", {
      ...{ labels, buckets },
    }),
  };
}

export interface PodResourcesMetrics {
  readonly requests: Family<Series>;
  readonly list: Family<Series>;
  readonly get: Family<Series>;
  readonly getErrors: Family<Series>;
  readonly getAllocatable: Family<Series>;
}

export function registerPodResourcesMetrics(registry: MetricsRegistry): PodResourcesMetrics {
  const counter = (name: string, help: string): Family<Series> =>
    registry.counter(`kubelet_pod_resources_endpoint_${name}`, help, ["server_api_version"]);
  return {
    requests: counter("requests_total", "Requests to the pod-resources endpoint, by version."),
    list: counter("requests_list", "List requests to the pod-resources endpoint, by version."),
    get: counter("requests_get", "Get requests to the pod-resources endpoint, by version."),
    getErrors: counter("errors_get", "Get requests to the pod-resources endpoint that failed, by version."),
    getAllocatable: counter("requests_get_allocatable", "GetAllocatableResources requests to the pod-resources endpoint, by version."),
  };
}
