// A v3 document as protobuf, in the messages of gnostic's openapi.v3 package: kubectl asks for it to learn which parameters a
// server knows. Free values (extensions, enums, examples) are YAML there; JSON is YAML. Defaults that are objects have no
// place in it.
import { createCodecs } from "../../rpc/protobuf.ts";
import type { Input, ProtocolTable } from "../../rpc/protocol.ts";
import type { Model } from "./schemas.ts";

/** Of the package's messages those that documents of ours are made of. Its lists of named values are maps on the wire. */
const gnostic: ProtocolTable = {
  package: "openapi.v3",
  services: {},
  enums: {},
  messages: {
    AdditionalPropertiesItem: "1 schemaOrReference SchemaOrReference; 2 boolean bool",
    Any: "2 yaml string",
    Components: "1 schemas SchemasOrReferences; 7 securitySchemes SecuritySchemesOrReferences",
    DefaultType: "1 number double; 2 boolean bool; 3 string string",
    Document: "1 openapi string; 2 info Info; 4 paths Paths; 5 components Components",
    ExternalDocs: "1 description string; 2 url string",
    Info: "1 title string; 2 description string; 6 version string",
    ItemsItem: "1 schemaOrReference SchemaOrReference[]",
    MediaType: "1 schema SchemaOrReference",
    MediaTypes: "1 additionalProperties map<string,MediaType>",
    Operation:
      "1 tags string[]; 3 description string; 5 operationId string; 6 parameters ParameterOrReference[]; 7 requestBody RequestBodyOrReference; 8 responses Responses; 10 deprecated bool; 13 specificationExtension map<string,Any>",
    Parameter: "1 name string; 2 in string; 3 description string; 4 required bool; 10 schema SchemaOrReference",
    ParameterOrReference: "1 parameter Parameter",
    PathItem:
      "4 get Operation; 5 put Operation; 6 post Operation; 7 delete Operation; 8 options Operation; 9 head Operation; 10 patch Operation; 13 parameters ParameterOrReference[]",
    Paths: "1 path map<string,PathItem>",
    Properties: "1 additionalProperties map<string,SchemaOrReference>",
    Reference: "1 _ref string",
    RequestBody: "2 content MediaTypes; 3 required bool",
    RequestBodyOrReference: "1 requestBody RequestBody",
    Response: "1 description string; 3 content MediaTypes",
    ResponseOrReference: "1 response Response",
    Responses: "2 responseOrReference map<string,ResponseOrReference>",
    Schema:
      "1 nullable bool; 3 readOnly bool; 4 writeOnly bool; 6 externalDocs ExternalDocs; 7 example Any; 8 deprecated bool; 9 title string; 10 multipleOf double; 11 maximum double; 12 exclusiveMaximum bool; 13 minimum double; 14 exclusiveMinimum bool; 15 maxLength int64; 16 minLength int64; 17 pattern string; 18 maxItems int64; 19 minItems int64; 20 uniqueItems bool; 21 maxProperties int64; 22 minProperties int64; 23 required string[]; 24 enum Any[]; 25 type string; 26 allOf SchemaOrReference[]; 27 oneOf SchemaOrReference[]; 28 anyOf SchemaOrReference[]; 29 not Schema; 30 items ItemsItem; 31 properties Properties; 32 additionalProperties AdditionalPropertiesItem; 33 default DefaultType; 34 description string; 35 format string; 36 specificationExtension map<string,Any>",
    SchemaOrReference: "1 schema Schema; 2 reference Reference",
    SchemasOrReferences: "1 additionalProperties map<string,SchemaOrReference>",
    SecurityScheme: "1 type string; 2 description string; 3 name string; 4 in string",
    SecuritySchemeOrReference: "1 securityScheme SecurityScheme",
    SecuritySchemesOrReferences: "1 additionalProperties map<string,SecuritySchemeOrReference>",
  },
};

type Json = Readonly<Record<string, unknown>>;

/** `document`: as documentV3 makes it. */
export function encodeDocumentV3(document: object): Uint8Array {
  const { openapi, info, paths, components } = document as Json;
  const { schemas, securitySchemes } = (components ?? {}) as Json;
  return createCodecs(gnostic)
    .of<Model>("Document")
    .encode({
      ...{ openapi, info },
      paths: { path: mapValues(paths, pathItem) },
      components: {
        ...(schemas ? { schemas: { additionalProperties: mapValues(schemas, schemaOrReference) } } : {}),
        ...(securitySchemes
          ? { securitySchemes: { additionalProperties: mapValues(securitySchemes, (securityScheme) => ({ securityScheme })) } }
          : {}),
      },
    } as Input<Model>); // the table says what is allowed
}

function pathItem(item: Json): Json {
  const operations = mapValues(item, (value) => (Array.isArray(value) ? undefined : operation(value as Json)));
  return { ...operations, parameters: each(item.parameters, parameter) };
}

function operation(from: Json): Json {
  const body = from.requestBody as Json | undefined;
  return {
    ...from,
    parameters: each(from.parameters, parameter),
    requestBody: body && { requestBody: { ...body, content: mediaTypes(body.content) } },
    responses: {
      responseOrReference: mapValues(from.responses, (response: Json) => ({
        response: { ...response, content: response.content && mediaTypes(response.content) },
      })),
    },
    specificationExtension: extensions(from),
  };
}

const mediaTypes = (from: unknown): Json => ({
  additionalProperties: mapValues(from, ({ schema }: Json) => ({ schema: schemaOrReference(schema as Json) })),
});

const parameter = (from: Json): Json => ({ parameter: { ...from, schema: schemaOrReference(from.schema as Json) } });

const schemaOrReference = (from: Json): Json => (from.$ref === undefined ? { schema: schema(from) } : { reference: { _ref: from.$ref } });

function schema(from: Json): Json {
  const { items, properties, additionalProperties, not } = from;
  return {
    ...from,
    items: items === undefined ? undefined : { schemaOrReference: [items].flat().map((item) => schemaOrReference(item as Json)) },
    properties: properties === undefined ? undefined : { additionalProperties: mapValues(properties, schemaOrReference) },
    additionalProperties: additionalPropertiesItem(additionalProperties),
    allOf: each(from.allOf, schemaOrReference),
    oneOf: each(from.oneOf, schemaOrReference),
    anyOf: each(from.anyOf, schemaOrReference),
    not: not === undefined ? undefined : schema(not as Json),
    enum: each(from.enum, any),
    default: defaultType(from.default),
    example: from.example === undefined ? undefined : any(from.example),
    specificationExtension: extensions(from),
  };
}

function additionalPropertiesItem(from: unknown): Json | undefined {
  if (from === undefined) return undefined;
  return typeof from === "boolean" ? { boolean: from } : { schemaOrReference: schemaOrReference(from as Json) };
}

function defaultType(value: unknown): Json | undefined {
  return typeof value === "number" || typeof value === "boolean" || typeof value === "string" ? { [typeof value]: value } : undefined;
}

function extensions(from: Json): Json {
  return Object.fromEntries(
    Object.entries(from)
      .filter(([name]) => name.startsWith("x-"))
      .map(([name, value]) => [name, any(value)]),
  );
}

const any = (value: unknown): Json => ({ yaml: JSON.stringify(value) });

function each<T>(list: unknown, convert: (item: T) => Json): readonly Json[] | undefined {
  return (list as readonly T[] | undefined)?.map(convert);
}

function mapValues<T>(values: unknown, convert: (value: T) => unknown): Json {
  return Object.fromEntries(Object.entries((values ?? {}) as Record<string, T>).map(([name, value]) => [name, convert(value)]));
}
