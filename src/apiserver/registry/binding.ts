// pods/binding and bindings: the scheduler's word on which node a pod runs. Sets spec.nodeName and the PodScheduled
// condition once; a pod that has a node, is being deleted or waits at a scheduling gate is refused with a conflict.

import type { KubernetesObject } from "../../api/meta/object.ts";
import { badRequest, conflict, StatusError } from "../../api/meta/status-error.ts";
import type { ResourceType } from "../../api/resource-type.ts";
import type { Binding, Pod, PodCondition } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { ExpectedKind } from "./expected-kind.ts";
import type { ResourceStore } from "./resource-store.ts";
import { updateObject } from "./update.ts";
import { admissionRequest, type WriteEnvironment, type WriteRequest } from "./write-environment.ts";

export const bindingKind: ExpectedKind = { group: "", version: "v1", kind: "Binding", schema: "core-v1.Binding" };

export interface SentBinding {
  /** What admission sees it sent to: pods (with the subresource), or bindings. */
  readonly type: ResourceType;
  readonly binding: KubernetesObject;
}

/** Binds the pod named by the request. */
export async function bindPod(
  env: WriteEnvironment,
  pods: ResourceStore,
  request: WriteRequest,
  { type, binding: sent }: SentBinding,
): Promise<void> {
  const subject = { operation: "CREATE", type, name: request.name, kind: bindingKind } as const;
  const binding = ((await env.admission.mutate(admissionRequest(request, { ...subject, object: sent }))) ?? sent) as Binding &
    KubernetesObject;
  checkPlace(request, binding);
  const { kind = "", name: node = "" } = binding.target ?? {};
  const problems = targetProblems(kind, node);
  if (problems.length > 0)
    throw new StatusError({ code: 500, message: problems.length === 1 ? `${problems[0]}` : `[${problems.join(", ")}]` });
  if (!request.name) throw badRequest("Name parameter required.");
  await env.admission.validate(admissionRequest(request, { ...subject, object: binding }));
  const { uid, resourceVersion } = binding.metadata;
  await updateObject(env, pods, {
    ...request,
    subresource: "binding",
    strategy: {},
    uid,
    onlyVersion: resourceVersion,
    ownChange: true,
    change: (current) => ({ object: assigned(current as Pod, binding, node, env.clock.now()) }), // an absent pod has been refused
  });
}

function targetProblems(kind: string, node: string): readonly string[] {
  const supported = kind === "" || kind === "Node";
  return [
    ...(supported ? [] : [`target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`]),
    ...(node === "" ? ["target.name: Required value"] : []),
  ];
}

/** A binding of another name or namespace than the path's is a mistake. */
function checkPlace({ namespace, name }: WriteRequest, { metadata }: Binding): void {
  const own = metadata.namespace ?? "";
  if (own !== "" && own !== namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  if (metadata.name !== name) throw badRequest("name in URL does not match name in Binding object");
}

function assigned(pod: Pod, binding: Binding, nodeName: string, nowMs: number): Pod {
  const { name, deletionTimestamp } = pod.metadata;
  const refuse = (why: string): StatusError => conflict({ group: "", resource: "pods/binding" }, name, why);
  if (deletionTimestamp !== undefined) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`);
  if (pod.spec.nodeName) throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`);
  if ((pod.spec.schedulingGates ?? []).length > 0) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`);
  const { annotations, labels } = binding.metadata;
  let { metadata } = pod;
  if (annotations) metadata = { ...metadata, annotations: { ...metadata.annotations, ...annotations } };
  if (labels) metadata = { ...metadata, labels: { ...metadata.labels, ...labels } };
  const spec = { ...pod.spec, nodeName };
  // A nomination has served its purpose.
  const { nominatedNodeName: _, ...status } = pod.status ?? {};
  return { ...pod, metadata, spec, status: { ...status, conditions: withScheduled(status.conditions ?? [], nowMs) } };
}

function withScheduled(conditions: readonly PodCondition[], nowMs: number): readonly PodCondition[] {
  const before = conditions.find((condition) => condition.type === "PodScheduled");
  // Both times are always on the wire, as null where there is none.
  const lastTransitionTime = before?.status === "True" ? (before.lastTransitionTime ?? null) : formatTime(nowMs);
  const condition = { type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime } as unknown as PodCondition;
  return before ? conditions.map((c) => (c === before ? condition : c)) : conditions.concat(condition);
}
