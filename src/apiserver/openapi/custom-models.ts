// Models of custom resources: the schema of their definition with apiVersion, kind and metadata, as upstream publishes it.
// OpenAPI v2 has no alternatives, no null and no defaults, and kubectl reads every schema with properties as a closed one:
// there, what is not fully known says nothing.

import type { ResourceType } from "../../api/resource-type.ts";
import { isUnknownType } from "../../api/structural/definition-schema.ts";
import { someSchema } from "../../api/structural/schema-walk.ts";
import { unsupportedKeyword, validateStructural } from "../../api/structural/structural-rules.ts";
import type { JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import type { PublishedSchema } from "../registry/resource-definition.ts";
import { customTypeName } from "./names.ts";
import { conventions, type Model, type OpenApiVersion, reference, type SchemaContext } from "./schemas.ts";

/** The models of a custom resource and of its list, by type name. */
export function customModels(type: ResourceType, published: PublishedSchema, context: SchemaContext): Record<string, Model> {
  const { group, version, kind } = type;
  const listKind = type.listKind ?? `${kind}List`;
  return {
    [customTypeName({ group, version, kind })]: { ...kindModel(published, context), ...extensions(type, kind, published) },
    [customTypeName({ group, version, kind: listKind })]: {
      ...listModel(type, listKind, context),
      ...extensions(type, listKind, published),
    },
  };
}

function extensions({ group, version }: ResourceType, kind: string, { selectableFields }: PublishedSchema): Model {
  return {
    "x-kubernetes-group-version-kind": [{ group, kind, version }],
    ...(selectableFields.length > 0 ? { "x-kubernetes-selectable-fields": selectableFields.map((fieldPath) => ({ fieldPath })) } : {}),
  };
}

function kindModel({ schema, preserveUnknownFields }: PublishedSchema, context: SchemaContext): Model {
  if (!schema || !isPublishable(schema)) return { type: "object" };
  if (context.version === 2 && (preserveUnknownFields || schema["x-kubernetes-preserve-unknown-fields"])) return { type: "object" };
  const model = schemaModel(schema, context);
  return {
    ...model,
    properties: { ...(model["properties"] as Model | undefined), ...typeProperties(context), metadata: metadataModel(context.version) },
  };
}

/** Known already; documents of both versions ask. A stored definition is never changed. */
const publishable = new WeakMap<JSONSchemaProps, boolean>();

/** Schemas that are not structural are not told. */
function isPublishable(schema: JSONSchemaProps): boolean {
  let known = publishable.get(schema);
  if (known === undefined) {
    known = !someSchema(schema, isUnknownType) && unsupportedKeyword(schema) === undefined && validateStructural(schema, "").length === 0;
    publishable.set(schema, known);
  }
  return known;
}

function listModel(type: ResourceType, listKind: string, context: SchemaContext): Model {
  const { group, version, kind, resource } = type;
  const items = reference(customTypeName({ group, version, kind }), context.version);
  return {
    description: `${listKind} is a list of ${kind}`,
    type: "object",
    required: ["items"],
    properties: {
      ...typeProperties(context),
      items: { description: `List of ${resource}. More info: ${conventions}`, type: "array", items },
      metadata: described(
        reference("meta-v1.ListMeta", context.version),
        `Standard list metadata. More info: ${conventions}#types-kinds`,
        context.version,
      ),
    },
  };
}

/** Any kind's words on apiVersion and kind. */
function typeProperties({ descriptions }: SchemaContext): Model {
  const property = (field: string): Model => {
    const description = descriptions.ofField("core-v1.ConfigMap", field);
    return { ...(description === undefined ? {} : { description }), type: "string" };
  };
  return { apiVersion: property("apiVersion"), kind: property("kind") };
}

const metadataModel = (version: OpenApiVersion): Model =>
  described(reference("meta-v1.ObjectMeta", version), `Standard object's metadata. More info: ${conventions}#metadata`, version);

/** In v3 nothing may stand beside a reference. */
const described = (model: Model, description: string, version: OpenApiVersion): Model =>
  version === 3 ? { description, allOf: [model] } : { description, ...model };

/** What stands for itself, in both versions. */
const plainKeywords = [
  "description",
  "type",
  "format",
  "title",
  "maximum",
  "exclusiveMaximum",
  "minimum",
  "exclusiveMinimum",
  "maxLength",
  "minLength",
  "pattern",
  "maxItems",
  "minItems",
  "uniqueItems",
  "multipleOf",
  "enum",
  "maxProperties",
  "minProperties",
  "required",
  "externalDocs",
  "example",
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-embedded-resource",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-list-type",
  "x-kubernetes-map-type",
  "x-kubernetes-validations",
] as const satisfies readonly (keyof JSONSchemaProps)[];

const isSaid = (value: unknown): boolean =>
  value !== undefined && value !== null && value !== "" && value !== false && !(Array.isArray(value) && value.length === 0);

function schemaModel(schema: JSONSchemaProps, context: SchemaContext): Model {
  const model: Model = {};
  for (const keyword of plainKeywords) if (isSaid(schema[keyword])) model[keyword] = schema[keyword];
  const { properties, items, additionalProperties } = schema;
  if (items && !Array.isArray(items)) model["items"] = schemaModel(items as JSONSchemaProps, context);
  if (additionalProperties !== undefined && additionalProperties !== false)
    model["additionalProperties"] = typeof additionalProperties === "object" ? schemaModel(additionalProperties, context) : true;
  if (properties && Object.keys(properties).length > 0)
    model["properties"] = mapped(properties, (property) => schemaModel(property, context));
  if (context.version === 3) addV3Keywords(model, schema);
  else restrictToV2(model, schema);
  return schema["x-kubernetes-embedded-resource"] ? withResourceFields(model, schema, context) : model;
}

const mapped = (schemas: Readonly<Record<string, JSONSchemaProps>>, model: (schema: JSONSchemaProps) => Model): Model =>
  Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, model(schema)]));

function addV3Keywords(model: Model, schema: JSONSchemaProps): void {
  if (schema.nullable) model["nullable"] = true;
  if (schema.default !== undefined && schema.default !== null) model["default"] = schema.default;
  const combined = schema["x-kubernetes-int-or-string"] ? withIntOrString(schema) : schema;
  for (const keyword of ["allOf", "anyOf", "oneOf"] as const) {
    const list = combined[keyword] ?? [];
    if (list.length > 0) model[keyword] = list.map(constraintModel);
  }
  if (schema.not) model["not"] = constraintModel(schema.not);
}

/** A schema that holds constraints only. */
function constraintModel(schema: JSONSchemaProps): Model {
  const model: Model = {};
  for (const keyword of plainKeywords) if (isSaid(schema[keyword])) model[keyword] = schema[keyword];
  const { properties, items } = schema;
  if (items && !Array.isArray(items)) model["items"] = constraintModel(items as JSONSchemaProps);
  if (properties && Object.keys(properties).length > 0) model["properties"] = mapped(properties, constraintModel);
  addV3Keywords(model, { ...schema, nullable: false });
  return model;
}

const intOrString: readonly JSONSchemaProps[] = [{ type: "integer" }, { type: "string" }];
const isIntOrString = (anyOf: readonly JSONSchemaProps[] | undefined): boolean =>
  anyOf?.length === 2 && anyOf.every((schema, i) => Object.keys(schema).length === 1 && schema.type === intOrString[i]?.type);

/** Says in words of OpenAPI what the extension says, where the schema does not do so itself. */
function withIntOrString(schema: JSONSchemaProps): JSONSchemaProps {
  const { anyOf, allOf = [] } = schema;
  if (isIntOrString(anyOf) || isIntOrString(allOf[0]?.anyOf)) return schema;
  return anyOf?.length ? { ...schema, allOf: [{ anyOf: intOrString }, ...allOf] } : { ...schema, anyOf: intOrString };
}

/** kubectl takes properties for all there are, and cannot read lists without items or fields that may be null. */
function restrictToV2(model: Model, schema: JSONSchemaProps): void {
  const preserves = schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (schema.nullable || preserves) {
    delete model["items"];
    delete model["properties"];
  }
  const listWithoutItems = schema.type === "array" && model["items"] === undefined;
  if (schema.nullable || listWithoutItems || (preserves && schema.type === "object")) delete model["type"];
  const { additionalProperties, properties = {} } = schema;
  let required = schema.required?.filter((name) => !properties[name]?.nullable) ?? [];
  if (typeof additionalProperties === "object" && additionalProperties.nullable) required = [];
  if (required.length > 0) model["required"] = required;
  else delete model["required"];
}

function withResourceFields(model: Model, schema: JSONSchemaProps, { version }: SchemaContext): Model {
  if (version === 2 && schema["x-kubernetes-preserve-unknown-fields"]) return model;
  const required = [...((model["required"] as readonly string[] | undefined) ?? [])];
  for (const field of ["kind", "apiVersion"]) if (!required.includes(field)) required.push(field);
  return {
    ...model,
    required,
    properties: {
      ...(model["properties"] as Model | undefined),
      apiVersion: { description: embeddedWords.apiVersion, type: "string" },
      kind: { description: embeddedWords.kind, type: "string" },
      metadata: metadataModel(version),
    },
  };
}

const embeddedWords = {
  apiVersion: `apiVersion defines the versioned schema of this representation of an object. More info: ${conventions}#resources`,
  kind: `kind is a string value representing the type of this object. In CamelCase. More info: ${conventions}#types-kinds`,
};
