// Whole OpenAPI documents: one v3 document for each group version, and the one v2 document of everything.

import type { ResourceType } from "../../api/resource-type.ts";
import { kubernetesVersion } from "../../base/version.ts";
import type { ServedGroup } from "../discovery/documents.ts";
import type { PublishedSchema } from "../registry/resource-definition.ts";
import type { Descriptions } from "./descriptions.ts";
import { type Operation, type OperationPath, pathsOf } from "./operations.ts";
import type { Parameter } from "./parameters.ts";
import { type Model, modelsOf, type OpenApiVersion, reference, type SchemaContext } from "./schemas.ts";

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
const codeTexts: Readonly<Record<number, string>> = { 200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized" };

export interface DocumentContext {
  readonly groups: readonly ServedGroup[];
  readonly descriptions: Descriptions;
  /** What a custom resource is; undefined for a built-in one. */
  readonly publishedOf: (type: ResourceType) => PublishedSchema | undefined;
}

/** `groups`: of built-in resources. */
export function schemaContext(version: OpenApiVersion, { groups, descriptions }: DocumentContext): SchemaContext {
  const groupVersions = groups.flatMap((g) => g.versions.map((v) => ({ group: g.name, version: v.version })));
  return { version, descriptions, groupVersions };
}

/** The v3 document of some paths with all models they need. */
export function documentV3(paths: readonly OperationPath[], context: DocumentContext, own?: SchemaContext["own"]): object {
  return {
    openapi: "3.0.0",
    info,
    paths: Object.fromEntries(paths.map((p) => [p.path, pathItemV3(p)])),
    components: { schemas: modelsOf(typesIn(paths), { ...schemaContext(3, context), own }), securitySchemes: { BearerToken: bearer } },
  };
}

/** The v2 document of every group of built-in resources. */
export function documentV2(context: DocumentContext, more: readonly OperationPath[]): object {
  const paths = [...more, ...context.groups.flatMap((g) => g.versions.flatMap((v) => pathsOf(g.name, v.version, v.resources)))];
  return {
    swagger: "2.0",
    info,
    paths: Object.fromEntries(paths.map((p) => [p.path, pathItemV2(p)])),
    definitions: modelsOf(typesIn(paths), schemaContext(2, context)),
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

export function pathItem(path: OperationPath, version: OpenApiVersion): Model {
  return version === 3 ? pathItemV3(path) : pathItemV2(path);
}

function kubernetesExtensions({ action, kind }: Operation): Model {
  return { ...(action ? { "x-kubernetes-action": action } : {}), ...(kind ? { "x-kubernetes-group-version-kind": kind } : {}) };
}

function producedBy({ streams, action, custom }: Operation): readonly string[] {
  if (custom) return customTypes;
  return action !== undefined && streams ? [...objectTypes, ...streamTypes] : objectTypes;
}

function consumedBy({ body, custom }: Operation): readonly string[] {
  if (body?.patch) return custom ? patchTypes.filter((type) => !type.includes("strategic")) : patchTypes;
  return custom ? customTypes : ["*/*"];
}

function pathItemV3({ parameters, operations }: OperationPath): Model {
  const item: Model = parameters.length > 0 ? { parameters: parameters.map(parameterV3) } : {};
  for (const operation of operations) item[operation.method] = operationV3(operation);
  return item;
}

function operationV3(operation: Operation): Model {
  const { id, description, tag, body, answer, codes } = operation;
  const types = operation.answer === "version.Info" ? ["application/json"] : producedBy(operation);
  const content = answer
    ? Object.fromEntries(types.map((t) => [t, { schema: reference(answer, 3) }]))
    : Object.fromEntries((operation.textTypes ?? ["*/*"]).map((t) => [t, { schema: { type: "string" } }]));
  const bodyTypes = consumedBy(operation);
  return {
    tags: [tag],
    description,
    operationId: id,
    ...(operation.parameters.length > 0 ? { parameters: operation.parameters.map(parameterV3) } : {}),
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

function parameterV3({ name, in: place, type, description }: Parameter): Model {
  return { name, in: place, description, ...(place === "path" ? { required: true } : {}), schema: { type, uniqueItems: true } };
}

function pathItemV2({ parameters, operations }: OperationPath): Model {
  const item: Model = parameters.length > 0 ? { parameters: parameters.map(parameterV2) } : {};
  for (const operation of operations) item[operation.method] = operationV2(operation);
  return item;
}

function operationV2(operation: Operation): Model {
  const { id, description, tag, body, answer, codes } = operation;
  const schema = answer ? reference(answer, 2) : { type: "string" };
  const bodyParameter = body && { name: "body", in: "body", schema: reference(body.type, 2), ...(body.required ? { required: true } : {}) };
  const all = [...(bodyParameter ? [bodyParameter] : []), ...operation.parameters.map(parameterV2)];
  return {
    description,
    consumes: consumedBy(operation),
    produces: answer ? producedBy(operation) : (operation.textTypes ?? ["*/*"]),
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

function parameterV2({ name, in: place, type, description }: Parameter): Model {
  return { uniqueItems: true, type, description, name, in: place, ...(place === "path" ? { required: true } : {}) };
}
