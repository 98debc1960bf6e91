// The pod conditions the kubelet owns: PodReadyToStartContainers, Initialized, Ready, ContainersReady, PodScheduled. Reasons
// and messages are upstream's. Conditions of others are kept as they are, transition times where the status is the same.
import type { ContainerStatus, Pod, PodCondition, PodStatus } from "../../api/types/core-v1.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import { restartingCondition } from "../pods/restart-all.ts";

const owned: readonly string[] = [
  "PodReadyToStartContainers",
  "Initialized",
  "Ready",
  "ContainersReady",
  "PodScheduled",
  restartingCondition,
];

/** Those of the kubelet that come and go. */
const passing: readonly string[] = ["PodResizePending", "PodResizeInProgress"];

export function isPassingCondition(type: string): boolean {
  return passing.includes(type);
}

export function isKubeletCondition(type: string): boolean {
  return owned.includes(type) || isPassingCondition(type);
}

const disruptionType = "DisruptionTarget";
const disruptionReason = "TerminationByKubelet";

/** Whether the kubelet reports this condition: its own, and that it has ended the pod, which others may say for themselves. */
export function isReportedByKubelet({ type, reason }: PodCondition): boolean {
  return isKubeletCondition(type) || (type === disruptionType && reason === disruptionReason);
}

/** That the kubelet ended the pod, which is not the pod's fault. */
export function withDisruption(pod: Pod, conditions: readonly PodCondition[], message: string): readonly PodCondition[] {
  const observed = pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation };
  const condition = { type: disruptionType, ...observed, status: "True", reason: disruptionReason, message };
  return [condition, ...conditions.filter((c) => c.type !== disruptionType)];
}

export interface ConditionInput {
  /** Init and regular containers. */
  readonly statuses: readonly ContainerStatus[];
  readonly phase: PodStatus["phase"];
  /** A sandbox with its network is there. */
  readonly sandboxReady: boolean;
  /** The condition PodReadyToStartContainers is reported. Default true. */
  readonly readyToStart?: boolean;
  /** Whether all containers are being restarted; undefined where that cannot be. */
  readonly restartingAll?: boolean | undefined;
  /** The pod has been initialized before: it stays so. */
  readonly wasInitialized?: boolean;
  /** Those that come and go, complete. */
  readonly passing?: readonly PodCondition[];
}

type Verdict = Pick<PodCondition, "status" | "reason" | "message">;

/** All conditions of the pod's new status, those of others first. Without transition times (see withTransitionTimes). */
export function podConditions(pod: Pod, input: ConditionInput): readonly PodCondition[] {
  const others = (pod.status?.conditions ?? []).filter((c) => !isKubeletCondition(c.type));
  const observed = pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation };
  const own = (type: string, verdict: Verdict): PodCondition => ({ type, ...observed, ...verdict });
  const containersReady = containersReadyVerdict(pod, input);
  return [
    ...others,
    ...(input.passing ?? []),
    ...(input.readyToStart === false ? [] : [own("PodReadyToStartContainers", { status: input.sandboxReady ? "True" : "False" })]),
    own("Initialized", initializedVerdict(pod, input)),
    own("Ready", readyVerdict(pod, containersReady, others)),
    own("ContainersReady", containersReady),
    own("PodScheduled", { status: "True" }),
    ...(input.restartingAll === undefined ? [] : [{ type: restartingCondition, ...restartingVerdict(input.restartingAll, input.phase) }]),
  ];
}

function restartingVerdict(restarting: boolean, phase: PodStatus["phase"]): Verdict {
  if (phase === "Succeeded" || phase === "Failed") return terminalVerdict(phase);
  if (!restarting) return { status: "False" };
  return { status: "True", reason: "RestartAllContainersStarted", message: "container exited with restart policy rule" };
}

/** Ready and ContainersReady of a pod whose phase has become terminal while they were true. */
export function terminalVerdict(phase: "Succeeded" | "Failed"): Verdict {
  return { status: "False", reason: phase === "Failed" ? "PodFailed" : "PodCompleted" };
}

/** Takes over the transition times of conditions whose status did not change; the others get `now`. */
export function withTransitionTimes(
  conditions: readonly PodCondition[],
  previous: readonly PodCondition[] | undefined,
  now: string,
): readonly PodCondition[] {
  return conditions.map((condition) => {
    const before = previous?.find((c) => c.type === condition.type);
    if (condition.lastTransitionTime !== undefined) return condition;
    const unchanged = before?.status === condition.status && before.lastTransitionTime !== undefined;
    return { ...condition, lastTransitionTime: unchanged ? (before.lastTransitionTime as string) : now };
  });
}

function containersReadyVerdict(pod: Pod, { statuses, phase }: ConditionInput): Verdict {
  const counted = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  const unknown = counted.filter((c) => !statuses.some((s) => s.name === c.name));
  const unready = counted.filter((c) => statuses.some((s) => s.name === c.name && !s.ready));
  if (phase === "Failed" || (phase === "Succeeded" && unknown.length === 0)) return terminalVerdict(phase);
  const message = faults(unknown, "containers with unknown status", unready, "containers with unready status");
  return message === "" ? { status: "True" } : { status: "False", reason: "ContainersNotReady", message };
}

function readyVerdict(pod: Pod, containersReady: Verdict, others: readonly PodCondition[]): Verdict {
  if (containersReady.status !== "True") return containersReady;
  const messages: string[] = [];
  for (const { conditionType } of pod.spec.readinessGates ?? []) {
    const condition = others.find((c) => c.type === conditionType);
    if (!condition) messages.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    else if (condition.status !== "True")
      messages.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`);
  }
  if (messages.length > 0) return { status: "False", reason: "ReadinessGatesNotReady", message: messages.join(", ") };
  return { status: "True" };
}

function initializedVerdict(pod: Pod, { statuses, phase, wasInitialized }: ConditionInput): Verdict {
  const init = pod.spec.initContainers ?? [];
  const byName = new Map(statuses.map((s) => [s.name, s]));
  const unknown = init.filter((c) => !byName.has(c.name));
  const incomplete = init.filter((c) => {
    const status = byName.get(c.name);
    return status && !(isSidecar(c) ? status.started === true : status.ready);
  });
  if (phase === "Succeeded" && unknown.length === 0) return { status: "True", reason: "PodCompleted" };
  const regularHasStarted = pod.spec.containers.some((c) => {
    const status = byName.get(c.name);
    return status?.state?.running !== undefined || status?.state?.terminated !== undefined;
  });
  if (regularHasStarted || wasInitialized) return { status: "True" };
  const message = faults(unknown, "containers with unknown status", incomplete, "containers with incomplete status");
  return message === "" ? { status: "True" } : { status: "False", reason: "ContainersNotInitialized", message };
}

function faults(first: readonly { name: string }[], firstText: string, second: readonly { name: string }[], secondText: string): string {
  const list = (items: readonly { name: string }[]): string => `[${items.map((i) => i.name).join(" ")}]`;
  return [
    ...(first.length > 0 ? [`${firstText}: ${list(first)}`] : []),
    ...(second.length > 0 ? [`${secondText}: ${list(second)}`] : []),
  ].join(", ");
}
