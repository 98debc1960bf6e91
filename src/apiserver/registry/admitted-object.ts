// What becomes of an object that admission plugins have changed before it is checked: it gets the defaults of what is new,
// the namespace of the request if a plugin has lost it, one of each owner, and the managedFields it had if a plugin has spoilt
// them.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { ownersProblem } from "../../api/patch/managed-fields/managers.ts";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { inNamespace, withMetadata, withoutRepeatedOwners } from "./object-meta.ts";
import type { ResourceStore } from "./resource-store.ts";
import { type WriteRequest, warn } from "./write-environment.ts";

interface AdmissionResult {
  readonly before: KubernetesObject;
  readonly admitted: KubernetesObject;
  /** When the write takes place. */
  readonly nowMs: number;
}

/** When repeated owners were found, as warnings say it. */
export const afterAdmission = " after mutating admission happens";

export function asAdmitted(
  { type, definition }: ResourceStore,
  request: WriteRequest,
  { before, admitted, nowMs }: AdmissionResult,
): KubernetesObject {
  const { defaults } = definition;
  const placed = inNamespace(withValidOwners(admitted, before, request), type.namespaced ? request.namespace : "");
  const object = defaults ? defaults(placed, nowMs) : placed;
  return withoutRepeatedOwners(object, (text) => warn(request, text), afterAdmission);
}

function withValidOwners(admitted: KubernetesObject, before: KubernetesObject, request: WriteRequest): KubernetesObject {
  const { managedFields } = admitted.metadata;
  const problem = managedFields === before.metadata.managedFields ? undefined : ownersProblem(managedFields);
  if (problem === undefined) return admitted;
  const why = "this could be caused by an outdated mutating admission controller; please fix your requests";
  warn(request, `.metadata.managedFields was in an invalid state after admission; ${why}: ${problem}`);
  return withMetadata(admitted, { ...admitted.metadata, managedFields: before.metadata.managedFields } as ObjectMeta);
}
