// The status of a pod as the kubelet reports it, computed from the specification, the runtime and the previous status.
// A phase never leaves Succeeded or Failed, and is not reported as such while a container may still run.
import { computePodQos } from "../../api/semantics/pod-qos.ts";
import type {
  Container,
  ContainerStatus,
  Pod,
  PodCondition,
  PodStatus,
  ResourceRequirements,
  ResourceStatus,
} from "../../api/types/core-v1.ts";
import { sandboxNeeded } from "../pods/pod-actions.ts";
import { asContainer, isSidecar, isStaticPod, isTerminalPhase } from "../pods/pod-spec.ts";
import { couldRestartAll, isReset, mustRestartAll } from "../pods/restart-all.ts";
import { podResources } from "../resize/resource-status.ts";
import { latestContainer, type RuntimePod } from "../runtime/runtime-pod.ts";
import { type ContainerStatusInput, containerStatuses, unknownEnd, type WaitingReason } from "./container-statuses.ts";
import { limitMessages } from "./message-limit.ts";
import { podConditions, terminalVerdict, withDisruption } from "./pod-conditions.ts";
import { podPhase } from "./pod-phase.ts";

export interface PodStatusInput {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  /** What was last computed; default the pod's own status. */
  readonly previous: PodStatus;
  readonly runtimeName: string;
  readonly waiting: ReadonlyMap<string, WaitingReason>;
  readonly started: (container: Container, status: ContainerStatus) => boolean;
  readonly ready: (container: Container, status: ContainerStatus) => boolean;
  readonly hostIPs: readonly string[];
  /** The runtime can make mounts read-only together with those below them. */
  readonly recursiveReadOnly?: boolean;
  /** What a container was last set to. */
  readonly actuated?: (containerName: string) => ResourceRequirements | undefined;
  /** Of the devices of a container. */
  readonly healthOf?: (containerName: string) => readonly ResourceStatus[];
  /** Conditions of a resize. */
  readonly passing?: readonly PodCondition[];
  /** The signals that end containers are told. Default false. */
  readonly showsStopSignals?: boolean;
  /** The condition PodReadyToStartContainers is reported. Default true. */
  readonly readyToStart?: boolean;
  /** All containers have been stopped and none will be started. */
  readonly terminated: boolean;
  /** Overrides phase, reason and message: the kubelet ends the pod (its deadline, a rejection). */
  readonly verdict?: PodVerdict;
}

/** Why the kubelet itself fails a pod. */
export interface PodVerdict {
  readonly phase: "Failed";
  readonly reason: string;
  readonly message: string;
  /** The pod could not help it: the condition DisruptionTarget says so, with this message. */
  readonly disruption?: string;
}

export interface ComputedStatus {
  /** Without transition times of conditions and without startTime: the status manager adds them. */
  readonly status: PodStatus;
  /** All containers are to be removed and to begin anew. */
  readonly restartingAll?: boolean;
  /** The pod is over: its remaining containers have to be stopped. */
  readonly over: boolean;
}

export function computePodStatus(input: PodStatusInput): ComputedStatus {
  const { pod, runtime, previous } = input;
  const restarting = mustRestartAll(pod, runtime, previous);
  const list = (listed: ContainerStatusInput): readonly ContainerStatus[] =>
    limitMessages(pod, containerStatuses({ ...listed, restartingAll: restarting }));
  const regular = list({
    ...listInput(input, pod.spec.containers, previous.containerStatuses),
    ...(input.healthOf ? { healthOf: input.healthOf } : {}),
  });
  const init = list({ ...listInput(input, pod.spec.initContainers ?? [], previous.initContainerStatuses), init: true });
  const ephemeralSpecs = (pod.spec.ephemeralContainers ?? []).map(asContainer);
  const ephemeral = list({ ...listInput(input, ephemeralSpecs, previous.ephemeralContainerStatuses), ephemeral: true });

  const statuses = [...init, ...regular];
  const initialized = pod.spec.containers.some((c) => {
    const last = latestContainer(runtime, c.name);
    return last?.state === "running" || last?.state === "exited";
  });
  const computed = podPhase(pod, statuses, { terminal: input.terminated, initialized });
  const known = [previous.phase, pod.status?.phase].find(isTerminalPhase);
  // A pod that is ended for a reason has failed, however well its containers took it.
  const phase = known ?? input.verdict?.phase ?? computed;
  const over = isTerminalPhase(phase);
  const mayRun = !input.terminated && runtime.containers.some((c) => c.state !== "exited");
  // Reported late: while something may run, a pod that is over keeps the phase it had.
  const reported = over && mayRun && !known ? (previous.phase ?? "Pending") : phase;
  const sandboxReady = !sandboxNeeded(pod, runtime).create;
  const passing = isTerminalPhase(reported) ? [] : (input.passing ?? []);
  const restartingAll = restarting && !isTerminalPhase(reported) && !isReset(pod, runtime);
  const observed = podConditions(pod, {
    ...{ statuses, phase: reported, sandboxReady, passing, readyToStart: input.readyToStart ?? true },
    ...(couldRestartAll(pod.spec) ? { restartingAll } : {}),
    wasInitialized: previous.conditions?.some(({ type, status }) => type === "Initialized" && status === "True") ?? false,
  });
  // Shown with the terminal phase, not while the pod is still being ended.
  const ownDoing = known !== undefined && previous.reason !== input.verdict?.reason;
  const disruption = isTerminalPhase(reported) && !ownDoing ? input.verdict?.disruption : undefined;
  const conditions = disruption === undefined ? observed : withDisruption(pod, observed, disruption);
  return {
    over,
    restartingAll,
    status: {
      ...keptFields(previous),
      ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
      phase: reported,
      ...reasonFor(input, reported),
      conditions: isTerminalPhase(reported) ? notReady(conditions, reported) : conditions,
      ...hostAddresses(input.hostIPs),
      ...podAddresses(input),
      ...(init.length > 0 ? { initContainerStatuses: init } : {}),
      containerStatuses: regular,
      ...(ephemeral.length > 0 ? { ephemeralContainerStatuses: ephemeral } : {}),
      qosClass: pod.status?.qosClass ?? computePodQos(pod.spec),
      ...podResources(pod, statuses, reported === "Running"),
    },
  };
}

/**
 * The last status of a pod: what never was seen to end is marked as lost, and the phase is terminal. Nothing of the pod is
 * left on the node when this is reported, so the API object may go.
 */
export function finalPodStatus(pod: Pod, status: PodStatus): PodStatus {
  const lost = (s: ContainerStatus): ContainerStatus =>
    s.state?.terminated
      ? s
      : {
          ...s,
          started: false,
          ready: false,
          state: { terminated: unknownEnd("The container could not be located when the pod was terminated") },
        };
  const init = status.initContainerStatuses ?? [];
  const lastStarted = init.findLastIndex((s) => s.state?.running || s.state?.terminated || s.lastState?.terminated);
  const initialized = init.length === 0 || hasInitialized(pod, init);
  const phase = isTerminalPhase(status.phase) || isStaticPod(pod) ? status.phase : "Failed";
  return {
    ...status,
    ...(phase === undefined ? {} : { phase }),
    ...(initialized && status.containerStatuses ? { containerStatuses: status.containerStatuses.map(lost) } : {}),
    ...(init.length > 0 ? { initContainerStatuses: init.map((s, i) => (i <= lastStarted ? lost(s) : s)) } : {}),
    ...(status.conditions && (phase === "Failed" || phase === "Succeeded") ? { conditions: notReady(status.conditions, phase) } : {}),
  };
}

function hasInitialized(pod: Pod, statuses: readonly ContainerStatus[]): boolean {
  const last = pod.spec.initContainers?.at(-1);
  const status = statuses.find((s) => s.name === last?.name);
  if (!last || !status) return false;
  return isSidecar(last) ? status.started === true : status.state?.terminated?.exitCode === 0;
}

function notReady(conditions: NonNullable<PodStatus["conditions"]>, phase: PodStatus["phase"]): NonNullable<PodStatus["conditions"]> {
  if (phase !== "Failed" && phase !== "Succeeded") return conditions;
  return conditions.map((c) =>
    (c.type === "Ready" || c.type === "ContainersReady") && c.status === "True" ? { ...c, ...terminalVerdict(phase) } : c,
  );
}

function listInput(input: PodStatusInput, containers: readonly Container[], previous: readonly ContainerStatus[] | undefined) {
  const { pod, runtime, runtimeName, waiting, started, ready, actuated = () => undefined, recursiveReadOnly = false } = input;
  return {
    pod,
    runtime,
    runtimeName,
    waiting,
    started,
    ready,
    actuated,
    recursiveReadOnly,
    showsStopSignals: input.showsStopSignals === true,
    containers,
    previous: previous ?? [],
    init: false,
  };
}

/** Fields of others in the status. */
function keptFields(previous: PodStatus): PodStatus {
  const { nominatedNodeName, resourceClaimStatuses, extendedResourceClaimStatus, resize, startTime } = previous;
  return {
    ...(nominatedNodeName === undefined ? {} : { nominatedNodeName }),
    ...(resourceClaimStatuses === undefined ? {} : { resourceClaimStatuses }),
    ...(extendedResourceClaimStatus === undefined ? {} : { extendedResourceClaimStatus }),
    ...(resize === undefined ? {} : { resize }),
    ...(startTime === undefined ? {} : { startTime }),
  };
}

function reasonFor({ pod, previous, verdict }: PodStatusInput, phase: PodStatus["phase"]): Pick<PodStatus, "reason" | "message"> {
  if (verdict && phase === verdict.phase) return { reason: verdict.reason, message: verdict.message };
  if (phase !== previous.phase) return {};
  const reason = previous.reason ?? pod.status?.reason;
  const message = previous.message ?? pod.status?.message;
  return { ...(reason ? { reason } : {}), ...(message ? { message } : {}) };
}

function hostAddresses(ips: readonly string[]): Pick<PodStatus, "hostIP" | "hostIPs"> {
  const [first] = ips;
  return first === undefined ? {} : { hostIP: first, hostIPs: ips.map((ip) => ({ ip })) };
}

/** Those of the ready sandbox; a pod that has ended keeps those it had; one in the node's network has the node's. */
function podAddresses({ pod, runtime, previous, hostIPs }: PodStatusInput): Pick<PodStatus, "podIP" | "podIPs"> {
  const current = runtime.sandboxes.find((s) => s.ready)?.ips ?? [];
  const before = previous.podIPs?.map((p) => p.ip) ?? [];
  const ips = pod.spec.hostNetwork ? (before.length > 0 ? before : hostIPs) : current.length > 0 ? current : before;
  const [first] = ips;
  return first === undefined ? {} : { podIP: first, podIPs: ips.map((ip) => ({ ip })) };
}
