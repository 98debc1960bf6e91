// What a daemon set is to do, as pure functions of what was observed. Placing comes first: a pod on each node that should
// have one, none elsewhere, and failed ones away. When there is nothing to place, a rolling update goes on: it deletes old
// pods (no more than may be unavailable), or with surge makes new ones beside the old, which go when the new are available.
import { scaledValue } from "../../api/meta/int-or-string.ts";
import { isPodAvailable, isPodReady, isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { DaemonSet, DaemonSetStatus } from "../../api/types/apps-v1.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { isOfVersion, type Placement, placementsOf, targetNode } from "./placement.ts";

export interface ObservedDaemons {
  readonly set: DaemonSet;
  readonly nodes: readonly Node[];
  /** Those it controls. */
  readonly pods: readonly Pod[];
  /** Of its present revision. */
  readonly hash: string;
  readonly nowMs: number;
}

/** A daemon pod that has ended, and the node it was on. */
export interface EndedDaemon {
  readonly pod: Pod;
  readonly nodeName: string;
}

export interface DaemonPlan {
  /** Names of nodes that are to get a pod. */
  readonly create: readonly string[];
  readonly remove: readonly Pod[];
  /** To be removed too, with an event; the failed ones not more often than a back-off allows. */
  readonly ended: readonly EndedDaemon[];
}

/** What was observed, node by node. */
export interface DaemonView extends ObservedDaemons {
  readonly placements: ReadonlyMap<string, Placement>;
  /** Without those that have ended and are going; on each node the one that counts first. */
  readonly podsByNode: ReadonlyMap<string, readonly Pod[]>;
}

export function viewDaemons(observed: ObservedDaemons): DaemonView {
  const place = placementsOf(observed.set);
  const placements = new Map(observed.nodes.map((node) => [node.metadata.name, place(node)]));
  const podsByNode = new Map<string, Pod[]>();
  for (const pod of [...observed.pods].sort(byPrecedence)) {
    const nodeName = targetNode(pod);
    if (nodeName === undefined || (isPodTerminal(pod) && isLeaving(pod))) continue;
    const onNode = podsByNode.get(nodeName);
    if (onNode) onNode.push(pod);
    else podsByNode.set(nodeName, [pod]);
  }
  return { ...observed, placements, podsByNode };
}

const isLeaving = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;

/** Placed before not yet placed, then older before younger. */
function byPrecedence(a: Pod, b: Pod): number {
  const placed = Number(Boolean(b.spec.nodeName)) - Number(Boolean(a.spec.nodeName));
  if (placed !== 0) return placed;
  const [left, right] = [a.metadata, b.metadata];
  if (left.creationTimestamp !== right.creationTimestamp) return left.creationTimestamp < right.creationTimestamp ? -1 : 1;
  return left.name < right.name ? -1 : 1;
}

/** Pods that are missing, surplus, out of place, or have ended. */
export function planPlacing(view: DaemonView): DaemonPlan {
  const create: string[] = [];
  const remove: Pod[] = [];
  const ended: EndedDaemon[] = [];
  for (const [nodeName, { shouldRun, mayStay }] of view.placements) {
    const there = view.podsByNode.get(nodeName) ?? [];
    const staying = there.filter((pod) => !isLeaving(pod));
    if (there.length === 0) {
      if (shouldRun) create.push(nodeName);
    } else if (mayStay) {
      ended.push(...staying.filter(isPodTerminal).map((pod) => ({ pod, nodeName })));
      const running = staying.filter((pod) => !isPodTerminal(pod));
      if (!allowsSurge(view.set)) remove.push(...running.slice(1));
      else if (running.length > 1) remove.push(...surplusOfSurge(view, running));
      else if (running.length === 0 && shouldRun) create.push(nodeName);
    } else remove.push(...staying);
  }
  // What waits for a node that is no more would wait for ever: no one else removes pods without a node.
  for (const [nodeName, waiting] of view.podsByNode) {
    if (!view.placements.has(nodeName)) remove.push(...waiting.filter((pod) => !pod.spec.nodeName && !isLeaving(pod)));
  }
  return { create, remove, ended };
}

/** Of several pods on a node one old and one new may stay, until the new one is available or the old one is not ready. */
function surplusOfSurge({ set, hash, nowMs }: DaemonView, running: readonly Pod[]): readonly Pod[] {
  const newest = running.filter((pod) => isOfVersion(pod, set, hash));
  const old = running.filter((pod) => !newest.includes(pod));
  const surplus = [...newest.slice(1), ...old.slice(1)];
  const [present] = newest;
  const [former] = old;
  if (present && former) {
    const isReplaced = !isPodReady(former) || isPodAvailable(present, set.spec.minReadySeconds ?? 0, nowMs);
    if (isReplaced) surplus.push(former);
  }
  return surplus;
}

/** The next step of a rolling update; nothing for sets that are updated only where pods are deleted by hand. */
export function planRollout(view: DaemonView): DaemonPlan {
  if (!isRollingUpdate(view.set)) return { create: [], remove: [], ended: [] };
  const desired = [...view.placements.values()].filter((placement) => placement.shouldRun).length;
  const { maxSurge, maxUnavailable } = rolloutLimits(view.set, desired);
  return maxSurge === 0 ? planReplacing(view, maxUnavailable) : planSurging(view, { maxSurge, desired });
}

/** The one old and the one new pod of a node; undefined where there are more, which placing will first put right. */
function versionsOn({ set, hash }: DaemonView, there: readonly Pod[]): { readonly present?: Pod; readonly former?: Pod } | undefined {
  const staying = there.filter((pod) => !isLeaving(pod));
  const newest = staying.filter((pod) => isOfVersion(pod, set, hash));
  const old = staying.filter((pod) => !newest.includes(pod));
  if (newest.length > 1 || old.length > 1) return undefined;
  return { ...(newest[0] ? { present: newest[0] } : {}), ...(old[0] ? { former: old[0] } : {}) };
}

function planReplacing(view: DaemonView, maxUnavailable: number): DaemonPlan {
  const minReadySeconds = view.set.spec.minReadySeconds ?? 0;
  let unavailable = 0;
  const broken: Pod[] = [];
  const candidates: Pod[] = [];
  for (const nodeName of concernedNodes(view)) {
    const versions = versionsOn(view, view.podsByNode.get(nodeName) ?? []);
    const only = versions && (versions.present === undefined) !== (versions.former === undefined);
    const pod = only ? (versions.present ?? versions.former) : undefined;
    const isAvailable = pod !== undefined && isPodAvailable(pod, minReadySeconds, view.nowMs);
    if (!isAvailable) unavailable++;
    if (!versions?.former || pod !== versions.former) continue;
    // An old pod that is not available costs nothing.
    (isAvailable ? candidates : broken).push(pod);
  }
  return { create: [], remove: [...broken, ...candidates.slice(0, Math.max(0, maxUnavailable - unavailable))], ended: [] };
}

function planSurging(view: DaemonView, { maxSurge, desired }: { readonly maxSurge: number; readonly desired: number }): DaemonPlan {
  const isAvailable = (pod: Pod): boolean => isPodAvailable(pod, view.set.spec.minReadySeconds ?? 0, view.nowMs);
  let surging = 0;
  let available = 0;
  const remove: Pod[] = [];
  const misplaced: Pod[] = [];
  const broken: string[] = [];
  const candidates: string[] = [];
  for (const nodeName of concernedNodes(view)) {
    const versions = versionsOn(view, view.podsByNode.get(nodeName) ?? []);
    if (!versions) {
      surging++;
      continue;
    }
    const { present, former } = versions;
    const serving = former ?? present;
    if (serving && isAvailable(serving)) available++;
    if (!former) continue;
    const shouldRun = view.placements.get(nodeName)?.shouldRun ?? false;
    if (present) {
      if (isAvailable(present)) remove.push(former);
      else surging++;
    } else if (isAvailable(former)) {
      if (shouldRun) candidates.push(nodeName);
      else misplaced.push(former);
    } else if (shouldRun) broken.push(nodeName);
    else remove.push(former);
  }
  // A pod that is available where none belongs any more stays until as many as are wanted are available elsewhere.
  remove.push(...misplaced.slice(0, Math.max(0, available - desired)));
  return { create: [...broken, ...candidates.slice(0, Math.max(0, maxSurge - surging))], remove, ended: [] };
}

/** Nodes that have pods or should have one. */
function concernedNodes({ placements, podsByNode }: DaemonView): Iterable<string> {
  const names = new Set(podsByNode.keys());
  for (const [name, { shouldRun }] of placements) if (shouldRun) names.add(name);
  return names;
}

function isRollingUpdate({ spec }: DaemonSet): boolean {
  return (spec.updateStrategy?.type ?? "RollingUpdate") === "RollingUpdate";
}

/** Whether old and new pods may be on one node side by side. */
function allowsSurge(set: DaemonSet): boolean {
  return isRollingUpdate(set) && rolloutLimits(set, 1).maxSurge > 0;
}

/** Percentages are of the nodes that should have a pod, and round up. Where both limits come to 0, one may be missing. */
function rolloutLimits({ spec }: DaemonSet, desired: number): { readonly maxSurge: number; readonly maxUnavailable: number } {
  const { maxSurge = 0, maxUnavailable = 1 } = spec.updateStrategy?.rollingUpdate ?? {};
  const surge = scaledValue(maxSurge, desired, "up");
  const unavailable = scaledValue(maxUnavailable, desired, "up");
  return { maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

/** The status that the pods make; on each node the first counts. */
export function daemonStatus(view: DaemonView, collisionCount: number): DaemonSetStatus {
  const { set, hash, nowMs } = view;
  const minReadySeconds = set.spec.minReadySeconds ?? 0;
  const names = [...view.placements].filter(([, { shouldRun }]) => shouldRun).map(([name]) => name);
  const daemons = names.flatMap((name) => view.podsByNode.get(name)?.[0] ?? []);
  const misplaced = [...view.placements].filter(([name, { shouldRun }]) => !shouldRun && view.podsByNode.has(name));
  const available = daemons.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length;
  return {
    ...set.status,
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: names.length,
    currentNumberScheduled: daemons.length,
    numberMisscheduled: misplaced.length,
    numberReady: daemons.filter(isPodReady).length,
    updatedNumberScheduled: daemons.filter((pod) => isOfVersion(pod, set, hash)).length,
    numberAvailable: available,
    numberUnavailable: names.length - available,
    ...(collisionCount > 0 ? { collisionCount } : {}),
  };
}
