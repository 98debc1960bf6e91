// How often the node had to protect itself, under upstream's names.
import type { Family, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

export interface ProtectionMetrics {
  /** By signal. */
  readonly evictions: Family<Series>;
  /** By signal: how old the figures were that an eviction went by. */
  readonly evictionStatsAge: Family<HistogramSeries>;
  /** A pod was not admitted. */
  rejected(reason: string): void;
  /** By the resource that was lacking. */
  readonly preemptions: Family<Series>;
  /** By reason: "age" or "space". */
  readonly imagesCollected: Family<Series>;
  readonly shutdownStarted: { set(value: number): void };
  readonly shutdownEnded: { set(value: number): void };
}

const ageBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function registerProtectionMetrics(registry: MetricsRegistry): ProtectionMetrics {
  const rejections = registry.counter("kubelet_admission_rejections_total", "Pods that were not admitted, by reason.", ["reason"]);
  const gauge = (name: string, help: string) => registry.gauge(name, help).series();
  return {
    evictions: registry.counter("kubelet_evictions", "Pods evicted, by signal.", ["eviction_signal"]),
    evictionStatsAge: registry.histogram("kubelet_eviction_stats_age_seconds", "Age of the figures that an eviction went by.", {
      ...{ labels: ["eviction_signal"], buckets: ageBuckets },
    }),
    rejected: (reason) => rejections.series(shownReason(reason)).add(),
    preemptions: registry.counter("kubelet_preemptions", "Pods ended for critical ones, by the resource lacking.", ["preemption_signal"]),
    imagesCollected: registry.counter("kubelet_image_garbage_collected_total", "Images removed, by reason.", ["reason"]),
    shutdownStarted: gauge(
      "kubelet_graceful_shutdown_start_time_seconds",
      "[ALPHA] Last graceful shutdown start time since unix epoch in seconds",
    ),
    shutdownEnded: gauge(
      "kubelet_graceful_shutdown_end_time_seconds",
      "[ALPHA] Last graceful shutdown end time since unix epoch in seconds",
    ),
  };
}

/** Those a series is kept of. */
const knownReasons: ReadonlySet<string> = new Set([
  ...["AppArmor", "Evicted", "InitContainerRestartPolicyForbidden", "InvalidNodeInfo", "NodeShutdown", "OutOfcpu", "OutOfmemory"],
  ...["OutOfephemeral-storage", "OutOfpods", "PodFeatureUnsupported", "PodLevelResourcesNotSupported", "PodOSNotSupported"],
  ...["PodOSSelectorNodeLabelDoesNotMatch", "SupplementalGroupsPolicyNotSupported", "SysctlForbidden", "TopologyAffinityError"],
  ...["UnexpectedAdmissionError", "UnexpectedPredicateFailureType", "UnknownReason", "VolumeAttachmentLimitExceeded"],
  "node(s) had taints that the pod didn't tolerate",
]);

const shownReason = (reason: string): string =>
  knownReasons.has(reason) ? reason : reason.startsWith("OutOf") ? "OutOfExtendedResources" : "Other";
