// Restarting all containers of a pod in its place: a restart rule of one (action RestartAllContainers) that fits its exit code
// ends the others and removes them all from the runtime, so that the pod begins anew with its first init container, in the
// sandbox it has. Shown by the condition AllContainersRestarting, which lasts until the last one is removed.
import type { Container, ContainerStatus, Pod, PodSpec, PodStatus } from "../../api/types/core-v1.ts";
import { latestContainer, type RuntimePod } from "../runtime/runtime-pod.ts";
import { matchingRestartRule } from "./pod-spec.ts";

export const restartingCondition = "AllContainersRestarting";
/** Why a container waits, or has ended, that is removed for it. */
export const restartingReason = "RestartingAllContainers";
export const restartingMessage = "The container is removed because RestartAllContainers in place";

export interface ContainerToReset {
  readonly container: Container;
  readonly id: string;
  /** It has not ended yet. */
  readonly kill: boolean;
}

const restartsAll = (container: Container, exitCode: number | undefined): boolean =>
  exitCode !== undefined && matchingRestartRule(container, exitCode)?.action === "RestartAllContainers";

const resettable = (spec: PodSpec): readonly Container[] => [...(spec.initContainers ?? []), ...spec.containers];

/** Some container has such a rule. */
export function couldRestartAll(spec: PodSpec): boolean {
  return resettable(spec).some((c) => c.restartPolicyRules?.some(({ action }) => action === "RestartAllContainers"));
}

/** Whether it is to be done, or under way. `previous`: what was last reported. */
export function mustRestartAll(pod: Pod, runtime: RuntimePod, previous: PodStatus): boolean {
  if (!couldRestartAll(pod.spec)) return false;
  if (previous.conditions?.some(({ type, status }) => type === restartingCondition && status === "True")) return true;
  const reported: readonly ContainerStatus[] = [...(previous.initContainerStatuses ?? []), ...(previous.containerStatuses ?? [])];
  return resettable(pod.spec).some((container) => {
    const last = latestContainer(runtime, container.name);
    if (last?.state !== "exited") return false;
    return (
      restartsAll(container, last.exitCode) ||
      restartsAll(container, reported.find((s) => s.name === container.name)?.state?.terminated?.exitCode)
    );
  });
}

/** Nothing is left of what was to be removed. */
export function isReset(pod: Pod, runtime: RuntimePod): boolean {
  return resettable(pod.spec).every(({ name }) => latestContainer(runtime, name) === undefined);
}

/** Everything of the containers, in the order of removal: those whose end began it come last, so that a restart of the kubelet goes on. */
export function containersToReset({ spec }: Pod, runtime: RuntimePod): readonly ContainerToReset[] {
  const all = [...spec.containers, ...(spec.initContainers ?? [])].flatMap((container) =>
    runtime.containers
      .filter(({ name }) => name === container.name)
      .map(({ id, state, exitCode }) => ({
        reset: { container, id, kill: state !== "exited" },
        began: state === "exited" && restartsAll(container, exitCode),
      })),
  );
  return [...all.filter(({ began }) => !began), ...all.filter(({ began }) => began)].map(({ reset }) => reset);
}
