// Strategic merge patch: a merge patch that knows the schema. Lists whose field says so are merged by a key (or as sets)
// instead of replaced, and directives in the patch ask for more: $patch: replace | delete, $retainKeys,
// $deleteFromPrimitiveList/<field> and $setElementOrder/<field>. Where the schema says nothing, objects merge and lists
// are replaced. Refusals carry upstream's texts; most of them are, as upstream, errors 500 without a reason.
import { badRequest, StatusError } from "../meta/status-error.ts";
import type { FieldSchema, ObjectSchema, ValueType } from "../schema/schema.ts";
import { mergeOrdered, sortLike } from "./list-order.ts";

type JsonObject = Readonly<Record<string, unknown>>;
/** A part of the copy of a patch that is being applied. */
type PatchObject = Record<string, unknown>;

const marker = "$patch";
const retainKeys = "$retainKeys";
const deletePrefix = "$deleteFromPrimitiveList";
const orderPrefix = "$setElementOrder";

const isObject = (value: unknown): value is PatchObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Applies a patch to an object of the schema; what the patch does not touch is shared. Throws StatusError. */
export function applyStrategicMergePatch<T extends object>(object: T, patch: unknown, schema: ObjectSchema): T {
  return mergeWhole(object, own(patch), schema);
}

/**
 * What is left of a patch when it has been applied, as errors about its result quote it: directives that were obeyed are
 * gone, and so are lists that were merged in an order and nulls that had nothing to remove.
 */
export function spentStrategicPatch(object: object, patch: unknown, schema: ObjectSchema): unknown {
  const rest = own(patch);
  mergeWhole(object, rest, schema);
  return rest;
}

function mergeWhole<T extends object>(object: T, patch: unknown, schema: ObjectSchema): T {
  if (!isObject(patch)) {
    const kind = Array.isArray(patch) ? "array" : typeof patch === "boolean" ? "bool" : typeof patch;
    if (patch === null) return object;
    throw badRequest(`json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`);
  }
  return mergeObject(object as JsonObject, patch, { kind: "object", schema }) as T;
}

/** A copy of a patch: applying one uses it up. */
function own(patch: unknown): unknown {
  if (Array.isArray(patch)) return patch.map(own);
  return isObject(patch) ? Object.fromEntries(Object.entries(patch).map(([key, value]) => [key, own(value)])) : patch;
}

/** Upstream has no status for these: they come out as 500 with the bare text. */
function refusal(message: string): StatusError {
  return new StatusError({ code: 500, message });
}

/** What Go prints where it wants a string. */
function asGoString(value: unknown): string {
  if (value === null) return "%!s(<nil>)";
  if (typeof value === "boolean") return `%!s(bool=${value})`;
  if (typeof value === "number") return `%!s(${Number.isInteger(value) ? "int64" : "float64"}=${goText(value)})`;
  return goText(value);
}

const badPrimitiveList = (): StatusError => badRequest("invalid patch format of primitive list");
const badRetainKeys = (): StatusError => badRequest("invalid patch format of retainKeys");
const badElementOrder = (): StatusError => badRequest("invalid patch format of setElementOrder list");
const notAList = (value: unknown): StatusError => refusal(`expected a []interface {}, but received a ${goType(value)}`);
const noMergeKey = (item: JsonObject, key: string): StatusError =>
  refusal(`map: ${goText(item)} does not contain declared merge key: ${key}`);

/** What the schema says of a key of an object or map. */
interface Place {
  readonly type: ValueType | undefined;
  readonly strategy: string;
  readonly mergeKey: string;
}

function placeOf(type: ValueType | undefined, key: string): Place {
  if (type?.kind === "map") return { type: type.values, strategy: "", mergeKey: "" };
  const field: FieldSchema | undefined = type?.kind === "object" ? type.schema.fields.get(key) : undefined;
  const strategies = field?.patchStrategy?.split(",") ?? [];
  return { type: field?.type, strategy: strategies.find((s) => s !== "retainKeys") ?? "", mergeKey: field?.patchMergeKey ?? "" };
}

const elementType = (type: ValueType | undefined): ValueType | undefined => (type?.kind === "array" ? type.items : undefined);

function mergeObject(original: JsonObject, patch: PatchObject, type: ValueType | undefined): JsonObject {
  if (Object.hasOwn(patch, marker)) return replaceWhole(patch);
  const result = new Map(Object.entries(original));
  retain(result, patch);
  for (const key of Object.keys(patch)) if (key.startsWith(orderPrefix)) mergeInOrder(result, patch, { directive: key, type });
  for (const [key, change] of Object.entries(patch)) {
    const deleting = key.startsWith(deletePrefix);
    const field = deleting ? fieldOfDirective(key, deletePrefix) : key;
    if (field === undefined) throw badPrimitiveList();
    if (change === null) result.delete(field);
    else if (deleting) deleteFrom(result, field, { change, place: placeOf(type, field) });
    else mergeKey(result, key, change, placeOf(type, key));
  }
  return Object.fromEntries(result);
}

function replaceWhole(patch: PatchObject): JsonObject {
  const directive = patch[marker];
  if (directive === "delete") return {};
  if (directive !== "replace") throw refusal(`unknown patch type: ${asGoString(directive)} in map: ${goText(patch)}`);
  delete patch[marker];
  return patch;
}

function retain(result: Map<string, unknown>, patch: PatchObject): void {
  if (!Object.hasOwn(patch, retainKeys)) return;
  const list = patch[retainKeys];
  delete patch[retainKeys];
  if (!Array.isArray(list)) throw badRetainKeys();
  const kept = new Set<unknown>(list);
  for (const [key, change] of Object.entries(patch)) {
    const directive = key.startsWith(deletePrefix) || key.startsWith(orderPrefix);
    if (change !== null && !directive && !kept.has(key)) throw badRetainKeys();
  }
  for (const key of [...result.keys()]) if (!kept.has(key)) result.delete(key);
}

function mergeKey(result: Map<string, unknown>, key: string, change: unknown, place: Place): void {
  const current = result.get(key);
  if (isObject(current) && isObject(change)) {
    result.set(key, place.strategy === "replace" ? change : mergeObject(current, change, place.type));
  } else if (Array.isArray(current) && Array.isArray(change)) {
    result.set(key, mergeSlices(current, change, place));
  } else {
    dropNulls(change);
    const plain = withoutDirectives(change);
    if (plain === undefined) result.delete(key);
    else result.set(key, plain);
  }
}

/** Where there is nothing to remove, nulls of the patch go. */
function dropNulls(value: unknown): void {
  if (Array.isArray(value)) value.forEach(dropNulls);
  if (!isObject(value)) return;
  for (const key of Object.keys(value)) {
    if (value[key] === null) delete value[key];
    else dropNulls(value[key]);
  }
}

/**
 * Where there is nothing to merge with, what has a $patch of its own goes; undefined when it was the value itself. Other
 * directives stay, as fields that nobody knows.
 */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, marker)) return undefined;
  for (const key of Object.keys(value)) {
    const plain = withoutDirectives(value[key]);
    if (plain === undefined) delete value[key];
    else value[key] = plain;
  }
  return value;
}

function fieldOfDirective(key: string, prefix: string): string | undefined {
  return key.startsWith(`${prefix}/`) ? key.slice(prefix.length + 1) : undefined;
}

/** $deleteFromPrimitiveList/<field>: it deletes from lists of scalars; to what is none of them it is a change like others. */
function deleteFrom(result: Map<string, unknown>, field: string, { change, place }: { change: unknown; place: Place }): void {
  const current = result.get(field);
  if (current === undefined || goType(current) !== goType(change)) return;
  if (!Array.isArray(current) || !Array.isArray(change)) return mergeKey(result, field, change, place);
  if (current.length === 0 && change.length === 0) return;
  if (typeOfItems(current, change) === "map[string]interface {}") {
    result.set(field, mergeList(current, change, place));
    return;
  }
  const deleted = new Set(change);
  result.set(
    field,
    current.filter((item) => !deleted.has(item)),
  );
}

/** $setElementOrder/<field>: merges the field's list and puts it in the given order, the server's own items in between. */
function mergeInOrder(
  result: Map<string, unknown>,
  patch: PatchObject,
  { directive, type }: { directive: string; type: ValueType | undefined },
): void {
  const order = patch[directive];
  delete patch[directive];
  if (!Array.isArray(order)) throw notAList(order);
  const field = fieldOfDirective(directive, orderPrefix);
  if (field === undefined) throw badElementOrder();
  const current = listAt(result.get(field));
  const change = listAt(patch[field]);
  const place = placeOf(type, field);
  if (change) checkOrder(change, order, place.mergeKey);
  if (!current && !change) return;
  const merged = current && change ? mergeSlices(current, change, place) : (current ?? (withoutDirectives(change) as unknown[]));
  typeOfItems(current ?? [], change ?? []);
  result.set(field, arrange(merged, order, current ?? [], place.mergeKey));
  delete patch[field];
}

function listAt(value: unknown): readonly unknown[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) throw notAList(value);
  return value;
}

function mergeSlices(current: readonly unknown[], change: readonly unknown[], place: Place): readonly unknown[] {
  return place.strategy === "merge" ? mergeList(current, change, place) : change;
}

/** The items of a patch must come in the order that its $setElementOrder gives. */
function checkOrder(change: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (change.length === 0 || order.length === 0) return;
  const directed = (item: unknown): boolean => isObject(item) && Object.hasOwn(item, marker);
  const items = mergeKey === "" ? change : change.filter((item) => mapItem(item)[marker] !== "delete");
  let next = 0;
  let tried = 0;
  while (next < items.length && tried < order.length) {
    if (directed(items[next])) next++;
    else if (keyIn(items[next], mergeKey) === keyIn(order[tried++], mergeKey)) next++;
  }
  if (next < items.length)
    throw refusal(`The order in patch list:\n${goText(change)}\n doesn't match ${orderPrefix} list:\n${goText(order)}\n`);
}

function mapItem(item: unknown): JsonObject {
  if (!isObject(item)) throw refusal(`expected a map[string]interface {}, but received a ${goType(item)}`);
  return item;
}

/** What identifies a list item: its merge key's value, or itself in lists of scalars. */
function keyIn(item: unknown, mergeKey: string): unknown {
  if (mergeKey === "") return item;
  const object = mapItem(item);
  if (!Object.hasOwn(object, mergeKey)) throw noMergeKey(object, mergeKey);
  return object[mergeKey];
}

function mergeList(current: readonly unknown[], change: readonly unknown[], place: Place): readonly unknown[] {
  if (current.length === 0 && change.length === 0) return current;
  if (typeOfItems(current, change) !== "map[string]interface {}")
    return arrange([...new Set([...current, ...change])], change, current, "");
  const key = place.mergeKey;
  if (key === "") throw refusal("cannot merge lists without merge key for struct");
  const { kept, items } = applyItemDirectives(current, change, key);
  return arrange(mergeItems(kept, items, key, elementType(place.type)), items, kept, key);
}

/** The items of lists that are merged are all of one type, and that is no list. */
function typeOfItems(current: readonly unknown[], change: readonly unknown[]): string {
  const all = [...current, ...change];
  if (all.length === 0) throw refusal("no elements in any of the given slices");
  const type = goType(all[0]);
  if (Array.isArray(all[0]))
    throw new StatusError({
      code: 422,
      reason: "Invalid",
      message: "the server rejected our request due to an error in our request",
      details: {},
    });
  if (all.some((item) => goType(item) !== type)) throw refusal(`list element types are not identical: ${goText([current, change])}`);
  return type;
}

interface DirectedItems {
  /** What stays of the list to merge into. */
  readonly kept: readonly unknown[];
  /** The patch's items that are no directives. */
  readonly items: readonly PatchObject[];
}

/** Items with $patch: delete remove the item of their key, one with $patch: replace makes the patch replace the list. */
function applyItemDirectives(current: readonly unknown[], change: readonly unknown[], mergeKey: string): DirectedItems {
  const items: PatchObject[] = [];
  const deleted = new Set<unknown>();
  let replace = false;
  for (const item of change) {
    if (!isObject(item)) throw refusal(`expected a map[string]interface {}, but received a ${goType(item)}`);
    const directive = Object.hasOwn(item, marker) ? item[marker] : undefined;
    if (directive === undefined) items.push(item);
    else if (directive === "replace") replace = true;
    else if (directive === "delete") deleted.add(keyIn(item, mergeKey));
    else if (directive === "merge") throw refusal("merging lists cannot yet be specified in the patch");
    else throw refusal(`unknown patch type: ${asGoString(directive)} in map: ${goText(item)}`);
  }
  if (replace) return { kept: items, items: [] };
  return { kept: deleted.size === 0 ? current : current.filter((old) => !isObject(old) || !deleted.has(old[mergeKey])), items };
}

function mergeItems(current: readonly unknown[], items: readonly PatchObject[], mergeKey: string, type: ValueType | undefined): unknown[] {
  const merged = [...current];
  const places = new Map<unknown, number>();
  const locate = (item: unknown, at: number): void => {
    if (isObject(item) && !places.has(item[mergeKey])) places.set(item[mergeKey], at);
  };
  merged.forEach(locate);
  for (const item of items) {
    const key = keyIn(item, mergeKey);
    const at = places.get(key) ?? -1;
    const old = merged[at];
    if (isObject(old)) merged[at] = mergeObject(old, item, type);
    // What nothing is merged into comes as it is, nulls and directives too.
    else locate(item, merged.push(item) - 1);
  }
  return merged;
}

/** Items named by `order` in that order, the others where the server had them. */
function arrange(merged: readonly unknown[], order: readonly unknown[], serverOrder: readonly unknown[], mergeKey: string): unknown[] {
  const keyOf = (item: unknown): unknown => keyIn(item, mergeKey);
  const orderKeys = order.map(keyOf);
  const serverKeys = serverOrder.map((item) => (mergeKey !== "" && isObject(item) ? item[mergeKey] : item));
  const named = new Set(orderKeys);
  const fromPatch = sortLike(
    merged.filter((item) => named.has(keyOf(item))),
    orderKeys,
    keyOf,
  );
  const serverOnly = sortLike(
    merged.filter((item) => !named.has(keyOf(item))),
    serverKeys,
    keyOf,
  );
  return mergeOrdered(serverOnly, fromPatch, serverKeys, keyOf);
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return "[]interface {}";
  if (isObject(value)) return "map[string]interface {}";
  if (value === null) return "%!s(<nil>)";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return typeof value === "boolean" ? "bool" : typeof value;
}

/** A JSON value as Go prints it with %v: "map[a:1 b:[x y]]". */
export function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(goText).join(" ")}]`;
  if (!isObject(value)) return value === null || value === undefined ? "<nil>" : String(value);
  const pairs = Object.keys(value)
    .sort()
    .map((key) => `${key}:${goText(value[key])}`);
  return `map[${pairs.join(" ")}]`;
}
