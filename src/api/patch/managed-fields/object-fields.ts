// Which fields an object has, and how two versions of an object differ, in terms of ownership: what was added, removed and
// modified. Values that are the same reference in both versions are equal and not looked into, so comparing an update costs
// what it changed.
import { hasEmptyPart, sentEmptyOf } from "../../meta/sent-empty.ts";
import { jsonEqual } from "../json-patch.ts";
import { type FieldSet, FieldSetBuilder, fieldElement, leafSet, type PathElement } from "./field-set.ts";
import {
  isDeclaredField,
  isObject,
  itemElement,
  itemShape,
  type JsonObject,
  ownedElement,
  resolveShape,
  type Shape,
  shapeAt,
  shapeBelow,
} from "./shape.ts";

/** The fields of an object that an applier would own. */
export function fieldsOf(value: unknown, shape: Shape): FieldSet {
  const root = new FieldSetBuilder();
  collect(value, shape, root);
  root.member = false;
  return root.build();
}

function collect(value: unknown, shape: Shape, node: FieldSetBuilder): void {
  const resolved = resolveShape(shape, value);
  if (resolved.kind === "leaf") {
    node.member = true;
  } else if (resolved.kind === "map") {
    if (isObject(value)) for (const [key, child] of Object.entries(value)) collectField(key, child, resolved, node);
  } else if (Array.isArray(value)) {
    for (const item of value) {
      const element = itemElement(resolved, item);
      if (element === undefined) continue;
      const child = node.child(element);
      child.member = true;
      if (resolved.kind === "keyedList") collectInto(item, resolved.items, child);
    }
  }
}

function collectInto(value: unknown, shape: Shape, node: FieldSetBuilder): void {
  collect(value, shape, node);
  node.member = true;
}

function collectField(key: string, value: unknown, shape: Extract<Shape, { kind: "map" }>, parent: FieldSetBuilder): void {
  const node = parent.child(fieldElement(key));
  collect(value, shapeAt(shape, key), node);
  const bare = value === null || (isObject(value) && Object.keys(value).length === 0);
  if (bare || !shape.fields?.has(key)) node.member = true;
}

export interface Comparison {
  readonly added: FieldSet;
  readonly removed: FieldSet;
  readonly modified: FieldSet;
}

/** How `after` differs from `before`. */
export function compareFields(before: unknown, after: unknown, shape: Shape): Comparison {
  const root: Nodes = { added: new FieldSetBuilder(), removed: new FieldSetBuilder(), modified: new FieldSetBuilder() };
  compare(before, after, shape, root);
  for (const node of Object.values(root)) node.member = false;
  return { added: root.added.build(), removed: root.removed.build(), modified: root.modified.build() };
}

interface Nodes {
  readonly added: FieldSetBuilder;
  readonly removed: FieldSetBuilder;
  readonly modified: FieldSetBuilder;
}

function below(nodes: Nodes, element: PathElement): Nodes {
  return { added: nodes.added.child(element), removed: nodes.removed.child(element), modified: nodes.modified.child(element) };
}

export const isBare = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : !isObject(value) || Object.keys(value).length === 0);

/** Compares what lies at one step below two values. What is on one side only is taken over as a whole. */
function compareBelow(before: unknown, after: unknown, shape: Shape, parents: Nodes, element: PathElement): void {
  if (before === after) return;
  if (before === undefined) parents.added.put(element, wholeOf(after, shape));
  else if (after === undefined) parents.removed.put(element, wholeOf(before, shape));
  else compare(before, after, shape, below(parents, element));
}

/** All paths of a value, the one to itself included. */
function wholeOf(value: unknown, shape: Shape): FieldSet {
  const resolved = resolveShape(shape, value);
  if (resolved.kind === "leaf" || isBare(value)) return leafSet;
  const children = new Map<PathElement, FieldSet>();
  if (resolved.kind === "map") {
    if (isObject(value))
      for (const key of Object.keys(value))
        if (value[key] !== undefined) children.set(fieldElement(key), wholeOf(value[key], shapeAt(resolved, key)));
  } else if (Array.isArray(value)) {
    for (const item of value) {
      const element = ownedElement(resolved, item);
      children.set(element, children.has(element) ? leafSet : wholeOf(item, itemShape(resolved)));
    }
  }
  return children.size === 0 ? leafSet : { member: true, children };
}

function compare(before: unknown, after: unknown, shape: Shape, nodes: Nodes): void {
  if (shape.kind === "deduced" && before !== undefined && after !== undefined && isObject(before) !== isObject(after)) {
    // Null in the place of a map takes its fields, and those of a map come to null: it is not something else.
    const isOther = before !== null && after !== null;
    if (isOther || (isBare(before) && isBare(after))) nodes.modified.member = true;
    compareMaps(isObject(before) ? before : {}, isObject(after) ? after : {}, { kind: "map", values: shape }, nodes);
    return;
  }
  const resolved = resolveShape(shape, after ?? before);
  if (resolved.kind === "leaf" || (isBare(before) && isBare(after))) {
    compareLeaf(before, after, nodes);
    return;
  }
  if (resolved.kind === "map") compareMaps(isObject(before) ? before : {}, isObject(after) ? after : {}, resolved, nodes);
  else compareLists(Array.isArray(before) ? before : [], Array.isArray(after) ? after : [], resolved, nodes);
}

function compareLeaf(before: unknown, after: unknown, nodes: Nodes): void {
  if (before === undefined) nodes.added.member = true;
  else if (after === undefined) nodes.removed.member = true;
  else if (!jsonEqual(before, after) || hasItemWithEmpty(after)) nodes.modified.member = true;
}

/** Whether an item of a list that is owned as a whole was sent with something empty: what is stored never has that. */
function hasItemWithEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasEmptyPart);
  return isObject(value) && Object.values(value).some(hasItemWithEmpty);
}

function compareMaps(before: JsonObject, after: JsonObject, shape: Extract<Shape, { kind: "map" }>, nodes: Nodes): void {
  for (const key of Object.keys(before))
    if (before[key] === after[key]) {
      if (after[key] === null && sentEmptyOf(after, key)) nodes.modified.child(fieldElement(key)).member = true;
    } else compareBelow(before[key], after[key], shapeAt(shape, key), nodes, fieldElement(key));
  for (const key of Object.keys(after))
    if (!Object.hasOwn(before, key)) compareBelow(undefined, after[key], shapeAt(shape, key), nodes, fieldElement(key));
}

function compareLists(
  before: readonly unknown[],
  after: readonly unknown[],
  shape: Extract<Shape, { kind: "keyedList" | "set" }>,
  nodes: Nodes,
): void {
  const [left, right] = [groupItems(before, shape), groupItems(after, shape)];
  for (const element of new Set([...left.keys(), ...right.keys()])) {
    const [was, is] = [left.get(element) ?? [], right.get(element) ?? []];
    if (was.length <= 1 && is.length <= 1) compareBelow(was[0], is[0], itemShape(shape), nodes, element);
    else compareRepeated(was, is, itemShape(shape), nodes, element);
  }
}

/** Items that several have the key of are owned as one value; what was or becomes the only one comes or goes with all its fields. */
function compareRepeated(was: readonly unknown[], is: readonly unknown[], shape: Shape, nodes: Nodes, element: PathElement): void {
  if (was.length > 1 && is.length > 1) {
    compareLeaf(was, is, below(nodes, element));
    return;
  }
  if (was.length > 0) nodes.removed.put(element, was.length > 1 ? leafSet : wholeOf(was[0], shape));
  if (is.length > 0) nodes.added.put(element, is.length > 1 ? leafSet : wholeOf(is[0], shape));
}

function groupItems(list: readonly unknown[], shape: Extract<Shape, { kind: "keyedList" | "set" }>): Map<PathElement, unknown[]> {
  const groups = new Map<PathElement, unknown[]>();
  for (const item of list) {
    const element = ownedElement(shape, item);
    const group = groups.get(element);
    if (group) group.push(item);
    else groups.set(element, [item]);
  }
  return groups;
}

/** The set with every declared field on the way to a member made a member itself. */
export function withDeclaredFields(set: FieldSet, shape: Shape): FieldSet {
  if (set.children.size === 0) return set;
  const children = new Map<PathElement, FieldSet>();
  for (const [element, child] of set.children) {
    const full = withDeclaredFields(child, shapeBelow(shape, element));
    const promoted = !full.member && full.children.size > 0 && isDeclaredField(shape, element);
    children.set(element, promoted ? { member: true, children: full.children } : full);
  }
  return { member: set.member, children };
}
