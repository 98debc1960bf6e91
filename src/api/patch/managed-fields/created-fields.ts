// The fields that whoever creates an object comes to own, written as FieldsV1 in one pass over the object. It gives what
// comparing the object with the empty one of its type gives (update.ts), without the sets in between: nearly every create is of
// an object that nobody owns anything of yet.
import { sentEmptyOf } from "../../meta/sent-empty.ts";
import { isShared } from "../../meta/shared-parts.ts";
import { jsonEqual } from "../json-patch.ts";
import { compareElements, type FieldSet, fieldElement, leafFields, type PathElement, sharedFields } from "./field-set.ts";
import { isBare } from "./object-fields.ts";
import { isObject, itemShape, type JsonObject, ownedElement, resolveShape, type Shape, shapeAt } from "./shape.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What is not owned: `reset` and all below it, and the paths of `server` themselves. */
interface Excluded {
  readonly reset: FieldSet | undefined;
  readonly server: FieldSet | undefined;
}

const nothing: Excluded = { reset: undefined, server: undefined };

/** The fields of `after` that are not in `before`, the decoded empty object of the type; undefined where there are none. */
export function createdFields(before: JsonObject, after: JsonObject, shape: Shape, excluded: Excluded): Fields | undefined {
  const resolved = resolveShape(shape, after);
  return resolved.kind === "map" ? asFields(addedFields(before, after, resolved, excluded), false) : undefined;
}

function below(excluded: Excluded, element: PathElement): Excluded {
  if (excluded === nothing) return nothing;
  const { reset, server } = excluded;
  const [r, s] = [reset?.children.get(element), server?.children.get(element)];
  return r || s ? { reset: r, server: s } : nothing;
}

type Found = [PathElement, Fields][];

function addedFields(before: JsonObject, after: JsonObject, shape: Extract<Shape, { kind: "map" }>, excluded: Excluded): Found {
  const found: Found = [];
  for (const key in after) {
    const [was, is] = [before[key], after[key]];
    if ((was === is && !(is === null && sentEmptyOf(after, key))) || is === undefined) continue;
    const element = fieldElement(key);
    const here = below(excluded, element);
    if (here.reset?.member) continue;
    const at = shapeAt(shape, key);
    const fields = here === nothing && isObject(is) && isShared(is) ? fieldsOfShared(was, is, at) : fieldsOf(was, is, at, here);
    if (fields) found.push([element, fields]);
  }
  return found;
}

const fieldsOf = (was: unknown, is: unknown, shape: Shape, excluded: Excluded): Fields | undefined =>
  was === undefined || was === is ? wholeFields(is, shape, excluded) : changedFields(was, is, shape, excluded);

interface KnownFields {
  readonly was: unknown;
  readonly shape: Shape;
  readonly fields: Fields | undefined;
}

const ofShared = new WeakMap<JsonObject, KnownFields>();

/** Of a part that many objects have, remembered: all of them are created over the same empty object. */
function fieldsOfShared(was: unknown, is: JsonObject, shape: Shape): Fields | undefined {
  let known = ofShared.get(is);
  if (!known || known.was !== was || known.shape !== shape)
    ofShared.set(is, (known = { was, shape, fields: fieldsOf(was, is, shape, nothing) }));
  return known.fields;
}

/** A field that the empty object has too: what lies below it where it can be looked into, else itself where it differs. */
function changedFields(was: unknown, is: unknown, shape: Shape, excluded: Excluded): Fields | undefined {
  const resolved = resolveShape(shape, is);
  if (resolved.kind === "leaf" || (isBare(was) && isBare(is))) return jsonEqual(was, is) ? undefined : ownLeaf(excluded);
  if (resolved.kind === "map") {
    const added = addedFields(isObject(was) ? was : {}, isObject(is) ? is : {}, resolved, excluded);
    return asFields(added, shape.kind === "deduced" && !isObject(was) && isMember(excluded));
  }
  return Array.isArray(is) ? asFields(itemFields(is, resolved, excluded), false) : undefined;
}

const isMember = ({ server }: Excluded): boolean => server?.member !== true;
const ownLeaf = (excluded: Excluded): Fields | undefined => (isMember(excluded) ? leafFields : undefined);

/** All paths of a value, the one to itself included. */
function wholeFields(value: unknown, shape: Shape, excluded: Excluded): Fields | undefined {
  const resolved = resolveShape(shape, value);
  if (resolved.kind === "leaf" || isBare(value)) return ownLeaf(excluded);
  let found: Found = [];
  if (resolved.kind !== "map") found = Array.isArray(value) ? itemFields(value, resolved, excluded) : [];
  else if (isObject(value)) found = addedFields(noFields, value, resolved, excluded);
  return asFields(found, isMember(excluded)) ?? ownLeaf(excluded);
}

const noFields: JsonObject = {};

function itemFields(list: readonly unknown[], shape: Extract<Shape, { kind: "keyedList" | "set" }>, excluded: Excluded): Found {
  const found = new Map<PathElement, Fields | undefined>();
  for (const item of list) {
    const element = ownedElement(shape, item);
    const here = below(excluded, element);
    if (here.reset?.member) continue;
    // An item that is there twice is owned as a whole.
    found.set(element, found.has(element) ? ownLeaf(here) : wholeFields(item, itemShape(shape), here));
  }
  return [...found].filter((entry): entry is [PathElement, Fields] => entry[1] !== undefined);
}

/** Undefined for nothing. */
function asFields(found: Found, member: boolean): Fields | undefined {
  if (found.length === 0) return undefined;
  if (!isSorted(found)) found.sort(byElement);
  const names: string[] = member ? ["."] : [];
  const children: Fields[] = member ? [leafFields] : [];
  for (const [element, fields] of found) {
    names.push(element);
    children.push(fields);
  }
  return sharedFields(names, children);
}

function isSorted(found: Found): boolean {
  for (let i = 1; i < found.length; i++) if (byElement(found[i - 1] as Found[number], found[i] as Found[number]) > 0) return false;
  return true;
}

const byElement = (a: readonly [PathElement, Fields], b: readonly [PathElement, Fields]): number => compareElements(a[0], b[0]);
