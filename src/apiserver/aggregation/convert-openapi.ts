// An OpenAPI v3 document made of a v2 document, for extension servers that serve only the older one.
import { isJsonObject, type SpecV2 } from "./openapi-v2.ts";

type Json = Readonly<Record<string, unknown>>;

const methods = new Set(["get", "put", "post", "delete", "options", "head", "patch"]);

export function convertToV3({ paths, definitions }: SpecV2, info: object): object {
  return {
    openapi: "3.0.0",
    info,
    paths: mapValues(paths, convertPath),
    components: { schemas: mapValues(definitions, convertSchema) },
  };
}

function mapValues(values: unknown, convert: (value: Json) => unknown): Json {
  if (!isJsonObject(values)) return {};
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (isJsonObject(value) ? [[name, convert(value)]] : [])));
}

function convertPath(path: Json): Json {
  return Object.fromEntries(
    Object.entries(path).map(([name, value]) => {
      if (methods.has(name) && isJsonObject(value)) return [name, convertOperation(value)];
      return [name, name === "parameters" ? listOf(value).map(convertParameter) : value];
    }),
  );
}

const listOf = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter(isJsonObject) : []);
const textsOf = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(String) : []);

function convertOperation(operation: Json): Json {
  const { consumes, produces, schemes: _, parameters, responses, ...rest } = operation;
  const all = listOf(parameters);
  const body = all.find((parameter) => parameter.in === "body" && isJsonObject(parameter.schema));
  const others = all.filter((parameter) => parameter !== body);
  return {
    ...rest,
    ...(others.length > 0 ? { parameters: others.map(convertParameter) } : {}),
    ...(body ? { requestBody: { content: contentOf(textsOf(consumes), body.schema) } } : {}),
    responses: mapValues(responses, ({ schema, ...response }) => ({
      ...response,
      ...(isJsonObject(schema) ? { content: contentOf(textsOf(produces), schema) } : {}),
    })),
  };
}

function contentOf(types: readonly string[], schema: unknown): Json {
  return Object.fromEntries(types.map((type) => [type, { schema: convertSchema(schema) }]));
}

function convertParameter({ name, in: place, description, required, allowEmptyValue, schema, type, format, uniqueItems }: Json): Json {
  const own = { type, format, uniqueItems };
  const all = { name, in: place, description, required, allowEmptyValue, schema: schema ? convertSchema(schema) : withoutAbsent(own) };
  return withoutAbsent(all);
}

const withoutAbsent = (values: Json): Json => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** References lead to components; what stands beside a reference is kept by wrapping it. */
function convertSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(convertSchema);
  if (!isJsonObject(schema)) return schema;
  const { $ref, ...rest } = schema;
  const converted = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, convertPart(name, value)]));
  if (typeof $ref !== "string") return converted;
  const reference = { $ref: $ref.replace("#/definitions/", "#/components/schemas/") };
  return Object.keys(converted).length === 0 ? reference : { ...converted, allOf: [reference] };
}

function convertPart(name: string, value: unknown): unknown {
  if (name === "properties") return mapValues(value, convertSchema);
  return ["items", "additionalProperties", "additionalItems", "allOf"].includes(name) ? convertSchema(value) : value;
}
