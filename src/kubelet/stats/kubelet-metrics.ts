// The kubelet's own metrics (/metrics, and /metrics/probes in a registry of their own), under upstream's names. Others report
// what they did through the methods here; what is only known when somebody asks is brought up to date by beforeScrape.
import type { Pod, PodStatus } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { QueueMetrics } from "../../base/keyed-queue.ts";
import { type Family, type HistogramSeries, MetricsRegistry, type Series } from "../../base/metrics.ts";
import { registerBuildInfo, registerProcessMetrics } from "../../base/process-metrics.ts";
import { registerRegistryFigures } from "../../base/registry-figures.ts";
import { QueueFigures } from "../../client/queue-figures.ts";
import type { ProbeKind } from "../probes/container-probe.ts";
import type { ProbeOutcome } from "../probes/prober.ts";
import { LifeMetrics } from "./life-metrics.ts";
import { VolumeMetrics } from "./volume-metrics.ts";

const defaultBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const startBuckets = [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];

export type PodOperation = "create" | "sync" | "kill";

export interface PodStep {
  readonly pod: Pod;
  readonly operation: PodOperation;
  readonly durationMs: number;
  /** As it is now. */
  readonly status: PodStatus;
  /** Of the first step: how long the pod waited for it. */
  readonly waitedMs?: number;
}

export class KubeletMetrics {
  readonly registry = new MetricsRegistry();
  readonly life: LifeMetrics;
  readonly volumes: VolumeMetrics;
  readonly probes = new MetricsRegistry();
  readonly #clock: Clock;
  readonly #relists: HistogramSeries;
  readonly #relistIntervals: HistogramSeries;
  readonly #lastRelist: { set(value: number): void };
  readonly #steps: Family<HistogramSeries>;
  readonly #containersPerPod: HistogramSeries;
  readonly #starts: HistogramSeries;
  readonly #totalStarts: HistogramSeries;
  readonly #probeResults: Family<Series>;
  readonly #probeDurations: Family<HistogramSeries>;
  /** When a pod that does not run yet was first worked on; null once it has run. */
  readonly #firstSeen = new Map<string, number | null>();
  #relistedAtMs: number | undefined;
  #queues: QueueFigures | undefined;

  constructor(clock: Clock, nodeName: string) {
    this.#clock = clock;
    const { registry, probes } = this;
    this.life = new LifeMetrics(registry, clock);
    this.volumes = new VolumeMetrics(registry, clock);
    registerProcessMetrics(registry, clock);
    registerBuildInfo(registry);
    registerRegistryFigures(registry);
    const started = "Start time of the process since the Unix epoch in seconds.";
    probes
      .gauge("process_start_time_seconds", started)
      .series()
      .set(Math.round(clock.now() / 1000 - process.uptime()));
    registry.gauge("kubelet_node_name", "[ALPHA] The node's name. The count is always 1.", ["node"]).series(nodeName).set(1);
    const histogram = (name: string, help: string, buckets = defaultBuckets): HistogramSeries =>
      registry.histogram(name, help, { buckets }).series();
    this.#relists = histogram("kubelet_pleg_relist_duration_seconds", "[ALPHA] Duration in seconds for relisting pods in PLEG.");
    this.#relistIntervals = histogram("kubelet_pleg_relist_interval_seconds", "[ALPHA] Interval in seconds between relisting in PLEG.");
    this.#lastRelist = registry
      .gauge("kubelet_pleg_last_seen_seconds", "[ALPHA] Timestamp in seconds when PLEG was last seen active.")
      .series();
    this.#steps = registry.histogram(
      "kubelet_pod_worker_duration_seconds",
      "[ALPHA] Duration in seconds to sync a single pod. Broken down by operation type: create, update, or sync",
      {
        ...{ labels: ["operation_type"], buckets: defaultBuckets },
      },
    );
    this.#containersPerPod = histogram("kubelet_containers_per_pod_count", "[ALPHA] The number of containers per pod.", [1, 2, 4, 8, 16]);
    this.#starts = histogram(
      "kubelet_pod_start_duration_seconds",
      "[ALPHA] Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
      startBuckets,
    );
    this.#totalStarts = histogram(
      "kubelet_pod_start_total_duration_seconds",
      "[ALPHA] Duration in seconds to start a pod since creation, including time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
      startBuckets,
    );
    const probe = ["container", "pod", "namespace"];
    this.#probeResults = probes.counter(
      "prober_probe_total",
      "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.",
      ["probe_type", "result", ...probe, "pod_uid"],
    );
    this.#probeDurations = probes.histogram("prober_probe_duration_seconds", "[ALPHA] Duration in seconds for a probe response.", {
      ...{ labels: ["probe_type", ...probe], buckets: defaultBuckets },
    });
  }

  /** Figures of work that is done one after the other, under a queue's name; nothing ever waits to be tried again there. */
  queue(name: string): QueueMetrics {
    this.#queues ??= new QueueFigures(this.registry);
    this.#queues.measure(name, { depth: 0, unfinished: { totalMs: 0, longestMs: 0 } });
    return this.#queues.hooks(name);
  }

  relisted(durationMs: number): void {
    const now = this.#clock.now();
    this.#relists.observe(durationMs / 1000);
    if (this.#relistedAtMs !== undefined) this.#relistIntervals.observe((now - this.#relistedAtMs) / 1000);
    this.#relistedAtMs = now;
    this.#lastRelist.set(now / 1000);
  }

  podStep({ pod, operation, durationMs, status, waitedMs }: PodStep): void {
    const isRunning = status.phase === "Running";
    if (waitedMs !== undefined) this.life.workerStarted(waitedMs);
    this.#steps.series(operation).observe(durationMs / 1000);
    if (operation === "create") this.#containersPerPod.observe(pod.spec.containers.length);
    const { uid, creationTimestamp } = pod.metadata;
    const now = this.#clock.now();
    const seen = this.#firstSeen.get(uid);
    // A pod that ran before the kubelet started has not been started by it.
    if (seen === undefined) this.#firstSeen.set(uid, operation === "create" && !isRunning ? now - durationMs : null);
    else if (seen !== null && isRunning) {
      this.#firstSeen.set(uid, null);
      this.life.podStarted(pod, status);
      this.#starts.observe((now - seen) / 1000);
      if (creationTimestamp) this.#totalStarts.observe(Math.max(0, now - Date.parse(creationTimestamp)) / 1000);
    }
  }

  /** Of a pod that is gone. */
  forget({ metadata: { uid, name, namespace }, spec }: Pod): void {
    this.#firstSeen.delete(uid);
    this.life.forget(uid);
    for (const container of [...(spec.initContainers ?? []), ...spec.containers])
      for (const kind of probeKinds) {
        this.#probeDurations.remove(kind, container.name, name, namespace);
        for (const result of probeResults) this.#probeResults.remove(kind, result, container.name, name, namespace, uid);
      }
  }

  /** Runs a probe, and counts what came of it. */
  async probe(
    { kind, pod, container }: { readonly kind: ProbeKind; readonly pod: Pod; readonly container: string },
    run: () => Promise<ProbeOutcome>,
  ): Promise<ProbeOutcome> {
    const { name, namespace, uid } = pod.metadata;
    const begunMs = this.#clock.monotonic();
    let result: (typeof probeResults)[number] = "unknown";
    try {
      const outcome = await run();
      result = outcome.result === "failure" ? "failed" : "successful";
      this.#probeDurations.series(kind, container, name, namespace).observe((this.#clock.monotonic() - begunMs) / 1000);
      return outcome;
    } finally {
      this.#probeResults.series(kind, result, container, name, namespace, uid).add();
    }
  }
}

const probeKinds = ["Liveness", "Readiness", "Startup"] as const;
const probeResults = ["successful", "failed", "unknown"] as const;
