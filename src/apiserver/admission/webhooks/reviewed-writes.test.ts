import { describe, expect, onTestFinished, test } from "vitest";
import type { Connects } from "../../registry/handler-types.ts";
import type { ApiRequest } from "../../request.ts";
import { createWebhookFixture, patchAnswer, type WebhookFixture, type WebhookFixtureOptions } from "./webhook-fixture.ts";

async function setUp(options?: WebhookFixtureOptions): Promise<WebhookFixture> {
  const fixture = await createWebhookFixture(options);
  onTestFinished(() => fixture[Symbol.asyncDispose]());
  return fixture;
}

const json = { contentType: "application/json" };
const namespace = "/api/v1/namespaces/default";
const configMap = { ...json, body: { metadata: { name: "m" }, data: { a: "b" } } };
const pod = { ...json, body: { metadata: { name: "p" }, spec: { containers: [{ name: "c", image: "i" }] } } };

describe("what webhooks see of writes", () => {
  test("a binding is one of pods, or of bindings, as it was sent", async () => {
    const f = await setUp();
    await f.api.send("POST", `${namespace}/pods`, pod);
    await f.configure("Validating", [{ path: "v" }]);
    const binding = { ...json, body: { metadata: { name: "p" }, target: { kind: "Node", name: "n" } } };
    await f.api.send("POST", `${namespace}/pods/p/binding?dryRun=All`, binding);
    expect((await f.api.send("POST", `${namespace}/bindings`, binding)).status).toBe(201);
    expect(f.calls).toEqual(["v CREATE pods/binding p", "v CREATE bindings p"]);
  });

  test("what is created and not kept has the name that was sent", async () => {
    const f = await setUp({ creators: { "authentication.k8s.io/selfsubjectreviews": async ({ object }) => object } });
    await f.configure("Validating", [{ path: "v" }]);
    const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    expect((await f.api.send("POST", path, { ...json, body: { metadata: { name: "me" } } })).status).toBe(201);
    expect((await f.api.send("POST", path, { ...json, body: {} })).status).toBe(201);
    expect(f.calls).toEqual(["v CREATE selfsubjectreviews me", "v CREATE selfsubjectreviews"]);
  });

  test("an update without a version has the current one when it is judged, not when it is changed", async () => {
    const f = await setUp();
    const { body } = await f.api.send("POST", `${namespace}/configmaps`, configMap);
    await f.configure("Mutating", [{ path: "m" }]);
    await f.configure("Validating", [{ path: "v" }]);
    await f.api.send("PUT", `${namespace}/configmaps/m`, { ...json, body: { metadata: { name: "m" }, data: { a: "c" } } });
    expect(f.reviews.map(({ object }) => object?.metadata.resourceVersion)).toEqual([undefined, body.metadata.resourceVersion]);
  });

  test("an eviction goes by the options that a webhook has given it", async () => {
    const f = await setUp();
    await f.api.send("POST", `${namespace}/pods`, pod);
    await f.configure("Mutating", [
      { path: "m", rules: [{ operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["pods/eviction"] }] },
    ]);
    f.review = () => patchAnswer({ op: "add", path: "/deleteOptions", value: { preconditions: { uid: "another" } } });
    const body = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "p" } };
    expect((await f.api.send("POST", `${namespace}/pods/p/eviction`, { ...json, body })).status).toBe(409);
  });

  test("managedFields that a webhook has spoilt are what they were, with a warning", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "m" }]);
    f.review = () => patchAnswer({ op: "replace", path: "/metadata/managedFields/0/operation", value: "Bogus" });
    const { status, body, warnings } = await f.api.send("POST", `${namespace}/configmaps`, configMap);
    expect([status, body.metadata.managedFields?.[0]?.operation]).toEqual([201, "Update"]);
    const outdated = "this could be caused by an outdated mutating admission controller; please fix your requests";
    expect(warnings).toEqual([
      `.metadata.managedFields was in an invalid state after admission; ${outdated}: operation must be \`Apply\` or \`Update\``,
    ]);
  });

  test("a refused change of the name tells the new one", async () => {
    const f = await setUp();
    await f.api.send("POST", `${namespace}/configmaps`, configMap);
    await f.configure("Mutating", [{ path: "m" }]);
    f.review = () => patchAnswer({ op: "replace", path: "/metadata/name", value: "other" });
    const { body } = await f.api.send("PUT", `${namespace}/configmaps/m`, configMap);
    expect(body).toMatchObject({ message: expect.stringMatching(/^ConfigMap "other" is invalid/), details: { name: "other" } });
  });

  test("a list that was sent empty is one, and can be added to", async () => {
    const f = await setUp();
    await f.configure("Mutating", [{ path: "m" }]);
    await f.configure("Validating", [{ path: "v" }]);
    const path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    const send = (name: string) => f.api.send("POST", path, { ...json, body: { metadata: { name }, rules: [] } });
    expect((await send("a")).body).toMatchObject({ rules: null });
    expect(f.reviews.map(({ object }) => object)).toEqual([expect.objectContaining({ rules: [] }), expect.objectContaining({ rules: [] })]);
    const rule = { apiGroups: [""], resources: ["pods"], verbs: ["get"] };
    f.review = (_, path) => (path === "m" ? patchAnswer({ op: "add", path: "/rules/-", value: rule }) : {});
    expect((await send("b")).body).toMatchObject({ rules: [rule] });
  });

  test("ports are numbers, and options have no metadata when they have been changed", async () => {
    const asked: ApiRequest[] = [];
    const connects: Connects = {
      "/pods/portforward": async ({ request }) => {
        asked.push(request);
        return { kind: "object", status: 200, object: {} };
      },
    };
    const f = await setUp({ connects });
    await f.api.send("POST", `${namespace}/pods`, pod);
    await f.configure("Mutating", [{ path: "m" }]);
    await f.configure("Validating", [{ path: "v" }]);
    f.review = (_, path) => (path === "m" ? patchAnswer({ op: "add", path: "/ports/-", value: 90 }) : {});
    await f.api.send("POST", `${namespace}/pods/p/portforward?ports=80`);
    expect(f.reviews.map(({ object }) => object)).toEqual([
      { kind: "PodPortForwardOptions", apiVersion: "v1", ports: [80] },
      { kind: "PodPortForwardOptions", apiVersion: "v1", ports: [80, 90] },
    ]);
    expect(asked[0]?.query.toString()).toBe("ports=80&ports=90");
  });
});
