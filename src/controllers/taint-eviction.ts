// taint-eviction-controller: deletes pods from nodes with NoExecute taints that they do not tolerate, or no longer than so
// many seconds. An eviction that has been scheduled keeps the time at which it began, whatever the taints do meanwhile,
// unless they all go.
import { keyOf, parseKey } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import { findCondition } from "../api/semantics/conditions.ts";
import { tolerates } from "../api/semantics/taints.ts";
import type { Pod, Taint, Toleration } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import { type Controller, type ControllerContext, watch } from "./controller.ts";
import { disruptionTarget, patchPodStatus } from "./pod-control.ts";
import { addNodeIndex, podsOnNode } from "./pods-by-node.ts";

/** How long a pod may stay under NoExecute taints: 0 not at all, undefined for good. */
export function tolerationMs(taints: readonly Taint[], tolerations: readonly Toleration[]): number | undefined {
  let shortest: number | undefined;
  for (const taint of taints) {
    const matching = tolerations.find((toleration) => tolerates(toleration, taint));
    if (!matching) return 0;
    const { tolerationSeconds } = matching;
    if (tolerationSeconds === undefined) continue;
    const ms = Math.max(0, tolerationSeconds * 1000);
    shortest = shortest === undefined ? ms : Math.min(shortest, ms);
  }
  return shortest;
}

export const taintEvictionController: Controller = {
  name: "taint-eviction-controller",
  serviceAccount: "node-controller",
  workers: 8,
  create(context) {
    const nodeInformer = context.informers.informer(nodes);
    const podInformer = context.informers.informer(pods);
    addNodeIndex(podInformer);
    /** Since when each pod is to be evicted. */
    const pending = new Map<string, { readonly uid: string; readonly sinceMs: number; readonly isEvicted: boolean }>();
    const cancel = (key: string): void => {
      const known = pending.get(key);
      pending.delete(key);
      if (!known || known.isEvicted) return;
      const { namespace, name } = parseKey(key);
      const about = { apiVersion: "v1", kind: "Pod", namespace, name };
      context.recorder.record(about, { type: "Normal", reason: "TaintManagerEviction", message: `Cancelling deletion of Pod ${key}` });
    };
    return {
      watches: [
        watch(podInformer, (pod) => (pod.spec.nodeName ? [keyOf(pod)] : [])),
        watch(nodeInformer, (node) =>
          noExecute(node.spec?.taints).length > 0 || pending.size > 0 ? podsOnNode(podInformer, node.metadata.name).map(keyOf) : [],
        ),
      ],
      async reconcile(key, { signal }) {
        const pod = podInformer.get(key);
        // One that is being deleted already is told of and marked all the same.
        if (!pod) {
          pending.delete(key);
          return undefined;
        }
        const taints = noExecute(nodeInformer.get(pod.spec.nodeName ?? "")?.spec?.taints);
        const stayMs = taints.length === 0 ? undefined : tolerationMs(taints, pod.spec.tolerations ?? []);
        if (stayMs === undefined) {
          cancel(key);
          return undefined;
        }
        const nowMs = context.clock.now();
        const known = pending.get(key);
        const sinceMs = known?.uid === pod.metadata.uid ? known.sinceMs : nowMs;
        // Until the cache shows the deletion the pod looks as it did before.
        if (known?.uid === pod.metadata.uid && known.isEvicted) return undefined;
        const { uid } = pod.metadata;
        pending.set(key, { uid, sinceMs, isEvicted: false });
        if (sinceMs + stayMs > nowMs) return { requeueAfterMs: sinceMs + stayMs - nowMs };
        await evict(context, pod, signal);
        context.metrics?.own.count("taint_eviction_controller_pod_deletions_total");
        const lateMs = context.clock.now() - sinceMs - stayMs;
        context.metrics?.own.observe("taint_eviction_controller_pod_deletion_duration_seconds", lateMs / 1000);
        pending.set(key, { uid, sinceMs, isEvicted: true });
        return undefined;
      },
    };
  },
};

function noExecute(taints: readonly Taint[] | undefined): readonly Taint[] {
  return taints?.filter(({ effect }) => effect === "NoExecute") ?? [];
}

async function evict({ client, clock, recorder }: ControllerContext, pod: Pod, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = pod.metadata;
  // As upstream the event names the pod without its uid.
  const about = { apiVersion: "v1", kind: "Pod", namespace, name };
  recorder.record(about, { type: "Normal", reason: "TaintManagerEviction", message: `Marking for deletion Pod ${namespace}/${name}` });
  try {
    if (findCondition(pod.status?.conditions, "DisruptionTarget")?.status !== "True") {
      const message = "Taint manager: deleting due to NoExecute taint";
      const condition = disruptionTarget(pod, { reason: "DeletionByTaintManager", message, at: formatTime(clock.now()) });
      await patchPodStatus(client, pod, { status: { conditions: [condition] }, signal });
    }
    await client.delete(pods, { namespace, name }, { signal, body: { preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}
