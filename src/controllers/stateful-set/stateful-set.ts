// statefulset-controller: pods with names, made and removed in order, each with claims of its own. plan.ts decides, this
// file observes, has it done (pod-actions.ts), keeps the history of templates and writes the status.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { isControlledBy, keyOf } from "../../api/meta/object.ts";
import { labelMatcher } from "../../api/meta/selectors.ts";
import { controllerrevisions, persistentvolumeclaims, pods, statefulsets } from "../../api/resources.generated.ts";
import { isPodAvailable, nextPodAvailabilityMs } from "../../api/semantics/pod-status.ts";
import type { ControllerRevision, StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { claim } from "../claim.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { FailedPodBackoff } from "../failed-pods.ts";
import { addOwnerIndex, orphansIn, ownedBy } from "../owner-index.ts";
import { ownerKeys } from "../owner-keys.ts";
import { presentPods } from "../present-pods.ts";
import { byRevision, claimRevisions, deleteRevisions, ensureRevision, historyOf, type RevisionWork, templateOf } from "../revisions.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { slowStartEach } from "../slow-start.ts";
import type { Claims } from "./claims.ts";
import { claimNames, desiredReplicas, ordinalOf, ordinalsOf, type Version } from "./identity.ts";
import {
  isOrdered,
  maxUnavailableOf,
  type ObservedStatefulSet,
  planStatefulSet,
  revisionOf,
  type StatefulAction,
  statefulStatus,
} from "./plan.ts";
import { type ActionWork, act } from "./pod-actions.ts";

/** Between two replacements of a pod that fails again and again. */
const longestBackoffMs = 60_000;

interface Parts {
  readonly setInformer: Informer<StatefulSet>;
  readonly podInformer: Informer<Pod>;
  readonly claimInformer: Informer<PersistentVolumeClaim>;
  readonly revisionInformer: Informer<ControllerRevision>;
  readonly recentPods: RecentWrites<Pod>;
  readonly recentClaims: RecentWrites<PersistentVolumeClaim>;
  readonly recentRevisions: RecentWrites<ControllerRevision>;
  readonly backoff: FailedPodBackoff;
}

interface Work {
  readonly parts: Parts;
  readonly key: string;
  readonly set: StatefulSet;
  readonly signal: AbortSignal;
}

export const statefulSetController: Controller = {
  name: "statefulset-controller",
  create(context) {
    const parts = createParts(context);
    const { setInformer, podInformer, revisionInformer } = parts;
    const selectorOf = (set: StatefulSet) => labelMatcher(set.spec.selector);
    return {
      watches: [
        watch(setInformer, (set) => [keyOf(set)]),
        watch(podInformer, (pod) => ownerKeys(pod, setInformer, selectorOf)),
        watch(revisionInformer, (revision) => ownerKeys(revision, setInformer, selectorOf)),
        watchGoneClaims(parts),
      ],
      async reconcile(key, { signal }) {
        const set = setInformer.get(key);
        if (set) return reconcileSet(context, { parts, key, set, signal }).catch(endWithNamespace);
        forgetFigures(context, key);
        for (const recent of [parts.recentPods, parts.recentClaims, parts.recentRevisions]) recent.forget(key);
        return undefined;
      },
    };
  },
};

/** Nothing can be made in a namespace that is being deleted, and nothing need be. */
function endWithNamespace(error: unknown): undefined {
  if (!isNamespaceGoing(error)) throw error;
}

function createParts({ informers }: ControllerContext): Parts {
  const podInformer = informers.informer(pods);
  const revisionInformer = informers.informer(controllerrevisions);
  const claimInformer = informers.informer(persistentvolumeclaims);
  addOwnerIndex(podInformer);
  addOwnerIndex(revisionInformer);
  return {
    setInformer: informers.informer(statefulsets),
    podInformer,
    claimInformer,
    revisionInformer,
    recentPods: new RecentWrites(podInformer),
    recentClaims: new RecentWrites(claimInformer),
    recentRevisions: new RecentWrites(revisionInformer),
    backoff: new FailedPodBackoff({ longestMs: longestBackoffMs }),
  };
}

/**
 * Pods wait for claims of earlier pods of their names to go; nothing else that happens to claims concerns a set, not even that
 * one is deleted: it is made again with the next pod.
 */
function watchGoneClaims({ claimInformer, setInformer }: Parts): Watched {
  return {
    start: (enqueue) =>
      claimInformer.addHandler({
        onDelete: (claim) => {
          if (claim.metadata.ownerReferences?.some(({ kind }) => kind === "Pod"))
            for (const key of keysOfClaim(claim, setInformer)) enqueue(key);
        },
      }),
  };
}

/** The sets whose templates make claims of this name. */
function keysOfClaim(claim: PersistentVolumeClaim, sets: Informer<StatefulSet>): readonly string[] {
  const { name, namespace } = claim.metadata;
  const isMadeBy = (set: StatefulSet): boolean =>
    (set.spec.volumeClaimTemplates ?? []).some((template) => {
      const prefix = `${template.metadata.name}-${set.metadata.name}-`;
      return name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length));
    });
  return sets.inNamespace(namespace).filter(isMadeBy).map(keyOf);
}

async function reconcileSet(context: ControllerContext, work: Work): Promise<RequeueAfter | undefined> {
  const { parts, key, set, signal } = work;
  const claimed = await claimPods(context, work);
  const versions = revisionWork(context, work);
  const revisions = await claimRevisions(versions);
  const history = historyOf(set, revisions);
  // The garbage collector may have taken the revisions of a set that is being deleted: none is made for it to take.
  if (set.metadata.deletionTimestamp !== undefined && !history.present) return writeLastStatus(context, work, claimed);
  const { revision, collisionCount } = await ensureRevision(versions, history);
  const current = revisions.find(({ metadata }) => metadata.name === set.status?.currentRevision) ?? revision;
  const observed = {
    set,
    current: versionOf(current),
    update: versionOf(revision),
    pods: claimed,
    claims: claimsOf(work, claimed),
    nowMs: context.clock.now(),
  };
  const { recentPods, recentClaims } = parts;
  const actionWork: ActionWork = { context, key, set, claims: observed.claims, recentPods, recentClaims, signal };
  const { actions, waitMs } = unhurried(parts.backoff, observed);
  const failure = await actAll(actionWork, actions);

  const nowMs = context.clock.now();
  const present = presentPods(recentPods, claimed, { key, nowMs }).filter((pod) => isControlledBy(pod, set));
  const status = statefulStatus({ ...observed, pods: present, nowMs }, collisionCount);
  if (!semanticallyEqual(status, set.status)) await context.client.updateStatus(statefulsets, { ...set, status }, { signal });
  showFigures(context, set, present);
  await truncateHistory(versions, revisions, new Set([current.metadata.name, revision.metadata.name, ...claimed.map(revisionOf)]));
  if (failure) throw failure.error;
  const nextMs = Math.min(nextPodAvailabilityMs(present, set.spec.minReadySeconds ?? 0, nowMs) ?? Number.POSITIVE_INFINITY, waitMs);
  return nextMs === Number.POSITIVE_INFINITY ? undefined : { requeueAfterMs: nextMs };
}

const policies = ["OrderedReady", "Parallel"] as const;

/** How many pods may be missing in an update, and how many are. */
function showFigures({ metrics, clock }: ControllerContext, set: StatefulSet, present: readonly Pod[]): void {
  const { namespace, name } = set.metadata;
  const labels = [namespace, name, set.spec.podManagementPolicy ?? "OrderedReady"];
  const available = present.filter((pod) => isPodAvailable(pod, set.spec.minReadySeconds ?? 0, clock.now())).length;
  metrics?.own.set("statefulset_controller_statefulset_max_unavailable", maxUnavailableOf(set), ...labels);
  metrics?.own.set("statefulset_controller_statefulset_unavailable_replicas", Math.max(0, desiredReplicas(set) - available), ...labels);
}

function forgetFigures({ metrics }: ControllerContext, key: string): void {
  const [namespace = "", name = ""] = key.split("/");
  for (const policy of policies) {
    metrics?.own.forget("statefulset_controller_statefulset_max_unavailable", namespace, name, policy);
    metrics?.own.forget("statefulset_controller_statefulset_unavailable_replicas", namespace, name, policy);
  }
}

/** The status of a set that is going and has lost its revisions: it knows their names. */
async function writeLastStatus({ client, clock }: ControllerContext, { set, signal }: Work, claimed: readonly Pod[]): Promise<undefined> {
  const { currentRevision = "", updateRevision = "", collisionCount } = set.status ?? {};
  const version = (name: string): Version => ({ name, template: set.spec.template });
  const observed = { set, current: version(currentRevision), update: version(updateRevision), pods: claimed, nowMs: clock.now() };
  const status = statefulStatus(observed, collisionCount ?? 0);
  if (!semanticallyEqual(status, set.status)) await client.updateStatus(statefulsets, { ...set, status }, { signal });
  return undefined;
}

/** The plan without the replacements of failed pods that have to wait, and how long until the first of them need not. */
function unhurried(
  backoff: FailedPodBackoff,
  observed: ObservedStatefulSet,
): { readonly actions: readonly StatefulAction[]; readonly waitMs: number } {
  const { set, update, nowMs } = observed;
  const actions: StatefulAction[] = [];
  let waitMs = Number.POSITIVE_INFINITY;
  for (const action of planStatefulSet(observed)) {
    if (action.kind === "delete" && action.pod.status?.phase === "Failed") {
      const place = `${set.metadata.uid}/${update.name}/${action.pod.metadata.name}`;
      const leftMs = backoff.leftMs(place, nowMs);
      if (leftMs > 0) {
        waitMs = Math.min(waitMs, leftMs);
        continue;
      }
      backoff.replaced(place, nowMs);
    }
    actions.push(action);
  }
  return { actions, waitMs };
}

const versionOf = (revision: ControllerRevision): Version => ({ name: revision.metadata.name, template: templateOf(revision) });

/** Ordered sets take one step after the other, others many at a time; a failure ends it and is returned. */
async function actAll(work: ActionWork, actions: readonly StatefulAction[]): Promise<{ readonly error: unknown } | undefined> {
  try {
    if (isOrdered(work.set)) for (const action of actions) await act(work, action);
    else await slowStartEach(actions, (action) => act(work, action));
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** Its pods, with matching orphans of its members' names adopted. */
async function claimPods({ client, clock }: ControllerContext, { parts, key, set, signal }: Work): Promise<readonly Pod[]> {
  const { podInformer, recentPods } = parts;
  const selector = labelMatcher(set.spec.selector);
  const isMember = (pod: Pod): boolean => ordinalOf(set, pod) !== undefined;
  const orphans = orphansIn(podInformer, set.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
  const cached = [...ownedBy(podInformer, set.metadata.uid), ...orphans].filter(isMember);
  return claim(presentPods(recentPods, cached, { key, nowMs: clock.now() }), {
    client,
    signal,
    ownerType: statefulsets,
    owner: set,
    type: pods,
    selector,
    onWrite: (pod) => recentPods.written(key, pod),
  });
}

/** The claims there are of all ordinals that have or should have a pod. */
function claimsOf({ parts, key, set }: Work, claimed: readonly Pod[]): Claims {
  const ordinals = new Set([...ordinalsOf(set), ...claimed.flatMap((pod) => ordinalOf(set, pod) ?? [])]);
  const names = [...ordinals].flatMap((ordinal) => claimNames(set, ordinal));
  const cached = names.flatMap((name) => parts.claimInformer.get(`${set.metadata.namespace}/${name}`) ?? []);
  return new Map(parts.recentClaims.correct(key, cached).map((claim) => [claim.metadata.name, claim]));
}

const revisionWork = ({ client }: ControllerContext, { parts, key, set, signal }: Work): RevisionWork<StatefulSet> => ({
  client,
  signal,
  key,
  owner: set,
  type: statefulsets,
  informer: parts.revisionInformer,
  recent: parts.recentRevisions,
});

/** Of the revisions that nothing uses, deletes the oldest beyond the limit. */
async function truncateHistory(
  versions: RevisionWork<StatefulSet>,
  revisions: readonly ControllerRevision[],
  live: ReadonlySet<string>,
): Promise<void> {
  const unused = revisions.filter((revision) => !live.has(revision.metadata.name)).sort(byRevision);
  const limit = versions.owner.spec.revisionHistoryLimit ?? 10;
  await deleteRevisions(versions, unused.slice(0, Math.max(0, unused.length - limit)));
}
