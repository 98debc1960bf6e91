// The types of values that schemas of custom resources describe, with the sizes that estimates of costs are made from: what
// the schema says, or the most that a request can hold.
import {
  bytesType,
  type CelField,
  type CelType,
  celObjectType,
  durationType,
  dynType,
  stringType,
  timestampType,
} from "../../cel/types.ts";
import { byteLength } from "../meta/names.ts";
import { additionalSchema, itemsSchema } from "../structural/schema-walk.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { escapeField, fieldOfName } from "./escape-field.ts";
import { mapListOf, setOf } from "./keyed-lists.ts";
import { withoutNulls } from "./schema-object.ts";

export interface SchemaType {
  readonly type: CelType;
  /** The fewest bytes that a value takes in JSON. */
  readonly minBytes: number;
}

/** Bytes of the largest request. */
export const maxRequestBytes = 3 * 1024 * 1024;

export interface SchemaTypeOptions {
  /** How types of objects inside of it are named: "selfType.spec". */
  readonly name: string;
  /** The schema is that of a whole object, which has a kind and metadata. */
  readonly isResource?: boolean;
}

/** undefined where nothing is known of the values. */
export function schemaType(schema: JSONSchemaProps, { name, isResource = false }: SchemaTypeOptions): SchemaType | undefined {
  if (schema["x-kubernetes-int-or-string"])
    return {
      type: { ...dynType, maxSize: schema.maxLength === undefined ? maxRequestBytes - 2 : textSize(schema.maxLength) },
      minBytes: 1,
    };
  switch (schema.type) {
    case "array":
      return listType(schema, name);
    case "object":
      return additionalSchema(schema) ? mapType(schema, name) : objectType(isResource ? withObjectFields(schema) : schema, name);
    case "string":
      return textType(schema);
    case "boolean":
      return { type: { kind: "bool", maxSize: 0 }, minBytes: 4 };
    case "number":
      return { type: { kind: "double", maxSize: 0 }, minBytes: 1 };
    case "integer":
      return { type: { kind: "int", maxSize: 0 }, minBytes: 1 };
    default:
      return undefined;
  }
}

const isEmbedded = (schema: JSONSchemaProps): boolean => schema["x-kubernetes-embedded-resource"] === true;

function listType(schema: JSONSchemaProps, name: string): SchemaType | undefined {
  const items = itemsSchema(schema);
  const item = items && schemaType(items, { name: `${name}.@idx`, isResource: isEmbedded(items) });
  if (!item) return undefined;
  const maxSize = schema.maxItems === undefined ? Math.floor((maxRequestBytes - 2) / (item.minBytes + 1)) : Math.max(0, schema.maxItems);
  const list = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const values = list === "set" ? setOf(item.type) : list === "map" ? mapListOf(item.type, keys) : {};
  return { type: { kind: "list", items: item.type, maxSize, ...values }, minBytes: 2 };
}

function mapType(schema: JSONSchemaProps, name: string): SchemaType | undefined {
  const values = additionalSchema(schema);
  const value = values && schemaType(values, { name: `${name}.@elem`, isResource: isEmbedded(values) });
  if (!value) return undefined;
  const { maxProperties } = schema;
  const maxSize = maxProperties === undefined ? Math.floor((maxRequestBytes - 2) / (value.minBytes + 6)) : Math.max(0, maxProperties);
  return { type: { kind: "map", keys: { ...stringType, maxSize: 0 }, values: value.type, maxSize }, minBytes: 2 };
}

function objectType(schema: JSONSchemaProps, name: string): SchemaType {
  const fields = new Map<string, CelField>();
  const required = new Set(schema.required);
  let minBytes = 2;
  for (const [property, child] of Object.entries(schema.properties ?? {})) {
    const field = escapeField(property);
    const found = schemaType(child, { name: `${name}.${field ?? property}`, isResource: isEmbedded(child) });
    if (!found) continue;
    if (field !== undefined) fields.set(field, { type: found.type, ...(field === property ? {} : { property }) });
    if (required.has(property) && (child.default ?? undefined) === undefined) minBytes += byteLength(property) + found.minBytes + 4;
  }
  const type = celObjectType(name, () => fields);
  return { type: withoutNulls({ ...type, field: (field) => fieldOfName(fields, field), maxSize: 0 }), minBytes };
}

/** The schema with the fields that every object has. */
export function withObjectFields(schema: JSONSchemaProps): JSONSchemaProps {
  const text = { type: "string" };
  const { kind, apiVersion, metadata: own } = schema.properties ?? {};
  const { name, generateName } = own?.properties ?? {};
  if (own?.type === "object" && [kind, apiVersion, name, generateName].every((property) => property?.type === "string")) return schema;
  const metadata = { type: "object", properties: { name: text, generateName: text } };
  return { ...schema, properties: { ...schema.properties, kind: text, apiVersion: text, metadata } };
}

/** Characters may take four bytes. */
const textSize = (maxLength: number): number => Math.max(0, maxLength) * 4;

function textType(schema: JSONSchemaProps): SchemaType {
  const { maxLength } = schema;
  switch (schema.format) {
    case "byte":
      return { type: { ...bytesType, maxSize: maxLength === undefined ? maxRequestBytes - 2 : Math.max(0, maxLength) }, minBytes: 2 };
    case "duration":
      return { type: { ...durationType, maxSize: 32 }, minBytes: 3 };
    case "date":
      return { type: { ...timestampType, maxSize: 12 }, minBytes: 12 };
    case "date-time":
      return { type: { ...timestampType, maxSize: 32 }, minBytes: 21 };
    default:
      return { type: { ...stringType, maxSize: maxLength === undefined ? longestText(schema) : textSize(maxLength) }, minBytes: 2 };
  }
}

function longestText({ enum: values = [] }: JSONSchemaProps): number {
  if (values.length === 0) return maxRequestBytes - 2;
  return Math.max(0, ...values.map((value) => (typeof value === "string" ? byteLength(value) : 0)));
}
