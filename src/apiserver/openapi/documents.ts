// Whole OpenAPI documents: one v3 document for each group version, and the one v2 document of everything.

import type { ResourceType } from "../../api/resource-type.ts";
import { kubernetesVersion } from "../../base/version.ts";
import type { ServedGroup } from "../discovery/documents.ts";
import type { PublishedSchema } from "../registry/resource-definition.ts";
import type { Descriptions } from "./descriptions.ts";
import { type Operation, type OperationPath, pathsOf } from "./operations.ts";
import type { Parameter } from "./parameters.ts";
import { type Model, modelsOf, type OpenApiVersion, reference, type SchemaContext } from "./schemas.ts";
import { descriptionOf, SharedParameters } from "./shared-parameters.ts";

const bearer = { type: "apiKey", description: "Bearer Token authentication", name: "authorization", in: "header" };
/** The version without its patch, as the documents of all components have it. */
const info = { title: "Kubernetes", version: /^v(\d+\.\d+)/.exec(kubernetesVersion)?.[1] ?? kubernetesVersion };
const objectTypes = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/** Custom resources have no protobuf encoding. */
const customTypes = ["application/json", "application/yaml"];
const streamTypes = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
const patchTypes = [
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
  "application/apply-patch+yaml",
];
const cbor = "application/cbor";
const cborSequence = "application/cbor-seq";
const cborPatch = "application/apply-patch+cbor";
/** What is never in CBOR. */
const withoutCbor: ReadonlySet<string> = new Set(["meta-v1.APIVersions", "meta-v1.APIGroupList", "meta-v1.APIGroup"]);
const codeTexts: Readonly<Record<number, string>> = { 200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized" };

export interface DocumentContext {
  readonly groups: readonly ServedGroup[];
  readonly descriptions: Descriptions;
  /** What a custom resource is; undefined for a built-in one. */
  readonly publishedOf: (type: ResourceType) => PublishedSchema | undefined;
  /** Whether the server speaks CBOR. Default false. */
  readonly cbor?: boolean | undefined;
}

/** Operations on built-in resources where the server speaks CBOR. */
const spoken = (paths: readonly OperationPath[], context: DocumentContext): readonly OperationPath[] =>
  context.cbor ? paths.map((path) => ({ ...path, operations: path.operations.map((operation) => ({ ...operation, cbor: true })) })) : paths;

export function schemaContext(version: OpenApiVersion, { descriptions }: DocumentContext): SchemaContext {
  return { version, descriptions };
}

/** The v3 document of some paths with all models they need. */
export function documentV3(of: readonly OperationPath[], context: DocumentContext, own?: SchemaContext["own"]): object {
  const paths = spoken(of, context);
  const schemas = modelsOf(typesIn(paths), { ...schemaContext(3, context), own });
  return {
    openapi: "3.0.0",
    info,
    paths: Object.fromEntries(paths.map((p) => [p.path, pathItemV3(p, context.descriptions)])),
    components: { ...(Object.keys(schemas).length > 0 ? { schemas } : {}), securitySchemes: { BearerToken: bearer } },
  };
}

/** The v2 document of every group of built-in resources. */
export function documentV2(context: DocumentContext, more: readonly OperationPath[]): object {
  const resources = context.groups.flatMap((g) => g.versions.flatMap((v) => pathsOf(g.name, v.version, v.resources)));
  const paths = spoken([...more, ...resources], context);
  const shared = new SharedParameters(context.descriptions);
  return {
    swagger: "2.0",
    info,
    paths: Object.fromEntries(paths.map((p) => [p.path, pathItemV2(p, shared)])),
    definitions: modelsOf(typesIn(paths), schemaContext(2, context)),
    parameters: shared.shared,
    securityDefinitions: { BearerToken: bearer },
    security: [{ BearerToken: [] }],
  };
}

export function typesIn(paths: readonly OperationPath[]): Set<string> {
  const types = new Set<string>();
  for (const { operations } of paths)
    for (const { body, answer } of operations) {
      if (body) types.add(body.type);
      if (answer) types.add(answer);
    }
  return types;
}

function kubernetesExtensions({ action, kind }: Operation): Model {
  return { ...(action ? { "x-kubernetes-action": action } : {}), ...(kind ? { "x-kubernetes-group-version-kind": kind } : {}) };
}

function producedBy({ streams, action, answer, custom, cbor: speaksCbor }: Operation): readonly string[] {
  if (answer === "version.Info") return ["application/json"];
  if (custom) return customTypes;
  const withCbor = speaksCbor && !withoutCbor.has(answer ?? "");
  const types = withCbor ? [...objectTypes, cbor] : objectTypes;
  if (action === undefined || !streams) return types;
  return [...types, ...streamTypes, ...(withCbor ? [cborSequence] : [])];
}

/** Of an answer that is text. */
function textTypesOf({ textTypes = ["*/*"], cbor: speaksCbor, action }: Operation): readonly string[] {
  return speaksCbor && action !== undefined && textTypes.length > 1 ? [...textTypes, cbor] : textTypes;
}

/** Undefined where upstream does not say. */
function consumedBy(operation: Operation): readonly string[] | undefined {
  const { action, body, custom, textTypes } = operation;
  if (action === undefined) return textTypes ? undefined : producedBy(operation);
  if (body?.patch)
    return custom ? patchTypes.filter((type) => !type.includes("strategic")) : operation.cbor ? [...patchTypes, cborPatch] : patchTypes;
  return custom ? customTypes : ["*/*"];
}

export function pathItemV3({ parameters, operations }: OperationPath, descriptions: Descriptions): Model {
  const item: Model = parameters.length > 0 ? { parameters: parameters.map((p) => parameterV3(p, descriptions)) } : {};
  for (const operation of operations) item[operation.method] = operationV3(operation, descriptions);
  return item;
}

function operationV3(operation: Operation, descriptions: Descriptions): Model {
  const { id, description, tag, body, answer, codes } = operation;
  const content = answer
    ? Object.fromEntries(producedBy(operation).map((t) => [t, { schema: reference(answer, 3) }]))
    : Object.fromEntries(textTypesOf(operation).map((t) => [t, { schema: { type: "string" } }]));
  const bodyTypes = consumedBy(operation) ?? [];
  return {
    tags: [tag],
    description,
    operationId: id,
    ...(operation.parameters.length > 0 ? { parameters: operation.parameters.map((p) => parameterV3(p, descriptions)) } : {}),
    ...(body
      ? {
          requestBody: {
            content: Object.fromEntries(bodyTypes.map((t) => [t, { schema: reference(body.type, 3) }])),
            ...(body.required ? { required: true } : {}),
          },
        }
      : {}),
    responses: {
      ...Object.fromEntries(codes.map((code) => [code, { description: codeTexts[code], content }])),
      401: { description: codeTexts[401] },
    },
    ...kubernetesExtensions(operation),
  };
}

function parameterV3(parameter: Parameter, descriptions: Descriptions): Model {
  const { name, in: place, type } = parameter;
  const required = place === "path" ? { required: true } : {};
  return { name, in: place, ...descriptionOf(parameter, descriptions), ...required, schema: { type, uniqueItems: true } };
}

export function pathItemV2({ parameters, operations }: OperationPath, shared: SharedParameters): Model {
  const item: Model = parameters.length > 0 ? { parameters: parameters.map((p) => shared.model(p)) } : {};
  for (const operation of operations) item[operation.method] = operationV2(operation, shared);
  return item;
}

function operationV2(operation: Operation, shared: SharedParameters): Model {
  const { id, description, tag, body, answer, codes } = operation;
  const schema = answer ? reference(answer, 2) : { type: "string" };
  const bodyParameter = body && shared.body(String(reference(body.type, 2)["$ref"]), body.required);
  const all = [...(bodyParameter ? [bodyParameter] : []), ...operation.parameters.map((p) => shared.model(p))];
  const consumes = consumedBy(operation);
  return {
    description,
    ...(consumes ? { consumes } : {}),
    produces: answer ? producedBy(operation) : textTypesOf(operation),
    schemes: ["https"],
    tags: [tag],
    operationId: id,
    ...(all.length > 0 ? { parameters: all } : {}),
    responses: {
      ...Object.fromEntries(codes.map((code) => [code, { description: codeTexts[code], schema }])),
      401: { description: codeTexts[401] },
    },
    ...kubernetesExtensions(operation),
  };
}
