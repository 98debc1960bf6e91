// Computes the statuses of pods from what is known of them, and hands them to the status manager.
import { computePodQos } from "../../api/semantics/pod-qos.ts";
import type { Pod, PodStatus, ResourceStatus } from "../../api/types/core-v1.ts";
import type { ProbeManager } from "../probes/probe-manager.ts";
import type { PodAllocations } from "../resize/pod-allocations.ts";
import type { PodResizes } from "../resize/pod-resizes.ts";
import type { RuntimePod } from "../runtime/runtime-pod.ts";
import type { WaitingReason } from "./container-statuses.ts";
import { type ComputedStatus, computePodStatus, finalPodStatus, type PodVerdict } from "./pod-status.ts";
import type { StatusManager } from "./status-manager.ts";

export interface PodReporterDependencies {
  readonly statuses: StatusManager;
  readonly probes: ProbeManager;
  readonly allocations: PodAllocations;
  readonly resizes: PodResizes;
  readonly runtimeName: string;
  readonly hostIPs: () => readonly string[];
  /** The runtime can make mounts read-only together with those below them. */
  readonly recursiveReadOnly: () => boolean;
  /** The condition PodReadyToStartContainers is reported. */
  readonly readyToStart: boolean;
  /** The signals that end containers are told. */
  readonly showsStopSignals: boolean;
  /** Of a container's devices; default none. */
  readonly healthOf?: (pod: Pod, container: string) => readonly ResourceStatus[];
}

export interface PodReport {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  /** By container name. */
  readonly waiting: ReadonlyMap<string, WaitingReason>;
  /** The kubelet fails the pod. */
  readonly verdict?: PodVerdict;
  /** The node does not admit the pod: nothing of it has ever been here. */
  readonly refused: boolean;
  /** Everything has been stopped. */
  readonly terminated: boolean;
}

export class PodReporter {
  readonly #deps: PodReporterDependencies;

  constructor(deps: PodReporterDependencies) {
    this.#deps = deps;
  }

  /** What was last reported, or what the API server has. */
  previous(pod: Pod): PodStatus {
    return this.#deps.statuses.get(pod.metadata.uid) ?? pod.status ?? {};
  }

  report(report: PodReport): ComputedStatus {
    const computed = this.#compute(report);
    this.#deps.statuses.set(report.pod, computed.status);
    return computed;
  }

  /** Nothing of the pod is left on the node but dead containers: its object may go. */
  finish(report: PodReport): void {
    this.#deps.statuses.set(report.pod, finalPodStatus(report.pod, this.report(report).status), { finished: true });
  }

  /** The sandbox and its network are there; images may still have to be pulled. */
  sandboxReady(pod: Pod): void {
    const status = this.previous(pod);
    const conditions = (status.conditions ?? []).map((c) => (c.type === "PodReadyToStartContainers" ? { ...c, status: "True" } : c));
    this.#deps.statuses.set(pod, { ...status, conditions });
  }

  #compute({ pod, runtime, waiting, verdict, refused, terminated }: PodReport): ComputedStatus {
    if (refused && verdict) {
      const { phase, reason, message } = verdict;
      const { generation } = pod.metadata;
      const observed = generation === undefined ? {} : { observedGeneration: generation };
      return { over: true, status: { phase, reason, message, ...observed, qosClass: pod.status?.qosClass ?? computePodQos(pod.spec) } };
    }
    const { probes, runtimeName, allocations, resizes, healthOf } = this.#deps;
    const idOf = (containerID = ""): string => containerID.slice(containerID.indexOf("://") + "://".length);
    return computePodStatus({
      ...{ pod, runtime, runtimeName, waiting, terminated },
      previous: this.previous(pod),
      actuated: (name) => allocations.actuated(pod.metadata.uid, name),
      passing: resizes.conditionsOf(pod.metadata.uid),
      ...{ readyToStart: this.#deps.readyToStart, showsStopSignals: this.#deps.showsStopSignals },
      started: (container, status) => probes.started(container, idOf(status.containerID)),
      ready: (container, status) => probes.ready(container, idOf(status.containerID)),
      hostIPs: this.#deps.hostIPs(),
      recursiveReadOnly: this.#deps.recursiveReadOnly(),
      ...(healthOf ? { healthOf: (name: string) => healthOf(pod, name) } : {}),
      ...(verdict ? { verdict } : {}),
    });
  }
}
