// What upstream says of a value that it cannot convert to a type: the words of its converter, which reads what strategic
// merge patches make. Slow, and run on refused patches only. Values that read themselves from JSON (times, quantities) are
// described by the decoder instead.
import type { ObjectSchema, ValueType } from "../schema/schema.ts";
import { elementTypeName, wireRules } from "../schema/wire-facts.ts";
import { type Decoded, DecodeError, decodeObject } from "./decode.ts";

/**
 * Decodes as upstream converts values that were not read from text: numbers beyond an int32 lose their upper bits, and what
 * cannot be converted is told in the converter's words. Throws DecodeError.
 */
export function decodeConverted(schema: ObjectSchema, value: unknown): Decoded {
  try {
    return decodeObject(schema, value);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const problem = conversionProblem(schema, value);
    if (problem !== undefined) throw new DecodeError(problem);
    if (/^json: cannot unmarshal number \d+ into .* of type int32$/.test(error.message))
      return decodeConverted(schema, withWrappedNumbers(value, { kind: "object", schema }));
    throw new DecodeError(ofOneValue(error.message));
  }
}

/** The decoder names the field a value stands in; a type that reads itself from JSON does not know it. */
const ofOneValue = (message: string): string =>
  message.startsWith("illegal base64")
    ? `error decoding from json: ${message}`
    : message.replace(/^(json: cannot unmarshal .*) into Go struct field \S+ of type /, "$1 into Go value of type ");

function withWrappedNumbers(value: unknown, type: ValueType): unknown {
  if (type.kind === "int32") return typeof value === "number" ? value | 0 : value;
  if (Array.isArray(value)) return type.kind === "array" ? value.map((item) => withWrappedNumbers(item, type.items)) : value;
  if (!isRecord(value)) return value;
  const typeOf = (key: string): ValueType | undefined =>
    type.kind === "object" ? type.schema.fields.get(key)?.type : type.kind === "map" ? type.values : undefined;
  const entries = Object.entries(value).map(([key, field]): [string, unknown] => {
    const fieldType = typeOf(key);
    return [key, fieldType ? withWrappedNumbers(field, fieldType) : field];
  });
  return Object.fromEntries(entries);
}

/** The first value that cannot be converted; undefined where the decoder's words are right. */
export function conversionProblem(schema: ObjectSchema, value: unknown): string | undefined {
  return problemOf(value, { kind: "object", schema }, "");
}

function problemOf(value: unknown, type: ValueType, typeName: string): string | undefined {
  if (value === null || value === undefined) return undefined;
  switch (type.kind) {
    case "object":
      return isRecord(value) ? objectProblem(value, type.schema) : `cannot restore struct from: ${kindOf(value)}`;
    case "array":
      if (!Array.isArray(value)) return `cannot restore slice from ${kindOf(value)}`;
      return first(value, (item) => problemOf(item, type.items, elementTypeName(typeName, type.items)));
    case "bytes":
      return typeof value === "string" || Array.isArray(value) ? undefined : `cannot restore slice from ${kindOf(value)}`;
    case "map":
      if (!isRecord(value)) return `cannot restore map from ${kindOf(value)}`;
      return first(Object.values(value), (item) => problemOf(item, type.values, elementTypeName(typeName, type.values)));
    case "string":
    case "boolean":
    case "int32":
    case "int64":
    case "double":
      return scalarProblem(value, type.kind, typeName);
    default:
      return undefined;
  }
}

function objectProblem(value: Readonly<Record<string, unknown>>, schema: ObjectSchema): string | undefined {
  return first([...schema.fields.values()], (field) => problemOf(value[field.name], field.type, wireRules(schema, field).typeName));
}

function scalarProblem(value: unknown, kind: string, typeName: string): string | undefined {
  const given = goType(value);
  if (kind === "string") return given === "string" ? undefined : unconvertible(given, typeName, "string", given === "int64");
  if (kind === "boolean") return given === "bool" ? undefined : unconvertible(given, typeName, "bool", false);
  if (given === "int64" || (given === "float64" && (kind === "double" || Number.isInteger(value)))) return undefined;
  return unconvertible(given, typeName, kind === "double" ? "float64" : kind, given === "float64");
}

/** Go can convert numbers to texts, in principle; of what it cannot convert at all it says less. */
const unconvertible = (given: string, typeName: string, kind: string, convertible: boolean): string =>
  convertible ? `cannot convert ${given} to ${typeName || kind}` : `unrecognized type: ${kind}`;

function first<T>(items: readonly T[], find: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const problem = find(item);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const kindOf = (value: unknown): string => (Array.isArray(value) ? "slice" : isRecord(value) ? "map" : goType(value));

/** The type that Go gives a value of JSON. */
function goType(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}
