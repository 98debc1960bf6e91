// Gauges of /metrics that are counted when somebody asks: pods and containers by state, and what the volumes of claims take.
import type { Pod } from "../../api/types/core-v1.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { isStaticPod } from "../pods/pod-spec.ts";
import type { PodWorkerState } from "../pods/pod-worker.ts";
import type { RuntimePod } from "../runtime/runtime-pod.ts";
import type { VolumeMeasurement } from "./measurement.ts";

export interface GaugedPod {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  /** Holds resources of the node. */
  readonly active: boolean;
  readonly state: PodWorkerState;
}

export interface PodGaugesSource {
  readonly pods: () => Iterable<GaugedPod>;
  /** Undefined before they were measured. */
  readonly volumes: (podUid: string) => readonly VolumeMeasurement[] | undefined;
}

export function registerPodGauges(metrics: MetricsRegistry, source: PodGaugesSource): void {
  const running = metrics.gauge("kubelet_running_pods", "[ALPHA] Number of pods that have a running pod sandbox").series();
  const containers = metrics.gauge("kubelet_running_containers", "[ALPHA] Number of containers currently running", ["container_state"]);
  const desired = metrics.gauge(
    "kubelet_desired_pods",
    "[ALPHA] The number of pods the kubelet is being instructed to run. static is true if the pod is not from the apiserver.",
    ["static"],
  );
  const active = metrics.gauge(
    "kubelet_active_pods",
    "[ALPHA] The number of pods the kubelet considers active and which are being considered when admitting new pods. static is true if the pod is not from the apiserver.",
    ["static"],
  );
  const mirrors = metrics
    .gauge("kubelet_mirror_pods", "[ALPHA] The number of mirror pods the kubelet will try to create (one per admitted static pod)")
    .series();
  const ephemeral = metrics
    .gauge("kubelet_managed_ephemeral_containers", "[ALPHA] Current number of ephemeral containers in pods managed by this kubelet.")
    .series();
  const working = metrics.gauge(
    "kubelet_working_pods",
    "[ALPHA] Number of pods the kubelet is actually running, broken down by lifecycle phase, whether the pod is desired, orphaned, or runtime only (also orphaned), and whether the pod is static. An orphaned pod has been removed from local configuration or force deleted in the API and consumes resources that are not otherwise visible.",
    ["lifecycle", "config", "static"],
  );
  const volumeGauges = registerVolumeGauges(metrics);
  metrics.beforeScrape(() => {
    const states = new Map<string, number>();
    const counts = { running: 0, desired: [0, 0], active: [0, 0], ephemeral: 0 };
    const stages = new Map<string, number>();
    volumeGauges.reset();
    for (const { pod, runtime, active: isActive, state } of source.pods()) {
      const kind = isStaticPod(pod) ? 1 : 0;
      if (runtime.sandboxes.some((s) => s.ready)) counts.running++;
      counts.desired[kind] = (counts.desired[kind] ?? 0) + 1;
      counts.ephemeral += pod.spec.ephemeralContainers?.length ?? 0;
      const stage = `${stageOf(state)}/${kind}`;
      stages.set(stage, (stages.get(stage) ?? 0) + 1);
      if (isActive) counts.active[kind] = (counts.active[kind] ?? 0) + 1;
      for (const { state } of runtime.containers) states.set(state, (states.get(state) ?? 0) + 1);
      for (const volume of source.volumes(pod.metadata.uid) ?? []) volumeGauges.show(volume);
    }
    running.set(counts.running);
    mirrors.set(counts.desired[1] ?? 0);
    ephemeral.set(counts.ephemeral);
    for (const stage of ["sync", "terminating", "terminated"])
      for (const kind of [0, 1]) working.series(stage, "desired", kind === 1 ? "true" : "").set(stages.get(`${stage}/${kind}`) ?? 0);
    for (const [gauge, values] of [[desired, counts.desired] as const, [active, counts.active] as const])
      for (const kind of [0, 1]) gauge.series(kind === 1 ? "true" : "").set(values[kind] ?? 0);
    containers.reset();
    for (const state of ["created", "exited", "running", "unknown"]) containers.series(state).set(states.get(state) ?? 0);
  });
}

/** Upstream's word for how far a pod's worker is. */
const stageOf = (state: PodWorkerState): string => (state === "syncing" ? "sync" : state === "terminating" ? state : "terminated");

const figures = {
  capacity_bytes: ["capacityBytes", "Capacity of a claim's volume."],
  available_bytes: ["availableBytes", "What is free on a claim's volume."],
  used_bytes: ["usedBytes", "What a claim's volume holds."],
  inodes: ["inodes", "Inodes of a claim's volume."],
  inodes_free: ["inodesFree", "Free inodes of a claim's volume."],
  inodes_used: ["inodesUsed", "Used inodes of a claim's volume."],
} as const;

function registerVolumeGauges(metrics: MetricsRegistry) {
  const labels = ["namespace", "persistentvolumeclaim"];
  const gauges = Object.entries(figures).map(
    ([name, [key, help]]) => [key, metrics.gauge(`kubelet_volume_stats_${name}`, help, labels)] as const,
  );
  return {
    reset(): void {
      for (const [, gauge] of gauges) gauge.reset();
    },
    show(volume: VolumeMeasurement): void {
      if (!volume.claim) return;
      for (const [key, gauge] of gauges) {
        const value = volume[key];
        if (value !== undefined) gauge.series(volume.claim.namespace, volume.claim.name).set(value);
      }
    },
  };
}
