// managedFields in the registry: every write records who set which fields, and a write that changes nothing but the time
// of such a record changes nothing. The algorithm is in api/patch/managed-fields.
import { decodeObject } from "../../api/encode/decode.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { jsonEqual } from "../../api/patch/json-patch.ts";
import { type FieldSet, setOf } from "../../api/patch/managed-fields/field-set.ts";
import { deduced, type Shape, shapeOf } from "../../api/patch/managed-fields/shape.ts";
import { updateManagedFields, type WriteContext } from "../../api/patch/managed-fields/update.ts";
import { apiVersionOf, type ResourceType } from "../../api/resource-type.ts";
import { builtInSchemas } from "../../api/schema/schema.ts";
import type { ManagedFieldsEntry, ObjectMeta } from "../../api/types/meta-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { withMetadata } from "./object-meta.ts";
import type { ResourceDefinition } from "./resource-definition.ts";

/** What decides on how the fields of objects are owned. */
type ManagedKind = Pick<ResourceDefinition, "type" | "custom">;

export interface FieldWriter {
  readonly manager: string;
  readonly subresource: string;
  readonly nowMs: number;
}

/** The object with managedFields as they are after a create (`old` absent) or an update. */
export function recordUpdate(
  definition: ManagedKind,
  old: KubernetesObject | undefined,
  object: KubernetesObject,
  writer: FieldWriter,
): KubernetesObject {
  const updated = updateManagedFields(old ?? emptyObject(definition.type), object, fieldContext(definition, writer));
  return writer.subresource === "scale" ? withoutScaleTimes(updated) : updated;
}

/** Upstream's scale subresource records owners without a time. */
export function withoutScaleTimes(object: KubernetesObject): KubernetesObject {
  const entries = object.metadata.managedFields?.map((entry) => {
    if (entry.subresource !== "scale") return entry;
    const { time: _, ...rest } = entry;
    return rest;
  });
  return entries ? withMetadata(object, { ...object.metadata, managedFields: entries }) : object;
}

export function fieldContext(definition: ManagedKind, { manager, subresource, nowMs }: FieldWriter): WriteContext {
  const resetFields = resetBy(definition.type, subresource);
  return {
    shape: shapeOfDefinition(definition),
    manager,
    now: formatTime(nowMs),
    subresource,
    ...(resetFields ? { resetFields } : {}),
  };
}

/** How the fields of a resource's objects are owned. */
export function shapeOfDefinition({ type, custom }: ManagedKind): Shape {
  if (custom) return custom.shape();
  return type.schema === undefined ? deduced : shapeOf(builtInSchemas.get(type.schema));
}

const statusFields = setOf(["status"]);
const allButStatusFields = setOf(["spec"], ["metadata", "labels"]);
const allButCustomStatus = setOf(["spec"], ["metadata"]);

/** Fields that a write to this endpoint leaves as they were. */
function resetBy(type: ResourceType, subresource: string): FieldSet | undefined {
  if (subresource === "status") return type.schema === undefined ? allButCustomStatus : allButStatusFields;
  return type.subresources.some((s) => s.name === "status") ? statusFields : undefined;
}

const emptyObjects = new WeakMap<ResourceType, KubernetesObject>();

/** The decoded empty object of a type. */
export function emptyObject(type: ResourceType): KubernetesObject {
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

const withoutUndefined = (object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

/** Whether two versions are the same but for their resource version and the times in managedFields. */
export function sameButForTimes(a: KubernetesObject, b: KubernetesObject): boolean {
  const { metadata: left, ...leftRest } = a;
  const { metadata: right, ...rightRest } = b;
  const { resourceVersion: _1, managedFields: leftFields, ...leftMeta } = left;
  const { resourceVersion: _2, managedFields: rightFields, ...rightMeta } = right;
  return jsonEqual(leftMeta, rightMeta) && jsonEqual(leftRest, rightRest) && jsonEqual(withoutTimes(leftFields), withoutTimes(rightFields));
}

const withoutTimes = (entries: readonly ManagedFieldsEntry[] = []): unknown => entries.map(({ time: _, ...entry }) => entry);
