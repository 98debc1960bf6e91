// Visits a schema and all schemas inside of it.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";

/** Whether a schema or one inside of it is one of these. */
export function someSchema(schema: JSONSchemaProps | undefined, matches: (schema: JSONSchemaProps) => boolean): boolean {
  if (!schema) return false;
  return matches(schema) || childSchemas(schema).some((child) => someSchema(child, matches));
}

function childSchemas(schema: JSONSchemaProps): readonly JSONSchemaProps[] {
  const { items, allOf = [], anyOf = [], oneOf = [], not, additionalProperties, additionalItems, dependencies = {} } = schema;
  const children: unknown[] = [items, ...allOf, ...anyOf, ...oneOf, not, additionalProperties, additionalItems].flat();
  for (const named of [schema.properties, schema.patternProperties, schema.definitions]) children.push(...Object.values(named ?? {}));
  for (const dependency of Object.values(dependencies)) if (!Array.isArray(dependency)) children.push(dependency);
  return children.filter((child): child is JSONSchemaProps => typeof child === "object" && child !== null);
}

/** The one schema of a list's items; undefined where there is none, or a list of them. */
export const itemsSchema = ({ items }: JSONSchemaProps): JSONSchemaProps | undefined =>
  items && !Array.isArray(items) ? (items as JSONSchemaProps) : undefined;

/** The schema of an object's other fields; undefined for a boolean too. */
export const additionalSchema = ({ additionalProperties }: JSONSchemaProps): JSONSchemaProps | undefined =>
  typeof additionalProperties === "object" ? additionalProperties : undefined;
