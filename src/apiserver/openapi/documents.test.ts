import { describe, expect, it } from "vitest";
import type { ResourceType } from "../../api/resource-type.ts";
import { configmaps, customresourcedefinitions, deployments, nodes, pods } from "../../api/resources.generated.ts";
import { groupsOf } from "../discovery/documents.ts";
import { descriptionsOf } from "./descriptions.ts";
import { encodeDocumentV3 } from "./document-v3-protobuf.ts";
import { documentV2, documentV3 } from "./documents.ts";
import { versionPath } from "./index-paths.ts";
import { customPathsOf, pathsOf } from "./operations.ts";

const groups = groupsOf([configmaps, pods, deployments, customresourcedefinitions] as unknown as readonly ResourceType[]);
const descriptions = descriptionsOf({ "core-v1.Container": ["", { imagePullPolicy: "When to pull." }] });
const context = { groups, descriptions, publishedOf: () => undefined };

/** What is at a place in a document. */
const at = (document: unknown, ...path: readonly string[]): unknown =>
  path.reduce((value, name) => (value as Readonly<Record<string, unknown>>)[name], document);

const v2 = documentV2(context, [versionPath]);
const v3 = documentV3(pathsOf("", "v1", [pods as unknown as ResourceType]), context, { group: "", version: "v1" });

describe("OpenAPI documents", () => {
  it("list the values of a field in its description", () => {
    expect(at(v2, "definitions", "io.k8s.api.core.v1.Container", "properties", "imagePullPolicy")).toEqual({
      type: "string",
      enum: ["Always", "IfNotPresent", "Never"],
      description: 'When to pull.\n\nPossible enum values:\n - `"Always"`\n - `"IfNotPresent"`\n - `"Never"`',
    });
  });

  it("leave a description that tells what the values mean as it is", () => {
    const told = 'What it does.\n\nPossible enum values:\n - `"NoExecute"` Evicts.\n - `"NoSchedule"` Keeps away.';
    const taints = descriptionsOf({ "core-v1.Taint": ["", { effect: told }] });
    const document = documentV3(pathsOf("", "v1", [nodes as unknown as ResourceType]), { ...context, descriptions: taints });
    const effect = at(document, "components", "schemas", "io.k8s.api.core.v1.Taint", "properties", "effect");
    expect(effect).toMatchObject({ description: told, enum: ["NoExecute", "NoSchedule", "PreferNoSchedule"] });
  });

  it("say of DeleteOptions that they are a kind of every group, served or not", () => {
    const kinds = ["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "x-kubernetes-group-version-kind"] as const;
    expect(at(v2, "definitions", ...kinds)).toHaveLength(60);
    expect(at(v2, "definitions", ...kinds, "1")).toEqual({ group: "admission.k8s.io", kind: "DeleteOptions", version: "v1" });
    expect(at(v3, "components", "schemas", ...kinds)).toHaveLength(1);
  });

  it("of version 2 refer to shared parameters, and say what indexes take", () => {
    expect(at(v2, "paths", "/api/v1/namespaces/{namespace}/pods", "parameters")).toContainEqual({
      $ref: "#/parameters/namespace-vgWSWtn3",
    });
    expect(at(v2, "parameters", "namespace-vgWSWtn3")).toMatchObject({ name: "namespace" });
    expect(at(v2, "paths", "/api/v1/", "get", "consumes")).toEqual([
      "application/json",
      "application/yaml",
      "application/vnd.kubernetes.protobuf",
    ]);
    expect(at(v2, "paths", "/version/", "get", "produces")).toEqual(["application/json"]);
  });

  it("tell of custom resources what upstream does", () => {
    const type = {
      ...configmaps,
      group: "example.com",
      version: "v1",
      kind: "Widget",
      resource: "widgets",
      schema: undefined,
    } as unknown as ResourceType;
    const paths = customPathsOf(type);
    const operation = (path: string, method: string) =>
      paths.find((p) => p.path.endsWith(path))?.operations.find((o) => o.method === method);
    expect(operation("/widgets/{name}", "get")?.parameters.map((p) => p.name)).toEqual(["resourceVersion"]);
    expect(operation("/widgets/{name}", "patch")?.codes).toEqual([200]);
    expect(operation("{namespace}/widgets", "delete")).not.toHaveProperty("body");
    expect(operation("{namespace}/widgets", "delete")?.parameters.map((p) => p.name)).toContain("watch");
  });

  it("of version 3 are there in protobuf", () => {
    const bytes = Buffer.from(
      encodeDocumentV3({ openapi: "3.0.0", info: { title: "T", version: "v" }, paths: { "/x": { get: { operationId: "o" } } } }),
    );
    const path = "0a022f78" + "1207" + "22052a016f4200";
    expect(bytes.toString("hex")).toBe(`0a05332e302e30${"1206"}${"0a0154"}${"320176"}${"220f"}${"0a0d"}${path}${"2a00"}`);
    expect(encodeDocumentV3(v3).length).toBeGreaterThan(10_000);
  });
});
