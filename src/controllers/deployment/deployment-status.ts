// A deployment's status: the sums over its replica sets, whether enough pods are available, and how its rollout goes on.
import { parseTime } from "../../api/meta/time.ts";
import { findCondition, withoutCondition } from "../../api/semantics/conditions.ts";
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from "../../api/types/apps-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { desiredReplicas, maxUnavailable } from "./rollout-numbers.ts";

/** The deadline's value that means there is none (upstream: the largest int32). */
const noDeadline = 2 ** 31 - 1;

export interface StatusInput {
  readonly deployment: Deployment;
  readonly newSet: ReplicaSet | undefined;
  readonly oldSets: readonly ReplicaSet[];
  readonly nowMs: number;
}

/** Milliseconds; undefined where the deployment has no deadline. */
export function progressDeadlineMs(deployment: Deployment): number | undefined {
  const seconds = deployment.spec.progressDeadlineSeconds;
  return seconds === undefined || seconds === noDeadline ? undefined : seconds * 1000;
}

/** The counts and the Available condition. */
export function countedStatus({ deployment, newSet, oldSets, nowMs }: StatusInput): DeploymentStatus {
  const sets = newSet ? [...oldSets, newSet] : oldSets;
  const sum = (count: (set: ReplicaSet) => number | undefined): number => sets.reduce((total, set) => total + (count(set) ?? 0), 0);
  const availableReplicas = sum((set) => set.status?.availableReplicas);
  const enough = availableReplicas >= desiredReplicas(deployment) - maxUnavailable(deployment);
  const available: NewCondition = enough
    ? { type: "Available", status: "True", reason: "MinimumReplicasAvailable", message: "Deployment has minimum availability." }
    : {
        type: "Available",
        status: "False",
        reason: "MinimumReplicasUnavailable",
        message: "Deployment does not have minimum availability.",
      };
  const { collisionCount, conditions = [] } = deployment.status ?? {};
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum((set) => set.status?.replicas),
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: sum((set) => set.status?.readyReplicas),
    availableReplicas,
    unavailableReplicas: Math.max(0, sum((set) => set.spec.replicas) - availableReplicas),
    terminatingReplicas: sum((set) => set.status?.terminatingReplicas),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: setCondition(conditions, available, nowMs),
  };
}

/** Everything is of the new version and available. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const desired = desiredReplicas(deployment);
  return (
    (status.updatedReplicas ?? 0) === desired &&
    (status.replicas ?? 0) === desired &&
    (status.availableReplicas ?? 0) === desired &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

/** The status while a rollout is looked after: counts, the Progressing condition, and failures of replica sets. */
export function rolloutStatus(input: StatusInput): DeploymentStatus {
  const status = countedStatus(input);
  return { ...status, conditions: failureConditions(input, progressConditions(input, status)) };
}

function progressConditions(input: StatusInput, status: DeploymentStatus): readonly DeploymentCondition[] {
  const { deployment, newSet, nowMs } = input;
  const conditions = status.conditions ?? [];
  const deadlineMs = progressDeadlineMs(deployment);
  if (deadlineMs === undefined) return withoutCondition(conditions, "Progressing");
  const current = findCondition(deployment.status?.conditions, "Progressing");
  const isSettled = status.replicas === status.updatedReplicas && current?.reason === "NewReplicaSetAvailable";
  if (isSettled) return conditions;
  const subject = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  if (isComplete(deployment, status)) {
    const message = `${subject} has successfully progressed.`;
    return setCondition(conditions, { type: "Progressing", status: "True", reason: "NewReplicaSetAvailable", message }, nowMs);
  }
  if (hasProgressed(deployment.status ?? {}, status)) {
    const message = `${subject} is progressing.`;
    const condition: NewCondition = { type: "Progressing", status: "True", reason: "ReplicaSetUpdated", message };
    // Progress is dated anew each time, so the condition is set even where its status and reason stay.
    return dateAnew(conditions, condition, { current, nowMs });
  }
  if (current && hasTimedOut(current, deadlineMs, nowMs)) {
    const message = `${subject} has timed out progressing.`;
    return setCondition(conditions, { type: "Progressing", status: "False", reason: "ProgressDeadlineExceeded", message }, nowMs);
  }
  return conditions;
}

function hasProgressed(before: DeploymentStatus, now: DeploymentStatus): boolean {
  const oldReplicas = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (now.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldReplicas(now) < oldReplicas(before) ||
    (now.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (now.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function hasTimedOut(condition: DeploymentCondition, deadlineMs: number, nowMs: number): boolean {
  if (condition.reason === "NewReplicaSetAvailable") return false;
  if (condition.reason === "ProgressDeadlineExceeded") return true;
  const updatedMs = parseTime(condition.lastUpdateTime ?? "") ?? 0;
  return updatedMs + deadlineMs < nowMs;
}

/** Milliseconds after which an unfinished rollout has to be looked at again; undefined when nothing can time out. */
export function nextProgressCheckMs(deployment: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const deadlineMs = progressDeadlineMs(deployment);
  const current = findCondition(status.conditions, "Progressing");
  if (deadlineMs === undefined || !current) return undefined;
  if (isComplete(deployment, status) || current.reason === "ProgressDeadlineExceeded" || current.reason === "NewReplicaSetAvailable")
    return undefined;
  const dueMs = (parseTime(current.lastUpdateTime ?? "") ?? nowMs) + deadlineMs - nowMs;
  return Math.max(0, dueMs) + 1000;
}

/** A replica set that cannot make or remove pods makes its deployment say so; the new set's failure first. */
function failureConditions({ newSet, oldSets }: StatusInput, conditions: readonly DeploymentCondition[]): readonly DeploymentCondition[] {
  for (const set of newSet ? [newSet, ...oldSets] : oldSets) {
    const failure = findCondition(set.status?.conditions, "ReplicaFailure");
    if (!failure) continue;
    const known = findCondition(conditions, "ReplicaFailure");
    if (known?.status === failure.status && known.reason === failure.reason) return conditions;
    const at = failure.lastTransitionTime;
    const condition = { ...failure, ...(at ? { lastUpdateTime: at } : {}) };
    return [...withoutCondition(conditions, "ReplicaFailure"), condition];
  }
  return withoutCondition(conditions, "ReplicaFailure");
}

export type NewCondition = Required<Pick<DeploymentCondition, "type" | "status" | "reason" | "message">>;

/** Sets a condition unless one of the same status and reason is there; where only the status stays, so does its time. */
export function setCondition(
  conditions: readonly DeploymentCondition[],
  condition: NewCondition,
  nowMs: number,
): readonly DeploymentCondition[] {
  const current = findCondition(conditions, condition.type);
  if (current?.status === condition.status && current.reason === condition.reason) return conditions;
  return dateAnew(conditions, condition, { current, nowMs });
}

function dateAnew(
  conditions: readonly DeploymentCondition[],
  condition: NewCondition,
  { current, nowMs }: { readonly current: DeploymentCondition | undefined; readonly nowMs: number },
): readonly DeploymentCondition[] {
  const now = formatTime(nowMs);
  const lastTransitionTime = current?.status === condition.status ? (current.lastTransitionTime ?? now) : now;
  return [...withoutCondition(conditions, condition.type), { ...condition, lastUpdateTime: now, lastTransitionTime }];
}
