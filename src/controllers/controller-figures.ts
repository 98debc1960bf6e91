// Figures of single controllers under upstream's names. They stand here as a table, are there from the first scrape on, and are
// counted by name where something happens.
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../base/metrics.ts";

interface Described {
  readonly help: string;
  readonly labels?: readonly string[];
}

const counters = {
  endpoint_slice_controller_syncs: { help: "Number of EndpointSlice syncs", labels: ["result"] },
  ephemeral_volume_controller_create_total: { help: "Number of PersistentVolumeClaim creation requests" },
  ephemeral_volume_controller_create_failures_total: { help: "Number of PersistentVolumeClaim creation requests that failed" },
  job_controller_job_syncs_total: { help: "The number of job syncs", labels: ["completion_mode", "result", "action"] },
  job_controller_jobs_finished_total: { help: "The number of finished jobs", labels: ["completion_mode", "result", "reason"] },
  retroactive_storageclass_total: { help: "Total number of PersistentVolumeClaims that got the default class later" },
  retroactive_storageclass_errors_total: { help: "Total number of such claims that could not be written" },
  root_ca_cert_publisher_sync_total: { help: "Number of namespace syncs of the root certificates", labels: ["code"] },
  taint_eviction_controller_pod_deletions_total: { help: "Total number of Pods deleted because of NoExecute taints" },
} as const satisfies Readonly<Record<string, Described>>;

const doubling = (from: number, count: number): readonly number[] => Array.from({ length: count }, (_, i) => from * 2 ** i);
const evictionBuckets = [0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240];

const histograms = {
  cronjob_controller_job_creation_skew_duration_seconds: {
    help: "Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
    buckets: doubling(1, 10),
  },
  job_controller_job_sync_duration_seconds: {
    help: "The time it took to sync a job",
    labels: ["completion_mode", "result", "action"],
    buckets: doubling(0.004, 15),
  },
  root_ca_cert_publisher_sync_duration_seconds: {
    help: "How long a namespace sync of the root certificates takes",
    labels: ["code"],
    buckets: doubling(0.001, 15),
  },
  taint_eviction_controller_pod_deletion_duration_seconds: {
    help: "Latency, in seconds, between the time when a taint effect has been activated for the Pod and its deletion",
    buckets: evictionBuckets,
  },
  ttl_after_finished_controller_job_deletion_duration_seconds: {
    help: "The time it took to delete the job since it became eligible for deletion",
    buckets: doubling(0.1, 14),
  },
} as const satisfies Readonly<Record<string, Described & { readonly buckets: readonly number[] }>>;

const gauges = {
  horizontal_pod_autoscaler_controller_num_horizontal_pod_autoscalers: { help: "Current number of controlled HPA objects." },
} as const satisfies Readonly<Record<string, Described>>;

export type Counted = keyof typeof counters;
export type Timed = keyof typeof histograms;
export type Measured = keyof typeof gauges;

export class ControllerFigures {
  readonly #counters: ReadonlyMap<string, Family<Series>>;
  readonly #histograms: ReadonlyMap<string, Family<HistogramSeries>>;
  readonly #gauges: ReadonlyMap<string, Family<GaugeSeries>>;

  constructor(registry: MetricsRegistry) {
    const labelsOf = (described: Described): readonly string[] => described.labels ?? [];
    this.#counters = made(counters, (name, each) => registry.counter(name, each.help, labelsOf(each)));
    this.#histograms = made<HistogramSeries, Described & { readonly buckets: readonly number[] }>(histograms, (name, each) =>
      registry.histogram(name, each.help, { labels: labelsOf(each), buckets: each.buckets }),
    );
    this.#gauges = made(gauges, (name, each) => registry.gauge(name, each.help, labelsOf(each)));
  }

  /** `labels` in the order of the table. */
  count(name: Counted, ...labels: readonly string[]): void {
    this.#counters
      .get(name)
      ?.series(...labels)
      .add();
  }

  observe(name: Timed, seconds: number, ...labels: readonly string[]): void {
    this.#histograms
      .get(name)
      ?.series(...labels)
      .observe(seconds);
  }

  set(name: Measured, value: number): void {
    this.#gauges.get(name)?.series().set(value);
  }
}

/** A family for each entry; those without labels have their series at once. */
function made<S, D extends Described = Described>(
  table: Readonly<Record<string, D>>,
  make: (name: string, described: D) => Family<S>,
): ReadonlyMap<string, Family<S>> {
  return new Map(
    Object.entries(table).map(([name, described]) => {
      const family = make(name, described);
      if (!described.labels) family.series();
      return [name, family];
    }),
  );
}
