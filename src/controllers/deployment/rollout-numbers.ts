// The arithmetic of rollouts: how many pods may be there and how many may be missing, and how a change of scale is spread
// over the replica sets of a rollout that is under way.
import { scaledValue } from "../../api/meta/int-or-string.ts";
import type { Deployment, ReplicaSet } from "../../api/types/apps-v1.ts";

export const maxReplicasAnnotation = "deployment.kubernetes.io/max-replicas";
export const desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas";

export function desiredReplicas(object: Deployment | ReplicaSet): number {
  return object.spec.replicas ?? 1;
}

export function isRollingUpdate(deployment: Deployment): boolean {
  return (deployment.spec.strategy?.type ?? "RollingUpdate") === "RollingUpdate";
}

/** Pods that may exist beyond the desired number; percentages round up. */
export function maxSurge(deployment: Deployment): number {
  if (!isRollingUpdate(deployment)) return 0;
  return scaledValue(deployment.spec.strategy?.rollingUpdate?.maxSurge ?? "25%", desiredReplicas(deployment), "up");
}

/** Pods that may be missing; percentages round down. Where both limits come to 0, one, for nothing could move. */
export function maxUnavailable(deployment: Deployment): number {
  const desired = desiredReplicas(deployment);
  if (!isRollingUpdate(deployment) || desired === 0) return 0;
  const allowed = scaledValue(deployment.spec.strategy?.rollingUpdate?.maxUnavailable ?? "25%", desired, "down");
  return Math.min(desired, allowed === 0 && maxSurge(deployment) === 0 ? 1 : allowed);
}

/** How large the new replica set may be now, given what all sets ask for together. */
export function newReplicaSetSize(deployment: Deployment, sizes: { readonly total: number; readonly current: number }): number {
  const desired = desiredReplicas(deployment);
  if (!isRollingUpdate(deployment)) return desired;
  const room = desired + maxSurge(deployment) - sizes.total;
  return room <= 0 ? sizes.current : sizes.current + Math.min(room, desired - sizes.current);
}

/** Sizes for the active replica sets of a rollout whose deployment was scaled: each changes in proportion to its size. */
export function proportionalSizes(deployment: Deployment, active: readonly ReplicaSet[]): ReadonlyMap<ReplicaSet, number> {
  const desired = desiredReplicas(deployment);
  const allowed = desired > 0 ? desired + maxSurge(deployment) : 0;
  const toAdd = allowed - active.reduce((sum, set) => sum + desiredReplicas(set), 0);
  const sizes = new Map(active.map((set) => [set, desiredReplicas(set)]));
  if (toAdd === 0) return sizes;

  const ordered = [...active].sort((a, b) => desiredReplicas(b) - desiredReplicas(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)));
  let added = 0;
  for (const set of ordered) {
    const left = toAdd - added;
    const fraction = sizeChange(deployment, set);
    const change = desiredReplicas(set) === 0 || left === 0 ? 0 : toAdd > 0 ? Math.min(fraction, left) : Math.max(fraction, left);
    sizes.set(set, desiredReplicas(set) + change);
    added += change;
  }
  // What rounding left over goes to the largest set.
  const [largest] = ordered;
  if (largest) sizes.set(largest, Math.max(0, (sizes.get(largest) ?? 0) + toAdd - added));
  return sizes;
}

/** By how much a set's size changes when all keep their share of the deployment's largest total. */
function sizeChange(deployment: Deployment, set: ReplicaSet): number {
  const size = desiredReplicas(set);
  if (desiredReplicas(deployment) === 0) return -size;
  const annotated = Number(set.metadata.annotations?.[maxReplicasAnnotation]);
  const before = annotated > 0 ? annotated : (deployment.status?.replicas ?? 0);
  if (before === 0) return 0;
  const after = desiredReplicas(deployment) + maxSurge(deployment);
  return Math.round((size * after) / before) - size;
}

/** Older first; by name where the times are the same. */
export function byAge(a: ReplicaSet, b: ReplicaSet): number {
  const [left, right] = [a.metadata, b.metadata];
  if (left.creationTimestamp !== right.creationTimestamp) return left.creationTimestamp < right.creationTimestamp ? -1 : 1;
  return left.name < right.name ? -1 : left.name > right.name ? 1 : 0;
}
