// Finds, for a value in a changed object, the value it was: fields by name, items of list maps by their keys, items of other
// lists not at all. What was the same before may stay wrong (ratcheting), and transition rules compare the two.
import { isJsonObject, type JsonObject, sameJson } from "./json.ts";
import { fieldNode, type StructuralNode } from "./structural-node.ts";

/** A value and what it was, at one place of an object. */
export class Correlation {
  readonly node: StructuralNode;
  readonly value: unknown;
  readonly old: unknown;
  #byKeys: ReadonlyMap<string, JsonObject> | undefined;
  #unchanged: boolean | undefined;

  constructor(node: StructuralNode, value: unknown, old: unknown) {
    this.node = node;
    this.value = value;
    this.old = old;
  }

  /** The same for a field; undefined where it is new, gone, or of no schema. */
  field(name: string): Correlation | undefined {
    const { value, old } = this;
    if (!isJsonObject(value) || !isJsonObject(old) || !Object.hasOwn(value, name) || !Object.hasOwn(old, name)) return undefined;
    const node = fieldNode(this.node, name);
    return node && new Correlation(node, value[name], old[name]);
  }

  /** The same for an item of a list; undefined where it is new or cannot be told. */
  item(index: number): Correlation | undefined {
    const { node, value, old } = this;
    if (node.listType !== "map" || !node.items || !Array.isArray(value) || !Array.isArray(old)) return undefined;
    this.#byKeys ??= itemsByKeys(old, node.listMapKeys);
    const key = keyOf(value[index], node.listMapKeys);
    const found = key === undefined ? undefined : this.#byKeys.get(key);
    return found && new Correlation(node.items, value[index], found);
  }

  /** Whether nothing has changed here and below. */
  get unchanged(): boolean {
    return (this.#unchanged ??= this.#compare());
  }

  #compare(): boolean {
    const { value, old } = this;
    // The same reference does not decide: a field without a schema counts as changed.
    if (Array.isArray(value)) {
      if (!Array.isArray(old) || old.length !== value.length) return false;
      if (this.node.listType !== "map" || !this.node.items) return sameJson(value, old);
      return value.every((_, i) => this.item(i)?.unchanged === true);
    }
    if (!isJsonObject(value)) return sameJson(value, old);
    if (!isJsonObject(old)) return false;
    const fields = Object.keys(value);
    return fields.length === Object.keys(old).length && fields.every((field) => this.field(field)?.unchanged === true);
  }
}

function itemsByKeys(items: readonly unknown[], keys: readonly string[]): ReadonlyMap<string, JsonObject> {
  const found = new Map<string, JsonObject>();
  for (const item of items) {
    const key = keyOf(item, keys);
    if (key !== undefined && !found.has(key)) found.set(key, item as JsonObject);
  }
  return found;
}

/** The values of the keys as a text; undefined for what is no item of a list map. */
function keyOf(item: unknown, keys: readonly string[]): string | undefined {
  if (!isJsonObject(item) || keys.length === 0) return undefined;
  const values: unknown[] = [];
  for (const key of keys) {
    const value = Object.hasOwn(item, key) ? item[key] : undefined;
    if (value === undefined || typeof value === "object") return undefined;
    values.push(value);
  }
  return JSON.stringify(values);
}
