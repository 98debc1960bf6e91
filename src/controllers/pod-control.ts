// Creates and deletes pods on behalf of a workload, with the events that tell of it.
import { controllerRef, type KubernetesObject, type New } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import type { GroupVersionKind } from "../api/resource-type.ts";
import { pods } from "../api/resources.generated.ts";
import type { Pod, PodCondition, PodStatus, PodTemplateSpec } from "../api/types/core-v1.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import { isNamespaceGoing } from "./service-account.ts";

export interface PodControlDeps {
  readonly client: Client;
  readonly recorder: EventRecorder;
}

/** The pod a template makes: controlled by the owner, named after it. */
export function podFromTemplate(template: PodTemplateSpec, owner: KubernetesObject, kind: GroupVersionKind): New<Pod> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  return {
    metadata: {
      generateName: `${owner.metadata.name}-`,
      namespace: owner.metadata.namespace ?? "",
      ...(labels ? { labels } : {}),
      ...(annotations ? { annotations } : {}),
      ...(finalizers ? { finalizers } : {}),
      ownerReferences: [controllerRef(owner, kind)],
    },
    spec: template.spec ?? { containers: [] },
  };
}

/** Creates the pod; undefined where its namespace is going. A failure is told in an event and thrown. */
export async function createPod(
  { client, recorder }: PodControlDeps,
  { owner, pod, signal }: { readonly owner: KubernetesObject; readonly pod: New<Pod>; readonly signal: AbortSignal },
): Promise<Pod | undefined> {
  try {
    const created = await client.create(pods, pod, { signal });
    recorder.record(owner, { type: "Normal", reason: "SuccessfulCreate", message: `Created pod: ${created.metadata.name}` });
    return created;
  } catch (error) {
    if (isNamespaceGoing(error)) return undefined;
    recorder.record(owner, {
      type: "Warning",
      reason: "FailedCreate",
      message: `Error creating: ${error instanceof Error ? error.message : String(error)}`,
    });
    throw error;
  }
}

/**
 * Deletes the pod; one that is gone already is fine. A failure is told in an event and thrown. Returns the pod with the mark of
 * its deletion, as it stays or as it was removed; undefined where the server does not say.
 */
export async function deletePod(
  { client, recorder }: PodControlDeps,
  { owner, pod, signal }: { readonly owner: KubernetesObject; readonly pod: Pod; readonly signal: AbortSignal },
): Promise<Pod | undefined> {
  const { namespace, name, uid } = pod.metadata;
  try {
    const answer = await client.delete(pods, { namespace, name }, { signal, body: { preconditions: { uid } } });
    recorder.record(owner, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted pod: ${name}` });
    return isMarkedPod(answer) ? answer : undefined;
  } catch (error) {
    if (isStatus(error, "NotFound", "Conflict")) return undefined;
    recorder.record(owner, {
      type: "Warning",
      reason: "FailedDelete",
      message: `Error deleting: ${error instanceof Error ? error.message : String(error)}`,
    });
    throw error;
  }
}

function isMarkedPod(answer: unknown): answer is Pod {
  const object = answer as Partial<Pod> | undefined;
  return object?.kind === "Pod" && object.metadata?.deletionTimestamp !== undefined;
}

/** Changes a few fields of a pod's status: its phase, or single conditions. The uid keeps it from hitting a successor. */
export function patchPodStatus(
  client: Client,
  pod: Pod,
  {
    status,
    signal,
  }: { readonly status: Pick<PodStatus, "phase"> & { readonly conditions?: readonly PodCondition[] }; readonly signal: AbortSignal },
): Promise<Pod> {
  const { namespace, name, uid } = pod.metadata;
  return client.patch(pods, { namespace, name }, { metadata: { uid }, status }, { type: "strategic", subresource: "status", signal });
}

/** The condition that tells why a pod is about to be deleted by the control plane. */
export function disruptionTarget(
  pod: Pod,
  cause: { readonly reason: string; readonly message: string; readonly at: string },
): PodCondition {
  const { reason, message, at } = cause;
  const generation = pod.metadata.generation;
  return {
    type: "DisruptionTarget",
    status: "True",
    reason,
    message,
    lastTransitionTime: at,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  };
}
