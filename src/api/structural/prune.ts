// Drops the fields that a schema does not know, and the nulls that it does not allow. What needs no change is shared with
// the input.
import { isJsonObject, type JsonObject } from "./json.ts";
import type { StructuralNode } from "./structural-node.ts";
import { fieldNode } from "./structural-node.ts";
import { UnknownFields } from "./unknown-fields.ts";

/** An object's own fields that no schema has to name. */
const isMetaField = (field: string): boolean => field === "apiVersion" || field === "kind" || field === "metadata";

export interface Pruned {
  readonly object: JsonObject;
  readonly unknown: readonly string[];
}

/** Prunes a whole object, whose apiVersion, kind and metadata stay. */
export function pruneObject(root: StructuralNode, object: JsonObject): Pruned {
  const unknown = new UnknownFields();
  const pruned = pruneFields(root, object, { path: "", unknown, keepsMeta: true });
  return { object: pruned, unknown: unknown.sorted() };
}

/** Prunes a value that stands at a field of this schema: a default. */
export function pruneValue(node: StructuralNode, value: unknown): unknown {
  return prune(node, value, "", new UnknownFields());
}

function prune(node: StructuralNode | undefined, value: unknown, path: string, unknown: UnknownFields): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (isJsonObject(value)) return pruneFields(node, value, { path, unknown, keepsMeta: node?.embedded === true });
  const items = value as readonly unknown[];
  if (node?.preserveUnknown && !node.items) return items;
  let output: unknown[] | undefined;
  const below = node?.preserveUnknown ? preserving(node.items) : node?.items;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (typeof item !== "object" || item === null) continue;
    const pruned = prune(below, item, `${path}[${i}]`, unknown);
    if (pruned === item) continue;
    output ??= [...items];
    output[i] = pruned;
  }
  return output ?? items;
}

/** Below a list that keeps what is unknown, items keep it too, whatever their own schema says. */
function preserving(items: StructuralNode | undefined): StructuralNode | undefined {
  return items && !items.preserveUnknown ? { ...items, preserveUnknown: true } : items;
}

interface FieldsContext {
  readonly path: string;
  readonly unknown: UnknownFields;
  /** apiVersion, kind and metadata are left alone. */
  readonly keepsMeta: boolean;
}

function pruneFields(node: StructuralNode | undefined, object: JsonObject, { path, unknown, keepsMeta }: FieldsContext): JsonObject {
  let output: Record<string, unknown> | undefined;
  for (const field in object) {
    if (keepsMeta && isMetaField(field)) continue;
    const value = object[field];
    const property = node?.properties.get(field);
    if (property !== undefined || node?.additional !== undefined) {
      if (typeof value !== "object" || value === null) continue;
      const below = property ?? (typeof node?.additional === "object" ? node.additional : undefined);
      const pruned = prune(below, value, fieldPath(path, field), unknown);
      if (pruned === value) continue;
      output ??= { ...object };
      output[field] = pruned;
    } else if (node?.preserveUnknown !== true) {
      if (path !== "" || !isMetaField(field)) unknown.add(fieldPath(path, field));
      output ??= { ...object };
      delete output[field];
    }
  }
  return output ?? object;
}

const fieldPath = (path: string, field: string): string => (path === "" ? field : `${path}.${field}`);

/** Drops nulls at fields that do not allow null and have no default. */
export function pruneNulls<T>(node: StructuralNode | undefined, value: T): T {
  return containsNull(value) ? (dropNulls(node, value) as T) : value;
}

function containsNull(value: unknown): boolean {
  if (typeof value !== "object") return false;
  if (value === null) return true;
  if (Array.isArray(value)) return value.some(containsNull);
  for (const field in value) if (containsNull((value as JsonObject)[field])) return true;
  return false;
}

function dropNulls(node: StructuralNode | undefined, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => dropNulls(node?.items, item));
    return items.every((item, i) => item === value[i]) ? value : items;
  }
  const object = value as JsonObject;
  let output: Record<string, unknown> | undefined;
  for (const field in object) {
    const below = node && fieldNode(node, field);
    const item = object[field];
    if (item === null && below && !below.nullable && below.defaultValue === undefined) {
      output ??= { ...object };
      delete output[field];
      continue;
    }
    const kept = dropNulls(below, item);
    if (kept === item) continue;
    output ??= { ...object };
    output[field] = kept;
  }
  return output ?? object;
}
