// replicaset-controller (and replicationcontroller-controller below it): keeps so many pods of a template. Pods are made
// in batches that double from one on, taken over and given up by label, and removed in the order of pod-ranking.ts.
// Upstream's "expectations" are replaced by RecentWrites: the controller sees its own writes at once.

import { semanticallyEqual } from "../api/meta/equality.ts";
import { controllerOf, keyOf } from "../api/meta/object.ts";
import { type LabelMatcher, labelMatcher, labelsMatcher, noLabelsMatcher } from "../api/meta/selectors.ts";
import { parseTime } from "../api/meta/time.ts";
import type { ResourceType } from "../api/resource-type.ts";
import { pods, replicasets, replicationcontrollers } from "../api/resources.generated.ts";
import { findCondition, withCondition, withoutCondition } from "../api/semantics/conditions.ts";
import { isPodActive, isPodAvailable, isPodReady, isPodTerminating, nextPodAvailabilityMs } from "../api/semantics/pod-status.ts";
import type { ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from "../api/types/apps-v1.ts";
import type { Pod, ReplicationController } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import type { Informer } from "../client/informer.ts";
import { RecentWrites } from "../client/recent-writes.ts";
import type { RequeueAfter } from "../client/work-queue.ts";
import { claim } from "./claim.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";
import { addOwnerIndex, orphansIn, ownedBy } from "./owner-index.ts";
import { createPod, deletePod, podFromTemplate } from "./pod-control.ts";
import { podsToDelete } from "./pod-ranking.ts";
import { slowStart } from "./slow-start.ts";

/** While hundreds of pods start, each of them changes the status of their set. */
const paceMs = 50;

/** No more pods are made or removed in one go. */
const burst = 500;

/** What there is to do for a set: at most one of both lists is not empty. */
export interface ReplicaPlan {
  readonly create: number;
  readonly remove: readonly Pod[];
}

/** Pods to make or to remove. `related`: the pods of all sets of the same owner. */
export function planReplicas(
  set: ReplicaOwner,
  active: readonly Pod[],
  { related, nowMs }: { readonly related: () => readonly Pod[]; readonly nowMs: number },
): ReplicaPlan {
  if (set.metadata.deletionTimestamp !== undefined) return { create: 0, remove: [] };
  const surplus = active.length - (set.spec?.replicas ?? 1);
  if (surplus <= 0) return { create: Math.min(-surplus, burst), remove: [] };
  return { create: 0, remove: podsToDelete(active, related(), { count: Math.min(surplus, burst), nowMs }) };
}

/** What a set's status is made from: its pods, and what went wrong in managing them. */
export interface ObservedPods {
  readonly active: readonly Pod[];
  readonly terminating: readonly Pod[];
  readonly failure?: unknown;
}

/** The status that a set's pods and the outcome of the last attempt to manage them make. */
export function replicaStatus(
  set: ReplicaOwner,
  { active, failure }: ObservedPods,
  nowMs: number,
): Omit<ReplicaSetStatus, "terminatingReplicas"> {
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  const template = labelsMatcher(set.spec?.template?.metadata?.labels);
  return {
    ...set.status,
    replicas: active.length,
    fullyLabeledReplicas: active.filter((pod) => template.matches(pod.metadata.labels)).length,
    readyReplicas: active.filter(isPodReady).length,
    availableReplicas: active.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length,
    observedGeneration: set.metadata.generation ?? 0,
    conditions: replicaConditions(set, active.length, { failure, nowMs }),
  };
}

function replicaConditions(
  set: ReplicaOwner,
  activeCount: number,
  { failure, nowMs }: { readonly failure: unknown; readonly nowMs: number },
): readonly ReplicaSetCondition[] {
  const conditions = set.status?.conditions ?? [];
  if (failure === undefined) return withoutCondition(conditions, "ReplicaFailure");
  // A failure keeps the text and time of its first occurrence.
  if (findCondition(conditions, "ReplicaFailure")) return conditions;
  const reason = activeCount < (set.spec?.replicas ?? 1) ? "FailedCreate" : "FailedDelete";
  const message = failure instanceof Error ? failure.message : String(failure);
  return withCondition(conditions, { type: "ReplicaFailure", status: "True", reason, message, lastTransitionTime: formatTime(nowMs) });
}

/** ReplicaSets and ReplicationControllers differ in the form of their selector and in nothing that matters here. */
type ReplicaOwner = ReplicaSet | ReplicationController;

interface ReplicaKind<T extends ReplicaOwner> {
  readonly name: string;
  readonly serviceAccount?: string;
  readonly type: ResourceType<T>;
  readonly selectorOf: (set: T) => LabelMatcher;
  readonly statusOf: (set: T, observed: ObservedPods, nowMs: number) => NonNullable<T["status"]>;
}

export const replicaSetController: Controller = replicaController<ReplicaSet>({
  name: "replicaset-controller",
  type: replicasets,
  selectorOf: (set) => labelMatcher(set.spec.selector),
  statusOf: (set, observed, nowMs) => ({ ...replicaStatus(set, observed, nowMs), terminatingReplicas: observed.terminating.length }),
});

export const replicationController: Controller = replicaController<ReplicationController>({
  name: "replicationcontroller-controller",
  serviceAccount: "replication-controller",
  type: replicationcontrollers,
  // An empty selector, which validation does not let pass, must not select everything.
  selectorOf: (set) => (set.spec?.selector ? labelsMatcher(set.spec.selector) : noLabelsMatcher),
  statusOf: replicaStatus,
});

function replicaController<T extends ReplicaOwner>(kind: ReplicaKind<T>): Controller {
  return {
    name: kind.name,
    paceMs,
    ...(kind.serviceAccount === undefined ? {} : { serviceAccount: kind.serviceAccount, component: kind.serviceAccount }),
    create(context) {
      const setInformer = context.informers.informer(kind.type);
      const podInformer = context.informers.informer(pods);
      addOwnerIndex(setInformer);
      addOwnerIndex(podInformer);
      const recent = new RecentWrites<Pod>(podInformer);
      return {
        watches: [watch(setInformer, (set) => [keyOf(set)]), watch(podInformer, (pod) => keysOfPod(pod, kind, setInformer))],
        async reconcile(key, { signal }) {
          const set = setInformer.get(key);
          if (set) return reconcileSet(context, { kind, key, set, setInformer, podInformer, recent, signal });
          recent.forget(key);
          return undefined;
        },
      };
    },
  };
}

interface Work<T extends ReplicaOwner> {
  readonly kind: ReplicaKind<T>;
  readonly key: string;
  readonly set: T;
  readonly setInformer: Informer<T>;
  readonly podInformer: Informer<Pod>;
  readonly recent: RecentWrites<Pod>;
  readonly signal: AbortSignal;
}

async function reconcileSet<T extends ReplicaOwner>(context: ControllerContext, work: Work<T>): Promise<RequeueAfter | undefined> {
  const { kind, key, set, podInformer, recent, signal } = work;
  const selector = kind.selectorOf(set);
  const candidates = recent.correct(key, candidatesOf(set, podInformer, selector));
  const claimed = await claim(candidates.filter(isPodActive), {
    client: context.client,
    signal,
    ownerType: kind.type,
    owner: set,
    type: pods,
    selector,
    onWrite: (pod) => recent.written(key, pod),
  });
  const isOwn = (pod: Pod): boolean => controllerOf(pod)?.uid === set.metadata.uid && selector.matches(pod.metadata.labels);
  const terminating = candidates.filter((pod) => isPodTerminating(pod) && isOwn(pod));
  const plan = planReplicas(set, claimed, { related: () => relatedPods(work), nowMs: context.clock.now() });
  const failure = await act(context, work, plan);

  const active = recent.correct(key, claimed).filter((pod) => isPodActive(pod) && isOwn(pod));
  const nowMs = context.clock.now();
  const status = kind.statusOf(set, { active, terminating, ...(failure ? { failure: failure.error } : {}) }, nowMs);
  if (!semanticallyEqual(status, set.status)) await context.client.updateStatus(kind.type, { ...set, status }, { signal });
  if (failure) throw failure.error;
  const nextMs = nextPodAvailabilityMs(active, set.spec?.minReadySeconds ?? 0, nowMs);
  return nextMs === undefined ? undefined : { requeueAfterMs: nextMs };
}

/** How much older than the youngest that is ready those are that go: two times at most, or the choice is poor. */
function measureAges({ clock, metrics }: ControllerContext, going: readonly Pod[], all: readonly Pod[]): void {
  if (!metrics || going.length === 0) return;
  const nowMs = clock.now();
  const ageMs = ({ metadata }: Pod): number => nowMs - (parseTime(metadata.creationTimestamp) ?? nowMs);
  const youngestMs = Math.max(1, Math.min(...all.filter(isPodReady).map(ageMs)));
  for (const pod of going.filter(isPodReady)) {
    metrics.own.observe("replicaset_controller_sorting_deletion_age_ratio", Math.trunc(ageMs(pod) / youngestMs));
  }
}

/** Does what is planned; what failed is returned, for the status tells of it before it is tried again. */
async function act<T extends ReplicaOwner>(
  context: ControllerContext,
  work: Work<T>,
  plan: ReplicaPlan,
): Promise<{ readonly error: unknown } | undefined> {
  const { kind, key, set, recent, signal } = work;
  try {
    const template = set.spec?.template;
    if (plan.create > 0 && template) {
      const pod = podFromTemplate(template, set, kind.type);
      await slowStart(plan.create, async () => {
        const created = await createPod(context, { owner: set, pod, signal });
        if (created) recent.written(key, created);
      });
    }
    measureAges(context, plan.remove, ownedBy(work.podInformer, set.metadata.uid));
    const removals = plan.remove.map(async (pod) => {
      await deletePod(context, { owner: set, pod, signal });
      recent.deleted(key, pod);
    });
    const failed = (await Promise.allSettled(removals)).find((result) => result.status === "rejected");
    return failed ? { error: failed.reason } : undefined;
  } catch (error) {
    return { error };
  }
}

/** Own pods, and those without a controller that the selector matches. */
function candidatesOf(set: ReplicaOwner, informer: Informer<Pod>, selector: LabelMatcher): readonly Pod[] {
  const own = ownedBy(informer, set.metadata.uid);
  const orphans = orphansIn(informer, set.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
  return orphans.length === 0 ? own : [...own, ...orphans];
}

/** The pods of all sets that have the same controller as this one: of the old and new versions of one deployment. */
function relatedPods<T extends ReplicaOwner>({ set, setInformer, podInformer }: Work<T>): readonly Pod[] {
  const owner = controllerOf(set);
  const sets: readonly ReplicaOwner[] = owner ? ownedBy(setInformer, owner.uid) : [set];
  return sets.flatMap((related) => ownedBy(podInformer, related.metadata.uid));
}

/** The set that controls a pod; for a pod without a controller those that might take it over. */
function keysOfPod<T extends ReplicaOwner>(pod: Pod, kind: ReplicaKind<T>, sets: Informer<T>): readonly string[] {
  const owner = controllerOf(pod);
  if (owner) return owner.kind === kind.type.kind ? [`${pod.metadata.namespace}/${owner.name}`] : [];
  if (!pod.metadata.labels || pod.metadata.deletionTimestamp !== undefined) return [];
  return sets
    .inNamespace(pod.metadata.namespace)
    .filter((set) => kind.selectorOf(set).matches(pod.metadata.labels))
    .map(keyOf);
}
