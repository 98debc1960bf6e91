// What becomes of an object that admission plugins have changed before it is checked: it gets the defaults of what is new,
// the namespace of the request if a plugin has lost it, and one of each owner.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { inNamespace, withoutRepeatedOwners } from "./object-meta.ts";
import type { ResourceStore } from "./resource-store.ts";
import { type WriteRequest, warn } from "./write-environment.ts";

export function asAdmitted({ type, definition }: ResourceStore, request: WriteRequest, admitted: KubernetesObject): KubernetesObject {
  const { defaults } = definition;
  const placed = inNamespace(admitted, type.namespaced ? request.namespace : "");
  const object = defaults ? defaults(placed) : placed;
  return withoutRepeatedOwners(object, (text) => warn(request, text), " after mutating admission happens");
}
