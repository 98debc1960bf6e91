// How the lists and maps of a schema may be merged (x-kubernetes-list-type, -list-map-keys, -map-type): where each is
// allowed, and which keys are fit to tell items apart.
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { itemsSchema } from "./schema-walk.ts";

const listTypes = ["atomic", "set", "map"];
const mapTypes = ["atomic", "granular"];

export function listErrors(schema: JSONSchemaProps, field: string, requireAtomicSets: boolean): FieldError[] {
  const errors: FieldError[] = [];
  const listType = schema["x-kubernetes-list-type"];
  const mapType = schema["x-kubernetes-map-type"];
  if (schema["x-kubernetes-preserve-unknown-fields"] === false)
    errors.push(invalidValue(`${field}.x-kubernetes-preserve-unknown-fields`, false, "must be true or undefined"));
  if (mapType !== undefined) {
    checkType(errors, schema, field, "object", "x-kubernetes-map-type");
    if (!mapTypes.includes(mapType)) errors.push(notSupported(`${field}.x-kubernetes-map-type`, mapType, mapTypes));
  }
  if (listType !== undefined && schema.type !== "array") checkType(errors, schema, field, "array", "x-kubernetes-list-type");
  else if (requireAtomicSets) errors.push(...setItemErrors(schema, field));
  if (listType !== undefined && !listTypes.includes(listType))
    errors.push(notSupported(`${field}.x-kubernetes-list-type`, listType, listTypes));
  if ((schema["x-kubernetes-list-map-keys"] ?? []).length > 0 && listType !== "map") {
    const detail = "must be map if x-kubernetes-list-map-keys is non-empty";
    const at = `${field}.x-kubernetes-list-type`;
    errors.push(listType === undefined ? required(at, detail) : invalidValue(at, listType, detail));
  }
  if (listType === "map") checkMap(errors, schema, field);
  return errors;
}

function checkType(errors: FieldError[], { type = "" }: JSONSchemaProps, field: string, expected: string, keyword: string): void {
  if (type === expected) return;
  const detail = `must be ${expected} if ${keyword} is specified`;
  errors.push(type === "" ? required(`${field}.type`, detail) : invalidValue(`${field}.type`, type, detail));
}

/** Items of sets are compared as wholes, so they have to be atomic. */
export function setItemErrors(schema: JSONSchemaProps, field: string): FieldError[] {
  const items = itemsSchema(schema);
  if (schema["x-kubernetes-list-type"] !== "set" || !items) return [];
  const listType = items["x-kubernetes-list-type"];
  const detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
  if (items.type === "array" && listType !== undefined && listType !== "atomic")
    return [invalidValue(`${field}.items.x-kubernetes-list-type`, listType, detail)];
  // Upstream shows the list type here too.
  if (items.type === "object" && items["x-kubernetes-map-type"] !== "atomic")
    return [invalidValue(`${field}.items.x-kubernetes-map-type`, listType ?? null, detail)];
  return [];
}

function checkMap(errors: FieldError[], schema: JSONSchemaProps, field: string): void {
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const at = `${field}.x-kubernetes-list-map-keys`;
  if (keys.length === 0) errors.push(required(at, "must not be empty if x-kubernetes-list-type is map"));
  if (schema.items === undefined) errors.push(required(`${field}.items`, "must have a schema if x-kubernetes-list-type is map"));
  const items = itemsSchema(schema);
  if (schema.items !== undefined && !items)
    errors.push(invalidValue(`${field}.items`, schema.items, "must only have a single schema if x-kubernetes-list-type is map"));
  if (!items) return;
  if (items.type !== "object") {
    const detail = "must be object if parent array's x-kubernetes-list-type is map";
    errors.push(invalidValue(`${field}.items.type`, items.type ?? "", detail));
    return;
  }
  const seen = new Set<string>();
  for (const key of keys) {
    const property = items.properties?.[key];
    if (!property) errors.push(invalidValue(at, keys, "entries must all be names of item properties"));
    else if (property.type === "array" || property.type === "object") {
      const detail = "must be a scalar type if parent array's x-kubernetes-list-type is map";
      errors.push(invalidValue(`${field}.items.properties[${key}].type`, items.type, detail));
    }
    if (seen.has(key)) errors.push(invalidValue(at, keys, "must not contain duplicate entries"));
    seen.add(key);
  }
}

/** Keys have to be there, and neither they nor the items may be null. */
export function listMapKeysErrors(schema: JSONSchemaProps, field: string): FieldError[] {
  const listType = schema["x-kubernetes-list-type"];
  const items = itemsSchema(schema);
  if (!items || (listType !== "set" && listType !== "map")) return [];
  const errors: FieldError[] = [];
  if (items.nullable)
    errors.push(forbiddenField(`${field}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`));
  if (listType !== "map") return errors;
  const needed = new Set(items.required);
  for (const key of schema["x-kubernetes-list-map-keys"] ?? []) {
    const property = items.properties?.[key];
    if (!property) continue;
    const at = `${field}.items.properties[${key}]`;
    const isKey = "this property is in x-kubernetes-list-map-keys, so it";
    if (!needed.has(key) && (property.default === undefined || property.default === null))
      errors.push(required(`${at}.default`, `${isKey} must have a default or be a required property`));
    if (property.nullable) errors.push(forbiddenField(`${at}.nullable`, `${isKey} cannot be nullable`));
  }
  return errors;
}
