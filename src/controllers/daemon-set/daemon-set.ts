// daemonset-controller: one pod of a template on every node that fits. plan.ts decides; this file observes, acts, keeps the
// history of templates and writes the status. The scheduler places the pods: each requires its node by name.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerOf, isControlledBy, keyOf } from "../../api/meta/object.ts";
import { labelMatcher } from "../../api/meta/selectors.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { controllerrevisions, daemonsets, nodes, pods } from "../../api/resources.generated.ts";
import { nextPodAvailabilityMs } from "../../api/semantics/pod-status.ts";
import type { ControllerRevision, DaemonSet } from "../../api/types/apps-v1.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { claim } from "../claim.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { FailedPodBackoff } from "../failed-pods.ts";
import { addOwnerIndex, orphansIn, ownedBy } from "../owner-index.ts";
import { ownerKeys } from "../owner-keys.ts";
import { createPod, deletePod, podFromTemplate } from "../pod-control.ts";
import { addNodeIndex, podsOnNode } from "../pods-by-node.ts";
import { presentPods } from "../present-pods.ts";
import {
  claimRevisions,
  deleteRevisions,
  ensureRevision,
  type History,
  historyOf,
  type RevisionWork,
  revisionHashLabel,
} from "../revisions.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { slowStartEach } from "../slow-start.ts";
import { daemonTemplate, placementsOf, targetNode } from "./placement.ts";
import { type DaemonPlan, type DaemonView, daemonStatus, planPlacing, planRollout, viewDaemons } from "./plan.ts";

/** No more pods are made, and no more removed, in one go. */
const burst = 250;

interface Parts {
  readonly setInformer: Informer<DaemonSet>;
  readonly podInformer: Informer<Pod>;
  readonly nodeInformer: Informer<Node>;
  readonly revisionInformer: Informer<ControllerRevision>;
  readonly recentPods: RecentWrites<Pod>;
  readonly recentRevisions: RecentWrites<ControllerRevision>;
  readonly backoff: FailedPodBackoff;
}

interface Work {
  readonly parts: Parts;
  readonly key: string;
  readonly set: DaemonSet;
  readonly signal: AbortSignal;
}

export const daemonSetController: Controller = {
  name: "daemonset-controller",
  serviceAccount: "daemon-set-controller",
  create(context) {
    const parts = createParts(context);
    const { setInformer, podInformer, revisionInformer } = parts;
    const selectorOf = (set: DaemonSet) => labelMatcher(set.spec.selector);
    return {
      watches: [
        watch(setInformer, (set) => [keyOf(set)]),
        watch(podInformer, (pod) => ownerKeys(pod, setInformer, selectorOf)),
        watch(revisionInformer, (revision) => ownerKeys(revision, setInformer, selectorOf)),
        watchNodes(parts),
      ],
      async reconcile(key, { signal }) {
        const set = setInformer.get(key);
        if (set) return reconcileSet(context, { parts, key, set, signal }).catch(endWithNamespace);
        parts.recentPods.forget(key);
        parts.recentRevisions.forget(key);
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
  addOwnerIndex(podInformer);
  addNodeIndex(podInformer);
  addOwnerIndex(revisionInformer);
  return {
    setInformer: informers.informer(daemonsets),
    podInformer,
    nodeInformer: informers.informer(nodes),
    revisionInformer,
    recentPods: new RecentWrites(podInformer),
    recentRevisions: new RecentWrites(revisionInformer),
    backoff: new FailedPodBackoff({ longestMs: 15 * 60_000 }),
  };
}

/** Of all the news of nodes only what changes where pods belong concerns a set. */
function watchNodes({ nodeInformer, setInformer, podInformer }: Parts): Watched {
  const concerned = (set: DaemonSet, node: Node, previous: Node | undefined): boolean => {
    const place = placementsOf(set);
    const { shouldRun, mayStay } = place(node);
    if (previous && place(previous).shouldRun !== shouldRun) return true;
    const isThere = podsOnNode(podInformer, node.metadata.name).some((pod) => controllerOf(pod)?.uid === set.metadata.uid);
    return isThere ? !mayStay || (set.status?.numberMisscheduled ?? 0) > 0 : shouldRun;
  };
  return {
    start(enqueue) {
      const tell = (node: Node, previous: Node | undefined): void => {
        for (const set of setInformer.list()) if (concerned(set, node, previous)) enqueue(keyOf(set));
      };
      return nodeInformer.addHandler({
        onAdd: (node) => tell(node, undefined),
        onUpdate(node, previous) {
          const isSame =
            semanticallyEqual(node.metadata.labels, previous.metadata.labels) &&
            semanticallyEqual(node.spec?.taints, previous.spec?.taints);
          if (!isSame) tell(node, previous);
        },
        // Its pods go first, and then concern their sets; but those that it never got wait in vain.
        onDelete: ({ metadata }) => {
          const waitsForIt = (pod: Pod): boolean => !pod.spec.nodeName && targetNode(pod) === metadata.name;
          for (const set of setInformer.list()) if (ownedBy(podInformer, set.metadata.uid).some(waitsForIt)) enqueue(keyOf(set));
        },
      });
    },
  };
}

async function reconcileSet(context: ControllerContext, work: Work): Promise<RequeueAfter | undefined> {
  const { parts, set, signal } = work;
  const { selector } = set.spec;
  if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0) {
    const message = "This daemon set is selecting all pods. A non-empty selector is required.";
    context.recorder.record(set, { type: "Warning", reason: "SelectingAll", message });
    return undefined;
  }
  // What a set that is being deleted owns is the garbage collector's, in an order that leaves no status to compute.
  if (set.metadata.deletionTimestamp !== undefined) return undefined;

  const claimed = await claimPods(context, work);
  const versions = revisionWork(context, work);
  const history = historyOf(set, await claimRevisions(versions));
  const { revision, collisionCount } = await ensureRevision(versions, history);
  const hash = revision.metadata.labels?.[revisionHashLabel] ?? revision.metadata.name;
  if (history.duplicates.length > 0) await mergeDuplicates(context, work, { history, hash, claimed });

  const view = (present: readonly Pod[]) =>
    viewDaemons({ set, nodes: [...parts.nodeInformer.list()], pods: present, hash, nowMs: context.clock.now() });
  const failure = await step(context, { ...work, view: view(claimed), hash });
  if (!failure) await truncateHistory(versions, history, claimed);

  const after = view(ownPods(context, work, claimed));
  const status = daemonStatus(after, collisionCount);
  if (!semanticallyEqual(status, set.status)) await context.client.updateStatus(daemonsets, { ...set, status }, { signal });
  if (failure) throw failure.error;
  return nextCheck(work, after);
}

/** When a back-off ends or a pod becomes available, neither of which any event tells. */
function nextCheck({ parts, set }: Work, view: DaemonView): RequeueAfter | undefined {
  const waits = planPlacing(view).ended.map(({ nodeName }) => parts.backoff.leftMs(placeOf(set, nodeName), view.nowMs));
  const availability = nextPodAvailabilityMs(view.pods, set.spec.minReadySeconds ?? 0, view.nowMs);
  const due = [...waits.filter((ms) => ms > 0), ...(availability === undefined ? [] : [availability])];
  return due.length === 0 ? undefined : { requeueAfterMs: Math.min(...due) };
}

/** Its pods, with matching orphans adopted and those that match no longer given up. */
async function claimPods({ client, clock }: ControllerContext, { parts, key, set, signal }: Work): Promise<readonly Pod[]> {
  const { podInformer, recentPods } = parts;
  const selector = labelMatcher(set.spec.selector);
  const orphans = orphansIn(podInformer, set.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
  const candidates = presentPods(recentPods, [...ownedBy(podInformer, set.metadata.uid), ...orphans], { key, nowMs: clock.now() });
  return claim(candidates, {
    client,
    signal,
    ownerType: daemonsets,
    owner: set,
    type: pods,
    selector,
    onWrite: (pod) => recentPods.written(key, pod),
  });
}

/** The pods that were claimed and those made since, as they are after acting. */
function ownPods({ clock }: ControllerContext, { parts, key, set }: Work, claimed: readonly Pod[]): readonly Pod[] {
  const present = presentPods(parts.recentPods, claimed, { key, nowMs: clock.now() });
  return present.filter((pod) => isControlledBy(pod, set));
}

const revisionWork = ({ client }: ControllerContext, { parts, key, set, signal }: Work): RevisionWork<DaemonSet> => ({
  client,
  signal,
  key,
  owner: set,
  type: daemonsets,
  informer: parts.revisionInformer,
  recent: parts.recentRevisions,
});

/** Places pods; where every pod is in its place, takes a step of the rolling update. A failure is returned. */
async function step(
  context: ControllerContext,
  work: Work & { readonly view: DaemonView; readonly hash: string },
): Promise<{ readonly error: unknown } | undefined> {
  const placing = planPlacing(work.view);
  try {
    const acted = await act(context, work, placing);
    if (!acted) await act(context, work, planRollout(work.view));
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** Carries a plan out; answers whether there was anything to do. */
async function act(
  context: ControllerContext,
  { parts, key, set, signal, hash }: Work & { readonly hash: string },
  plan: DaemonPlan,
): Promise<boolean> {
  const replaced = plan.ended.filter(({ pod, nodeName }) => replaceEnded(context, { parts, set, pod, nodeName }));
  const removals = [...plan.remove, ...replaced.map(({ pod }) => pod)].slice(0, burst);
  const create = plan.create.slice(0, burst);
  const making = slowStartEach(create, async (nodeName) => {
    const pod = podFromTemplate(daemonTemplate(set, { hash, nodeName }), set, daemonsets);
    const created = await createPod(context, { owner: set, pod, signal });
    if (created) parts.recentPods.written(key, created);
  });
  const deletions = removals.map(async (pod) => {
    await deletePod(context, { owner: set, pod, signal });
    parts.recentPods.deleted(key, pod);
  });
  const failed = (await Promise.allSettled([making, ...deletions])).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
  return create.length + removals.length > 0;
}

/** Tells of a pod that has ended, unless the back-off for its node says to wait: then it stays for now. */
function replaceEnded(
  { clock, recorder }: ControllerContext,
  { parts, set, pod, nodeName }: { readonly parts: Parts; readonly set: DaemonSet; readonly pod: Pod; readonly nodeName: string },
): boolean {
  const name = keyOf(pod);
  if (pod.status?.phase === "Succeeded") {
    const message = `Found succeeded daemon pod ${name} on node ${nodeName}, will try to delete it`;
    recorder.record(set, { type: "Normal", reason: "SucceededDaemonPod", message });
    return true;
  }
  const nowMs = clock.now();
  if (parts.backoff.leftMs(placeOf(set, nodeName), nowMs) > 0) return false;
  parts.backoff.replaced(placeOf(set, nodeName), nowMs);
  const message = `Found failed daemon pod ${name} on node ${nodeName}, will try to kill it`;
  recorder.record(set, { type: "Warning", reason: "FailedDaemonPod", message });
  return true;
}

/** Of several revisions of the present template one stays; pods of the others are counted to it. */
async function mergeDuplicates(
  context: ControllerContext,
  work: Work,
  { history, hash, claimed }: { readonly history: History; readonly hash: string; readonly claimed: readonly Pod[] },
): Promise<void> {
  const { client } = context;
  const { parts, key, signal } = work;
  const merged = new Set(history.duplicates.map((revision) => revision.metadata.labels?.[revisionHashLabel]));
  for (const pod of claimed) {
    if (!merged.has(pod.metadata.labels?.[revisionHashLabel])) continue;
    const { namespace, name, uid } = pod.metadata;
    const patch = { metadata: { uid, labels: { [revisionHashLabel]: hash } } };
    try {
      parts.recentPods.written(key, await client.patch(pods, { namespace, name }, patch, { type: "merge", signal }));
    } catch (error) {
      if (!isStatus(error, "NotFound", "Conflict")) throw error;
    }
  }
  await deleteRevisions(revisionWork(context, work), history.duplicates);
}

/** Deletes the oldest revisions beyond the limit, except those that pods still have. */
async function truncateHistory(versions: RevisionWork<DaemonSet>, { older }: History, claimed: readonly Pod[]): Promise<void> {
  const surplus = older.length - (versions.owner.spec.revisionHistoryLimit ?? 10);
  if (surplus <= 0) return;
  const live = new Set(claimed.map((pod) => pod.metadata.labels?.[revisionHashLabel]));
  const unused = older.filter((revision) => !live.has(revision.metadata.labels?.[revisionHashLabel]));
  await deleteRevisions(versions, unused.slice(0, surplus));
}

/** Another version of the set may do better on the node. */
const placeOf = ({ metadata, status }: DaemonSet, nodeName: string): string =>
  `${metadata.uid}/${status?.observedGeneration ?? 0}/${nodeName}`;
