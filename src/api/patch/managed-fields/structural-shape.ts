// The shape of custom objects from the structural schema of their definition (openAPIV3Schema): x-kubernetes-list-type and
// -map-type decide what is owned together, fields that are preserved though unknown are deduced from their values.
import { builtInSchemas } from "../../schema/schema.ts";
import type { JSONSchemaProps } from "../../types/apiextensions-v1.ts";
import { deduced, type Shape, shapeOf } from "./shape.ts";

const shapes = new WeakMap<JSONSchemaProps, Shape>();

/** The shape of a whole custom object; without a schema everything but the metadata is deduced. */
export function structuralShape(schema: JSONSchemaProps | undefined): Shape {
  if (!schema) return asObject(deducedObject);
  const known = shapes.get(schema);
  if (known) return known;
  const shape = asObject(shapeOfSchema(schema, false));
  shapes.set(schema, shape);
  return shape;
}

const deducedObject: Shape = { kind: "map", values: deduced };
const anyScalar: Shape = { kind: "leaf", expects: "scalar" };
const text: Shape = { kind: "leaf", expects: "string" };

/** Adds what every object has: the definition's own words on these fields do not count. */
function asObject(shape: Shape): Shape {
  if (shape.kind !== "map") return shape;
  const metadata = shapeOf(builtInSchemas.get("meta-v1.ObjectMeta"));
  return { ...shape, fields: new Map([...(shape.fields ?? []), ["apiVersion", text], ["kind", text], ["metadata", metadata]]) };
}

function shapeOfSchema(schema: JSONSchemaProps, preserving: boolean): Shape {
  const preserves = preserving || schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (schema["x-kubernetes-int-or-string"]) return deduced;
  switch (schema.type) {
    case "object": {
      const shape = objectShape(schema, preserves);
      return schema["x-kubernetes-embedded-resource"] ? asObject(shape) : shape;
    }
    case "array":
      return listShape(schema, preserves);
    case "string":
      return schema.format === undefined || schema.format === "" || schema.format === "byte" ? text : anyScalar;
    case "integer":
    case "number":
      return { kind: "leaf", expects: "numeric" };
    case "boolean":
      return { kind: "leaf", expects: "boolean" };
    default:
      return deduced;
  }
}

function objectShape(schema: JSONSchemaProps, preserves: boolean): Shape {
  const shape = granularShape(schema, preserves);
  return schema["x-kubernetes-map-type"] === "atomic" ? { kind: "leaf", expects: "map", inside: () => shape } : shape;
}

function granularShape(schema: JSONSchemaProps, preserves: boolean): Shape {
  const properties = Object.entries(schema.properties ?? {});
  const fields = new Map(properties.map(([name, property]) => [name, shapeOfSchema(property, preserves)]));
  const values = valueShape(schema, preserves);
  return values ? { kind: "map", fields, values } : { kind: "map", fields };
}

/** The shape of fields that are not declared; undefined where there may be none. */
function valueShape({ properties, additionalProperties }: JSONSchemaProps, preserves: boolean): Shape | undefined {
  const additional: unknown = additionalProperties;
  if (additional === undefined || additional === null) return preserves || Object.keys(properties ?? {}).length === 0 ? deduced : undefined;
  if (typeof additional === "boolean") return additional ? deduced : undefined;
  return shapeOfSchema(additional as JSONSchemaProps, preserves);
}

function listShape(schema: JSONSchemaProps, preserves: boolean): Shape {
  const items = schema.items as JSONSchemaProps | undefined; // structural schemas have one schema for all items
  const listType = schema["x-kubernetes-list-type"];
  if (!items) return { kind: "leaf", expects: "list" };
  const shape = shapeOfSchema(items, preserves);
  if (listType === "set") return { kind: "set", items: shape };
  if (listType !== "map") return { kind: "leaf", expects: "list", inside: () => shape };
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const defaults: Record<string, unknown> = {};
  for (const key of keys) {
    const value: unknown = items.properties?.[key]?.default;
    if (value !== undefined) defaults[key] = value;
  }
  return { kind: "keyedList", keys, defaults, items: shape };
}
