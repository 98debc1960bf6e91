// The patched object as errors quote it. Upstream patches the JSON text of the object: what a patch has touched comes out
// as maps do, sorted by key, and what it has not stands in the order of the fields of its Go type, wherever it was moved or
// copied to. A value that a JSON patch puts in stays as it was sent.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { fieldRanks } from "../../api/schema/field-order.ts";
import type { ObjectSchema, ValueType } from "../../api/schema/schema.ts";

/** What is known of a patch. */
export interface PatchParts {
  /** The values of a JSON patch's operations. */
  readonly verbatim?: ReadonlySet<unknown>;
  /** A merge patch: what it has an object for is touched, even where that changes nothing. */
  readonly merged?: unknown;
}

/** The patched object with its fields in that order. */
export function inPatchedOrder(
  patched: KubernetesObject,
  { current, schema }: { readonly current: KubernetesObject; readonly schema: ObjectSchema | undefined },
  { verbatim = new Set(), merged }: PatchParts = {},
): KubernetesObject {
  if (!schema) return sorted(patched, withParts(verbatim)) as KubernetesObject;
  const types = new Map<object, ValueType>();
  notePlaces(current, { kind: "object", schema }, types);
  forgetMerged(current, merged, types);
  return touched(patched, types, withParts(verbatim)) as KubernetesObject;
}

/** Values that were sent, and all lists and objects in them: what of those has not been changed since stays as it was. */
function withParts(values: ReadonlySet<unknown>): ReadonlySet<unknown> {
  const parts = new Set<unknown>();
  const note = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    parts.add(value);
    Object.values(value).forEach(note);
  };
  values.forEach(note);
  return parts;
}

/** The types of an object's lists, maps and objects. */
function notePlaces(value: unknown, type: ValueType | undefined, types: Map<object, ValueType>): void {
  if (typeof value !== "object" || value === null || type === undefined) return;
  types.set(value, type);
  for (const [key, child] of Object.entries(value)) notePlaces(child, belowOf(type, key), types);
}

function forgetMerged(value: unknown, merged: unknown, types: Map<object, ValueType>): void {
  if (!isMap(value) || !isMap(merged)) return;
  types.delete(value);
  for (const key of Object.keys(merged)) forgetMerged(value[key], merged[key], types);
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The text of an object as Go writes it: with what means something in HTML escaped. */
export const patchedText = (object: KubernetesObject): string =>
  JSON.stringify(object).replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** A custom object is made of maps. */
function sorted(value: unknown, verbatim: ReadonlySet<unknown>): unknown {
  if (typeof value !== "object" || value === null || verbatim.has(value)) return value;
  if (Array.isArray(value)) return value.map((item) => sorted(item, verbatim));
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, sorted(field, verbatim)]));
}

/** A value that the patch has made: of values that were there before it the types are known. */
function touched(value: unknown, types: ReadonlyMap<object, ValueType>, verbatim: ReadonlySet<unknown>): unknown {
  if (typeof value !== "object" || value === null || verbatim.has(value)) return value;
  const type = types.get(value);
  if (type) return untouched(value, type);
  if (Array.isArray(value)) return value.map((item) => touched(item, types, verbatim));
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, field]) => [key, touched(field, types, verbatim)]));
}

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
