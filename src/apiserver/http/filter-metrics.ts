// How long the stages of a request took, under upstream's metric name: those whose time is measured anyway.
import type { HistogramSeries, MetricsRegistry } from "../../base/metrics.ts";

/** As upstream names its filters. */
export type TimedStage = "authentication" | "authorization" | "constrainedimpersonation" | "impersonation" | "priorityandfairness";

const buckets = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 5, 10, 15, 30];

/** Gives the series of a stage. */
export function createFilterMetrics(registry: MetricsRegistry): (stage: TimedStage) => HistogramSeries {
  const durations = registry.histogram(
    "apiserver_request_filter_duration_seconds",
    "[ALPHA] Request filter latency distribution in seconds, for each filter type",
    { labels: ["filter"], buckets },
  );
  return (stage) => durations.series(stage);
}
