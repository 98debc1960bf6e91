// namespace-controller: deletes all that is in a namespace that is being deleted, then takes away the finalizer that has
// kept it. What cannot go yet (finalizers, pods that end gracefully) is named in the namespace's conditions and looked at
// again.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { namespaces, pods } from "../../api/resources.generated.ts";
import type { Namespace, Pod } from "../../api/types/core-v1.ts";
import { discoverResources } from "../../client/discovery.ts";
import type { Informer } from "../../client/informer.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { type Controller, type ControllerContext, watch } from "../controller.ts";
import { deleteContent, type RemainingContent } from "./content.ts";
import { deletionConditions } from "./namespace-conditions.ts";

const finalizer = "kubernetes";
/** How long objects with finalizers are left before they are looked at again. */
const finalizerRecheckMs = 8_000;

export const namespaceController: Controller = {
  name: "namespace-controller",
  workers: 10,
  deadlineMs: 300_000,
  create(context) {
    const namespaceInformer = context.informers.informer(namespaces);
    const podInformer = context.informers.informer(pods);
    const isGoing = (name: string): boolean => namespaceInformer.get(name)?.metadata.deletionTimestamp !== undefined;
    return {
      watches: [
        watch(namespaceInformer, ({ metadata }) => (metadata.deletionTimestamp === undefined ? [] : [metadata.name])),
        // The last pod to go lets the rest go, without waiting for the next look.
        {
          start: (enqueue) =>
            podInformer.addHandler({ onDelete: ({ metadata }: Pod) => void (isGoing(metadata.namespace) && enqueue(metadata.namespace)) }),
        },
      ],
      async reconcile(name, { signal }) {
        const namespace = await current(context, name, signal);
        if (!namespace || namespace.metadata.deletionTimestamp === undefined || (namespace.spec?.finalizers ?? []).length === 0)
          return undefined;
        return empty(context, { namespace, podInformer, signal });
      },
    };
  },
};

interface Work {
  readonly namespace: Namespace;
  readonly podInformer: Informer<Pod>;
  readonly signal: AbortSignal;
}

/** The cache may be behind, and deletion is final: the server is asked. Marks the namespace as terminating. */
async function current({ client }: ControllerContext, name: string, signal: AbortSignal): Promise<Namespace | undefined> {
  try {
    const namespace = await client.get(namespaces, { name }, { signal });
    if (namespace.metadata.deletionTimestamp === undefined || namespace.status?.phase === "Terminating") return namespace;
    return await client.updateStatus(namespaces, { ...namespace, status: { ...namespace.status, phase: "Terminating" } }, { signal });
  } catch (error) {
    if (isStatus(error, "NotFound")) return undefined;
    throw error;
  }
}

async function empty(context: ControllerContext, { namespace, podInformer, signal }: Work): Promise<RequeueAfter | undefined> {
  const { client, clock } = context;
  const { name } = namespace.metadata;
  const { resources, stale } = await discoverResources(client, { signal });
  const deletable = resources.filter(({ namespaced, verbs }) => namespaced && verbs.includes("list") && verbs.includes("delete"));
  const content = await deleteContent({ client, signal, resources: deletable, namespace: name });
  const failure = stale.length > 0 ? `Discovery failed for some groups, ${stale.length} failing: ${stale.join(", ")}` : undefined;
  const progress = { content, ...(failure === undefined ? {} : { discoveryFailure: failure }) };
  const conditions = deletionConditions(namespace.status?.conditions ?? [], progress, clock.now());
  const isSaid = semanticallyEqual(conditions, namespace.status?.conditions);
  const isEmpty = content.objects.size === 0 && content.failures.length === 0 && failure === undefined;
  const said =
    isSaid || isEmpty
      ? namespace
      : await client.updateStatus(namespaces, { ...namespace, status: { ...namespace.status, conditions } }, { signal });
  if (isEmpty) {
    await finalize(context, said, signal);
    return undefined;
  }
  if (content.failures.length > 0) throw new Error(`deleting the content of namespace ${name}: ${content.failures.join("; ")}`);
  if (failure !== undefined) throw new Error(`deleting namespace ${name}: ${failure}`);
  return { requeueAfterMs: recheckMs(content, podInformer.inNamespace(name)) };
}

/** Pods are looked at again after half of their longest grace period. */
function recheckMs(content: RemainingContent, remaining: readonly Pod[]): number {
  if (!content.waitsForPods) return finalizerRecheckMs;
  const grace = remaining.reduce((longest, pod) => Math.max(longest, pod.metadata.deletionGracePeriodSeconds ?? 0), 0);
  return (grace / 2 + 1) * 1000;
}

async function finalize({ client }: ControllerContext, namespace: Namespace, signal: AbortSignal): Promise<void> {
  const finalizers = (namespace.spec?.finalizers ?? []).filter((item) => item !== finalizer);
  try {
    await client.update(namespaces, { ...namespace, spec: { ...namespace.spec, finalizers } }, { subresource: "finalize", signal });
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}
