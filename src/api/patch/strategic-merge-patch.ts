// Strategic merge patch: a merge patch that knows the schema. Lists whose field says so are merged by a key (or as sets)
// instead of replaced, and directives in the patch ask for more: $patch: replace | delete, $retainKeys,
// $deleteFromPrimitiveList/<field> and $setElementOrder/<field>. Where the schema says nothing, objects merge and lists
// are replaced. Refusals carry upstream's texts; most of them are, as upstream, errors 500 without a reason.
import { badRequest, StatusError } from "../meta/status-error.ts";
import type { FieldSchema, ObjectSchema, ValueType } from "../schema/schema.ts";
import { mergeOrdered, sortLike } from "./list-order.ts";

type JsonObject = Readonly<Record<string, unknown>>;

const marker = "$patch";
const retainKeys = "$retainKeys";
const deletePrefix = "$deleteFromPrimitiveList";
const orderPrefix = "$setElementOrder";

const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Applies a patch to an object of the schema; what the patch does not touch is shared. Throws StatusError. */
export function applyStrategicMergePatch<T extends object>(object: T, patch: unknown, schema: ObjectSchema): T {
  if (!isObject(patch)) {
    const kind = Array.isArray(patch) ? "array" : typeof patch === "boolean" ? "bool" : typeof patch;
    if (patch === null) return object;
    throw badRequest(`json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`);
  }
  return mergeObject(object as JsonObject, patch, { kind: "object", schema }) as T;
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

function mergeObject(original: JsonObject, patch: JsonObject, type: ValueType | undefined): JsonObject {
  if (Object.hasOwn(patch, marker)) return replaceWhole(patch);
  const result = new Map(Object.entries(original));
  const pending = new Map(Object.entries(patch));
  retain(result, pending);
  for (const key of [...pending.keys()]) if (key.startsWith(orderPrefix)) mergeInOrder(result, pending, key, type);
  for (const [key, change] of pending) {
    if (key.startsWith(deletePrefix)) deleteFromList(result, key, change);
    else if (change === null) result.delete(key);
    else mergeKey(result, key, change, placeOf(type, key));
  }
  return Object.fromEntries(result);
}

function replaceWhole(patch: JsonObject): JsonObject {
  const { [marker]: directive, ...rest } = patch;
  if (directive === "replace") return rest;
  if (directive === "delete") return {};
  throw refusal(`unknown patch type: ${asGoString(directive)} in map: ${goText(patch)}`);
}

function retain(result: Map<string, unknown>, pending: Map<string, unknown>): void {
  const list = pending.get(retainKeys);
  if (!pending.delete(retainKeys)) return;
  if (!Array.isArray(list)) throw badRetainKeys();
  const kept = new Set<unknown>(list);
  for (const [key, change] of pending) {
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
    result.set(key, place.strategy === "merge" ? mergeList(current, change, place) : change);
  } else {
    const plain = withoutDirectives(change);
    if (plain === undefined) result.delete(key);
    else result.set(key, plain);
  }
}

/** Where there is nothing to merge with, directives and nulls of the patch go; undefined when it was one itself. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, marker)) return undefined;
  const plain = Object.entries(value)
    .filter(([key, v]) => v !== null && key !== retainKeys && !key.startsWith(`${deletePrefix}/`) && !key.startsWith(`${orderPrefix}/`))
    .map(([key, v]) => [key, withoutDirectives(v)] as const);
  return Object.fromEntries(plain.filter(([, v]) => v !== undefined));
}

function fieldOfDirective(key: string, prefix: string): string | undefined {
  return key.startsWith(`${prefix}/`) ? key.slice(prefix.length + 1) : undefined;
}

function deleteFromList(result: Map<string, unknown>, key: string, change: unknown): void {
  const field = fieldOfDirective(key, deletePrefix);
  if (field === undefined) throw badPrimitiveList();
  const current = result.get(field);
  if (!Array.isArray(current) || !Array.isArray(change)) return;
  const deleted = new Set(change);
  result.set(
    field,
    current.filter((item) => !deleted.has(item)),
  );
}

/** $setElementOrder/<field>: merges the field's list and puts it in the given order, the server's own items in between. */
function mergeInOrder(result: Map<string, unknown>, pending: Map<string, unknown>, directive: string, type: ValueType | undefined): void {
  const order = pending.get(directive);
  pending.delete(directive);
  const field = fieldOfDirective(directive, orderPrefix);
  if (field === undefined) throw badElementOrder();
  if (!Array.isArray(order)) throw notAList(order);
  const current = listAt(result, field);
  const change = listAt(pending, field);
  const place = placeOf(type, field);
  if (change) checkOrder(change, order, place.mergeKey);
  pending.delete(field);
  const merged = current && change ? mergeSlices(current, change, place) : (current ?? withoutDirectives(change));
  if (!Array.isArray(merged)) return;
  result.set(field, arrange(merged, order, current ?? [], place.mergeKey));
}

function listAt(map: ReadonlyMap<string, unknown>, field: string): readonly unknown[] | undefined {
  const value = map.get(field);
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw notAList(value);
  return value;
}

function mergeSlices(current: readonly unknown[], change: readonly unknown[], place: Place): readonly unknown[] {
  return place.strategy === "merge" ? mergeList(current, change, place) : change;
}

/** The items of a patch must come in the order that its $setElementOrder gives. */
function checkOrder(change: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  const items = change.filter((item) => !(isObject(item) && Object.hasOwn(item, marker)));
  if (items.length === 0 || order.length === 0) return;
  let next = 0;
  for (const entry of order) if (next < items.length && keyIn(items[next], mergeKey) === keyIn(entry, mergeKey)) next++;
  if (next < items.length)
    throw refusal(`The order in patch list:\n${goText(change)}\n doesn't match ${orderPrefix} list:\n${goText(order)}\n`);
}

/** What identifies a list item: its merge key's value, or itself in lists of scalars. */
function keyIn(item: unknown, mergeKey: string): unknown {
  if (mergeKey === "") return item;
  if (!isObject(item)) throw refusal(`expected a map[string]interface {}, but received a ${goType(item)}`);
  if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  return item[mergeKey];
}

function mergeList(current: readonly unknown[], change: readonly unknown[], place: Place): readonly unknown[] {
  if (current.length === 0 && change.length === 0) return current;
  if ([...current, ...change].some(Array.isArray))
    throw new StatusError({
      code: 422,
      reason: "Invalid",
      message: "the server rejected our request due to an error in our request",
      details: {},
    });
  const all = [...current, ...change];
  if (all.some((item) => goType(item) !== goType(all[0])))
    throw refusal(`list element types are not identical: ${goText([current, change])}`);
  if (!all.some(isObject)) return arrange([...new Set(all)], change, current, "");
  const key = place.mergeKey;
  if (key === "") throw refusal("cannot merge lists without merge key for struct");
  const { kept, items } = applyItemDirectives(current, change, key);
  return arrange(mergeItems(kept, items, key, elementType(place.type)), items, kept, key);
}

interface DirectedItems {
  /** What stays of the list to merge into. */
  readonly kept: readonly unknown[];
  /** The patch's items that are no directives. */
  readonly items: readonly JsonObject[];
}

/** Items with $patch: delete remove the item of their key, one with $patch: replace makes the patch replace the list. */
function applyItemDirectives(current: readonly unknown[], change: readonly unknown[], mergeKey: string): DirectedItems {
  const items: JsonObject[] = [];
  const deleted = new Set<unknown>();
  let replace = false;
  for (const item of change) {
    if (!isObject(item)) throw refusal(`expected a map[string]interface {}, but received a ${goType(item)}`);
    const directive = item[marker];
    if (directive === undefined) items.push(item);
    else if (directive === "replace") replace = true;
    else if (directive === "delete") deleted.add(keyIn(item, mergeKey));
    else if (directive === "merge") throw refusal("merging lists cannot yet be specified in the patch");
    else throw refusal(`unknown patch type: ${asGoString(directive)} in map: ${goText(item)}`);
  }
  if (replace) return { kept: items, items: [] };
  return { kept: deleted.size === 0 ? current : current.filter((old) => !isObject(old) || !deleted.has(old[mergeKey])), items };
}

function mergeItems(current: readonly unknown[], items: readonly JsonObject[], mergeKey: string, type: ValueType | undefined): unknown[] {
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
  if (value === null) return "nil";
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
