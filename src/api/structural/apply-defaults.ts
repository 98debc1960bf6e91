// Fills in the defaults of a schema. Null at a field that does not allow it counts as absent. Defaults are shared, not
// copied: nobody changes an object.
import { isJsonObject, type JsonObject } from "./json.ts";
import { fieldNode, type StructuralNode } from "./structural-node.ts";

/** The value with its defaults; the same reference where nothing was missing. */
export function applyDefaults<T>(node: StructuralNode | undefined, value: T): T {
  if (!node?.defaultsBelow || typeof value !== "object" || value === null) return value;
  return (isJsonObject(value) ? defaultFields(node, value) : defaultItems(node, value as readonly unknown[])) as T;
}

function defaultFields(node: StructuralNode, object: JsonObject): JsonObject {
  let output: Record<string, unknown> | undefined;
  for (const [field, property] of node.defaulted) {
    const value = Object.hasOwn(object, field) ? object[field] : undefined;
    if (value !== undefined && !(value === null && !property.nullable)) continue;
    output ??= { ...object };
    output[field] = property.defaultValue;
  }
  for (const field in output ?? object) {
    const below = fieldNode(node, field);
    const value = (output ?? object)[field];
    const filled = applyDefaults(below, withoutNull(below, value));
    if (filled === value) continue;
    output ??= { ...object };
    output[field] = filled;
  }
  return output ?? object;
}

function defaultItems(node: StructuralNode, items: readonly unknown[]): readonly unknown[] {
  let output: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const filled = applyDefaults(node.items, withoutNull(node.items, item));
    if (filled === item) continue;
    output ??= [...items];
    output[i] = filled;
  }
  return output ?? items;
}

/** The default in place of a null that is not allowed. */
const withoutNull = (node: StructuralNode | undefined, value: unknown): unknown =>
  value === null && node && !node.nullable && node.defaultValue !== undefined ? node.defaultValue : value;
