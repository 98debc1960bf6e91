// Custom objects of definitions with several versions: what a version that is not stored shows, and what is said of it.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ObjectMeta } from "../../api/types/meta-v1.ts";
import { type CustomFixture, createCustomFixture } from "./custom-fixture.ts";

const at = (version: string): string => `/apis/example.com/${version}/namespaces/default/widgets`;
const apply = "application/apply-patch+yaml";
const strategic = "application/strategic-merge-patch+json";

const withSpec = (properties: object): object => ({
  openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } },
});
const size = { type: "string" };

let fixture: CustomFixture;
beforeEach(async () => {
  fixture = createCustomFixture();
  await fixture.define({
    metadata: { name: "widgets.example.com" },
    spec: {
      group: "example.com",
      scope: "Namespaced",
      names: { plural: "widgets", kind: "Widget" },
      versions: [
        { name: "v1", served: true, storage: true, schema: withSpec({ size, mode: { type: "string", default: "A" } }) },
        { name: "v2", served: true, storage: false, schema: withSpec({ size, extra: { type: "string", default: "e" } }) },
        { name: "v1beta1", served: true, storage: false, deprecated: true, schema: withSpec({ size }) },
        { name: "v3", served: false, storage: false, schema: withSpec({ size }) },
        { name: "v4", served: true, storage: false, deprecated: true, schema: withSpec({ size }) },
      ],
    },
  });
});
afterEach(() => fixture.stop());

const create = (version: string, more: object = {}) =>
  fixture.send("POST", at(version), { body: { kind: "Widget", metadata: { name: "w", ...more }, spec: { size: "1" } } });

describe("a custom object in a version that is not stored", () => {
  it("comes from a dry run as it would be read: by what the stored version knows, with its defaults", async () => {
    const body = { kind: "Widget", metadata: { name: "w" }, spec: { size: "1" } };
    const dry = await fixture.send("POST", `${at("v1beta1")}?dryRun=All`, { body });
    expect(dry.body).toMatchObject({ apiVersion: "example.com/v1beta1", spec: { size: "1" } });
    await create("v2");
    const patched = await fixture.merge(`${at("v2")}/w?dryRun=All`, { spec: { size: "2" } });
    expect(patched.body["spec"]).toEqual({ size: "2" });
    expect((await fixture.send("GET", `${at("v1")}/w`)).body["spec"]).toEqual({ size: "1", mode: "A" });
  });

  it("gets no defaults from an apply that changes nothing", async () => {
    await create("v2");
    const body = { apiVersion: "example.com/v2", kind: "Widget", metadata: { name: "w" } };
    const same = await fixture.send("PATCH", `${at("v2")}/w?fieldManager=m`, { body, contentType: apply });
    expect(same.body).toMatchObject({ metadata: { generation: 1 } });
    const changing = { ...body, metadata: { name: "w", labels: { a: "b" } } };
    const changed = await fixture.send("PATCH", `${at("v2")}/w?fieldManager=m`, { body: changing, contentType: apply });
    expect(changed.body).toMatchObject({ metadata: { generation: 2 } });
  });
});

describe("a custom object that is stored in another version than now", () => {
  it.each(["v1", "v2"])("is written in that version by an apply to %s that changes nothing", async (version) => {
    await create("v1");
    await fixture.redefine("widgets.example.com", [
      { op: "replace", path: "/spec/versions/0/storage", value: false },
      { op: "replace", path: "/spec/versions/1/storage", value: true },
    ]);
    const { uid, resourceVersion } = (await fixture.send("GET", `${at(version)}/w`)).body.metadata as ObjectMeta;
    const body = { apiVersion: `example.com/${version}`, kind: "Widget", metadata: { name: "w", uid, resourceVersion } };
    const rewritten = await fixture.send("PATCH", `${at(version)}/w?fieldManager=m`, { body, contentType: apply });
    expect(rewritten.body.metadata?.resourceVersion).not.toBe(resourceVersion);
  });
});

describe("warnings", () => {
  it("of a deprecated version name the highest higher one that is served and not deprecated, where there is one", async () => {
    expect((await create("v1beta1")).warnings).toEqual(["example.com/v1beta1 Widget is deprecated; use example.com/v2 Widget"]);
    expect((await fixture.send("GET", `${at("v4")}/w`)).warnings).toEqual(["example.com/v4 Widget is deprecated"]);
  });

  it("tell of the finalizers that a write adds where they name no domain", async () => {
    const advice = "to avoid accidental conflicts with other finalizer writers";
    const finalizers = ["z", "orphan", "a.b", "a.b/c"];
    expect((await create("v1", { finalizers })).warnings).toEqual([
      `metadata.finalizers: "a.b": prefer a domain-qualified finalizer name including a path (/) ${advice}`,
      `metadata.finalizers: "z": prefer a domain-qualified finalizer name ${advice}`,
    ]);
    const refused = await fixture.merge(`${at("v1")}/w`, { metadata: { finalizers: ["x"] }, spec: { size: 1 } });
    expect([refused.status, refused.warnings]).toEqual([422, []]);
    const { warnings } = await fixture.merge(`${at("v1")}/w`, { metadata: { finalizers: [...finalizers, "y"] } });
    expect(warnings).toEqual([`metadata.finalizers: "y": prefer a domain-qualified finalizer name ${advice}`]);
  });
});

describe("a strategic merge patch", () => {
  it("is of no known form before it is looked at what the client accepts", async () => {
    const accept = "application/vnd.kubernetes.protobuf";
    expect((await fixture.send("PATCH", `${at("v1")}/w`, { body: {}, contentType: strategic, accept })).status).toBe(415);
  });
});
