// The types of built-in kinds, from the schema of the API: what an expression about one of them may read. Upstream makes them
// of its OpenAPI definitions, in which a quantity has no type: fields that hold quantities are not known there, nor here.
import {
  bytesType,
  type CelField,
  type CelObjectType,
  type CelType,
  celObjectType,
  dynType,
  stringType,
  timestampType,
} from "../../cel/types.ts";
import type { GroupVersionKind } from "../resource-type.ts";
import { apiVersionOf } from "../resource-type.ts";
import { type ObjectSchema, schemaOfKind, type ValueType } from "../schema/schema.ts";
import { escapeField } from "./escape-field.ts";

/** undefined for kinds that are not built in. */
export function builtInType(kind: GroupVersionKind): CelType | undefined {
  const schema = schemaOfKind(apiVersionOf(kind), kind.kind);
  return schema && typeOfSchema(schema, kind.kind);
}

/** What `metadata` is in every kind; `name`: how the type is called. */
export function metadataType(name: string): CelType | undefined {
  const type = schemaOfKind("v1", "Pod")?.fields.get("metadata")?.type;
  return type && typeOfValue(type, name);
}

/** Fields are made when they are asked for: types refer to themselves. */
function typeOfSchema(schema: ObjectSchema, name: string): CelObjectType {
  return celObjectType(name, () => {
    const fields = new Map<string, CelField>();
    for (const [property, { type }] of schema.fields) {
      const field = escapeField(property);
      const found = field === undefined ? undefined : typeOfValue(type, `${name}.${field}`);
      if (field !== undefined && found) fields.set(field, { type: found, ...(field === property ? {} : { property }) });
    }
    return fields;
  });
}

function typeOfValue(type: ValueType, name: string): CelType | undefined {
  switch (type.kind) {
    case "object":
      return typeOfSchema(type.schema, name);
    case "array": {
      const items = typeOfValue(type.items, `${name}.@idx`);
      return items && { kind: "list", items };
    }
    case "map": {
      const values = typeOfValue(type.values, `${name}.@elem`);
      return values && { kind: "map", keys: stringType, values };
    }
    case "string":
      return stringType;
    case "bytes":
      return bytesType;
    case "boolean":
      return { kind: "bool" };
    case "int32":
    case "int64":
      return { kind: "int" };
    case "double":
      return { kind: "double" };
    case "time":
    case "microTime":
      return timestampType;
    case "intOrString":
      return dynType;
    case "any":
      return celObjectType(name, () => new Map());
    default:
      return undefined;
  }
}
