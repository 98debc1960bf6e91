// What makes a schema structural: every field and list has a type outside of allOf, anyOf, oneOf and not, which hold nothing
// but constraints on values, and metadata is left to the API.

import { compilePattern, PatternError } from "../../base/regex/pattern.ts";
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { sameJson } from "./json.ts";
import { additionalSchema, itemsSchema } from "./schema-walk.ts";

type Level = "root" | "item" | "field";

/** All problems, sorted by their texts. */
export function validateStructural(schema: JSONSchemaProps, field: string): FieldError[] {
  const errors: FieldError[] = [];
  checkInvariants(errors, schema, "root", field);
  checkCombinedCompleteness(errors, schema, schema, { schemaField: field, valueField: field });
  return errors.sort((a, b) => (a.message < b.message ? -1 : a.message > b.message ? 1 : 0));
}

/** Why a schema cannot be read as a structural one at all; undefined where it can. */
export function unsupportedKeyword(schema: JSONSchemaProps): string | undefined {
  const found = unsupported.find(([keyword, isSet]) => isSet(schema[keyword]));
  if (found) return `OpenAPIV3Schema '${found[0] === "$schema" ? "schema" : found[0]}' is not supported`;
  const { not, allOf = [], anyOf = [], oneOf = [], items, properties = {} } = schema;
  for (const nested of [...(not ? [not] : []), ...allOf, ...anyOf, ...oneOf]) {
    const problem = unsupportedKeyword(nested);
    if (problem !== undefined) return problem;
  }
  if (schema["x-kubernetes-preserve-unknown-fields"] === false)
    return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined";
  if (Array.isArray(items) && items.length > 0) return "OpenAPIV3Schema 'items' must be a schema, but is an array";
  for (const child of [itemsSchema(schema), ...Object.values(properties), additionalSchema(schema)]) {
    const problem = child && unsupportedKeyword(child);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const isNonEmpty = (value: unknown): boolean =>
  value !== undefined && value !== "" && (typeof value !== "object" || value === null || Object.keys(value).length > 0);

const unsupported: readonly (readonly [keyof JSONSchemaProps, (value: unknown) => boolean])[] = [
  ["id", isNonEmpty],
  ["$schema", isNonEmpty],
  ["$ref", isNonEmpty],
  ["patternProperties", isNonEmpty],
  ["dependencies", isNonEmpty],
  ["additionalItems", (value) => value !== undefined],
  ["definitions", isNonEmpty],
];

function checkInvariants(errors: FieldError[], schema: JSONSchemaProps, level: Level, field: string): void {
  const { type = "", properties = {}, additionalProperties } = schema;
  const items = itemsSchema(schema);
  if (type === "array" && !items) errors.push(required(`${field}.items`, "must be specified"));
  if (items) checkInvariants(errors, items, "item", `${field}.items`);
  for (const [name, property] of Object.entries(properties)) checkInvariants(errors, property, "field", `${field}.properties[${name}]`);
  if (additionalProperties !== undefined) {
    if (level === "root") errors.push(forbiddenField(`${field}.additionalProperties`, "must not be used at the root"));
    const additional = additionalSchema(schema);
    if (additional) checkInvariants(errors, additional, "field", `${field}.additionalProperties`);
  }
  checkExtensions(errors, schema, field);
  const allowed = { anyOf: isIntOrString(schema.anyOf), allOfAnyOf: isIntOrString(schema.allOf?.[0]?.anyOf) };
  checkValueRules(errors, schema, allowed, field);
  checkType(errors, schema, level, field);
  checkMetaFields(errors, schema, level, field);
}

function checkExtensions(errors: FieldError[], schema: JSONSchemaProps, field: string): void {
  if (!schema["x-kubernetes-int-or-string"]) return;
  for (const keyword of ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] as const)
    if (schema[keyword]) errors.push(invalidValue(`${field}.${keyword}`, true, "must be false if x-kubernetes-int-or-string is true"));
}

const emptyTypes: Readonly<Record<Level, string>> = {
  root: "must not be empty at the root",
  item: "must not be empty for specified array items",
  field: "must not be empty for specified object fields",
};

function checkType(errors: FieldError[], schema: JSONSchemaProps, level: Level, field: string): void {
  const { type = "" } = schema;
  const embedded = schema["x-kubernetes-embedded-resource"] === true;
  const preserves = schema["x-kubernetes-preserve-unknown-fields"] === true;
  const detail = "must be object if x-kubernetes-embedded-resource is true";
  if (embedded && type !== "object")
    errors.push(type === "" ? required(`${field}.type`, detail) : invalidValue(`${field}.type`, type, detail));
  else if (type === "" && !schema["x-kubernetes-int-or-string"] && !preserves) errors.push(required(`${field}.type`, emptyTypes[level]));
  if (embedded && schema.additionalProperties !== undefined)
    errors.push(forbiddenField(`${field}.additionalProperties`, "must not be used if x-kubernetes-embedded-resource is set"));
  if (level === "root" && type !== "" && type !== "object") errors.push(invalidValue(`${field}.type`, type, "must be object at the root"));
  if (embedded && !preserves && Object.keys(schema.properties ?? {}).length === 0) {
    const without = "without x-kubernetes-preserve-unknown-fields";
    errors.push(required(`${field}.properties`, `must not be empty if x-kubernetes-embedded-resource is true ${without}`));
  }
}

function checkMetaFields(errors: FieldError[], schema: JSONSchemaProps, level: Level, field: string): void {
  const { properties = {} } = schema;
  const isResource = level === "root" || schema["x-kubernetes-embedded-resource"] === true;
  if (isResource)
    for (const name of ["kind", "apiVersion"] as const) {
      const type = properties[name]?.type;
      if (properties[name] && type !== "string")
        errors.push(invalidValue(`${field}.properties[${name}].type`, type ?? "", "must be string"));
    }
  const metadata = properties["metadata"];
  if (!metadata) return;
  const at = `${field}.properties[metadata]`;
  if (isResource && metadata.type !== "object") errors.push(invalidValue(`${at}.type`, metadata.type ?? "", "must be object"));
  if (level === "root" && saysMoreThanNames(metadata))
    errors.push(forbiddenField(at, "must not specify anything other than name and generateName, but metadata is implicitly specified"));
}

function saysMoreThanNames(metadata: JSONSchemaProps): boolean {
  const { type: _1, default: _2, properties = {}, ...others } = metadata;
  if (Object.keys(properties).some((name) => name !== "name" && name !== "generateName")) return true;
  return Object.values(others).some((value) => value !== false && value !== null && isNonEmpty(value));
}

/** The one combination that says a type. */
const isIntOrString = (anyOf: readonly JSONSchemaProps[] | undefined): boolean =>
  sameJson(anyOf, [{ type: "integer" }, { type: "string" }]);

/** Where a combination may say a type. */
interface Allowed {
  readonly anyOf: boolean;
  readonly allOfAnyOf: boolean;
}

const nothingAllowed: Allowed = { anyOf: false, allOfAnyOf: false };

function checkValueRules(errors: FieldError[], schema: JSONSchemaProps, allowed: Allowed, field: string): void {
  const { anyOf = [], allOf = [], oneOf = [], not, pattern = "" } = schema;
  if (!allowed.anyOf) for (const [i, nested] of anyOf.entries()) checkNested(errors, nested, nothingAllowed, `${field}.anyOf[${i}]`);
  for (const [i, nested] of allOf.entries())
    checkNested(errors, nested, { anyOf: allowed.allOfAnyOf && i === 0, allOfAnyOf: false }, `${field}.allOf[${i}]`);
  for (const [i, nested] of oneOf.entries()) checkNested(errors, nested, nothingAllowed, `${field}.oneOf[${i}]`);
  if (not) checkNested(errors, not, nothingAllowed, `${field}.not`);
  if (pattern === "") return;
  try {
    compilePattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    errors.push(invalidValue(`${field}.pattern`, pattern, `must be a valid regular expression, but isn't: ${error.message}`));
  }
}

const keptOut: readonly (readonly [keyof JSONSchemaProps, string])[] = [
  ["type", "empty"],
  ["additionalProperties", "undefined"],
  ["default", "undefined"],
  ["title", "empty"],
  ["description", "empty"],
  ["nullable", "false"],
  ["x-kubernetes-preserve-unknown-fields", "false"],
  ["x-kubernetes-embedded-resource", "false"],
  ["x-kubernetes-int-or-string", "false"],
  ["x-kubernetes-list-map-keys", "empty"],
  ["x-kubernetes-list-type", "undefined"],
  ["x-kubernetes-map-type", "undefined"],
  ["x-kubernetes-validations", "empty"],
];

/** A list of no keys and a schema that says nothing are told apart: the second is there, and so is any default. */
function isThere(keyword: keyof JSONSchemaProps, value: unknown): boolean {
  if (keyword === "default") return value !== undefined && value !== null;
  if (keyword === "additionalProperties") return value !== undefined && value !== false;
  return value !== false && value !== null && isNonEmpty(value);
}

/** A schema inside of a combination. */
function checkNested(errors: FieldError[], schema: JSONSchemaProps, allowed: Allowed, field: string): void {
  checkValueRules(errors, schema, allowed, field);
  const items = itemsSchema(schema);
  if (items) checkNested(errors, items, nothingAllowed, `${field}.items`);
  for (const [name, property] of Object.entries(schema.properties ?? {}))
    checkNested(errors, property, nothingAllowed, `${field}.properties[${name}]`);
  for (const [keyword, required] of keptOut) {
    const there = isThere(keyword, schema[keyword]);
    if (there) errors.push(forbiddenField(`${field}.${keyword}`, `must be ${required} to be structural`));
  }
  if (schema.properties?.["metadata"])
    errors.push(forbiddenField(`${field}.properties[metadata]`, "must not be specified in a nested context"));
}

/** Where a constraint stands, and where its field has to be. */
interface Places {
  readonly schemaField: string;
  readonly valueField: string;
}

function checkCombinedCompleteness(errors: FieldError[], values: JSONSchemaProps, schema: JSONSchemaProps, places: Places): void {
  const { schemaField, valueField } = places;
  const nested = (rules: JSONSchemaProps, at: string): void =>
    checkCompleteness(errors, rules, schema, { schemaField, valueField: `${valueField}.${at}` });
  if (values.not) nested(values.not, "not");
  for (const keyword of ["allOf", "anyOf", "oneOf"] as const)
    for (const [i, rules] of (values[keyword] ?? []).entries()) nested(rules, `${keyword}[${i}]`);
}

function checkCompleteness(
  errors: FieldError[],
  values: JSONSchemaProps,
  schema: JSONSchemaProps | undefined,
  { schemaField, valueField }: Places,
): void {
  if (!schema) {
    errors.push(required(schemaField, `because it is defined in ${valueField}`));
    return;
  }
  checkCombinedCompleteness(errors, values, schema, { schemaField, valueField });
  const items = itemsSchema(values);
  if (items)
    checkCompleteness(errors, items, itemsSchema(schema), { schemaField: `${schemaField}.items`, valueField: `${valueField}.items` });
  for (const [name, property] of Object.entries(values.properties ?? {})) {
    const at = `properties[${name}]`;
    checkCompleteness(errors, property, schema.properties?.[name], {
      schemaField: `${schemaField}.${at}`,
      valueField: `${valueField}.${at}`,
    });
  }
}
