// Owners of fields in one API version of a kind, and what is written in another.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CustomFixture, createCustomFixture } from "../crd/custom-fixture.ts";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

const apply = "application/apply-patch+yaml";
const merge = "application/merge-patch+json";

const owned = ({ body }: Awaited<ReturnType<Fixture["send"]>>): readonly unknown[] =>
  (body.metadata.managedFields ?? []).map(({ manager, apiVersion, fieldsV1 }) => [manager, apiVersion, fieldsV1?.["f:spec"]]);

describe("owners of an autoscaler", () => {
  let server: Fixture;
  beforeEach(() => {
    server = createFixture({ definitions: builtInDefinitions(describedResources) });
  });
  afterEach(() => server.stop());

  const pathIn = (version: string): string => `/apis/autoscaling/${version}/namespaces/default/horizontalpodautoscalers/h`;
  const target = { apiVersion: "apps/v1", kind: "Deployment", name: "x" };
  const cpu = (averageUtilization: number): object => ({
    type: "Resource",
    resource: { name: "cpu", target: { type: "Utilization", averageUtilization } },
  });
  const applied = (version: string, manager: string, spec: object, query = ""): ReturnType<Fixture["send"]> =>
    server.send("PATCH", `${pathIn(version)}?fieldManager=${manager}${query}`, {
      contentType: apply,
      body: {
        apiVersion: `autoscaling/${version}`,
        kind: "HorizontalPodAutoscaler",
        metadata: { name: "h" },
        spec: { maxReplicas: 3, scaleTargetRef: target, ...spec },
      },
    });
  const targetInV2 = { "f:apiVersion": {}, "f:kind": {}, "f:name": {} };

  it("apply it in another version: what they no longer apply goes, in the words of the version they applied before", async () => {
    await applied("v1", "a", { targetCPUUtilizationPercentage: 50, minReplicas: 2 });
    const inV2 = await applied("v2", "a", { metrics: [cpu(60)] });
    expect(inV2.body.spec).toEqual({ maxReplicas: 3, minReplicas: 1, metrics: [cpu(60)], scaleTargetRef: target });
    expect(owned(inV2)).toEqual([["a", "autoscaling/v2", { "f:maxReplicas": {}, "f:metrics": {}, "f:scaleTargetRef": targetInV2 }]]);
    await applied("v2", "a", { metrics: [cpu(60)], behavior: { scaleDown: { stabilizationWindowSeconds: 5 } } });
    const inV1 = await applied("v1", "a", {});
    expect(inV1.body.metadata.annotations).toBeUndefined();
    expect(owned(inV1)).toEqual([["a", "autoscaling/v1", { "f:maxReplicas": {}, "f:scaleTargetRef": {} }]]);
  });

  it("conflict over the field that each of them knows", async () => {
    await applied("v1", "a", { targetCPUUtilizationPercentage: 50 });
    const refused = await applied("v2", "b", { metrics: [cpu(60)] });
    expect([refused.status, refused.body.message]).toEqual([
      409,
      'Apply failed with 1 conflict: conflict with "a": .spec.targetCPUUtilizationPercentage',
    ]);
    const taken = await applied("v2", "b", { metrics: [cpu(60)] }, "&force=true");
    expect(owned(taken)).toContainEqual(["a", "autoscaling/v1", { "f:maxReplicas": {}, "f:scaleTargetRef": {} }]);
  });

  it("lose what an update in another version changes", async () => {
    await applied("v2", "a", { metrics: [cpu(50)] });
    const body = { spec: { targetCPUUtilizationPercentage: 33 } };
    const updated = await server.send("PATCH", `${pathIn("v1")}?fieldManager=u`, { contentType: merge, body });
    expect(owned(updated)).toEqual([
      ["a", "autoscaling/v2", { "f:maxReplicas": {}, "f:scaleTargetRef": targetInV2 }],
      ["u", "autoscaling/v1", { "f:targetCPUUtilizationPercentage": {} }],
    ]);
  });

  it("are forgotten where their version is not one of the kind", async () => {
    await applied("v2", "a", {});
    const managedFields = [
      { manager: "h", operation: "Apply", apiVersion: "autoscaling/v7", fieldsType: "FieldsV1", fieldsV1: { "f:spec": {} } },
    ];
    const sent = await server.send("PATCH", pathIn("v2"), { contentType: merge, body: { metadata: { managedFields } } });
    expect(sent.body.metadata.managedFields).toBeUndefined();
  });
});

describe("owners of a custom resource", () => {
  let server: CustomFixture;
  beforeEach(() => {
    server = createCustomFixture();
  });
  afterEach(() => server.stop());

  const pathIn = (version: string): string => `/apis/example.com/${version}/namespaces/default/widgets/w`;
  const applied = (version: string, manager: string, spec: object): ReturnType<CustomFixture["send"]> =>
    server.send("PATCH", `${pathIn(version)}?fieldManager=${manager}`, {
      contentType: apply,
      body: { apiVersion: `example.com/${version}`, kind: "Widget", metadata: { name: "w" }, spec },
    });
  const versionOf = (name: string, served: boolean, fields: readonly string[]): object => {
    const properties = Object.fromEntries(fields.map((field) => [field, { type: "string" }]));
    const openAPIV3Schema = { type: "object", properties: { spec: { type: "object", properties } } };
    return { name, served, storage: name === "v1", schema: { openAPIV3Schema } };
  };
  const define = (...versions: readonly object[]): Promise<unknown> =>
    server.define({
      metadata: { name: "widgets.example.com" },
      spec: { group: "example.com", scope: "Namespaced", names: { plural: "widgets", kind: "Widget" }, versions },
    });
  const refusal = ({ status, body }: Awaited<ReturnType<CustomFixture["send"]>>): unknown => [status, body.message];

  it("own the same fields in every version, also in one that is not served any more", async () => {
    await define(versionOf("v1", true, ["a", "b"]), versionOf("v2", true, ["a", "b"]));
    await applied("v2", "x", { a: "1", b: "1" });
    const conflict = [409, 'Apply failed with 1 conflict: conflict with "x": .spec.a'];
    expect(refusal(await applied("v1", "y", { a: "2" }))).toEqual(conflict);
    await server.redefine("widgets.example.com", [{ op: "replace", path: "/spec/versions/1/served", value: false }]);
    expect(refusal(await applied("v1", "y", { a: "2" }))).toEqual(conflict);
    await server.redefine("widgets.example.com", [{ op: "remove", path: "/spec/versions/1" }]);
    expect(owned(await applied("v1", "y", { a: "2" }))).toEqual([["y", "example.com/v1", { "f:a": {} }]]);
  });

  it("cannot be told what an apply changes that their version does not know, and are forgotten over an update", async () => {
    await define(versionOf("v1", true, ["a", "b"]), versionOf("v2", true, ["a", "d"]));
    await applied("v1", "x", { a: "1", b: "1" });
    expect(refusal(await applied("v2", "y", { d: "1" }))).toEqual([
      500,
      "failed to convert new object: .spec.d: field not declared in schema",
    ]);
    const body = { spec: { d: "4" } };
    const updated = await server.send("PATCH", `${pathIn("v2")}?fieldManager=u`, { contentType: merge, body });
    expect([updated.status, updated.body.metadata.managedFields]).toEqual([200, undefined]);
  });
});
