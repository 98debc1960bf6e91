// The API's container statuses from what the runtime has: the newest container of a name gives the state, the one before it
// the last state. A container that is to be started but could not be is Waiting with the reason of its last failure. One
// that the runtime no longer knows keeps what the previous status said.
import type {
  Container,
  ContainerState,
  ContainerStateTerminated,
  ContainerStatus,
  Pod,
  ResourceRequirements,
  ResourceStatus,
  VolumeMount,
  VolumeMountStatus,
} from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { anyRegularContainerCreated, shouldStart } from "../pods/pod-actions.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { couldRestartAll, restartingMessage, restartingReason } from "../pods/restart-all.ts";
import { containerResources } from "../resize/resource-status.ts";
import { containerIdOf, type RuntimeContainer, type RuntimePod } from "../runtime/runtime-pod.ts";

/** Why a container could not be started or waits, as shown in `state.waiting`. */
export interface WaitingReason {
  readonly reason: string;
  readonly message: string;
}

export interface ContainerStatusInput {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  readonly runtimeName: string;
  readonly containers: readonly Container[];
  readonly previous: readonly ContainerStatus[];
  readonly init: boolean;
  /** The runtime can make mounts read-only together with those below them. */
  readonly recursiveReadOnly: boolean;
  /** The signals that end containers are told (the gate ContainerStopSignals). Default false. */
  readonly showsStopSignals?: boolean;
  /** The containers are removed to begin anew (restart-all.ts). Default false. */
  readonly restartingAll?: boolean;
  /** What a container was last set to. */
  readonly actuated: (containerName: string) => ResourceRequirements | undefined;
  /** Of the devices of a container. */
  readonly healthOf?: (containerName: string) => readonly ResourceStatus[];
  /** By container name. */
  readonly waiting: ReadonlyMap<string, WaitingReason>;
  /** Whether the running container has passed its startup probe, and its readiness probe. */
  readonly ephemeral?: boolean;
  readonly started: (container: Container, status: ContainerStatus) => boolean;
  readonly ready: (container: Container, status: ContainerStatus) => boolean;
}

const lostMessage = "The container could not be located when the pod was deleted.  The container used to be Running";

/** Regular ones sorted by name, init ones in the order of the specification, as upstream lists them. */
export function containerStatuses(input: ContainerStatusInput): readonly ContainerStatus[] {
  const statuses = input.containers.map((container) => {
    const status = withWaitingReason(input, container, baseStatus(input, container));
    return withReadiness(input, container, withDevices(input, status));
  });
  return input.init ? statuses : statuses.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function withDevices({ healthOf }: ContainerStatusInput, status: ContainerStatus): ContainerStatus {
  const allocatedResourcesStatus = healthOf?.(status.name) ?? [];
  return allocatedResourcesStatus.length === 0 ? status : { ...status, allocatedResourcesStatus };
}

function baseStatus(input: ContainerStatusInput, container: Container): ContainerStatus {
  const [newest, before] = input.runtime.containers.filter((c) => c.name === container.name);
  const old = input.previous.find((s) => s.name === container.name);
  return newest ? fromRuntime(input, container, newest, before, old) : withoutRuntime(input, container, old);
}

function fromRuntime(
  input: ContainerStatusInput,
  container: Container,
  newest: RuntimeContainer,
  before: RuntimeContainer | undefined,
  old: ContainerStatus | undefined,
): ContainerStatus {
  const containerID = containerIdOf(input.runtimeName, newest);
  const lost = newest.state === "unknown" && old?.state?.running !== undefined;
  const oldEnd = old?.containerID !== containerID ? (old?.state?.terminated ?? old?.lastState?.terminated) : old?.lastState?.terminated;
  const lastEnd = before?.state === "exited" ? terminated(input.runtimeName, before) : oldEnd;
  return {
    name: container.name,
    state: lost ? { terminated: unknownEnd("The container could not be located when the pod was terminated") } : stateOf(input, newest),
    lastState: lastEnd ? { terminated: lastEnd } : {},
    ready: false,
    // What came before may have been removed to begin anew.
    restartCount: lost ? (old?.restartCount ?? 0) + 1 : Math.max(newest.restartCount, restartsOf(input, old)),
    image: newest.image,
    imageID: newest.imageRef,
    containerID,
    ...containerResources(container, newest, input.actuated(container.name)),
    ...mountFields(container, input.recursiveReadOnly),
    ...(newest.user ? { user: { linux: newest.user } } : {}),
    // The API's signals are CRI's.
    ...(input.showsStopSignals && newest.stopSignal ? { stopSignal: newest.stopSignal as NonNullable<ContainerStatus["stopSignal"]> } : {}),
  };
}

const restartsOf = ({ pod }: ContainerStatusInput, old: ContainerStatus | undefined): number =>
  couldRestartAll(pod.spec) ? (old?.restartCount ?? 0) : 0;

/** It is removed to begin anew. */
function removedStatus(status: ContainerStatus, old: ContainerStatus): ContainerStatus {
  const ended = { reason: restartingReason, message: restartingMessage };
  return {
    ...status,
    state: { waiting: ended },
    lastState: { terminated: { ...ended, exitCode: 137 } },
    restartCount: old.restartCount + 1,
  };
}

function withoutRuntime(input: ContainerStatusInput, container: Container, old: ContainerStatus | undefined): ContainerStatus {
  const removed = input.restartingAll && old !== undefined && old.state?.waiting === undefined;
  if (old?.state?.terminated && !removed) return old;
  const reason = (input.pod.spec.initContainers?.length ?? 0) > 0 ? "PodInitializing" : "ContainerCreating";
  const status: ContainerStatus = {
    name: container.name,
    state: { waiting: { reason } },
    lastState: old?.lastState ?? {},
    ready: false,
    restartCount: old?.restartCount ?? 0,
    image: container.image ?? "",
    imageID: "",
    ...mountFields(container, input.recursiveReadOnly),
  };
  if (removed && old) return removedStatus(status, old);
  if (!old?.state?.running || old.lastState?.terminated) return status;
  // It ran when last seen and has vanished: it ended, we do not know how.
  const restarts = input.pod.metadata.deletionTimestamp === undefined ? 1 : 0;
  return { ...status, restartCount: status.restartCount + restarts, lastState: { terminated: unknownEnd(lostMessage) } };
}

function withWaitingReason(input: ContainerStatusInput, container: Container, status: ContainerStatus): ContainerStatus {
  const newest = input.runtime.containers.find((c) => c.name === container.name);
  if (input.init) {
    if (newest?.state === "exited" && newest.exitCode === 0 && !isSidecar(container)) return status;
    if (!newest && status.state?.waiting && !isSidecar(container) && anyRegularContainerCreated(input.pod, input.runtime)) {
      const message =
        "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally";
      return { ...status, state: { terminated: { reason: "Completed", message, exitCode: 0 } } };
    }
  }
  const waiting = input.waiting.get(container.name);
  if (!waiting || !shouldStart(container, input.pod, input.runtime)) return status;
  const lastState = status.state?.terminated ? status.state : (status.lastState ?? {});
  return { ...status, lastState, state: { waiting: { reason: waiting.reason, ...(waiting.message ? { message: waiting.message } : {}) } } };
}

function withReadiness(input: ContainerStatusInput, container: Container, status: ContainerStatus): ContainerStatus {
  // Nobody asks whether an ephemeral container has started, or is ready.
  if (input.ephemeral) return status;
  const started = status.state?.running !== undefined && input.started(container, status);
  if (input.init && !isSidecar(container)) return { ...status, started, ready: status.state?.terminated?.exitCode === 0 };
  return { ...status, started, ready: started && input.ready(container, { ...status, started }) };
}

function stateOf(input: ContainerStatusInput, container: RuntimeContainer): ContainerState {
  if (container.state === "running") return { running: { startedAt: formatTime(container.startedAtMs) } };
  if (container.state === "exited") return { terminated: terminated(input.runtimeName, container) };
  return { waiting: {} };
}

function terminated(runtimeName: string, container: RuntimeContainer): ContainerStateTerminated {
  return {
    exitCode: container.exitCode,
    ...(container.reason ? { reason: container.reason } : {}),
    ...(container.message ? { message: container.message } : {}),
    // One that never started did so in 1970, as clients know it from upstream.
    startedAt: formatTime(container.startedAtMs),
    finishedAt: formatTime(container.finishedAtMs),
    containerID: containerIdOf(runtimeName, container),
  };
}

/** The end of a container nobody saw: 137 says it was an error. */
export function unknownEnd(message: string): ContainerStateTerminated {
  return { reason: "ContainerStatusUnknown", message, exitCode: 137 };
}

function mountFields(container: Container, supported: boolean): { readonly volumeMounts?: readonly VolumeMountStatus[] } {
  if (!container.volumeMounts?.length) return {};
  return {
    volumeMounts: container.volumeMounts.map((m) => ({
      name: m.name,
      mountPath: m.mountPath,
      ...(m.readOnly ? { readOnly: true, recursiveReadOnly: recursion(m, supported) } : {}),
    })),
  };
}

function recursion({ recursiveReadOnly = "Disabled", mountPropagation = "None" }: VolumeMount, supported: boolean): string {
  return supported && recursiveReadOnly !== "Disabled" && mountPropagation === "None" ? "Enabled" : "Disabled";
}
