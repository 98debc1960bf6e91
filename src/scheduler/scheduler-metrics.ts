// Figures of the scheduler under upstream's names. Made once for a process; the scheduler comes and goes with the lease, and
// its series stay. How long extension points take is measured at every tenth attempt, so that measuring costs nothing.

import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../base/metrics.ts";
import type { Profile } from "./framework.ts";
import { PluginEvaluations } from "./plugin-evaluations.ts";

export type AttemptResult = "scheduled" | "unschedulable" | "error";
export type QueueName = "active" | "backoff" | "unschedulable" | "gated";
export type QueueSizes = Readonly<Record<QueueName, number>>;

export interface ShownSizes {
  readonly queue: () => QueueSizes;
  readonly cache: () => Readonly<Record<"nodes" | "pods" | "assumed_pods", number>>;
  /** How many are under way. */
  readonly bindings: () => number;
  /** Of each pod that waits. */
  readonly rejections: () => Iterable<{ readonly profile: string; readonly rejectedBy: ReadonlySet<string> }>;
}

const doubling = (first: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, i) => Number((first * 2 ** i).toPrecision(12)));

const attemptBuckets = doubling(0.001, 15);
/** More attempts of a pod than these are one series. */
const maxAttemptsShown = 15;

interface AttemptSeries {
  readonly count: Series;
  readonly duration: HistogramSeries;
}

export class SchedulerMetrics {
  readonly #attempts: Family<Series>;
  readonly #durations: Family<HistogramSeries>;
  readonly #algorithm: HistogramSeries;
  readonly #untilPlaced: Family<HistogramSeries>;
  readonly #attemptsNeeded: HistogramSeries;
  readonly #incoming: Family<Series>;
  readonly #preemptions: Series;
  readonly #victims: HistogramSeries;
  readonly #points: Family<HistogramSeries>;
  readonly #claims: Family<Series>;
  readonly #deviceBindings: Family<Series>;
  readonly #deviceWaits: Family<HistogramSeries>;
  readonly #flushed: Series;
  /** By the profile's name. */
  readonly #evaluations = new Map<string, { readonly profile: Profile; readonly counts: PluginEvaluations }>();
  readonly #evaluated: Family<Series>;
  readonly #attemptSeries = new Map<string, AttemptSeries>();
  #sizes: ShownSizes | undefined;

  constructor(registry: MetricsRegistry) {
    const labels = ["result", "profile"];
    this.#attempts = registry.counter(
      "scheduler_schedule_attempts_total",
      "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
      labels,
    );
    this.#durations = registry.histogram(
      "scheduler_scheduling_attempt_duration_seconds",
      "[STABLE] Scheduling attempt latency in seconds (scheduling algorithm + binding)",
      { labels, buckets: attemptBuckets },
    );
    const algorithm = "scheduler_scheduling_algorithm_duration_seconds";
    this.#algorithm = registry
      .histogram(algorithm, "[ALPHA] Scheduling algorithm latency in seconds", { buckets: attemptBuckets })
      .series();
    this.#untilPlaced = registry.histogram(
      "scheduler_pod_scheduling_sli_duration_seconds",
      "[BETA] Time from a pod's first attempt until it is scheduled, over all of its attempts.",
      { labels: ["attempts"], buckets: doubling(0.01, 20) },
    );
    this.#attemptsNeeded = registry
      .histogram("scheduler_pod_scheduling_attempts", "[STABLE] Number of attempts to successfully schedule a pod.", {
        buckets: doubling(1, 5),
      })
      .series();
    const incomingHelp = "[STABLE] Number of pods added to scheduling queues by event and queue type.";
    this.#incoming = registry.counter("scheduler_queue_incoming_pods_total", incomingHelp, ["queue", "event"]);
    const preemptionHelp = "[STABLE] Total preemption attempts in the cluster till now";
    this.#preemptions = registry.counter("scheduler_preemption_attempts_total", preemptionHelp).series();
    this.#victims = registry
      .histogram("scheduler_preemption_victims", "[STABLE] Number of selected preemption victims", { buckets: doubling(1, 7) })
      .series();
    this.#points = registry.histogram(
      "scheduler_framework_extension_point_duration_seconds",
      "[STABLE] Latency for running all plugins of a specific extension point.",
      { labels: ["extension_point", "status", "profile"], buckets: doubling(0.0001, 12) },
    );
    const claimsHelp = "[ALPHA] Number of ResourceClaims creation requests within scheduler";
    this.#claims = registry.counter("scheduler_resourceclaim_creates_total", claimsHelp, ["status"]);
    const devices = ["profile", "driver", "status"];
    const bindingsHelp = "[ALPHA] Number of allocations using devices with BindingConditions, counted per driver per scheduling attempt";
    this.#deviceBindings = registry.counter("scheduler_dra_bindingconditions_allocations_total", bindingsHelp, devices);
    this.#deviceWaits = registry.histogram(
      "scheduler_dra_bindingconditions_wait_duration_seconds",
      "[ALPHA] Time in seconds spent waiting for BindingConditions to be satisfied during PreBind.",
      { labels: devices, buckets: doubling(0.1, 14) },
    );
    this.#showPending(
      registry.gauge(
        "scheduler_pending_pods",
        "[STABLE] Number of pending pods, by the queue type: active, backoff, unschedulable (tried, and waiting for an event), gated (held back before a try).",
        ["queue"],
      ),
      registry,
    );
    this.#showCache(
      registry.gauge("scheduler_cache_size", "[ALPHA] Number of nodes, pods, and assumed (bound) pods in the scheduler cache.", ["type"]),
      registry,
    );
    const flushedHelp =
      "[ALPHA] Number of pods that were successfully scheduled after being flushed from unschedulablePods due to timeout.";
    this.#flushed = registry.counter("scheduler_pod_scheduled_after_flush_total", flushedHelp).series();
    this.#evaluated = registry.counter(
      "scheduler_plugin_evaluation_total",
      "[BETA] Number of attempts to schedule pods by each plugin and the extension point (available only in PreFilter, Filter, PreScore, and Score).",
      ["plugin", "extension_point", "profile"],
    );
    registry.beforeScrape(() => this.#tellEvaluations());
    this.#showRejections(registry);
  }

  /** Where it is counted how often the plugins of a profile are asked. */
  evaluationsOf(profile: Profile): PluginEvaluations {
    const known = this.#evaluations.get(profile.schedulerName);
    if (known?.profile === profile) return known.counts;
    this.#tellEvaluations();
    const counts = new PluginEvaluations(profile);
    this.#evaluations.set(profile.schedulerName, { profile, counts });
    return counts;
  }

  #tellEvaluations(): void {
    for (const [name, { counts }] of this.#evaluations) {
      counts.take((point, plugin, times) => this.#evaluated.series(plugin, point, name).add(times));
    }
  }

  #showRejections(registry: MetricsRegistry): void {
    const rejected = registry.gauge(
      "scheduler_unschedulable_pods",
      "[BETA] The number of unschedulable pods broken down by plugin name: a pod counts for each plugin that rejected it.",
      ["plugin", "profile"],
    );
    const running = registry.gauge(
      "scheduler_goroutines",
      "[BETA] Number of running pieces of work split by what they do, such as binding.",
      ["operation"],
    );
    registry.beforeScrape(() => {
      rejected.reset();
      for (const { profile, rejectedBy } of this.#sizes?.rejections() ?? []) {
        for (const plugin of rejectedBy) rejected.series(plugin, profile).add();
      }
      running.series("binding").set(this.#sizes?.bindings() ?? 0);
    });
  }

  #showCache(sizes: Family<GaugeSeries>, registry: MetricsRegistry): void {
    registry.beforeScrape(() => {
      const { nodes, pods, assumed_pods } = this.#sizes?.cache() ?? { nodes: 0, pods: 0, assumed_pods: 0 };
      for (const [type, size] of Object.entries({ nodes, pods, assumed_pods })) sizes.series(type).set(size);
    });
  }

  #showPending(pending: Family<GaugeSeries>, registry: MetricsRegistry): void {
    registry.beforeScrape(() => {
      const sizes = this.#sizes?.queue() ?? { active: 0, backoff: 0, unschedulable: 0, gated: 0 };
      // The keys of the literal type are its queues.
      for (const queue of Object.keys(sizes) as QueueName[]) pending.series(queue).set(sizes[queue]);
    });
  }

  /** The queue and the cache that are shown, until the function that is returned is called. */
  showSizes(sizes: ShownSizes): () => void {
    this.#sizes = sizes;
    return () => {
      if (this.#sizes === sizes) this.#sizes = undefined;
    };
  }

  attempted(result: AttemptResult, profile: string, ms: number): void {
    const key = `${result}/${profile}`;
    let series = this.#attemptSeries.get(key);
    if (!series) {
      series = { count: this.#attempts.series(result, profile), duration: this.#durations.series(result, profile) };
      this.#attemptSeries.set(key, series);
    }
    series.count.add();
    series.duration.observe(ms / 1000);
  }

  decided(ms: number): void {
    this.#algorithm.observe(ms / 1000);
  }

  /** A pod has its node, so long after its first attempt. */
  placed(attempts: number, ms: number, wasFlushed = false): void {
    if (wasFlushed) this.#flushed.add();
    this.#untilPlaced.series(attempts >= maxAttemptsShown ? `${maxAttemptsShown}+` : String(attempts)).observe(ms / 1000);
    this.#attemptsNeeded.observe(attempts);
  }

  queued(queue: QueueName, event: string): void {
    this.#incoming.series(queue, event).add();
  }

  preempting(victims: number): void {
    this.#victims.observe(victims);
  }

  preemptionTried(): void {
    this.#preemptions.add();
  }

  /** A claim for extended resources. */
  claimCreated(ok: boolean): void {
    this.#claims.series(ok ? "success" : "failure").add();
  }

  /** `binds`: the device itself had to be made ready. */
  waitedForDevices(waited: {
    readonly profile: string;
    readonly driver: string;
    readonly status: string;
    readonly ms: number;
    readonly binds: boolean;
  }): void {
    const { profile, driver, status, ms, binds } = waited;
    this.#deviceWaits.series(profile, driver, status).observe(ms / 1000);
    if (binds) this.#deviceBindings.series(profile, driver, status).add();
  }

  ranPoint(point: string, { profile, ok, ms }: { readonly profile: string; readonly ok: boolean; readonly ms: number }): void {
    this.#points.series(point, ok ? "Success" : "Unschedulable", profile).observe(ms / 1000);
  }
}
