import { describe, expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { configmaps } from "../../api/resources.generated.ts";
import type { JSONSchemaProps } from "../../api/types/apiextensions-v1.ts";
import { fakeContext } from "../authn/request-fixture.ts";
import type { PublishedSchema } from "../registry/resource-definition.ts";
import type { ApiResponse } from "../request.ts";
import { createOpenApi } from "./openapi.ts";

interface Document {
  readonly info: { readonly title: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string; readonly description: string }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, JSONSchemaProps>> };
  readonly definitions: Readonly<Record<string, JSONSchemaProps>>;
}

const widget = (version: string): ResourceType => ({
  group: "stable.example.com",
  version,
  resource: "widgets",
  singular: "widget",
  kind: "Widget",
  listKind: "Widgets",
  namespaced: true,
  verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"],
  subresources: [{ name: "status", kind: { group: "stable.example.com", version, kind: "Widget" }, verbs: ["get", "patch", "update"] }],
});

const schema: JSONSchemaProps = {
  type: "object",
  properties: {
    spec: {
      type: "object",
      required: ["size", "free"],
      properties: {
        size: { type: "integer", default: 3, minimum: 1 },
        port: { "x-kubernetes-int-or-string": true },
        free: { type: "string", nullable: true },
        open: { type: "object", "x-kubernetes-preserve-unknown-fields": true, properties: { a: { type: "string" } } },
        one: { type: "object", oneOf: [{ required: ["a"] }], properties: { a: { type: "string" } } },
        whole: { type: "object", "x-kubernetes-embedded-resource": true, properties: { spec: { type: "object" } } },
      },
    },
  },
};

function serving(published: Partial<PublishedSchema>) {
  let key = "1";
  let types: readonly ResourceType[] = [configmaps as ResourceType, widget("v1")];
  const openApi = createOpenApi(() => types, {
    publishedOf: (type) =>
      type.group === "stable.example.com" ? { key, schema, preserveUnknownFields: false, selectableFields: [], ...published } : undefined,
  });
  const get = async (path: string): Promise<Document> => {
    const answer = (await openApi.find(path)?.(fakeContext())) as Extract<ApiResponse, { kind: "bytes" }>;
    return JSON.parse(Buffer.from(answer.bytes).toString()) as Document;
  };
  return {
    get,
    index: async () => {
      const { paths } = (await get("/openapi/v3")) as unknown as {
        readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>;
      };
      return paths;
    },
    change() {
      key = "2";
      types = [...types];
    },
  };
}

const name = "com.example.stable.v1.Widget";
const specOf = (model: JSONSchemaProps | undefined): JSONSchemaProps => model?.properties?.["spec"] ?? {};

describe("OpenAPI v3 of a custom resource", () => {
  it("has its schema with what all objects have, and its operations", async () => {
    const { info, paths, components } = await serving({ selectableFields: ["spec.size"] }).get("/openapi/v3/apis/stable.example.com/v1");
    expect(info.title).toBe("Kubernetes CRD Swagger");
    const operations = Object.entries(paths).map(([path, item]) => [path, Object.keys(item).filter((method) => method !== "parameters")]);
    const base = "/apis/stable.example.com/v1/namespaces/{namespace}/widgets";
    expect(operations).toEqual([
      [base, ["get", "post", "delete"]],
      [`${base}/{name}`, ["get", "put", "patch", "delete"]],
      [`${base}/{name}/status`, ["get", "put", "patch"]],
      ["/apis/stable.example.com/v1/widgets", ["get"]],
    ]);
    expect(paths[base]?.["get"]).toMatchObject({
      operationId: "listStableExampleComV1NamespacedWidget",
      description: "list objects of kind Widget",
    });
    const { [name]: model, "com.example.stable.v1.Widgets": list } = components.schemas;
    expect(Object.keys(model?.properties ?? {})).toEqual(["spec", "apiVersion", "kind", "metadata"]);
    expect(model).toMatchObject({
      "x-kubernetes-group-version-kind": [{ group: "stable.example.com", kind: "Widget", version: "v1" }],
      "x-kubernetes-selectable-fields": [{ fieldPath: "spec.size" }],
    });
    expect(list).toMatchObject({ required: ["items"], properties: { items: { items: { $ref: `#/components/schemas/${name}` } } } });
    expect(components.schemas).toHaveProperty(["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]);
  });

  it("keeps defaults, alternatives and null, and says in words of OpenAPI what is an integer or a text", async () => {
    const { components } = await serving({}).get("/openapi/v3/apis/stable.example.com/v1");
    expect(specOf(components.schemas[name]).properties).toMatchObject({
      size: { type: "integer", default: 3, minimum: 1 },
      port: { "x-kubernetes-int-or-string": true, anyOf: [{ type: "integer" }, { type: "string" }] },
      free: { type: "string", nullable: true },
      one: { oneOf: [{ required: ["a"] }] },
      whole: { required: ["kind", "apiVersion"], properties: { kind: { type: "string" }, metadata: {} } },
    });
  });

  it("tells nothing of a schema that is not structural", async () => {
    const { components } = await serving({ schema: { type: "object", properties: { a: {} } } }).get(
      "/openapi/v3/apis/stable.example.com/v1",
    );
    expect(components.schemas[name]).toEqual({ type: "object", "x-kubernetes-group-version-kind": expect.anything() });
  });

  it("has another address when the definition has changed, and those of others stay", async () => {
    const served = serving({});
    const [before, v2Before] = [await served.index(), await served.get("/openapi/v2")];
    served.change();
    const after = await served.index();
    expect(after["apis/stable.example.com/v1"]).not.toEqual(before["apis/stable.example.com/v1"]);
    expect(after["api/v1"]).toEqual(before["api/v1"]);
    expect(await served.get("/openapi/v2")).toEqual(v2Before);
  });
});

describe("OpenAPI v2 of a custom resource", () => {
  it("stands in the document of all, without what v2 has not", async () => {
    const { definitions, paths, info } = await serving({}).get("/openapi/v2");
    expect(info.title).toBe("Kubernetes");
    expect(paths).toHaveProperty(["/api/v1/namespaces/{namespace}/configmaps"]);
    expect(paths).toHaveProperty(["/apis/stable.example.com/v1/widgets"]);
    expect(specOf(definitions[name])).toEqual({
      type: "object",
      required: ["size"],
      properties: {
        size: { type: "integer", minimum: 1 },
        port: { "x-kubernetes-int-or-string": true },
        free: {},
        open: { "x-kubernetes-preserve-unknown-fields": true },
        one: { type: "object", properties: { a: { type: "string" } } },
        whole: expect.objectContaining({ "x-kubernetes-embedded-resource": true }),
      },
    });
  });

  it("tells nothing of a resource that keeps unknown fields", async () => {
    const { definitions } = await serving({ preserveUnknownFields: true }).get("/openapi/v2");
    expect(definitions[name]).toEqual({ type: "object", "x-kubernetes-group-version-kind": expect.anything() });
  });
});
