// managedFields in the registry: every write records who set which fields, and a write that changes nothing but the time
// of such a record changes nothing. The algorithm is in api/patch/managed-fields.
import { decodeObject } from "../../api/encode/decode.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { jsonEqual } from "../../api/patch/json-patch.ts";
import { type FieldSet, setOf } from "../../api/patch/managed-fields/field-set.ts";
import type { OtherVersions } from "../../api/patch/managed-fields/other-versions.ts";
import { deduced, type Shape, shapeOf } from "../../api/patch/managed-fields/shape.ts";
import { updateManagedFields, type WriteContext } from "../../api/patch/managed-fields/update.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../api/types/meta-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { withMetadata } from "./object-meta.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/**
 * The decoded object with the empty list of managedFields that was sent, which decoding leaves out: it asks that all owners
 * be forgotten.
 */
export function withSentOwners<T extends KubernetesObject>(object: T, sent: unknown): T {
  const { metadata } = (sent ?? {}) as { readonly metadata?: { readonly managedFields?: unknown } | null };
  const { managedFields } = metadata ?? {};
  if (!Array.isArray(managedFields) || managedFields.length > 0) return object;
  return withMetadata(object, { ...object.metadata, managedFields: [] });
}

export interface FieldWriter {
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
  /** The kind's other versions, where there may be owners of their fields. */
  readonly otherVersions?: OtherVersions;
}

/** What a definition says of the fields that its writers own. */
export type OwnershipRules = Pick<ResourceDefinition, "type" | "custom" | "resetFields">;

/** The object with managedFields as they are after a create (`old` absent) or an update. */
export function recordUpdate(
  definition: OwnershipRules,
  old: KubernetesObject | undefined,
  object: KubernetesObject,
  writer: FieldWriter,
): KubernetesObject {
  return updateManagedFields(old ?? emptyObject(definition.type), object, fieldContext(definition, writer));
}

export function fieldContext(definition: OwnershipRules, { manager, subresource, nowMs, otherVersions }: FieldWriter): WriteContext {
  const resetFields = resetBy(definition, subresource);
  return {
    shape: shapeOfDefinition(definition),
    manager,
    now: formatTime(nowMs),
    subresource,
    ...(resetFields ? { resetFields } : {}),
    ...(otherVersions ? { otherVersions } : {}),
    ...(definition.custom ? { isCustom: true } : {}),
  };
}

/** How the fields of a resource's objects are owned. */
export function shapeOfDefinition({ type, custom }: OwnershipRules): Shape {
  if (custom) return custom.shape();
  return type.schema === undefined ? deduced : shapeOf(builtInSchemas.get(type.schema));
}

const statusFields = setOf(["status"]);
const specFields = setOf(["spec"]);
const allButCustomStatus = setOf(["spec"], ["metadata"]);

const resetSets = new WeakMap<OwnershipRules, Map<string, FieldSet>>();

/** Fields that a write to this endpoint leaves as they were. */
export function resetBy(definition: OwnershipRules, subresource: string): FieldSet | undefined {
  const fields = definition.resetFields?.[subresource];
  if (fields) return resetSet(definition, subresource, fields);
  if (subresource === "status") return definition.custom ? allButCustomStatus : specFields;
  return definition.type.subresources.some((s) => s.name === "status") ? statusFields : undefined;
}

function resetSet(definition: OwnershipRules, subresource: string, fields: readonly string[]): FieldSet {
  let sets = resetSets.get(definition);
  if (!sets) {
    sets = new Map();
    resetSets.set(definition, sets);
  }
  let set = sets.get(subresource);
  if (!set) {
    set = setOf(...fields.map((field) => field.split(".")));
    sets.set(subresource, set);
  }
  return set;
}

/** What says how an object of a kind is decoded. */
type SchemaKind = Pick<ResourceType, "group" | "version" | "kind"> & { readonly schema?: string | undefined };

const emptyObjects = new WeakMap<SchemaKind, KubernetesObject>();

/** The decoded empty object of a kind. */
export function emptyObject(type: SchemaKind): KubernetesObject {
  let empty = emptyObjects.get(type);
  if (!empty) {
    const bare = { kind: type.kind, apiVersion: apiVersionOf(type), metadata: {} as ObjectMeta };
    empty = type.schema === undefined ? bare : (decodeObject(builtInSchemas.get(type.schema), bare).object as unknown as KubernetesObject);
    emptyObjects.set(type, empty);
  }
  return empty;
}

/** The object with the fields its type always writes ("status": {}), where a strategy has taken them away. */
export function withConstantFields(type: ResourceType, object: KubernetesObject): KubernetesObject {
  const constant = emptyObject(type) as unknown as Readonly<Record<string, unknown>>;
  const own = object as unknown as Readonly<Record<string, unknown>>;
  for (const field in constant)
    if (own[field] === undefined) return { ...constant, ...withoutUndefined(own) } as unknown as KubernetesObject;
  return object;
}

/** A copy with all that an object carries but fields without a value. */
function withoutUndefined(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const copy: Record<string, unknown> = { ...object };
  for (const field in copy) if (copy[field] === undefined) delete copy[field];
  return copy;
}

/** Whether two versions are the same but for their resource version and the times in managedFields. */
export function sameButForTimes(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    sameFields(a, b, objectExceptions) &&
    sameFields(a.metadata, b.metadata, metadataExceptions) &&
    sameOwners(a.metadata.managedFields ?? [], b.metadata.managedFields ?? [])
  );
}

const objectExceptions: ReadonlySet<string> = new Set(["metadata"]);
const metadataExceptions: ReadonlySet<string> = new Set(["resourceVersion", "managedFields"]);
const entryExceptions: ReadonlySet<string> = new Set(["time"]);

function sameOwners(a: readonly ManagedFieldsEntry[], b: readonly ManagedFieldsEntry[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((entry, i) => entry === b[i] || sameFields(entry, b[i] as ManagedFieldsEntry, entryExceptions));
}

/** Whether two objects are the same but for some of their fields: without copies, and the quick to compare first. */
export function sameFields(a: object, b: object, except: ReadonlySet<string>): boolean {
  const [left, right] = [a as Fields, b as Fields];
  let fields = 0;
  for (const field in left) {
    if (except.has(field) || left[field] === undefined) continue;
    fields++;
    if (left[field] !== right[field] && !jsonEqual(left[field], right[field])) return false;
  }
  for (const field in right) if (!except.has(field) && right[field] !== undefined) fields--;
  return fields === 0;
}

type Fields = Readonly<Record<string, unknown>>;
