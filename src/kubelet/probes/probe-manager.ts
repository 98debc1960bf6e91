// The probes of all containers that run on this node. The pod workers say which containers run; the manager starts and
// stops their probes, keeps the results, and tells the worker of a pod when one has changed. Liveness and readiness wait
// for the startup probe. Containers that ran before the kubelet started keep the readiness the API server knows of them.
import type { Container, ContainerStatus, Pod, PodStatus, Probe } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { ProbeResult } from "../pods/pod-actions.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { runtimeErrorText } from "../pods/start-error.ts";
import { containerReference } from "../references.ts";
import { containerIdOf, latestContainer, type RuntimeContainer, type RuntimePod } from "../runtime/runtime-pod.ts";
import type { KubeletMetrics } from "../stats/kubelet-metrics.ts";
import { ContainerProbe, type ProbeKind } from "./container-probe.ts";
import type { ProbeOutcome, RunProbe } from "./prober.ts";

export interface ProbeManagerDependencies {
  readonly clock: Clock;
  readonly run: RunProbe;
  readonly recorder: EventRecorder;
  readonly runtimeName: string;
  /** For metrics: runs a probe. */
  readonly observe?: KubeletMetrics["probe"];
  /** A result of this pod changed. */
  readonly onChange: (podUid: string) => void;
}

interface Probed {
  readonly podUid: string;
  readonly probes: Map<ProbeKind, ContainerProbe>;
}

export class ProbeManager {
  readonly #deps: ProbeManagerDependencies;
  /** By container id. */
  readonly #containers = new Map<string, Probed>();

  constructor(deps: ProbeManagerDependencies) {
    this.#deps = deps;
  }

  /** Starts probes of containers that run, stops those of containers that do not. `previous` is the pod's last status. */
  update(pod: Pod, runtime: RuntimePod, previous: PodStatus): void {
    const running = new Set<string>();
    for (const container of [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers]) {
      const instance = latestContainer(runtime, container.name);
      if (instance?.state !== "running") continue;
      running.add(instance.id);
      if (!this.#containers.has(instance.id)) this.#add(pod, container, instance, runtime, previous);
    }
    for (const [id, { podUid }] of this.#containers) if (podUid === pod.metadata.uid && !running.has(id)) this.#remove(id);
  }

  /** Undefined when the container has no such probe, or is not known to run. */
  result(kind: ProbeKind, containerId: string): ProbeResult | undefined {
    return this.#containers.get(containerId)?.probes.get(kind)?.result;
  }

  started(container: Container, containerId: string): boolean {
    return !container.startupProbe || this.result("Startup", containerId) === "success";
  }

  ready(container: Container, containerId: string): boolean {
    return !container.readinessProbe || this.result("Readiness", containerId) === "success";
  }

  /** The pod is being ended: nothing is to be restarted any more. Readiness is still watched. */
  stopLivenessAndStartup(podUid: string): void {
    for (const probed of this.#containers.values())
      if (probed.podUid === podUid) for (const probe of probed.probes.values()) if (probe.kind !== "Readiness") probe.stop();
  }

  remove(podUid: string): void {
    for (const [id, probed] of this.#containers) if (probed.podUid === podUid) this.#remove(id);
  }

  stop(): void {
    for (const id of [...this.#containers.keys()]) this.#remove(id);
  }

  #remove(id: string): void {
    for (const probe of this.#containers.get(id)?.probes.values() ?? []) probe.stop();
    this.#containers.delete(id);
  }

  #add(pod: Pod, container: Container, instance: RuntimeContainer, runtime: RuntimePod, previous: PodStatus): void {
    const known = knownStatus(previous, container.name, containerIdOf(this.#deps.runtimeName, instance));
    const probed: Probed = { podUid: pod.metadata.uid, probes: new Map() };
    this.#containers.set(instance.id, probed);
    const podIP = runtime.sandboxes[0]?.ips[0] ?? previous.podIP ?? "127.0.0.1";
    const make = (kind: ProbeKind, probe: Probe, initial: ProbeResult, onChange: () => void = () => undefined): ContainerProbe => {
      const made = new ContainerProbe({
        kind,
        probe,
        initial,
        clock: this.#deps.clock,
        startedAtMs: instance.startedAtMs,
        run: () => {
          const run = () => this.#deps.run(probe, { container, containerId: instance.id, podIP });
          return this.#deps.observe?.({ kind, pod, container: container.name }, run) ?? run();
        },
        onBad: (outcome) => this.#report(pod, container, kind, outcome),
        onChange: () => {
          onChange();
          this.#deps.onChange(pod.metadata.uid);
        },
      });
      probed.probes.set(kind, made);
      return made;
    };
    const afterStart: ContainerProbe[] = [];
    if (container.livenessProbe) afterStart.push(make("Liveness", container.livenessProbe, "success"));
    if (container.readinessProbe) afterStart.push(make("Readiness", container.readinessProbe, known?.ready ? "success" : "failure"));
    const startRest = (): void => {
      for (const probe of afterStart) probe.start();
    };
    if (!container.startupProbe) startRest();
    else {
      const started = known?.started === true;
      const startup = make("Startup", container.startupProbe, started ? "success" : "unknown", () => {
        if (startup.result === "success") startRest();
      });
      if (started) startRest();
      else startup.start();
    }
  }

  #report(pod: Pod, container: Container, kind: ProbeKind, outcome: ProbeOutcome | { readonly error: unknown }): void {
    const about = containerReference(pod, container.name);
    const warn = (reason: string, message: string): void => this.#deps.recorder.record(about, { type: "Warning", reason, message });
    if ("error" in outcome) warn("Unhealthy", `${kind} probe errored and resulted in unknown state: ${runtimeErrorText(outcome.error)}`);
    else if (outcome.result === "warning") warn("ProbeWarning", `${kind} probe warning: ${outcome.output}`);
    else warn("Unhealthy", `${kind} probe failed: ${outcome.output}`);
  }
}

function knownStatus(previous: PodStatus, name: string, containerID: string): ContainerStatus | undefined {
  const all = [...(previous.containerStatuses ?? []), ...(previous.initContainerStatuses ?? [])];
  return all.find((s) => s.name === name && s.containerID === containerID);
}
