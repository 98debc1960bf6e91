// Paths into a schema as rules and selectable fields name them: ".spec.name", ".spec.labels['app']".
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { additionalSchema } from "./schema-walk.ts";

export interface SchemaFieldPath {
  /** As errors show it: "spec.name", "spec.labels[app]". */
  readonly path: string;
  /** The name of the first field. */
  readonly root: string;
  readonly schema: JSONSchemaProps;
}

/** A path that does not lead to a field of the schema. */
export class SchemaFieldPathError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SchemaFieldPathError";
  }
}

export interface FieldPathOptions {
  /** Default true. */
  readonly allowBrackets?: boolean;
}

/** Follows a path. Throws SchemaFieldPathError. */
export function schemaFieldPath(text: string, schema: JSONSchemaProps, { allowBrackets = true }: FieldPathOptions = {}): SchemaFieldPath {
  const tokens = tokensOf(text);
  let found: SchemaFieldPath = { path: "", root: "", schema };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token === "[" && !allowBrackets) throw new SchemaFieldPathError("array notation is not allowed");
    if (token !== "[" && token !== ".") throw new SchemaFieldPathError(`expected [ or . but got: ${token}`);
    const next = tokens[++i];
    if (next === undefined) throw new SchemaFieldPathError("unexpected end of JSON path");
    if (token === ".") {
      found = step(found, next);
      continue;
    }
    if (!/^'.*'$/s.test(next) || next.length < 2) throw new SchemaFieldPathError(`expected single quoted string but got ${next}`);
    found = step(found, next.slice(1, -1).replace(/\\(.)/gs, "$1"));
    const close = tokens[++i];
    if (close === undefined) throw new SchemaFieldPathError("unexpected end of JSON path");
    if (close !== "]") throw new SchemaFieldPathError(`expected ] but got ${close}`);
  }
  return found;
}

/** Dots and brackets, quoted texts, and what stands between. */
const tokensOf = (text: string): readonly string[] => text.match(/[.[\]]|'(?:\\.|[^'\\])*'|[^.[\]]+/gs) ?? [];

function step({ path, root, schema }: SchemaFieldPath, name: string): SchemaFieldPath {
  const { properties = {} } = schema;
  if (Object.keys(properties).length > 0) {
    const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (!property) throw new SchemaFieldPathError("does not refer to a valid field");
    return { path: path === "" ? name : `${path}.${name}`, root: root || name, schema: property };
  }
  const additional = additionalSchema(schema);
  if (!additional) throw new SchemaFieldPathError("does not refer to a valid field");
  return { path: `${path}[${name}]`, root: root || name, schema: additional };
}
