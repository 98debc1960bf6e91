// The metrics of requests by upstream's names, labels, buckets and levels of stability.
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

export interface RequestFamilies {
  readonly requests: Family<Series>;
  readonly durations: Family<HistogramSeries>;
  /** Without what was waited for elsewhere. */
  readonly ownDurations: Family<HistogramSeries>;
  readonly sizes: Family<HistogramSeries>;
  readonly bodySizes: Family<HistogramSeries>;
  readonly validations: Family<HistogramSeries>;
  readonly events: Family<Series>;
  readonly eventSizes: Family<HistogramSeries>;
  /** Those that go on. */
  readonly open: Family<GaugeSeries>;
  readonly self: Family<Series>;
  readonly terminations: Family<Series>;
  readonly aborts: Family<Series>;
  readonly deprecated: Family<GaugeSeries>;
}

const afterTheFirst = [0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const durationBuckets = [0.005, 0.025, 0.05, ...afterTheFirst];
const ownDurationBuckets = [0.05, ...afterTheFirst];
/** 1 KB, ten times as much up to 1 GB. */
const sizeBuckets = Array.from({ length: 7 }, (_, i) => 1000 * 10 ** i);
/** To just above the largest body, which is 3 MiB. */
const bodyBuckets = [50_000, ...Array.from({ length: 30 }, (_, i) => 150_000 + 100_000 * i)];
const alike = ["group", "resource", "scope", "subresource", "verb", "version"];

export function requestFamilies(registry: MetricsRegistry): RequestFamilies {
  return { ...timedFamilies(registry), ...countedFamilies(registry) };
}

type Timed = Pick<RequestFamilies, "durations" | "ownDurations" | "sizes" | "bodySizes" | "validations" | "eventSizes">;

function timedFamilies(registry: MetricsRegistry): Timed {
  return {
    durations: registry.histogram(
      "apiserver_request_duration_seconds",
      "[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
      { labels: ["component", "dry_run", ...alike], buckets: durationBuckets },
    ),
    ownDurations: registry.histogram(
      "apiserver_request_sli_duration_seconds",
      "[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.",
      { labels: ["component", ...alike], buckets: ownDurationBuckets },
    ),
    sizes: registry.histogram(
      "apiserver_response_sizes",
      "[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
      { labels: ["component", ...alike], buckets: sizeBuckets },
    ),
    bodySizes: registry.histogram(
      "apiserver_request_body_size_bytes",
      "[ALPHA] Apiserver request body size in bytes broken out by resource and verb.",
      { labels: ["group", "resource", "verb"], buckets: bodyBuckets },
    ),
    eventSizes: registry.histogram("apiserver_watch_events_sizes", "[ALPHA] Watch event size distribution in bytes", {
      labels: ["group", "resource", "version"],
      buckets: Array.from({ length: 8 }, (_, i) => 1024 * 2 ** i),
    }),
    validations: registry.histogram(
      "field_validation_request_duration_seconds",
      "[ALPHA] Response latency distribution in seconds for each field validation value",
      { labels: ["field_validation"], buckets: ownDurationBuckets },
    ),
  };
}

function countedFamilies(registry: MetricsRegistry): Omit<RequestFamilies, keyof Timed> {
  return {
    requests: registry.counter(
      "apiserver_request_total",
      "[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
      ["code", "component", "dry_run", ...alike],
    ),
    events: registry.counter("apiserver_watch_events_total", "[ALPHA] Number of events sent in watch clients", [
      ...["group", "resource", "version"],
    ]),
    open: registry.gauge(
      "apiserver_longrunning_requests",
      "[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.",
      ["component", ...alike],
    ),
    self: registry.counter(
      "apiserver_selfrequest_total",
      "[ALPHA] Counter of apiserver self-requests broken out for each verb, API resource and subresource.",
      ["group", "resource", "subresource", "verb"],
    ),
    terminations: registry.counter(
      "apiserver_request_terminations_total",
      "[ALPHA] Number of requests which apiserver terminated in self-defense.",
      ["code", "component", ...alike],
    ),
    aborts: registry.counter(
      "apiserver_request_aborts_total",
      "[ALPHA] Number of requests which apiserver aborted possibly due to a timeout, for each group, version, verb, resource, subresource and scope",
      alike,
    ),
    deprecated: registry.gauge(
      "apiserver_requested_deprecated_apis",
      "[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.",
      ["group", "removed_release", "resource", "subresource", "version"],
    ),
  };
}
