// Lists whose items are unique: sets, by their whole value, and maps, by the values of their keys.
import { duplicate, type FieldError, invalidValue } from "../meta/field-error.ts";
import { isJsonObject, type JsonObject, jsonKey, sortedJson } from "./json.ts";
import type { StructuralNode } from "./structural-node.ts";

/** Problems of all lists in an object. */
export function validateUniqueLists(errors: FieldError[], node: StructuralNode | undefined, value: unknown, path: string): void {
  if (!node?.uniqueLists || typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    if (node.listType === "set") validateSet(errors, value, path);
    else if (node.listType === "map") validateMap(errors, node.listMapKeys, value, path);
    for (const [i, item] of value.entries()) validateUniqueLists(errors, node.items, item, `${path}[${i}]`);
    return;
  }
  const object = value as JsonObject;
  for (const field in object) {
    if (typeof node.additional === "object") validateUniqueLists(errors, node.additional, object[field], `${path}[${field}]`);
    const property = node.properties.get(field);
    if (property) validateUniqueLists(errors, property, object[field], path === "" ? field : `${path}.${field}`);
  }
}

function validateSet(errors: FieldError[], items: readonly unknown[], path: string): void {
  for (const i of repeated(items)) errors.push(duplicate(`${path}[${i}]`, sortedJson(items[i])));
}

function validateMap(errors: FieldError[], keys: readonly string[], items: readonly unknown[], path: string): void {
  const wrong = items.findIndex((item) => item !== null && !isJsonObject(item));
  if (wrong >= 0) {
    errors.push(invalidValue(`${path}[${wrong}]`, sortedJson(items[wrong]), "must be an object for an array of list-type map"));
    return;
  }
  const names = new Set(keys);
  const found = items.map((item) => keysOf(names, item as JsonObject | null));
  for (const i of repeated(found)) errors.push(duplicate(`${path}[${i}]`, sortedJson(found[i])));
}

/** The keys that an item has, looked for among the fewer: there may be more keys than the item has fields. */
function keysOf(keys: ReadonlySet<string>, item: JsonObject | null): JsonObject {
  const found: Record<string, unknown> = {};
  if (!item) return found;
  let fields = 0;
  for (const field in item) {
    if (++fields > keys.size) break;
    if (keys.has(field)) found[field] = item[field];
  }
  if (fields > keys.size) for (const key of keys) if (Object.hasOwn(item, key)) found[key] = item[key];
  return found;
}

/** Indexes of the second of each group of equal values. */
function repeated(values: readonly unknown[]): readonly number[] {
  if (values.length < 2) return [];
  const indexes: number[] = [];
  const times = new Map<unknown, number>();
  for (const [i, value] of values.entries()) {
    // A space cannot be the start of a key, so texts and composites are never taken for each other.
    const key = typeof value === "object" && value !== null ? ` ${jsonKey(value)}` : typeof value === "string" ? `"${value}` : value;
    const before = times.get(key) ?? 0;
    if (before === 1) indexes.push(i);
    times.set(key, before + 1);
  }
  return indexes;
}
