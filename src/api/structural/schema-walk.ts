// Visits a schema and all schemas inside of it.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";

type Matcher = (schema: JSONSchemaProps) => boolean;

/** Whether a schema or one inside of it is one of these. Schemas have thousands of parts: nothing is made for each. */
export function someSchema(schema: JSONSchemaProps | undefined, matches: Matcher): boolean {
  if (!schema) return false;
  if (matches(schema)) return true;
  const { properties, patternProperties, definitions, dependencies } = schema;
  return (
    (properties !== undefined && someNamed(properties, matches)) ||
    someOf(schema.items, matches) ||
    someOf(schema.additionalProperties, matches) ||
    someOf(schema.allOf, matches) ||
    someOf(schema.anyOf, matches) ||
    someOf(schema.oneOf, matches) ||
    someSchema(schema.not, matches) ||
    someOf(schema.additionalItems, matches) ||
    (patternProperties !== undefined && someNamed(patternProperties, matches)) ||
    (definitions !== undefined && someNamed(definitions, matches)) ||
    // A list of names is a dependency too.
    (dependencies !== undefined && Object.values(dependencies).some((value) => !Array.isArray(value) && someOf(value, matches)))
  );
}

/** Of a keyword that may hold a schema, a list of them, or none. */
function someOf(value: unknown, matches: Matcher): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value) ? value.some((item) => someOf(item, matches)) : someSchema(value as JSONSchemaProps, matches);
}

function someNamed(schemas: Readonly<Record<string, JSONSchemaProps>>, matches: Matcher): boolean {
  for (const name in schemas) if (someSchema(schemas[name], matches)) return true;
  return false;
}

/** The one schema of a list's items; undefined where there is none, or a list of them. */
export const itemsSchema = ({ items }: JSONSchemaProps): JSONSchemaProps | undefined =>
  items && !Array.isArray(items) ? (items as JSONSchemaProps) : undefined;

/** The schema of an object's other fields; undefined for a boolean too. */
export const additionalSchema = ({ additionalProperties }: JSONSchemaProps): JSONSchemaProps | undefined =>
  typeof additionalProperties === "object" ? additionalProperties : undefined;
