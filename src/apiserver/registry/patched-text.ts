// The patched object as errors quote it. Upstream patches the JSON text of the object: what a patch has touched comes out
// as maps do, sorted by key, and what it has not stands in the order of the fields of its Go type. A value that a JSON patch
// puts in stays as it was sent.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { fieldRanks } from "../../api/schema/field-order.ts";
import type { ObjectSchema, ValueType } from "../../api/schema/schema.ts";

/** The patched object with its fields in that order. `verbatim`: the values of a JSON patch's operations. */
export function inPatchedOrder(
  patched: KubernetesObject,
  current: KubernetesObject,
  schema: ObjectSchema | undefined,
  verbatim: ReadonlySet<unknown> = new Set(),
): KubernetesObject {
  const ordered = schema ? touched(patched, current, { kind: "object", schema }, verbatim) : sorted(patched, verbatim);
  return ordered as KubernetesObject;
}

/** A custom object is made of maps. */
function sorted(value: unknown, verbatim: ReadonlySet<unknown>): unknown {
  if (typeof value !== "object" || value === null || verbatim.has(value)) return value;
  if (Array.isArray(value)) return value.map((item) => sorted(item, verbatim));
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, sorted(field, verbatim)]));
}

/** A value that the patch has made, of one that was there. */
function touched(value: unknown, before: unknown, type: ValueType | undefined, verbatim: ReadonlySet<unknown>): unknown {
  if (value === before) return untouched(value, type);
  if (typeof value !== "object" || value === null || verbatim.has(value)) return value;
  if (Array.isArray(value)) {
    const items = Array.isArray(before) ? before : [];
    return value.map((item, i) => touched(item, items[i], belowOf(type, ""), verbatim));
  }
  const old = typeof before === "object" && before !== null && !Array.isArray(before) ? (before as Fields) : {};
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, touched(field, old[key], belowOf(type, key), verbatim)]));
}

type Fields = Readonly<Record<string, unknown>>;

/** A value as it was encoded from its type. */
function untouched(value: unknown, type: ValueType | undefined): unknown {
  if (typeof value !== "object" || value === null || type === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => untouched(item, belowOf(type, "")));
  const entries = Object.entries(value).map(([key, field]): [string, unknown] => [key, untouched(field, belowOf(type, key))]);
  if (type.kind === "object") {
    const rank = fieldRanks(type.schema);
    entries.sort(([a], [b]) => (rank.get(a) ?? 1000) - (rank.get(b) ?? 1000));
  } else if (type.kind === "map") entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries);
}

function belowOf(type: ValueType | undefined, key: string): ValueType | undefined {
  if (type?.kind === "object") return type.schema.fields.get(key)?.type;
  if (type?.kind === "array") return type.items;
  return type?.kind === "map" ? type.values : undefined;
}
