// What a stateful set is to do next, as a pure function of the set, its pods and its claims. OrderedReady goes through the
// ordinals upwards and stops at the first pod that is not available; then takes surplus pods away downwards, one at a time;
// then updates downwards. Parallel waits for none of this, but updates in the same order.
import { scaledValue } from "../../api/meta/int-or-string.ts";
import type { New } from "../../api/meta/object.ts";
import { isPodAvailable, isPodReady, isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { StatefulSet, StatefulSetStatus } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import { revisionHashLabel } from "../revisions.ts";
import { type Claims, claimOwners, hasDoomedClaim, hasForeignController } from "./claims.ts";
import { claimNames, desiredReplicas, isInRange, ordinalOf, ordinalsOf, podFor, podName, restored, type Version } from "./identity.ts";

export interface ObservedStatefulSet {
  readonly set: StatefulSet;
  /** What pods below the partition have. */
  readonly current: Version;
  /** What the set asks for now. */
  readonly update: Version;
  /** Those it controls. */
  readonly pods: readonly Pod[];
  readonly claims: Claims;
  readonly nowMs: number;
}

export type StatefulAction =
  /** Makes the pod, and before it those of its claims that are missing. */
  | { readonly kind: "create"; readonly ordinal: number; readonly pod: New<Pod> }
  | { readonly kind: "delete"; readonly pod: Pod }
  /** Makes missing claims and puts right whose they are. */
  | { readonly kind: "claims"; readonly ordinal: number; readonly pod: Pod }
  /** The same, and the pod's own labels and volumes. */
  | { readonly kind: "restore"; readonly ordinal: number; readonly pod: Pod; readonly restored: Pod };

export function isOrdered({ spec }: StatefulSet): boolean {
  return spec.podManagementPolicy !== "Parallel";
}

export function planStatefulSet(observed: ObservedStatefulSet): readonly StatefulAction[] {
  const { set } = observed;
  if (set.metadata.deletionTimestamp !== undefined) return [];
  const byOrdinal = new Map(observed.pods.map((pod) => [ordinalOf(set, pod), pod]));
  const ordered = isOrdered(set);
  const actions: StatefulAction[] = [];
  for (const ordinal of ordinalsOf(set)) {
    const step = planReplica(observed, ordinal, byOrdinal.get(ordinal));
    actions.push(...step.actions);
    if (ordered && step.isWaiting) return actions;
  }
  const condemned = condemnedPods(observed);
  actions.push(...condemned.flatMap(({ pod, ordinal }) => planClaims(observed, ordinal, pod)));
  const removals = planRemoval(observed, condemned);
  actions.push(...removals.map((pod): StatefulAction => ({ kind: "delete", pod })));
  if (ordered && condemned.length > 0) return actions;
  const going = new Set(actions.flatMap((action) => (action.kind === "delete" ? [action.pod] : [])));
  const replicas = ordinalsOf(set).map((ordinal) => byOrdinal.get(ordinal));
  const outdated = planUpdate(observed, replicas).filter((pod) => !going.has(pod));
  return [...actions, ...outdated.map((pod): StatefulAction => ({ kind: "delete", pod }))];
}

interface Step {
  readonly actions: readonly StatefulAction[];
  /** Higher ordinals have to wait for this one. */
  readonly isWaiting: boolean;
}

function planReplica(observed: ObservedStatefulSet, ordinal: number, pod: Pod | undefined): Step {
  const { set } = observed;
  if (!pod) {
    const claims = claimNames(set, ordinal).flatMap((name) => observed.claims.get(name) ?? []);
    if (hasDoomedClaim(set, podName(set, ordinal), claims)) return { actions: [], isWaiting: true };
    return { actions: [{ kind: "create", ordinal, pod: podFor(set, ordinal, versionFor(observed, ordinal)) }], isWaiting: true };
  }
  // Also a pod that has succeeded: it was stopped from outside, for its containers are to run for ever.
  if (isPodTerminal(pod)) return { actions: isLeaving(pod) ? [] : [{ kind: "delete", pod }], isWaiting: true };
  const isWaiting = isUnavailable(observed, pod) || !isRunningAndReady(pod);
  if (pod.status?.phase === "Pending") return { actions: planClaims(observed, ordinal, pod), isWaiting };
  if (isWaiting && isOrdered(set)) return { actions: [], isWaiting };
  const wanted = restored(set, ordinal, pod);
  if (wanted) return { actions: [{ kind: "restore", ordinal, pod, restored: wanted }], isWaiting };
  return { actions: planClaims(observed, ordinal, pod), isWaiting };
}

/** One action where a claim is missing, or is not whose it should be; missing ones of a surplus pod are not made again. */
function planClaims({ set, claims }: ObservedStatefulSet, ordinal: number, pod: Pod): readonly StatefulAction[] {
  const names = claimNames(set, ordinal);
  const known = names.flatMap((name) => claims.get(name) ?? []);
  const isPending = pod.status?.phase === "Pending";
  const isMissing = known.length < names.length && isInRange(set, ordinal) && isPending;
  const isWrong = (claim: PersistentVolumeClaim): boolean =>
    claimOwners(set, claim, { pod, ordinal }) !== undefined || (isPending && hasForeignController(set, claim, pod));
  return isMissing || known.some(isWrong) ? [{ kind: "claims", ordinal, pod }] : [];
}

/** Ordinals below the partition keep the version that the set had. */
function versionFor({ set, current, update }: ObservedStatefulSet, ordinal: number): Version {
  return ordinal - (set.spec.ordinals?.start ?? 0) < partitionOf(set) ? current : update;
}

function partitionOf({ spec }: StatefulSet): number {
  return spec.updateStrategy?.rollingUpdate?.partition ?? 0;
}

interface Condemned {
  readonly pod: Pod;
  readonly ordinal: number;
}

/** Pods outside the range of ordinals, the highest first. */
function condemnedPods({ set, pods }: ObservedStatefulSet): readonly Condemned[] {
  const outside = pods.flatMap((pod) => {
    const ordinal = ordinalOf(set, pod);
    return ordinal === undefined || isInRange(set, ordinal) ? [] : [{ pod, ordinal }];
  });
  return outside.sort((a, b) => b.ordinal - a.ordinal);
}

/** In order, the highest goes when it is available, or is the only reason to wait. */
function planRemoval(observed: ObservedStatefulSet, condemned: readonly Condemned[]): readonly Pod[] {
  if (!isOrdered(observed.set)) return condemned.map(({ pod }) => pod).filter((pod) => !isLeaving(pod));
  const [highest] = condemned;
  if (!highest || isLeaving(highest.pod)) return [];
  const lowestUnavailable = condemned.findLast(({ pod }) => isUnavailable(observed, pod));
  const isHealthy = isRunningAndReady(highest.pod) && !isUnavailable(observed, highest.pod);
  return isHealthy || highest === lowestUnavailable ? [highest.pod] : [];
}

/** How many pods an update may make unavailable at a time. */
export function maxUnavailableOf(set: StatefulSet): number {
  return Math.max(1, scaledValue(set.spec.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1, desiredReplicas(set), "down"));
}

/** Pods of another version that may be deleted now, to be made again in the set's. `replicas`: by ordinal, as far as there are. */
function planUpdate(observed: ObservedStatefulSet, replicas: readonly (Pod | undefined)[]): readonly Pod[] {
  const { set, update } = observed;
  const { type = "RollingUpdate", rollingUpdate } = set.spec.updateStrategy ?? {};
  if (type === "OnDelete") return [];
  const targets = replicas.slice(partitionOf(set)).reverse();
  const isOutdated = (pod: Pod): boolean => revisionOf(pod) !== update.name && !isLeaving(pod);
  if (rollingUpdate?.maxUnavailable !== undefined) {
    const limit = maxUnavailableOf(set);
    const unavailable = replicas.filter((pod) => !pod || isUnavailable(observed, pod)).length;
    return targets.flatMap((pod) => (pod && isOutdated(pod) ? [pod] : [])).slice(0, Math.max(0, limit - unavailable));
  }
  for (const pod of targets) {
    if (!pod) return [];
    if (isOutdated(pod)) return [pod];
    if (isUnavailable(observed, pod)) return [];
  }
  return [];
}

const isLeaving = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
const isRunningAndReady = (pod: Pod): boolean => pod.status?.phase === "Running" && isPodReady(pod);

function isUnavailable({ set, nowMs }: ObservedStatefulSet, pod: Pod): boolean {
  return isLeaving(pod) || !isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs);
}

/** The name of the revision that a pod was made from. */
export function revisionOf(pod: Pod): string {
  return pod.metadata.labels?.[revisionHashLabel] ?? "";
}

/** The status that the pods make. A rolling update is complete when all pods are ready in the new version: it is current then. */
export function statefulStatus(observed: Omit<ObservedStatefulSet, "claims">, collisionCount: number): StatefulSetStatus {
  const { set, current, update, pods, nowMs } = observed;
  const ready = pods.filter(isRunningAndReady);
  const staying = pods.filter((pod) => !isLeaving(pod));
  const replicas = pods.length;
  const readyReplicas = ready.length;
  const updatedReplicas = staying.filter((pod) => revisionOf(pod) === update.name).length;
  const isComplete =
    set.spec.updateStrategy?.type !== "OnDelete" &&
    [updatedReplicas, readyReplicas, replicas].every((count) => count === desiredReplicas(set));
  return {
    ...set.status,
    observedGeneration: set.metadata.generation ?? 0,
    replicas,
    readyReplicas,
    availableReplicas: ready.filter((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)).length,
    currentReplicas: isComplete ? updatedReplicas : staying.filter((pod) => revisionOf(pod) === current.name).length,
    updatedReplicas,
    currentRevision: isComplete ? update.name : current.name,
    updateRevision: update.name,
    collisionCount,
  };
}
