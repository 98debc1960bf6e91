// The definition of a resource without rules of its own, and where upstream keeps each resource in etcd.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { groupResourceOf, type ResourceType } from "../../api/resource-type.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** Resources whose key space below /registry/ is not named after them. */
const storagePaths: Readonly<Record<string, string>> = {
  nodes: "minions",
  services: "services/specs",
  endpoints: "services/endpoints",
  replicationcontrollers: "controllers",
  "ingresses.networking.k8s.io": "ingress",
  "customresourcedefinitions.apiextensions.k8s.io": "apiextensions.k8s.io/customresourcedefinitions",
  "apiservices.apiregistration.k8s.io": "apiregistration.k8s.io/apiservices",
};

/** Where the objects of a built-in resource lie below /registry/: "pods", "minions", "services/specs". */
export function storagePathOf(type: ResourceType): string {
  return storagePaths[groupResourceOf(type)] ?? type.resource;
}

/** Stored, listed, watched; the rules of all objects' metadata and no others. The status, where there is one, is kept apart from the rest. */
export function plainResource<T extends KubernetesObject>(type: ResourceType<T>): ResourceDefinition<T> {
  const hasStatus = type.subresources.some((s) => s.name === "status");
  const base = { type, storagePath: storagePathOf(type) };
  if (!hasStatus) return { ...base, create: {}, update: {} };
  return {
    ...base,
    create: { prepare: (object) => withStatusOf(object, undefined) },
    update: { prepare: withStatusOf },
    status: { prepare: withAllButStatusOf },
  };
}

interface WithStatus {
  readonly status?: unknown;
}

/** The object with the status of another, or none. */
export function withStatusOf<T extends KubernetesObject>(object: T, from: T | undefined): T {
  const { status: _, ...rest } = object as T & WithStatus;
  const status = (from as WithStatus | undefined)?.status;
  return (status === undefined ? rest : { ...rest, status }) as T;
}

/** What a write to the status subresource stores: the old object with the new status, and of the metadata all but labels as sent. */
export function withAllButStatusOf<T extends KubernetesObject>(object: T, old: T): T {
  const { labels: _, ...metadata } = object.metadata;
  const { labels } = old.metadata;
  return withStatusOf({ ...old, metadata: labels ? { ...metadata, labels } : metadata }, object);
}
