// How the values of a type are owned: field by field (granular maps, lists with keys, sets) or as a whole. Shapes of
// built-in types come from their schema; those of custom resources are made from their structural schema, or deduced from
// the values when there is none.
import type { FieldSchema, ObjectSchema, ScalarKind, ValueType } from "../../schema/schema.ts";
import { keyElement, type PathElement, valueElement } from "./field-set.ts";

export type Shape =
  /**
   * A scalar, or anything that is owned as a whole. `expects` is what an applied value must be, `inside` what stands in a
   * list or map that is owned as a whole, which counts when applied values are checked.
   */
  | {
      readonly kind: "leaf";
      readonly expects?: "string" | "numeric" | "boolean" | "scalar" | "list" | "map";
      readonly inside?: () => Shape;
    }
  /** An object whose fields are known, or a map. An object may have both: declared fields and others. */
  | { readonly kind: "map"; readonly fields?: ReadonlyMap<string, Shape>; readonly values?: Shape }
  | {
      readonly kind: "keyedList";
      readonly keys: readonly string[];
      readonly defaults: Readonly<Record<string, unknown>>;
      readonly items: Shape;
    }
  | { readonly kind: "set"; readonly items?: Shape }
  /** Known from the value only: objects are granular maps, lists are atomic. */
  | { readonly kind: "deduced" };

export const deduced: Shape = { kind: "deduced" };
const untyped = { kind: "leaf" } as const;
const atomicMap = (inside: () => Shape): Shape => ({ kind: "leaf", expects: "map", inside });
const atomicList = (items: ValueType): Shape => ({ kind: "leaf", expects: "list", inside: () => typeShape(items) });

const shapes = new WeakMap<ObjectSchema, Shape>();
const granularShapes = new WeakMap<ObjectSchema, Shape>();

/** The shape of a built-in type. */
export function shapeOf(schema: ObjectSchema): Shape {
  const known = shapes.get(schema);
  if (known) return known;
  const fields = new Map<string, Shape>();
  const isAtomic = schema.mapType === "atomic";
  // Of a type that has no fields upstream knows as little as of any JSON.
  const granular: Shape = schema.fields.size === 0 ? deducedMap : { kind: "map", fields };
  const shape: Shape = isAtomic ? atomicMap(() => granularShapeOf(schema)) : granular;
  shapes.set(schema, shape); // before its fields: types refer to themselves
  if (!isAtomic) for (const field of schema.fields.values()) fields.set(field.name, fieldShape(field));
  return shape;
}

/** The shape of a type that is owned as a whole elsewhere, where a field says that here it is not. */
function granularShapeOf(schema: ObjectSchema): Shape {
  let shape = granularShapes.get(schema);
  if (!shape) {
    shape = { kind: "map", fields: new Map([...schema.fields.values()].map((field) => [field.name, fieldShape(field)])) };
    granularShapes.set(schema, shape);
  }
  return shape;
}

function fieldShape(field: FieldSchema): Shape {
  if (field.mapType === "atomic") return atomicMap(() => insideOf(field.type));
  if (field.mapType === "granular" && field.type.kind === "object") return granularShapeOf(field.type.schema);
  if (field.type.kind !== "array") return typeShape(field.type);
  if (field.listType === "set") return { kind: "set", items: typeShape(field.type.items) };
  if (field.listType !== "map" || field.type.items.kind !== "object") return atomicList(field.type.items);
  const item = field.type.items.schema;
  const keys = field.listMapKeys ?? [];
  const defaults = keys.map((key) => [key, item.fields.get(key)?.default] as const).filter(([, value]) => value !== undefined);
  return { kind: "keyedList", keys, defaults: Object.fromEntries(defaults), items: shapeOf(item) };
}

const insideOf = (type: ValueType): Shape => (type.kind === "object" ? granularShapeOf(type.schema) : typeShape(type));

const scalarExpectations: Readonly<Partial<Record<ScalarKind, "string" | "numeric" | "boolean" | "scalar">>> = {
  string: "string",
  bytes: "string",
  boolean: "boolean",
  int32: "numeric",
  int64: "numeric",
  double: "numeric",
  time: "scalar",
  microTime: "scalar",
  quantity: "scalar",
  intOrString: "scalar",
};

function typeShape(type: ValueType): Shape {
  switch (type.kind) {
    case "object":
      return shapeOf(type.schema);
    case "map":
      return { kind: "map", values: typeShape(type.values) };
    case "array":
      return atomicList(type.items);
    default: {
      const expects = scalarExpectations[type.kind];
      return expects ? { kind: "leaf", expects } : untyped;
    }
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

export type KnownShape = Exclude<Shape, { readonly kind: "deduced" }>;

/** A shape with the deduced kind resolved for a value. */
export function resolveShape(shape: Shape, value: unknown): KnownShape {
  if (shape.kind !== "deduced") return shape;
  return isObject(value) ? deducedMap : untyped;
}

const deducedMap = { kind: "map", values: deduced } as const;

/** The shape of a key of a granular map. */
export function shapeAt(shape: { readonly fields?: ReadonlyMap<string, Shape>; readonly values?: Shape }, key: string): Shape {
  return shape.fields?.get(key) ?? shape.values ?? deduced;
}

/** The path element of a list item; undefined when it has none of the keys. */
export function itemElement(shape: Extract<Shape, { kind: "keyedList" | "set" }>, item: unknown): PathElement | undefined {
  if (shape.kind === "set") return valueElement(item);
  if (!isObject(item)) return undefined;
  const keys: Record<string, unknown> = {};
  let found = false;
  for (const key of shape.keys) {
    const sent = item[key];
    const value = sent === undefined ? shape.defaults[key] : sent;
    if (value === undefined) continue;
    keys[key] = value;
    found = true;
  }
  return found ? keyElement(keys) : undefined;
}

/** An item of a list with keys has none of them. */
export class KeylessItemError extends Error {}

/** The path element of a list item. Throws KeylessItemError. */
export function ownedElement(shape: Extract<Shape, { kind: "keyedList" | "set" }>, item: unknown): PathElement {
  const element = itemElement(shape, item);
  if (element === undefined) throw new KeylessItemError("a list item omits all of its keys");
  return element;
}

/** What a list's items are, by shape. */
export function itemShape(shape: Extract<Shape, { kind: "keyedList" | "set" }>): Shape {
  return shape.kind === "set" ? untyped : shape.items;
}

/** The shape below a path element. */
export function shapeBelow(shape: Shape, element: PathElement): Shape {
  if (shape.kind === "keyedList" || shape.kind === "set") return itemShape(shape);
  return shape.kind === "map" && element.startsWith("f:") ? shapeAt(shape, element.slice(2)) : deduced;
}

/** Whether a path element names a field that the type declares. */
export function isDeclaredField(shape: Shape, element: PathElement): boolean {
  return shape.kind === "map" && element.startsWith("f:") && (shape.fields?.has(element.slice(2)) ?? false);
}
