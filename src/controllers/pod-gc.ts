// pod-garbage-collector-controller: every twenty seconds deletes pods that nobody else will: ended ones beyond a number,
// those of nodes that no longer exist, terminating ones that have no node or whose node is out of service.
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import { isConditionTrue } from "../api/semantics/conditions.ts";
import { isPodTerminal } from "../api/semantics/pod-status.ts";
import { outOfServiceTaintKey } from "../api/semantics/taints.ts";
import type { Node, Pod, PodCondition } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import type { Controller, ControllerContext } from "./controller.ts";
import { disruptionTarget, patchPodStatus } from "./pod-control.ts";

const periodMs = 20_000;
/** A node may only seem to be gone while it is made anew: its pods wait so long. */
const quarantineMs = 40_000;

export interface PodGcInput {
  readonly pods: Iterable<Pod>;
  readonly node: (name: string) => Node | undefined;
  /** Ended pods that are kept; 0 keeps all. */
  readonly threshold: number;
}

export interface PodGcPlan {
  readonly remove: readonly Pod[];
  /** Pods on nodes that are not there, by node. */
  readonly orphans: ReadonlyMap<string, readonly Pod[]>;
}

export function planPodGc({ pods: all, node, threshold }: PodGcInput): PodGcPlan {
  const ended: Pod[] = [];
  const remove: Pod[] = [];
  const orphans = new Map<string, Pod[]>();
  for (const pod of all) {
    const { nodeName } = pod.spec;
    const on = nodeName ? node(nodeName) : undefined;
    if (isPodTerminal(pod)) ended.push(pod);
    if (nodeName && !on) orphans.set(nodeName, [...(orphans.get(nodeName) ?? []), pod]);
    if (pod.metadata.deletionTimestamp === undefined) continue;
    if (!nodeName || (on && isOutOfService(on))) remove.push(pod);
  }
  const surplus = threshold > 0 ? ended.length - threshold : 0;
  if (surplus > 0) remove.push(...ended.sort(evictedAndOldestFirst).slice(0, surplus));
  return { remove: [...new Set(remove)], orphans };
}

function isOutOfService(node: Node): boolean {
  const isTainted = node.spec?.taints?.some((taint) => taint.key === outOfServiceTaintKey) ?? false;
  return isTainted && !isConditionTrue(node.status?.conditions, "Ready");
}

function evictedAndOldestFirst(a: Pod, b: Pod): number {
  const isEvicted = (pod: Pod): number => (pod.status?.phase === "Failed" && pod.status.reason === "Evicted" ? 0 : 1);
  const [left, right] = [a.metadata, b.metadata];
  const byAge = left.creationTimestamp < right.creationTimestamp ? -1 : left.creationTimestamp > right.creationTimestamp ? 1 : 0;
  return isEvicted(a) - isEvicted(b) || byAge || (left.name < right.name ? -1 : 1);
}

export const podGarbageCollector: Controller = {
  name: "pod-garbage-collector-controller",
  serviceAccount: "pod-garbage-collector",
  workers: 1,
  create(context) {
    const podInformer = context.informers.informer(pods);
    const nodeInformer = context.informers.informer(nodes);
    const threshold = context.options.terminatedPodGcThreshold ?? 12_500;
    /** Since when each node has been missing. */
    const missing = new Map<string, number>();
    return {
      watches: [],
      async reconcile(_key, { signal }) {
        const plan = planPodGc({ pods: podInformer.list(), node: (name) => nodeInformer.get(name), threshold });
        for (const pod of plan.remove) await remove(context, pod, { signal });
        for (const name of missing.keys()) if (!plan.orphans.has(name)) missing.delete(name);
        for (const [name, orphans] of plan.orphans) {
          const nowMs = context.clock.monotonic();
          const sinceMs = missing.get(name) ?? nowMs;
          missing.set(name, sinceMs);
          if (nowMs - sinceMs >= quarantineMs && !(await nodeExists(context, name, signal))) await removeOrphans(context, orphans, signal);
        }
        return { requeueAfterMs: periodMs };
      },
      start() {
        context.enqueue("all");
        return { stop: async () => undefined };
      },
    };
  },
};

/** The cache may be behind, and deletion is final: the server is asked. */
async function nodeExists({ client }: ControllerContext, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.get(nodes, { name }, { signal });
    return true;
  } catch (error) {
    if (isStatus(error, "NotFound")) return false;
    throw error;
  }
}

async function removeOrphans(context: ControllerContext, orphans: readonly Pod[], signal: AbortSignal): Promise<void> {
  const cause = { reason: "DeletionByPodGC", message: "PodGC: node no longer exists", at: formatTime(context.clock.now()) };
  for (const pod of orphans) await remove(context, pod, { condition: disruptionTarget(pod, cause), signal });
}

/** Says that a pod has failed, where it had not ended, and deletes it without grace. One failure does not keep the others. */
async function remove(
  { client, logger, metrics }: ControllerContext,
  pod: Pod,
  { condition, signal }: { readonly condition?: PodCondition; readonly signal: AbortSignal },
): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  const figure = [namespace, condition ? "orphaned" : causeOf(pod)] as const;
  metrics?.own.count("pod_gc_collector_force_delete_pods_total", ...figure);
  try {
    if (!isPodTerminal(pod)) {
      await patchPodStatus(client, pod, { status: { phase: "Failed", ...(condition ? { conditions: [condition] } : {}) }, signal });
    }
    await client.delete(pods, { namespace, name }, { signal, body: { gracePeriodSeconds: 0, preconditions: { uid } } });
  } catch (error) {
    signal.throwIfAborted();
    if (isStatus(error, "NotFound")) return;
    metrics?.own.count("pod_gc_collector_force_delete_pod_errors_total", ...figure);
    logger.error("Failed to delete a pod", { pod: `${namespace}/${name}`, error });
  }
}

function causeOf({ metadata, spec }: Pod): "terminated" | "unscheduled" | "out-of-service" {
  if (metadata.deletionTimestamp === undefined) return "terminated";
  return spec.nodeName ? "out-of-service" : "unscheduled";
}
