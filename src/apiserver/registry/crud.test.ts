import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFixture, type Fixture } from "./request-fixture.ts";

const path = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, data: object = {}, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});
const merge = "application/merge-patch+json";

let server: Fixture;
beforeEach(() => {
  server = createFixture();
});
afterEach(() => server.stop());

describe("create", () => {
  it("answers the object with what the system sets", async () => {
    const { status, body } = await server.send("POST", path, { body: configMap("a", { k: "1" }) });
    expect(status).toBe(201);
    expect(body).toMatchObject({ kind: "ConfigMap", apiVersion: "v1", data: { k: "1" } });
    expect(body.metadata).toMatchObject({ name: "a", namespace: "default", creationTimestamp: "2026-01-01T00:00:00Z" });
    expect(body.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(Number(body.metadata.resourceVersion)).toBeGreaterThan(0);
    expect((await server.send("GET", `${path}/a`)).body).toEqual(body);
  });

  it("records the manager from the user agent", async () => {
    const { body } = await server.send("POST", path, { body: configMap("a", { k: "1" }), userAgent: "kubectl/v1.36 (linux)" });
    expect(body.metadata.managedFields).toMatchObject([{ manager: "kubectl", operation: "Update", fieldsV1: { "f:data": { "f:k": {} } } }]);
  });

  it("refuses a taken name", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const { status, body } = await server.send("POST", path, { body: configMap("a") });
    expect([status, body.message]).toEqual([409, 'configmaps "a" already exists']);
  });

  it("generates names", async () => {
    const names = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { body } = await server.send("POST", path, { body: configMap("", {}, { name: undefined, generateName: "x-" }) });
      expect(body.metadata.name).toMatch(/^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      names.add(body.metadata.name);
    }
    expect(names.size).toBe(20);
  });

  it("stores nothing in a dry run", async () => {
    const { status, body } = await server.send("POST", `${path}?dryRun=All`, { body: configMap("a") });
    expect(status).toBe(201);
    expect(body.metadata.resourceVersion).toBeUndefined();
    expect((await server.send("GET", `${path}/a`)).status).toBe(404);
  });

  it("refuses another namespace, a resource version, a wrong kind and a name in the path", async () => {
    expect((await server.send("POST", path, { body: configMap("a", {}, { namespace: "x" }) })).status).toBe(400);
    expect((await server.send("POST", path, { body: configMap("a", {}, { resourceVersion: "5" }) })).body.message).toBe(
      "resourceVersion should not be set on objects to be created",
    );
    expect((await server.send("POST", path, { body: { apiVersion: "v1", kind: "Secret", metadata: { name: "a" } } })).body.message).toBe(
      'Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion',
    );
    expect((await server.send("POST", `${path}/a`, { body: configMap("a") })).status).toBe(405);
  });

  it("warns of unknown fields, or refuses them when strict", async () => {
    const body = { ...configMap("a"), bogus: 1 };
    expect((await server.send("POST", path, { body })).warnings).toEqual(['unknown field "bogus"']);
    const strict = await server.send("POST", `${path}?fieldValidation=Strict`, { body });
    expect(strict.body.message).toContain('strict decoding error: unknown field "bogus"');
  });

  it("reports every problem of the metadata", async () => {
    const { status, body } = await server.send("POST", path, { body: configMap("Bad", {}, { labels: { a: "-x" } }) });
    expect(status).toBe(422);
    expect((body as unknown as { details: { causes: { field: string }[] } }).details.causes.map((c) => c.field)).toEqual([
      "metadata.name",
      "metadata.labels",
    ]);
  });
});

describe("update", () => {
  it("replaces the object, keeping its identity", async () => {
    const created = (await server.send("POST", path, { body: configMap("a", { k: "1" }) })).body;
    const { status, body } = await server.send("PUT", `${path}/a`, { body: configMap("a", { z: "9" }) });
    expect(status).toBe(200);
    expect(body).toMatchObject({ data: { z: "9" }, metadata: { uid: created.metadata.uid } });
  });

  it("refuses a stale resource version and a foreign uid", async () => {
    const created = (await server.send("POST", path, { body: configMap("a") })).body;
    await server.send("PUT", `${path}/a`, { body: configMap("a", { k: "1" }) });
    const stale = await server.send("PUT", `${path}/a`, {
      body: configMap("a", { k: "2" }, { resourceVersion: created.metadata.resourceVersion }),
    });
    expect(stale.body).toMatchObject({ code: 409, reason: "Conflict" });
    const foreign = await server.send("PUT", `${path}/a`, { body: configMap("a", {}, { uid: "x" }) });
    expect(foreign.body.message).toContain("Precondition failed: UID in precondition: x, UID in object meta: ");
  });

  it("keeps the resource version when nothing changes", async () => {
    const created = (await server.send("POST", path, { body: configMap("a", { k: "1" }) })).body;
    await server.clock.advance(5000);
    const { body } = await server.send("PUT", `${path}/a`, { body: configMap("a", { k: "1" }) });
    expect(body.metadata.resourceVersion).toBe(created.metadata.resourceVersion);
  });

  it("of concurrent writers of one version lets one through", async () => {
    const { resourceVersion } = (await server.send("POST", path, { body: configMap("a") })).body.metadata;
    const replies = await Promise.all(
      ["1", "2", "3"].map((k) => server.send("PUT", `${path}/a`, { body: configMap("a", { k }, { resourceVersion }) })),
    );
    expect(replies.map((r) => r.status).sort()).toEqual([200, 409, 409]);
  });

  it("counts generations of what is desired, and keeps status and spec apart", async () => {
    const deployments = "/apis/apps/v1/namespaces/default/deployments";
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "d" },
      spec: { replicas: 1 },
      status: { replicas: 9 },
    };
    const created = (await server.send("POST", deployments, { body: deployment })).body;
    expect(created).toMatchObject({ metadata: { generation: 1 }, status: {} });
    const status = await server.send("PATCH", `${deployments}/d/status`, {
      body: { spec: { replicas: 7 }, status: { replicas: 3 } },
      contentType: merge,
    });
    expect(status.body).toMatchObject({ metadata: { generation: 1 }, spec: { replicas: 1 }, status: { replicas: 3 } });
    const spec = await server.send("PATCH", `${deployments}/d`, {
      body: { spec: { replicas: 2 }, status: { replicas: 8 } },
      contentType: merge,
    });
    expect(spec.body).toMatchObject({ metadata: { generation: 2 }, spec: { replicas: 2 }, status: { replicas: 3 } });
  });
});

describe("patch", () => {
  it("applies json, merge and strategic patches", async () => {
    await server.send("POST", path, { body: configMap("a", { x: "1", y: "2" }) });
    const json = await server.send("PATCH", `${path}/a`, {
      body: [{ op: "remove", path: "/data/y" }],
      contentType: "application/json-patch+json",
    });
    expect(json.body.data).toEqual({ x: "1" });
    const merged = await server.send("PATCH", `${path}/a`, { body: { data: { z: "3" } }, contentType: merge });
    expect(merged.body.data).toEqual({ x: "1", z: "3" });
    const strategic = await server.send("PATCH", `${path}/a`, {
      body: { data: { $patch: "replace", q: "4" } },
      contentType: "application/strategic-merge-patch+json",
    });
    expect(strategic.body.data).toEqual({ q: "4" });
  });

  it("warns of unknown fields in the order of their names, but as they were sent in what a JSON patch puts in", async () => {
    await server.send("POST", path, { body: configMap("a", {}) });
    const warned = async (contentType: string) =>
      (await server.send("PATCH", `${path}/a?fieldValidation=Warn`, { body: { foo: 1, bar: 2 }, contentType })).warnings;
    expect(await warned(merge)).toEqual(['unknown field "bar"', 'unknown field "foo"']);
    expect(await warned("application/strategic-merge-patch+json")).toEqual(['unknown field "bar"', 'unknown field "foo"']);
    const operations = [
      { op: "add", path: "/foo", value: 1 },
      { op: "add", path: "/bar", value: { z: 1 } },
      { op: "add", path: "/metadata/ownerReferences", value: [{ zz: 1, aa: 2 }] },
    ];
    const patch = { body: operations, contentType: "application/json-patch+json" };
    const fields = ["bar", "foo", "metadata.ownerReferences[0].zz", "metadata.ownerReferences[0].aa"];
    const told = fields.map((field) => `unknown field "${field}"`).join(", ");
    expect((await server.send("PATCH", `${path}/a?fieldValidation=Strict`, patch)).body.message).toContain(`error: ${told}`);
  });

  it("of concurrent patches loses none", async () => {
    await server.send("POST", path, { body: configMap("a") });
    const keys = ["a", "b", "c", "d", "e", "f"];
    await Promise.all(keys.map((key) => server.send("PATCH", `${path}/a`, { body: { data: { [key]: "1" } }, contentType: merge })));
    expect(Object.keys((await server.send("GET", `${path}/a`)).body.data as object).sort()).toEqual(keys);
  });

  it("refuses a new name, a wrong type and an unknown content type", async () => {
    await server.send("POST", path, { body: configMap("a", { x: "1" }) });
    const renamed = await server.send("PATCH", `${path}/a`, { body: { metadata: { name: "b" } }, contentType: merge });
    expect(renamed.body.message).toBe("the name of the object (b) does not match the name on the URL (a)");
    const wrong = await server.send("PATCH", `${path}/a`, { body: { data: { x: 5 } }, contentType: merge });
    expect(wrong.body.message).toMatch(
      /^ "" is invalid: patch: Invalid value: .*json: cannot unmarshal number into Go struct field ConfigMap.data of type string$/,
    );
    expect((await server.send("PATCH", `${path}/a`, { body: {}, contentType: "application/json" })).status).toBe(415);
    expect((await server.send("PATCH", `${path}/none`, { body: {}, contentType: merge })).status).toBe(404);
  });

  it("applies with ownership: creates, conflicts, forces", async () => {
    const apply = (manager: string, x: string, more = "") =>
      server.send("PATCH", `${path}/a?fieldManager=${manager}${more}`, {
        body: configMap("a", { x }),
        contentType: "application/apply-patch+yaml",
      });
    expect((await apply("m1", "1")).status).toBe(201);
    const again = await apply("m1", "1");
    expect(again.status).toBe(200);
    const refused = await apply("m2", "2");
    expect(refused.body.message).toBe('Apply failed with 1 conflict: conflict with "m1": .data.x');
    const forced = await apply("m2", "2", "&force=true");
    expect(forced.body).toMatchObject({ data: { x: "2" }, metadata: { managedFields: [{ manager: "m2", operation: "Apply" }] } });
  });
});

describe("unknown paths and verbs", () => {
  it.each([
    ["GET", "/api/v1/namespaces/default/bogus", 404, "the server could not find the requested resource"],
    ["GET", "/apis/apps/v9/deployments", 404, "the server could not find the requested resource"],
    ["GET", "/api/v1/namespaces/default/nodes", 404, "the server could not find the requested resource"],
    ["GET", "/api/v1/configmaps/a", 404, "the server could not find the requested resource"],
    ["GET", "/api/v1/namespaces/default/pods/a/scale", 404, "the server could not find the requested resource"],
    ["PURGE", `${path}/a`, 405, "the server does not allow this method on the requested resource"],
    ["PUT", path, 405, "the server does not allow this method on the requested resource"],
    ["DELETE", "/api/v1/configmaps", 405, "the server does not allow this method on the requested resource"],
    ["GET", "/api/v1/namespaces/default/bindings", 405, "the server does not allow this method on the requested resource"],
    ["DELETE", "/api/v1/namespaces", 405, "the server does not allow this method on the requested resource"],
  ])("%s %s answers %i", async (method, url, status, message) => {
    const reply = await server.send(method, url, { body: {} });
    expect([reply.status, reply.body.message]).toEqual([status, message]);
  });

  it("answers plain text for groups that are not there", async () => {
    expect(await server.send("GET", "/apis/none.example.com/v1/things")).toMatchObject({ status: 404, body: "404 page not found\n" });
  });
});
