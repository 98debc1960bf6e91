// The v2 document as protobuf, in the messages of gnostic's openapi.v2 package: the only form in which kubectl and client-go
// read it ("kubectl apply" of a List, for one). Free values (extensions, defaults) are YAML there; JSON is YAML.
import { createCodecs } from "../../rpc/protobuf.ts";
import type { Input, ProtocolTable } from "../../rpc/protocol.ts";
import { any, each, extensions, type Json, mapValues } from "./gnostic-values.ts";
import type { Model } from "./schemas.ts";

const limits = (from: number): string => {
  const names = [
    "maximum double",
    "exclusiveMaximum bool",
    "minimum double",
    "exclusiveMinimum bool",
    "maxLength int64",
    "minLength int64",
  ];
  const more = ["pattern string", "maxItems int64", "minItems int64", "uniqueItems bool", "enum Any[]", "multipleOf double"];
  return [...names, ...more].map((name, i) => `${from + i} ${name}`).join("; ");
};

/** Of the package's messages those that documents of ours are made of. Its lists of named values are maps on the wire. */
const gnostic: ProtocolTable = {
  package: "openapi.v2",
  services: {},
  enums: {},
  messages: {
    AdditionalPropertiesItem: "1 schema Schema; 2 boolean bool",
    Any: "2 yaml string",
    ApiKeySecurity: "1 type string; 2 name string; 3 in string; 4 description string",
    BodyParameter: "1 description string; 2 name string; 3 in string; 4 required bool; 5 schema Schema; 6 vendorExtension map<string,Any>",
    Definitions: "1 additionalProperties map<string,Schema>",
    Document:
      "1 swagger string; 2 info Info; 8 paths Paths; 9 definitions Definitions; 10 parameters ParameterDefinitions; 12 security SecurityRequirement[]; 13 securityDefinitions SecurityDefinitions",
    ExternalDocs: "1 description string; 2 url string",
    Info: "1 title string; 2 version string; 3 description string",
    ItemsItem: "1 schema Schema[]",
    JsonReference: "1 _ref string; 2 description string",
    NonBodyParameter:
      "1 headerParameterSubSchema PlainParameter; 3 queryParameterSubSchema QueryParameter; 4 pathParameterSubSchema PlainParameter",
    Operation:
      "1 tags string[]; 2 summary string; 3 description string; 5 operationId string; 6 produces string[]; 7 consumes string[]; 8 parameters ParametersItem[]; 9 responses Responses; 10 schemes string[]; 11 deprecated bool; 13 vendorExtension map<string,Any>",
    Parameter: "1 bodyParameter BodyParameter; 2 nonBodyParameter NonBodyParameter",
    ParameterDefinitions: "1 additionalProperties map<string,Parameter>",
    ParametersItem: "1 parameter Parameter; 2 jsonReference JsonReference",
    PathItem:
      "2 get Operation; 3 put Operation; 4 post Operation; 5 delete Operation; 6 options Operation; 7 head Operation; 8 patch Operation; 9 parameters ParametersItem[]",
    Paths: "2 path map<string,PathItem>",
    PlainParameter: `1 required bool; 2 in string; 3 description string; 4 name string; 5 type string; 6 format string; ${limits(10)}`,
    Properties: "1 additionalProperties map<string,Schema>",
    QueryParameter: `1 required bool; 2 in string; 3 description string; 4 name string; 5 allowEmptyValue bool; 6 type string; 7 format string; ${limits(11)}`,
    Response: "1 description string; 2 schema SchemaItem",
    ResponseValue: "1 response Response; 2 jsonReference JsonReference",
    Responses: "1 responseCode map<string,ResponseValue>",
    Schema:
      "1 _ref string; 2 format string; 3 title string; 4 description string; 5 default Any; 6 multipleOf double; 7 maximum double; 8 exclusiveMaximum bool; 9 minimum double; 10 exclusiveMinimum bool; 11 maxLength int64; 12 minLength int64; 13 pattern string; 14 maxItems int64; 15 minItems int64; 16 uniqueItems bool; 17 maxProperties int64; 18 minProperties int64; 19 required string[]; 20 enum Any[]; 21 additionalProperties AdditionalPropertiesItem; 22 type TypeItem; 23 items ItemsItem; 24 allOf Schema[]; 25 properties Properties; 26 discriminator string; 27 readOnly bool; 29 externalDocs ExternalDocs; 30 example Any; 31 vendorExtension map<string,Any>",
    SchemaItem: "1 schema Schema",
    SecurityDefinitions: "1 additionalProperties map<string,SecurityDefinitionsItem>",
    SecurityDefinitionsItem: "2 apiKeySecurity ApiKeySecurity",
    SecurityRequirement: "1 additionalProperties map<string,StringArray>",
    StringArray: "1 value string[]",
    TypeItem: "1 value string[]",
  },
};

/** `document`: as documentV2 makes it. */
export function encodeDocumentV2(document: object): Uint8Array {
  const { swagger, info, paths, definitions, parameters, security, securityDefinitions } = document as Json;
  return createCodecs(gnostic)
    .of<Model>("Document")
    .encode({
      ...{ swagger, info },
      paths: { path: mapValues(paths, pathItem) },
      definitions: { additionalProperties: mapValues(definitions, schema) },
      ...(parameters ? { parameters: { additionalProperties: mapValues(parameters, parameter) } } : {}),
      security: each(security, (item) => ({ additionalProperties: mapValues(item, (value) => ({ value })) })),
      securityDefinitions: { additionalProperties: mapValues(securityDefinitions, (apiKeySecurity) => ({ apiKeySecurity })) },
    } as Input<Model>); // the table says what is allowed
}

function pathItem(item: Json): Json {
  const operations = mapValues(item, (value) => (Array.isArray(value) ? undefined : operation(value as Json)));
  return { ...operations, parameters: each(item.parameters, parameterItem) };
}

function operation(from: Json): Json {
  return {
    ...from,
    parameters: each(from.parameters, parameterItem),
    responses: {
      responseCode: mapValues(from.responses, (response: Json) => ({ response: { ...response, ...schemaItem(response.schema) } })),
    },
    vendorExtension: extensions(from),
  };
}

function schemaItem(from: unknown): Json {
  return from === undefined ? {} : { schema: { schema: schema(from as Json) } };
}

const placeOf: Json = { header: "headerParameterSubSchema", query: "queryParameterSubSchema", path: "pathParameterSubSchema" };

const parameterItem = (from: Json): Json => (from.$ref ? { jsonReference: { _ref: from.$ref } } : { parameter: parameter(from) });

function parameter(from: Json): Json {
  if (from.in === "body") return { bodyParameter: { ...from, schema: schema(from.schema as Json), vendorExtension: extensions(from) } };
  return { nonBodyParameter: { [String(placeOf[String(from.in)])]: { ...from, enum: each(from.enum, any) } } };
}

function schema(from: Json): Json {
  const { type, items, properties, additionalProperties, allOf } = from;
  return {
    ...from,
    _ref: from.$ref,
    type: type === undefined ? undefined : { value: [type].flat() },
    items: items === undefined ? undefined : { schema: [items].flat().map((item) => schema(item as Json)) },
    properties: properties === undefined ? undefined : { additionalProperties: mapValues(properties, schema) },
    additionalProperties: additionalPropertiesItem(additionalProperties),
    allOf: each(allOf, schema),
    enum: each(from.enum, any),
    default: from.default === undefined ? undefined : any(from.default),
    example: from.example === undefined ? undefined : any(from.example),
    vendorExtension: extensions(from),
  };
}

function additionalPropertiesItem(from: unknown): Json | undefined {
  if (from === undefined) return undefined;
  return typeof from === "boolean" ? { boolean: from } : { schema: schema(from as Json) };
}
