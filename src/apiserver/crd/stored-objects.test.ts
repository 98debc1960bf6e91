// What is read of custom objects and their definitions that somebody else has stored: another server, or an earlier schema.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CustomFixture, createCustomFixture, definitions } from "./custom-fixture.ts";

let fixture: CustomFixture;
beforeEach(() => {
  fixture = createCustomFixture();
});
afterEach(() => fixture.stop());

async function store(key: string, object: object): Promise<void> {
  const value = Buffer.from(JSON.stringify(object));
  await fixture.stores.store.transact({ conditions: [], operations: [{ type: "put", key: `/registry/${key}`, value }] });
  await fixture.settle();
}

async function stored(key: string): Promise<Record<string, unknown>> {
  const kv = await fixture.stores.store.get(`/registry/${key}`);
  return JSON.parse(Buffer.from(kv?.value ?? []).toString()) as Record<string, unknown>;
}

const widgets = "/apis/example.com/v1/namespaces/default/widgets";
const names = { plural: "widgets", singular: "widget", kind: "Widget", listKind: "WidgetList" };
const embedded = {
  type: "object",
  "x-kubernetes-embedded-resource": true,
  properties: {
    apiVersion: { type: "string", default: "v1" },
    kind: { type: "string", default: "Thing" },
    metadata: { type: "object", properties: { name: { type: "string", default: "n" }, other: { type: "string", default: "o" } } },
  },
};
const schema = { openAPIV3Schema: { type: "object", properties: { embedded } } };
const definition = {
  metadata: { name: "widgets.example.com" },
  spec: { group: "example.com", scope: "Namespaced", names, versions: [{ name: "v1", served: true, storage: true, schema }] },
};

describe("metadata", () => {
  it("that is not of its type is left out of what is read from the store, field by field", async () => {
    await fixture.define(definition);
    const metadata = { name: "w", namespace: "default", other: 1, annotations: { a: 1 }, labels: { l: "x y" }, generation: null };
    const inner = { apiVersion: "v1", kind: "Thing", metadata: { name: "n", annotations: { a: 1 } } };
    await store("example.com/widgets/default/w", { apiVersion: "example.com/v1", kind: "Widget", metadata, embedded: inner });
    const { body } = await fixture.send("GET", `${widgets}/w`);
    expect(body.metadata).toMatchObject({ name: "w", generation: 1, labels: { l: "x y" } });
    expect(body.metadata).not.toHaveProperty("annotations");
    expect(body.metadata).not.toHaveProperty("other");
    expect(body["embedded"]).toMatchObject({ metadata: { name: "n" } });
    const mended = await fixture.merge(`${widgets}/w`, { metadata: { labels: { l: "xy" } } });
    expect(mended).toMatchObject({ status: 200, body: { metadata: { labels: { l: "xy" } } } });
  });

  it("of an embedded resource is stored without the defaults of fields that it does not have", async () => {
    await fixture.define(definition);
    const body = { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, embedded: { metadata: {} } };
    expect((await fixture.send("POST", widgets, { body })).status).toBe(201);
    const expected = { apiVersion: "v1", kind: "Thing", metadata: { name: "n" } };
    expect(await stored("example.com/widgets/default/w")).toMatchObject({ embedded: expected });
    expect((await stored("example.com/widgets/default/w"))["embedded"]).not.toHaveProperty("metadata.other");
  });
});

describe("a definition that is stored in v1beta1", () => {
  const { versions, ...spec } = definition.spec;
  const old = {
    apiVersion: "apiextensions.k8s.io/v1beta1",
    kind: "CustomResourceDefinition",
    metadata: { ...definition.metadata, uid: "u", generation: 1, creationTimestamp: null },
    spec: {
      ...spec,
      version: "v1",
      versions: versions.map(({ name, served, storage }) => ({ name, served, storage })),
      validation: schema,
      preserveUnknownFields: false,
    },
    status: { conditions: null, acceptedNames: { plural: "", kind: "" }, storedVersions: null },
  };

  it("is served, and so are its objects", async () => {
    await store("apiextensions.k8s.io/customresourcedefinitions/widgets.example.com", old);
    const { body } = await fixture.send("GET", `${definitions}/widgets.example.com`);
    expect(body).toMatchObject({ apiVersion: "apiextensions.k8s.io/v1", spec: { versions: [{ name: "v1", schema }] } });
    const created = await fixture.send("POST", widgets, {
      body: { apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, unknown: 1 },
    });
    expect(created.status).toBe(201);
    expect(created.body).not.toHaveProperty("unknown");
  });

  it("keeps unknown fields where it does not say, and is told to be non-structural", async () => {
    const { preserveUnknownFields: _, ...silent } = old.spec;
    await store("apiextensions.k8s.io/customresourcedefinitions/widgets.example.com", { ...old, spec: silent });
    const { body } = await fixture.send("GET", `${definitions}/widgets.example.com`);
    expect(JSON.stringify(body["status"])).toContain("spec.preserveUnknownFields: Invalid value: true: must be false");
  });
});
