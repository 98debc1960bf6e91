// Sets of fields, as managedFields record them (FieldsV1). A set is a tree: a node is one step of a path ("f:spec",
// 'k:{"name":"c"}', 'v:"x"', "i:0") and says whether the path down to it is in the set. Sets are immutable; the operations
// share the parts they do not change.

export type PathElement = string;

export interface FieldSet {
  /** Whether the path to this node is in the set; never true for the root. */
  readonly member: boolean;
  readonly children: ReadonlyMap<PathElement, FieldSet>;
}

const noChildren: ReadonlyMap<PathElement, FieldSet> = new Map();
export const emptySet: FieldSet = { member: false, children: noChildren };
export const leafSet: FieldSet = { member: true, children: noChildren };

export const isEmptySet = (set: FieldSet): boolean => !set.member && set.children.size === 0;

/** A set under construction: paths are added while an object is walked. */
export class FieldSetBuilder {
  member = false;
  #children: Map<PathElement, FieldSetBuilder> | undefined = undefined;
  #built: Map<PathElement, FieldSet> | undefined = undefined;

  /** The node of a step below this one. */
  child(element: PathElement): FieldSetBuilder {
    this.#children ??= new Map();
    let child = this.#children.get(element);
    if (!child) {
      child = new FieldSetBuilder();
      this.#children.set(element, child);
    }
    return child;
  }

  /** Puts a finished set below a step that has no child. */
  put(element: PathElement, set: FieldSet): void {
    this.#built ??= new Map();
    this.#built.set(element, set);
  }

  build(): FieldSet {
    const children = this.#built ?? new Map<PathElement, FieldSet>();
    if (!this.#children) return children.size > 0 ? { member: this.member, children } : this.member ? leafSet : emptySet;
    for (const [element, child] of this.#children) {
      const built = child.build();
      if (!isEmptySet(built)) children.set(element, built);
    }
    return { member: this.member, children };
  }
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a;
  if (isEmptySet(a)) return b;
  const children = new Map(a.children);
  for (const [element, child] of b.children) {
    const own = children.get(element);
    children.set(element, own ? union(own, child) : child);
  }
  return { member: a.member || b.member, children };
}

/** What is in both sets. */
export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const children = new Map<PathElement, FieldSet>();
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    if (!other) continue;
    const both = intersection(child, other);
    if (!isEmptySet(both)) children.set(element, both);
  }
  return { member: a.member && b.member, children };
}

/** What is in `a` and not in `b`; the same reference when they have nothing in common. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, false);
}

/** What is in `a` and neither in `b` nor below a path in `b`. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, true);
}

function subtract(a: FieldSet, b: FieldSet, below: boolean): FieldSet {
  if (below && b.member) return emptySet;
  let children: Map<PathElement, FieldSet> | undefined;
  for (const [element, taken] of b.children) {
    const own = a.children.get(element);
    if (!own) continue;
    const left = subtract(own, taken, below);
    if (left === own) continue;
    children ??= new Map(a.children);
    if (isEmptySet(left)) children.delete(element);
    else children.set(element, left);
  }
  const member = a.member && !b.member;
  return children || member !== a.member ? { member, children: children ?? a.children } : a;
}

export function equalSets(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  if (a.member !== b.member || a.children.size !== b.children.size) return false;
  for (const [element, child] of a.children) {
    const other = b.children.get(element);
    if (!other || !equalSets(child, other)) return false;
  }
  return true;
}

/** A set of paths given by their steps' names: setOf(["metadata", "name"]). */
export function setOf(...paths: readonly (readonly string[])[]): FieldSet {
  const root = new FieldSetBuilder();
  for (const path of paths) {
    let node = root;
    for (const name of path) node = node.child(fieldElement(name));
    node.member = true;
  }
  return root.build();
}

/** The first results of a function of texts, for texts that recur: names of fields, keys of containers and conditions. */
function remembering(make: (text: string) => PathElement): (text: string) => PathElement {
  const known = new Map<string, PathElement>();
  return (text) => {
    let element = known.get(text);
    if (element === undefined) {
      element = make(text);
      if (known.size < maxRemembered && text.length <= maxRememberedLength) known.set(text, element);
    }
    return element;
  };
}

const maxRemembered = 8192;
/** Longer ones are data, not names, and each a client's choice. */
const maxRememberedLength = 256;

// A text that is put together each time would also be hashed each time.
export const fieldElement = remembering((name) => `f:${name}`);

export const valueElement = (value: unknown): PathElement => `v:${JSON.stringify(value)}`;

/** The element of a list item by its keys, which are written in the order of their names. */
export function keyElement(keys: Readonly<Record<string, unknown>>): PathElement {
  const sorted = Object.keys(keys).sort();
  return `k:{${sorted.map((k) => `${JSON.stringify(k)}:${JSON.stringify(keys[k])}`).join(",")}}`;
}

/** Reads FieldsV1. Throws for anything that is no FieldsV1. */
export function parseFieldsV1(fields: unknown): FieldSet {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) throw new Error("fieldsV1 is no object");
  // Not remembered with the object: the sets of all stored objects would take more memory than the objects.
  return parseNode(fields as Readonly<Record<string, unknown>>, true);
}

function parseNode(fields: Readonly<Record<string, unknown>>, root: boolean): FieldSet {
  let children: Map<PathElement, FieldSet> | undefined;
  let member = false;
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`fieldsV1: ${key} is no object`);
    if (key === ".") member = true;
    else {
      const element = parseElement(key);
      if (element === undefined) continue;
      children ??= new Map();
      children.set(element, parseNode(value as Readonly<Record<string, unknown>>, false));
    }
  }
  if (!children) return root ? emptySet : leafSet;
  return { member: member && !root, children };
}

/** Undefined for elements of a kind that is not known: newer versions may have more. */
function parseElement(key: string): PathElement | undefined {
  if (key.startsWith("f:") || /^i:\d+$/.test(key)) return key;
  if (key.startsWith("v:")) return valueElement(JSON.parse(key.slice(2)));
  if (key.startsWith("k:")) return parseKeyElement(key);
  if (key.charAt(1) === ":") return undefined;
  throw new Error(`fieldsV1: no path element ${JSON.stringify(key)}`);
}

const parseKeyElement = remembering((key) => keyElement(JSON.parse(key.slice(2)) as Record<string, unknown>));

/** Shared by all, and frozen: a stored object has dozens. */
export const leafFields: Record<string, unknown> = Object.freeze({});

/** A node that was made before. */
interface KnownFields {
  readonly names: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>;
}

/** By one of their names, because hashing all of them would cost more than comparing a few. */
const knownFields = new Map<string, KnownFields[]>();
const maxKnownFields = 4096;
const maxAlike = 8;
/** Larger nodes are no template's but some object's data: kept, they would be whatever clients have sent of late. */
const maxSharedNames = 64;
const maxSharedCharacters = 2048;
/** Nodes that are kept, whose own sizes are bounded therefore. */
const keptNodes = new WeakSet<object>([leafFields]);

/**
 * A node of FieldsV1 from its names and what lies below them. Nodes are shared by the objects that have the same, as those made
 * from one template do: written anew for each, they were most of the JavaScript objects that a pod consists of.
 */
export function sharedFields(names: readonly string[], children: readonly unknown[]): Readonly<Record<string, unknown>> {
  const place = names.length > 1 ? (names[1] as string) : (names[0] as string);
  let alike = knownFields.get(place);
  for (const known of alike ?? []) if (isSame(known, names, children)) return known.fields;
  const fields: Record<string, unknown> = {};
  for (let i = 0; i < names.length; i++) fields[names[i] as string] = children[i];
  if (!mayBeKept(names, children)) return fields;
  keptNodes.add(fields);
  if (!alike) {
    if (knownFields.size >= maxKnownFields) knownFields.clear();
    knownFields.set(place, (alike = []));
  } else if (alike.length >= maxAlike) alike.shift();
  alike.push({ names, fields });
  return fields;
}

/** Whether it is small, and what it holds as well. */
function mayBeKept(names: readonly string[], children: readonly unknown[]): boolean {
  if (names.length > maxSharedNames) return false;
  let characters = 0;
  for (const name of names) characters += name.length;
  return characters <= maxSharedCharacters && children.every((child) => keptNodes.has(child as object));
}

function isSame({ names, fields }: KnownFields, otherNames: readonly string[], children: readonly unknown[]): boolean {
  if (names.length !== otherNames.length) return false;
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    if (name !== otherNames[i] || fields[name] !== children[i]) return false;
  }
  return true;
}

/** FieldsV1 that were read from text, as nodes that are shared. What is no FieldsV1 stays as it is. */
export function withSharedFields<T>(fields: T): T {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return fields;
  const names = Object.keys(fields);
  if (names.length === 0) return leafFields as T;
  if (!names.every(isElement)) return fields;
  return sharedFields(names, Object.values(fields).map(withSharedFields)) as T;
}

const isElement = (name: string): boolean => name === "." || name.charAt(1) === ":";

/** Writes a set as FieldsV1. */
export function toFieldsV1(set: FieldSet): Readonly<Record<string, unknown>> {
  if (set.children.size === 0) return leafFields;
  const names: string[] = set.member ? ["."] : [];
  const children: unknown[] = set.member ? [leafFields] : [];
  for (const element of sortedElements(set)) {
    names.push(element);
    children.push(toFieldsV1(set.children.get(element) ?? emptySet));
  }
  return sharedFields(names, children);
}

const kindOrder = "fkvi";

function sortedElements(set: FieldSet): PathElement[] {
  const elements = [...set.children.keys()];
  return elements.length < 2 ? elements : elements.sort(compareElements);
}

/** Upstream's order of the elements of a set. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a.charCodeAt(0) !== b.charCodeAt(0)) return kindOrder.indexOf(a.charAt(0)) - kindOrder.indexOf(b.charAt(0));
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The paths of a set as messages show them: ".spec.containers[name=\"c\"].image". */
export function pathsOf(set: FieldSet, prefix = ""): string[] {
  const elements = sortedElements(set);
  const child = (element: PathElement): FieldSet => set.children.get(element) ?? emptySet;
  const members = elements.filter((e) => child(e).member).map((e) => prefix + elementText(e));
  return [...members, ...elements.flatMap((e) => pathsOf(child(e), prefix + elementText(e)))];
}

export function elementText(element: PathElement): string {
  const rest = element.slice(2);
  switch (element.charAt(0)) {
    case "f":
      return `.${rest}`;
    case "k": {
      const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
      return `[${keys.map(([k, v]) => `${k}=${JSON.stringify(v)}`).join(",")}]`;
    }
    case "v":
      return `[=${rest}]`;
    default:
      return `[${rest}]`;
  }
}
