// For tests: objects of a schema with every field set, made from the schema tables alone.
import type { FieldSchema, ObjectSchema, ValueType } from "../../schema/schema.ts";

/** "full" sets every field to something, "zero" to its type's zero, as Go writes the fields of its structs. */
export type Filling = "full" | "zero";

/** An object with every field of the schema; a type within itself is left out. */
export function fullObject(schema: ObjectSchema, filling: Filling, around: readonly ObjectSchema[] = []): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const field of schema.fields.values()) {
    if (field.proto === undefined) continue; // apiVersion and kind
    const value = fill(field, field.type, filling, [...around, schema]);
    if (value !== undefined) object[field.name] = value;
  }
  return object;
}

function fill(field: FieldSchema, type: ValueType, filling: Filling, around: readonly ObjectSchema[]): unknown {
  switch (type.kind) {
    case "object":
      return around.includes(type.schema) ? undefined : fullObject(type.schema, filling, around);
    case "array": {
      // An empty list is not written, so one that JSON tells from none cannot come back.
      if (filling === "zero") return field.name === "policies" ? undefined : [];
      const item = fill(field, type.items, filling, around);
      return item === undefined ? undefined : [item, item];
    }
    case "map": {
      if (filling === "zero") return {};
      const value = fill(field, type.values, filling, around);
      return value === undefined ? undefined : { a: value, "b/c": value };
    }
    case "any":
      return filling === "zero" ? undefined : openValue(field.proto ?? "");
    default:
      return filling === "zero" ? zeros[type.kind] : samples[type.kind];
  }
}

const samples = {
  string: "text – ünïcode",
  bytes: "AAEC/w==",
  boolean: true,
  int32: -7,
  int64: 2 ** 40 + 1,
  double: 1.5,
  time: "2024-02-29T23:59:58Z",
  microTime: "2024-02-29T23:59:58.123456Z",
  quantity: "1500m",
  intOrString: "25%",
};

const zeros = {
  string: "",
  bytes: "",
  boolean: false,
  int32: 0,
  int64: 0,
  double: 0,
  time: undefined,
  microTime: undefined,
  quantity: "0",
  intOrString: 0,
};

function openValue(proto: string): unknown {
  if (proto.includes("OrBool")) return { type: "string", minLength: 0 };
  if (proto.includes("OrArray")) return [{ type: "string" }, { type: "object", additionalProperties: false }];
  if (proto.includes("OrStringArray")) return ["x", "y"];
  if (proto.includes("SubresourceStatus")) return {};
  return { "f:metadata": { ".": {}, n: 1.25, list: [null, "x", false] } };
}
