// What a deployment is to do next, as a pure function of the deployment, its replica sets and the time: replica sets to
// make, change and delete, and the status that results. One call is one step of a rollout; the changes it causes bring the
// next one.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { findCondition } from "../../api/semantics/conditions.ts";
import type { Deployment, DeploymentStatus, ReplicaSet } from "../../api/types/apps-v1.ts";
import { countedStatus, isComplete, type NewCondition, progressDeadlineMs, rolloutStatus, setCondition } from "./deployment-status.ts";
import {
  findNewReplicaSet,
  maxRevision,
  newSetAnnotations,
  replicaSetFor,
  revisionAnnotation,
  revisionOf,
  sizeAnnotations,
} from "./revisions.ts";
import {
  byAge,
  desiredReplicas,
  desiredReplicasAnnotation,
  isRollingUpdate,
  maxUnavailable,
  newReplicaSetSize,
  proportionalSizes,
} from "./rollout-numbers.ts";

export interface ObservedDeployment {
  readonly deployment: Deployment;
  /** Those it controls. */
  readonly replicaSets: readonly ReplicaSet[];
  /** Whether any pod of a replica set other than this one has not ended. */
  readonly hasOldPods: (newSet: ReplicaSet | undefined) => boolean;
  readonly nowMs: number;
}

/** Scaling is told in an event. */
export interface Scaling {
  readonly from: number;
  readonly to: number;
}

export type DeploymentAction =
  | { readonly kind: "create"; readonly set: ReplicaSet }
  | { readonly kind: "update"; readonly set: ReplicaSet; readonly scaling?: Scaling }
  | { readonly kind: "delete"; readonly set: ReplicaSet };

export interface DeploymentPlan {
  readonly actions: readonly DeploymentAction[];
  /** With its new status and revision. */
  readonly deployment: Deployment;
}

export function planDeployment(observed: ObservedDeployment): DeploymentPlan {
  const step = new Step(observed);
  const { deployment } = observed;
  if (deployment.metadata.deletionTimestamp !== undefined) return step.finish(countedStatus(step.statusInput()));
  step.notePause();
  if (deployment.spec.paused) {
    step.adoptNewSet();
    step.scale();
    step.cleanUp();
    return step.finish(countedStatus(step.statusInput()));
  }
  if (isScaled(observed)) {
    step.adoptNewSet();
    step.scale();
    return step.finish(countedStatus(step.statusInput()));
  }
  if (isRollingUpdate(deployment)) step.roll();
  else step.recreate();
  return step.finish(rolloutStatus(step.statusInput()));
}

/** Whether the deployment's size was changed since its replica sets were last scaled. */
function isScaled({ deployment, replicaSets }: ObservedDeployment): boolean {
  return replicaSets.some((set) => {
    const annotated = set.metadata.annotations?.[desiredReplicasAnnotation];
    return desiredReplicas(set) > 0 && annotated !== undefined && Number(annotated) !== desiredReplicas(deployment);
  });
}

/** One step under construction: the replica sets as they will be, and the actions that make them so. */
class Step {
  readonly #hasOldPods: ObservedDeployment["hasOldPods"];
  readonly #nowMs: number;
  readonly #actions = new Map<string, DeploymentAction>();
  #deployment: Deployment;
  #newSet: ReplicaSet | undefined;
  #oldSets: readonly ReplicaSet[];

  constructor({ deployment, replicaSets, hasOldPods, nowMs }: ObservedDeployment) {
    this.#deployment = deployment;
    this.#hasOldPods = hasOldPods;
    this.#nowMs = nowMs;
    this.#newSet = findNewReplicaSet(deployment, replicaSets);
    this.#oldSets = replicaSets.filter((set) => set !== this.#newSet).sort(byAge);
  }

  statusInput(): Parameters<typeof countedStatus>[0] {
    return { deployment: this.#deployment, newSet: this.#newSet, oldSets: this.#oldSets, nowMs: this.#nowMs };
  }

  finish(status: DeploymentStatus): DeploymentPlan {
    return { actions: [...this.#actions.values()], deployment: { ...this.#deployment, status } };
  }

  notePause(): void {
    const condition = findCondition(this.#deployment.status?.conditions, "Progressing");
    if (progressDeadlineMs(this.#deployment) === undefined || condition?.reason === "ProgressDeadlineExceeded") return;
    const wasPaused = condition?.reason === "DeploymentPaused";
    if (this.#deployment.spec.paused && !wasPaused) {
      this.#progress({ type: "Progressing", status: "Unknown", reason: "DeploymentPaused", message: "Deployment is paused" });
    } else if (!this.#deployment.spec.paused && wasPaused) {
      this.#progress({ type: "Progressing", status: "Unknown", reason: "DeploymentResumed", message: "Deployment is resumed" });
    }
  }

  /** Gives the present replica set, where there is one, its revision and annotations. */
  adoptNewSet(): void {
    const set = this.#newSet;
    if (!set) return;
    const annotations = newSetAnnotations(this.#deployment, set, maxRevision(this.#oldSets) + 1n);
    const minReadySeconds = this.#deployment.spec.minReadySeconds ?? 0;
    if (!semanticallyEqual(annotations, set.metadata.annotations) || minReadySeconds !== (set.spec.minReadySeconds ?? 0)) {
      this.#update(set, { ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec, minReadySeconds } });
    }
    this.#setRevision();
    if (progressDeadlineMs(this.#deployment) === undefined || findCondition(this.#deployment.status?.conditions, "Progressing")) return;
    const message = `Found new replica set "${set.metadata.name}"`;
    this.#progress({ type: "Progressing", status: "True", reason: "FoundNewReplicaSet", message });
  }

  /** The rollout with old and new pods side by side. */
  roll(): void {
    if (this.#newSet) this.adoptNewSet();
    else this.#createNewSet();
    if (this.#growNewSet()) return;
    if (this.#shrinkOldSets()) return;
    if (isComplete(this.#deployment, this.#deployment.status ?? {})) this.cleanUp();
  }

  /** The rollout that removes all old pods before it makes new ones. */
  recreate(): void {
    this.adoptNewSet();
    const active = this.#oldSets.filter((set) => desiredReplicas(set) > 0);
    for (const set of active) this.#scaleTo(set, 0);
    if (active.length > 0) return;
    const oldReplicas = this.#oldSets.some((set) => (set.status?.replicas ?? 0) > 0);
    if (oldReplicas || this.#hasOldPods(this.#newSet)) return;
    if (!this.#newSet) this.#createNewSet();
    if (this.#newSet) this.#scaleTo(this.#newSet, desiredReplicas(this.#deployment));
    if (isComplete(this.#deployment, this.#deployment.status ?? {})) this.cleanUp();
  }

  /** Follows a change of the deployment's own size, without changing how far a rollout has come. */
  scale(): void {
    const deployment = this.#deployment;
    const desired = desiredReplicas(deployment);
    const active = this.#allSets().filter((set) => desiredReplicas(set) > 0);
    if (active.length <= 1) {
      const only = active[0] ?? this.#newSet ?? this.#oldSets.at(-1);
      if (only && desiredReplicas(only) !== desired) this.#scaleTo(only, desired);
      return;
    }
    if (this.#newSet && isSaturated(deployment, this.#newSet)) {
      for (const set of active) if (set !== this.#newSet) this.#scaleTo(set, 0);
      return;
    }
    if (!isRollingUpdate(deployment)) return;
    for (const [set, size] of proportionalSizes(deployment, active)) this.#scaleTo(set, size, { annotate: true });
  }

  /** Deletes old replica sets beyond the history limit, those of the lowest revisions. */
  cleanUp(): void {
    const limit = this.#deployment.spec.revisionHistoryLimit;
    if (limit === undefined) return;
    const kept = this.#oldSets.filter((set) => set.metadata.deletionTimestamp === undefined);
    const surplus = [...kept]
      .sort((a, b) => Number(revisionOf(a) - revisionOf(b)) || byAge(a, b))
      .slice(0, Math.max(0, kept.length - limit));
    for (const set of surplus) {
      const isEmpty = desiredReplicas(set) === 0 && (set.status?.replicas ?? 0) === 0;
      const isCurrent = (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0);
      if (isEmpty && isCurrent) this.#actions.set(set.metadata.name, { kind: "delete", set });
    }
  }

  #createNewSet(): void {
    const deployment = this.#deployment;
    const bare = replicaSetFor(deployment);
    const total = this.#oldSets.reduce((sum, set) => sum + desiredReplicas(set), 0);
    const annotations = { ...newSetAnnotations(deployment, bare, maxRevision(this.#oldSets) + 1n), ...sizeAnnotations(deployment) };
    const set: ReplicaSet = {
      ...bare,
      metadata: { ...bare.metadata, annotations },
      spec: { ...bare.spec, replicas: newReplicaSetSize(deployment, { total, current: 0 }) },
    };
    this.#newSet = set;
    this.#actions.set(set.metadata.name, { kind: "create", set });
    this.#setRevision();
    if (progressDeadlineMs(deployment) === undefined) return;
    const message = `Created new replica set "${set.metadata.name}"`;
    this.#progress({ type: "Progressing", status: "True", reason: "NewReplicaSetCreated", message });
  }

  #growNewSet(): boolean {
    const set = this.#newSet;
    if (!set) return false;
    const current = desiredReplicas(set);
    const desired = desiredReplicas(this.#deployment);
    const total = this.#allSets().reduce((sum, each) => sum + desiredReplicas(each), 0);
    const size = current > desired ? desired : newReplicaSetSize(this.#deployment, { total, current });
    return size !== current && this.#scaleTo(set, size);
  }

  /** Old sets give way as far as enough pods stay available: first pods that are not available anyway. */
  #shrinkOldSets(): boolean {
    const minAvailable = desiredReplicas(this.#deployment) - maxUnavailable(this.#deployment);
    const newSet = this.#newSet;
    const newUnavailable = newSet ? desiredReplicas(newSet) - availableOf(newSet) : 0;
    const total = this.#allSets().reduce((sum, set) => sum + desiredReplicas(set), 0);
    let allowed = total - minAvailable - newUnavailable;
    if (allowed <= 0) return false;

    let removed = 0;
    const shrink = (set: ReplicaSet, count: number): void => {
      if (count <= 0) return;
      this.#scaleTo(set, desiredReplicas(set) - count);
      removed += count;
    };
    for (const set of this.#oldSets) {
      const unhealthy = Math.min(allowed, desiredReplicas(set) - availableOf(set));
      shrink(set, unhealthy);
      allowed -= Math.max(0, unhealthy);
    }
    let surplus = this.#allSets().reduce((sum, set) => sum + availableOf(set), 0) - minAvailable;
    for (const set of this.#oldSets) {
      const count = Math.min(desiredReplicas(set), surplus);
      shrink(set, count);
      surplus -= Math.max(0, count);
    }
    return removed > 0;
  }

  #allSets(): readonly ReplicaSet[] {
    return this.#newSet ? [...this.#oldSets, this.#newSet] : this.#oldSets;
  }

  #scaleTo(set: ReplicaSet, size: number, options: { readonly annotate?: boolean } = {}): boolean {
    const from = desiredReplicas(set);
    const annotations = { ...set.metadata.annotations, ...sizeAnnotations(this.#deployment) };
    const annotated = options.annotate && !semanticallyEqual(annotations, set.metadata.annotations);
    if (from === size && !annotated) return false;
    const scaled = { ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec, replicas: size } };
    this.#update(set, scaled, from === size ? undefined : { from, to: size });
    return from !== size;
  }

  #update(set: ReplicaSet, updated: ReplicaSet, scaling?: Scaling): void {
    const earlier = this.#actions.get(set.metadata.name);
    if (this.#newSet === set) this.#newSet = updated;
    else this.#oldSets = this.#oldSets.map((old) => (old === set ? updated : old));
    if (earlier?.kind === "create") {
      this.#actions.set(set.metadata.name, { kind: "create", set: updated });
      return;
    }
    const before = earlier?.kind === "update" ? earlier.scaling : undefined;
    const whole = scaling ? { from: before?.from ?? scaling.from, to: scaling.to } : before;
    this.#actions.set(set.metadata.name, { kind: "update", set: updated, ...(whole ? { scaling: whole } : {}) });
  }

  #setRevision(): void {
    const revision = this.#newSet?.metadata.annotations?.[revisionAnnotation];
    const { metadata } = this.#deployment;
    if (revision === undefined || metadata.annotations?.[revisionAnnotation] === revision) return;
    this.#deployment = {
      ...this.#deployment,
      metadata: { ...metadata, annotations: { ...metadata.annotations, [revisionAnnotation]: revision } },
    };
  }

  #progress(condition: NewCondition): void {
    const status = this.#deployment.status ?? {};
    this.#deployment = {
      ...this.#deployment,
      status: { ...status, conditions: setCondition(status.conditions ?? [], condition, this.#nowMs) },
    };
  }
}

function availableOf(set: ReplicaSet): number {
  return set.status?.availableReplicas ?? 0;
}

/** The new set has all the pods the deployment asks for, and they are available. */
function isSaturated(deployment: Deployment, set: ReplicaSet): boolean {
  const desired = desiredReplicas(deployment);
  return (
    desiredReplicas(set) === desired &&
    Number(set.metadata.annotations?.[desiredReplicasAnnotation]) === desired &&
    availableOf(set) === desired
  );
}
