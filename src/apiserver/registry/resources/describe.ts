// How the files of this folder describe a kind: what is said of it, on top of what nearly all kinds share. A kind with a
// status keeps it apart: nobody sets it by writing the object, and writing the status changes nothing else but metadata.
import type { FieldError } from "../../../api/meta/field-error.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { apiVersionOf, type ResourceType } from "../../../api/resource-type.ts";
import type { ObjectMeta } from "../../../api/types/meta-v1.ts";
import { storagePathOf, withStatusOf } from "../plain-resource.ts";
import type { ResourceDefinition } from "../resource-definition.ts";

/** What a kind says of itself. `create`, `update` and `status` are added to the shared strategies, field by field. */
export type KindRules<T extends KubernetesObject> = Partial<Omit<ResourceDefinition<T>, "type">>;

/** The definition of a kind with rules of its own. */
export function describe<T extends KubernetesObject>(type: ResourceType<T>, rules: KindRules<T> = {}): ResourceDefinition<T> {
  const hasStatus = type.subresources.some((subresource) => subresource.name === "status");
  const shared: Pick<ResourceDefinition<T>, "create" | "update" | "status"> = hasStatus
    ? {
        create: { prepare: (object) => withStatusOf(object, undefined) },
        update: { prepare: withStatusOf },
        status: { prepare: withOnlyStatus },
      }
    : { create: {}, update: {} };
  return {
    storagePath: storagePathOf(type),
    ...rules,
    type,
    create: { ...shared.create, ...rules.create },
    update: { ...shared.update, ...rules.update },
    ...(shared.status ? { status: { ...shared.status, ...rules.status } } : {}),
  };
}

/** How objects of a kind are read that are stored in another version, which differs by its name alone. */
export function storedAlsoAs<T extends KubernetesObject>(
  type: ResourceType<T>,
  version: string,
): Pick<ResourceDefinition<T>, "storedVersions"> {
  const read = (stored: KubernetesObject): T => ({ ...stored, apiVersion: apiVersionOf(type) }) as T; // the same fields
  return { storedVersions: { [apiVersionOf({ group: type.group, version })]: read } };
}

/** The strategies of a kind whose validator serves creates and updates. */
export function checked<T extends KubernetesObject>(
  validate: (object: T, old?: T) => readonly FieldError[],
): Pick<ResourceDefinition<T>, "create" | "update"> {
  return { create: { validate: (object) => validate(object) }, update: { validate } };
}

/** What a write to the status subresource of most kinds stores: the status and metadata as sent, the rest as it was. */
export function withOnlyStatus<T extends KubernetesObject>(object: T, old: T): T {
  return withStatusOf({ ...old, metadata: object.metadata }, object);
}

/** The same, for kinds whose labels cannot be changed with the status. */
export function withStatusKeepingLabels<T extends KubernetesObject>(object: T, old: T): T {
  const { labels: _, ...metadata } = object.metadata;
  const { labels } = old.metadata;
  return withOnlyStatus({ ...object, metadata: labels ? { ...metadata, labels } : metadata }, old);
}

const keptMetadata = ["deletionTimestamp", "selfLink", "labels", "annotations", "finalizers", "ownerReferences"] as const;

/** The same, for kinds whose metadata cannot be changed with the status at all. */
export function withStatusKeepingMetadata<T extends KubernetesObject>(object: T, old: T): T {
  const metadata: Record<string, unknown> = { ...object.metadata };
  for (const field of keptMetadata) {
    const value = old.metadata[field];
    if (value === undefined) delete metadata[field];
    else metadata[field] = value;
  }
  return withOnlyStatus({ ...object, metadata: metadata as unknown as ObjectMeta }, old);
}

/** What kinds whose metadata cannot be changed with the status say of it. */
export const statusKeepsMetadata = { status: ["spec", "metadata"] } as const;

/** The object with a generation of 1 for good: kinds that carry one and do not count it. */
export function withFirstGeneration<T extends KubernetesObject>(object: T): T {
  return { ...object, metadata: { ...object.metadata, generation: 1 } };
}
