// Small questions about a pod's specification that many parts of the kubelet ask.
import type { Container, ContainerRestartRule, EphemeralContainer, Pod, PodSpec, PodStatus } from "../../api/types/core-v1.ts";
import { configAnnotation } from "../runtime/labels.ts";

/** A sidecar: an init container that keeps running beside the regular ones. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}

/** Init, regular and ephemeral containers, in this order. */
export function allContainers(spec: PodSpec): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? []).map(asContainer)];
}

/** An ephemeral container has a container's fields and a target. */
export function asContainer(container: EphemeralContainer): Container {
  const { targetContainerName: _target, ...rest } = container;
  return rest;
}

export function findContainer(spec: PodSpec, name: string): Container | undefined {
  return allContainers(spec).find((c) => c.name === name);
}

export function isTerminalPhase(phase: PodStatus["phase"]): boolean {
  return phase === "Succeeded" || phase === "Failed";
}

/** As metrics tell them apart; one of a pod that is not known counts as a regular one. */
export function containerType(pod: Pod | undefined, name: string): "container" | "init_container" | "ephemeral_container" {
  if (pod?.spec.initContainers?.some((c) => c.name === name)) return "init_container";
  return pod?.spec.ephemeralContainers?.some((c) => c.name === name) ? "ephemeral_container" : "container";
}

/** From a file, not from the API server. */
export function isStaticPod(pod: Pod): boolean {
  const source = pod.metadata.annotations?.[configAnnotation.source];
  return source !== undefined && source !== "api";
}

/** The API server's image of a static pod. */
export function isMirrorPod(pod: Pod): boolean {
  return pod.metadata.annotations?.[configAnnotation.mirror] !== undefined;
}

export const systemCriticalPriority = 2_000_000_000;

/** The node is not to be without it: static pods, their mirrors, and pods of the system's priority classes. */
export function isCriticalPod(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec.priority ?? 0) >= systemCriticalPriority;
}

/** "name_namespace(uid)", as messages of the kubelet name a pod. */
export function podText(pod: Pod): string {
  const { name, namespace, uid } = pod.metadata;
  return `${name}_${namespace}(${uid})`;
}

/** `spec.containers{name}`: the field path by which events name a container. */
export function containerFieldPath(spec: PodSpec, name: string): string {
  if (spec.initContainers?.some((c) => c.name === name)) return `spec.initContainers{${name}}`;
  if (spec.ephemeralContainers?.some((c) => c.name === name)) return `spec.ephemeralContainers{${name}}`;
  return `spec.containers{${name}}`;
}

/** The first rule of a container that fits an exit code. */
export function matchingRestartRule(container: Container, exitCode: number): ContainerRestartRule | undefined {
  return container.restartPolicyRules?.find(({ exitCodes }) => {
    const listed = exitCodes?.values?.includes(exitCode) ?? false;
    return exitCodes !== undefined && (exitCodes.operator === "In" ? listed : !listed);
  });
}

/** Whether a container that ended with this exit code is started again. */
export function restartsAfterExit(container: Container, spec: PodSpec, exitCode: number): boolean {
  if (matchingRestartRule(container, exitCode)) return true;
  const policy = container.restartPolicy ?? spec.restartPolicy ?? "Always";
  return policy === "Always" || (policy === "OnFailure" && exitCode !== 0);
}

/** Whether a running container that has to be killed (a probe failed) is started again. */
export function restartsAfterKill(container: Container, spec: PodSpec): boolean {
  return (container.restartPolicy ?? spec.restartPolicy ?? "Always") !== "Never";
}
