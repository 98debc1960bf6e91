// Fills in the defaults of a schema. Null at a field that does not allow it counts as absent. Defaults are shared, not
// copied: nobody changes an object.
import { isJsonObject, type JsonObject } from "./json.ts";
import { fieldNode, type StructuralNode } from "./structural-node.ts";
import type { DefaultsLimit } from "./work-limit.ts";

/** The value with its defaults; the same reference where nothing was missing. */
export function applyDefaults<T>(node: StructuralNode | undefined, value: T, limit: DefaultsLimit): T {
  if (!node?.defaultsBelow || typeof value !== "object" || value === null) return value;
  return (isJsonObject(value) ? defaultFields(node, value, limit) : defaultItems(node, value as readonly unknown[], limit)) as T;
}

function defaultFields(node: StructuralNode, object: JsonObject, limit: DefaultsLimit): JsonObject {
  let output: Record<string, unknown> | undefined;
  for (const [field, property] of node.defaulted) {
    const value = Object.hasOwn(object, field) ? object[field] : undefined;
    if (value !== undefined && !(value === null && !property.nullable)) continue;
    if (!limit.takes(field.length + property.defaultCharacters)) break;
    output ??= { ...object };
    output[field] = property.defaultValue;
  }
  for (const field in output ?? object) {
    const below = fieldNode(node, field);
    const value = (output ?? object)[field];
    const filled = applyDefaults(below, withoutNull(below, value, limit), limit);
    if (filled === value) continue;
    output ??= { ...object };
    output[field] = filled;
  }
  return output ?? object;
}

function defaultItems(node: StructuralNode, items: readonly unknown[], limit: DefaultsLimit): readonly unknown[] {
  let output: unknown[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    const filled = applyDefaults(node.items, withoutNull(node.items, item, limit), limit);
    if (filled === item) continue;
    output ??= [...items];
    output[i] = filled;
  }
  return output ?? items;
}

/** The default in place of a null that is not allowed. */
function withoutNull(node: StructuralNode | undefined, value: unknown, limit: DefaultsLimit): unknown {
  if (value !== null || !node || node.nullable || node.defaultValue === undefined) return value;
  return limit.takes(node.defaultCharacters) ? node.defaultValue : value;
}
