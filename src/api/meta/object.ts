// The shape every API object shares, and small functions over metadata that all components use. Objects are plain JSON
// and immutable: code that changes one builds a new one.
import type { GroupVersionKind } from "../resource-type.ts";
import type { ObjectMeta, OwnerReference } from "../types/meta-v1.ts";

/** Any stored API object. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** Metadata as a client sends it: the server sets the rest. */
export type NewObjectMeta = Partial<ObjectMeta>;

/** An object as a client sends it to be created: what the server sets may be left out. */
export type New<T> = Omit<T, "apiVersion" | "kind" | "metadata" | "status"> & {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: NewObjectMeta;
} & (T extends { readonly status?: infer S } ? { readonly status?: S } : unknown);

/** Namespace and name; the namespace is "" for cluster-scoped objects. */
export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** "namespace/name", or "name" for cluster-scoped objects: the key of queues and indexes, and how logs name an object. */
export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

/** The inverse of keyOf. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf("/");
  return slash < 0 ? { namespace: "", name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The owner reference whose `controller` is true. */
export function controllerOf(object: {
  readonly metadata: { readonly ownerReferences?: readonly OwnerReference[] };
}): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((r) => r.controller === true);
}

export function isControlledBy(
  object: { readonly metadata: { readonly ownerReferences?: readonly OwnerReference[] } },
  owner: { readonly metadata: { readonly uid: string } },
): boolean {
  return controllerOf(object)?.uid === owner.metadata.uid;
}

/** A reference that makes `owner` the managing controller and blocks the owner's foreground deletion. */
export function controllerRef(owner: { readonly metadata: ObjectMeta }, kind: GroupVersionKind): OwnerReference {
  return {
    apiVersion: kind.group === "" ? kind.version : `${kind.group}/${kind.version}`,
    kind: kind.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}
