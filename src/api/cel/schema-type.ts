// The types of values that schemas of custom resources describe, with the sizes that estimates of costs are made from: what
// the schema says, or the most that a request can hold.
import {
  bytesType,
  type CelField,
  type CelObjectType,
  type CelType,
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
  const type = typeOf(schema, name, isResource);
  return type && { type, minBytes: minBytesOf(schema, isResource) };
}

function typeOf(schema: JSONSchemaProps, name: string, isResource: boolean): CelType | undefined {
  if (schema["x-kubernetes-int-or-string"])
    return { ...dynType, maxSize: schema.maxLength === undefined ? maxRequestBytes - 2 : textSize(schema.maxLength) };
  switch (schema.type) {
    case "array":
      return listType(schema, name);
    case "object":
      return additionalSchema(schema) ? mapType(schema, name) : objectType(isResource ? withObjectFields(schema) : schema, name);
    case "string":
      return textType(schema).type;
    case "boolean":
      return { kind: "bool", maxSize: 0 };
    case "number":
      return { kind: "double", maxSize: 0 };
    case "integer":
      return { kind: "int", maxSize: 0 };
    default:
      return undefined;
  }
}

const isEmbedded = (schema: JSONSchemaProps): boolean => schema["x-kubernetes-embedded-resource"] === true;

/** Whether anything is known of the values: of lists and maps, when something is of what is in them. */
function isKnown(schema: JSONSchemaProps): boolean {
  if (schema["x-kubernetes-int-or-string"]) return true;
  const inner = schema.type === "array" ? itemsSchema(schema) : schema.type === "object" ? additionalSchema(schema) : undefined;
  if (inner) return isKnown(inner);
  return ["object", "string", "boolean", "number", "integer"].includes(schema.type ?? "");
}

/** The fewest bytes that a value takes in JSON. */
function minBytesOf(schema: JSONSchemaProps, isResource: boolean): number {
  if (schema["x-kubernetes-int-or-string"]) return 1;
  switch (schema.type) {
    case "string":
      return textType(schema).minBytes;
    case "boolean":
      return 4;
    case "array":
      return 2;
    case "object":
      return additionalSchema(schema) ? 2 : minObjectBytes(isResource ? withObjectFields(schema) : schema);
    default:
      return 1;
  }
}

function minObjectBytes({ properties = {}, required = [] }: JSONSchemaProps): number {
  let bytes = 2;
  for (const property of new Set(required)) {
    const child = Object.hasOwn(properties, property) ? properties[property] : undefined;
    if (!child || !isKnown(child) || (child.default ?? undefined) !== undefined) continue;
    bytes += byteLength(property) + minBytesOf(child, isEmbedded(child)) + 4;
  }
  return bytes;
}

function listType(schema: JSONSchemaProps, name: string): CelType | undefined {
  const items = itemsSchema(schema);
  const item = items && typeOf(items, `${name}.@idx`, isEmbedded(items));
  if (!item) return undefined;
  const atMost = (): number => Math.floor((maxRequestBytes - 2) / (minBytesOf(items, isEmbedded(items)) + 1));
  const maxSize = schema.maxItems === undefined ? atMost() : Math.max(0, schema.maxItems);
  const list = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const values = list === "set" ? setOf(item) : list === "map" ? mapListOf(item, keys) : {};
  return { kind: "list", items: item, maxSize, ...values };
}

function mapType(schema: JSONSchemaProps, name: string): CelType | undefined {
  const values = additionalSchema(schema);
  const value = values && typeOf(values, `${name}.@elem`, isEmbedded(values));
  if (!value) return undefined;
  const { maxProperties } = schema;
  const atMost = (): number => Math.floor((maxRequestBytes - 2) / (minBytesOf(values, isEmbedded(values)) + 6));
  const maxSize = maxProperties === undefined ? atMost() : Math.max(0, maxProperties);
  return { kind: "map", keys: { ...stringType, maxSize: 0 }, values: value, maxSize };
}

function objectType(schema: JSONSchemaProps, name: string): CelType {
  const fields = new SchemaFields(schema, name);
  const type: CelObjectType = {
    kind: "object",
    name,
    field: (field) => fieldOfName(fields, field),
    fieldNames: () => fields.names(),
    maxSize: 0,
  };
  return withoutNulls(type);
}

/** Fields of an object, whose types are made when they are asked for: most of a large schema no rule looks at. */
class SchemaFields {
  readonly #properties: Readonly<Record<string, JSONSchemaProps>>;
  readonly #name: string;
  readonly #known = new Map<string, CelField>();

  constructor({ properties = {} }: JSONSchemaProps, name: string) {
    this.#properties = properties;
    this.#name = name;
  }

  get(field: string): CelField | undefined {
    const known = this.#known.get(field);
    if (known) return known;
    const property = this.#propertyOf(field);
    const schema = property === undefined ? undefined : this.#properties[property];
    const type = schema && typeOf(schema, `${this.#name}.${field}`, isEmbedded(schema));
    if (!type || property === undefined) return undefined;
    const found = { type, ...(field === property ? {} : { property }) };
    this.#known.set(field, found);
    return found;
  }

  *names(): Iterable<string> {
    for (const [property, schema] of Object.entries(this.#properties)) {
      const field = escapeField(property);
      if (field !== undefined && isKnown(schema)) yield field;
    }
  }

  #propertyOf(field: string): string | undefined {
    if (Object.hasOwn(this.#properties, field) && escapeField(field) === field) return field;
    return Object.keys(this.#properties).find((property) => escapeField(property) === field);
  }
}

/** The schema with the fields that every object has. */
function withObjectFields(schema: JSONSchemaProps): JSONSchemaProps {
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
