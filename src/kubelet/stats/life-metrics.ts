// What became of pods and of the node over time, under upstream's names: images pulled, containers ended, statuses reported,
// pods running as fast as they should, the node's own start. Others tell through the methods here.
import type { ContainerStatus, Pod, PodStatus } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Family, GaugeSeries, HistogramSeries, MetricsRegistry, Series } from "../../base/metrics.ts";

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const startSeconds = [0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];
const pullSeconds = [1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600];
const syncSeconds = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 20, 30, 45, 60];

const [mb, gb] = [2 ** 20, 2 ** 30];
/** By the least size beyond which they hold, largest first. */
const sizes: readonly (readonly [number, string])[] = [
  ...([100, 60, 40, 30, 20, 10, 5, 1] as const).map(
    (from, i, all) => [from * gb, i === 0 ? "GT100GB" : `${from}GB-${all[i - 1]}GB`] as const,
  ),
  ...([[500 * mb, "500MB-1GB"], [100 * mb, "100MB-500MB"], [10 * mb, "10MB-100MB"], [0, "0-10MB"]] as const), // biome-ignore format: a table
];

/** Milliseconds, each a span of one pull. */
type Spans = readonly (readonly [from: number, to: number])[];

const maxSpans = 100;

export class LifeMetrics {
  readonly #clock: Clock;
  readonly #pulls: Family<HistogramSeries>;
  readonly #ensured: Family<Series>;
  readonly #statusSyncs: HistogramSeries;
  readonly #ended: Family<Series>;
  readonly #sli: HistogramSeries;
  readonly #firstNetworkPod: GaugeSeries;
  readonly #workerStarts: HistogramSeries;
  readonly #streams: { readonly ok: Series; readonly failed: Series; readonly latency: HistogramSeries };
  readonly #volumes: Readonly<Record<"requested" | "mounted" | "failed", Series>>;
  readonly orphanedPods: Series;
  readonly cleanedVolumes: GaugeSeries;
  readonly volumesNotCleaned: GaugeSeries;
  readonly hookFallbacks: Series;
  readonly sleepsCutShort: Series;
  /** Pulls of pods that do not run yet. */
  readonly #pulling = new Map<string, Spans>();
  #sawNetworkPod = false;

  constructor(registry: MetricsRegistry, clock: Clock) {
    this.#clock = clock;
    const counter = (name: string, help: string): Series => registry.counter(`kubelet_${name}`, help).series();
    const gauge = (name: string, help: string): GaugeSeries => registry.gauge(`kubelet_${name}`, help).series();
    const histogram = (name: string, help: string, buckets: readonly number[]): HistogramSeries =>
      registry.histogram(`kubelet_${name}`, help, { buckets }).series();
    this.#pulls = registry.histogram("kubelet_image_pull_duration_seconds", "How long pulls took, by the image's size.", {
      ...{ labels: ["image_size_in_bytes"], buckets: pullSeconds },
    });
    this.#ensured = registry.counter(
      "kubelet_image_manager_ensure_image_requests_total",
      "[ALPHA] Number of ensure-image requests processed by the kubelet.",
      [...["present_locally", "pull_policy", "pull_required"]],
    );
    this.#statusSyncs = histogram(
      "pod_status_sync_duration_seconds",
      "[ALPHA] Duration in seconds to sync a pod status update. Measures time from detection of a change to pod status until the API is successfully updated for that pod, even if multiple intevening changes to pod status occur.",
      syncSeconds,
    );
    this.#ended = registry.counter("kubelet_terminated_containers_total", "[ALPHA] Cumulative number of container terminations.", [
      ...["container_type", "exit_code", "reason"],
    ]);
    this.#sli = histogram(
      "pod_start_sli_duration_seconds",
      "[ALPHA] Duration in seconds to start a pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
      startSeconds,
    );
    this.#firstNetworkPod = gauge(
      "first_network_pod_start_sli_duration_seconds",
      "[INTERNAL] Duration in seconds to start the first network pod, excluding time to pull images and run init containers, measured from pod creation timestamp to when all its containers are reported as started and observed via watch",
    );
    this.#workerStarts = histogram(
      "pod_worker_start_duration_seconds",
      "[ALPHA] Duration in seconds from kubelet seeing a pod to starting a worker.",
      seconds,
    );
    this.#streams = {
      ok: counter(
        "evented_pleg_connection_success_count",
        "[ALPHA] The number of times a streaming client was obtained to receive CRI Events.",
      ),
      failed: counter(
        "evented_pleg_connection_error_count",
        "[ALPHA] The number of errors encountered during the establishment of streaming connection with the CRI runtime.",
      ),
      latency: histogram(
        "evented_pleg_connection_latency_seconds",
        "[ALPHA] The latency of streaming connection with the CRI runtime, measured in seconds.",
        seconds,
      ),
    };
    this.#volumes = {
      requested: counter("image_volume_requested_total", "[BETA] Number of requested image volumes."),
      mounted: counter("image_volume_mounted_succeed_total", "[BETA] Number of successful image volume mounts."),
      failed: counter("image_volume_mounted_errors_total", "[BETA] Number of failed image volume mounts."),
    };
    this.orphanedPods = counter(
      "orphaned_runtime_pods_total",
      "[ALPHA] Number of pods that have been detected in the container runtime without being already known to the pod worker. This typically indicates the kubelet was restarted while a pod was force deleted in the API or in the local configuration, which is unusual.",
    );
    this.cleanedVolumes = gauge(
      "orphan_pod_cleaned_volumes",
      "[ALPHA] The total number of orphaned Pods whose volumes were cleaned in the last periodic sweep.",
    );
    this.volumesNotCleaned = gauge(
      "orphan_pod_cleaned_volumes_errors",
      "[ALPHA] The number of orphaned Pods whose volumes failed to be cleaned in the last periodic sweep.",
    );
    this.hookFallbacks = counter(
      "lifecycle_handler_http_fallbacks_total",
      "[ALPHA] The number of times lifecycle handlers successfully fell back to http from https.",
    );
    this.sleepsCutShort = counter(
      "sleep_action_terminated_early_total",
      "[ALPHA] The number of times lifecycle sleep handler got terminated before it finishes",
    );
  }

  imagePulled(podUid: string, { sizeBytes, durationMs }: { readonly sizeBytes: number; readonly durationMs: number }): void {
    const size = sizeBytes === 0 ? "N/A" : (sizes.find(([from]) => sizeBytes > from)?.[1] ?? "N/A");
    this.#pulls.series(size).observe(durationMs / 1000);
    const nowMs = this.#clock.now();
    const spans = this.#pulling.get(podUid) ?? [];
    if (spans.length < maxSpans) this.#pulling.set(podUid, [...spans, [nowMs - durationMs, nowMs]]);
  }

  imageEnsured(
    policy: string,
    { present, mustPull }: { readonly present: boolean | undefined; readonly mustPull: boolean | undefined },
  ): void {
    const text = (known: boolean | undefined): string => (known === undefined ? "unknown" : String(known));
    this.#ensured.series(text(present), policy.toLowerCase(), text(mustPull)).add();
  }

  /** `outcome` of each image volume that a container mounts. */
  imageVolume(outcome: "requested" | "mounted" | "failed"): void {
    this.#volumes[outcome].add();
  }

  statusReported(durationMs: number): void {
    this.#statusSyncs.observe(durationMs / 1000);
  }

  workerStarted(durationMs: number): void {
    this.#workerStarts.observe(durationMs / 1000);
  }

  following(outcome: "ok" | "failed"): void {
    this.#streams[outcome].add();
  }

  eventSeen(createdAtMs: number): void {
    if (createdAtMs > 0) this.#streams.latency.observe(Math.max(0, this.#clock.now() - createdAtMs) / 1000);
  }

  /** Counts the containers that have ended since the status before. */
  statusChanged(before: PodStatus, after: PodStatus): void {
    const lists = [
      ["containerStatuses", "container"],
      ["initContainerStatuses", "init_container"],
      ["ephemeralContainerStatuses", "ephemeral_container"],
    ] as const;
    for (const [list, type] of lists)
      for (const status of after[list] ?? []) {
        const ended = endOf(status);
        const old = before[list]?.find((s) => s.name === status.name);
        if (ended && old && endOf(old)?.containerID !== ended.containerID)
          this.#ended.series(type, String(ended.exitCode), ended.reason ?? "").add();
      }
  }

  /** All containers of a new pod have been started. */
  podStarted(pod: Pod, status: PodStatus): void {
    const spans = this.#pulling.get(pod.metadata.uid) ?? [];
    this.#pulling.delete(pod.metadata.uid);
    const { creationTimestamp } = pod.metadata;
    if (!creationTimestamp || isStateful(pod)) return;
    const init = (status.initContainerStatuses ?? []).reduce((sum, { state }) => {
      const { startedAt, finishedAt } = state?.terminated ?? {};
      return sum + (startedAt && finishedAt ? Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)) : 0);
    }, 0);
    const tookMs = Math.max(0, this.#clock.now() - Date.parse(creationTimestamp) - coveredMs(spans) - init);
    this.#sli.observe(tookMs / 1000);
    if (pod.spec.hostNetwork || this.#sawNetworkPod) return;
    this.#sawNetworkPod = true;
    this.#firstNetworkPod.set(tookMs / 1000);
  }

  /** Of a pod that is gone. */
  forget(podUid: string): void {
    this.#pulling.delete(podUid);
  }
}

const endOf = ({ state, lastState }: ContainerStatus) => state?.terminated ?? lastState?.terminated;

/** Milliseconds, what overlaps counted once. */
function coveredMs(spans: Spans): number {
  let [covered, end] = [0, Number.NEGATIVE_INFINITY];
  for (const [from, to] of [...spans].sort(([a], [b]) => a - b)) {
    covered += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return covered;
}

const passing = ["secret", "configMap", "downwardAPI", "emptyDir", "projected"] as const;

/** It has volumes that outlive it. */
const isStateful = ({ spec }: Pod): boolean => spec.volumes?.some((volume) => passing.every((kind) => volume[kind] === undefined)) === true;
