import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AdmissionPlugin, AdmissionRequest } from "../admission/admission.ts";
import type { CreateRequest } from "./handler-types.ts";
import { createFixture, type Fixture, type Reply } from "./request-fixture.ts";

const deployments = "/apis/apps/v1/namespaces/default/deployments";
const pods = "/api/v1/namespaces/default/pods";
const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
const merge = "application/merge-patch+json";

const seen: AdmissionRequest[] = [];
const recorder: AdmissionPlugin = { name: "Recorder", handles: () => true, validate: (request) => void seen.push(request) };
const created: CreateRequest[] = [];

let server: Fixture;
beforeEach(() => {
  seen.length = 0;
  created.length = 0;
  server = createFixture({
    admission: [recorder],
    creators: {
      "/serviceaccounts/token": (request) => {
        created.push(request);
        return { ...request.object, status: { token: "t" } } as never;
      },
    },
    connects: { "/pods/log": async () => ({ kind: "bytes", status: 200, contentType: "text/plain", bytes: Buffer.from("log") }) },
  });
});
afterEach(() => server.stop());

const createPod = (name: string, more: object = {}, labels: object = {}): Promise<unknown> =>
  server.send("POST", pods, { body: { metadata: { name, labels }, spec: { containers: [], ...more } } });

describe("a request for a token", () => {
  it("comes with the uid that it names, which has to be the account's", async () => {
    const accounts = "/api/v1/namespaces/default/serviceaccounts";
    await server.send("POST", accounts, { body: { kind: "ServiceAccount", metadata: { name: "a" } } });
    await server.send("POST", `${accounts}/a/token`, { body: { metadata: { uid: "u" }, spec: {} } });
    expect(created).toMatchObject([{ object: { metadata: { uid: "u" } } }]);
  });

  it("has managed fields, of what was sent and its default", async () => {
    const accounts = "/api/v1/namespaces/default/serviceaccounts";
    await server.send("POST", accounts, { body: { kind: "ServiceAccount", metadata: { name: "a" } } });
    const body = { kind: "TokenRequest", apiVersion: "authentication.k8s.io/v1", spec: { audiences: ["x"] } };
    const answer = await server.send("POST", `${accounts}/a/token?fieldManager=m`, { body });
    expect(answer.body.metadata.managedFields).toEqual([
      {
        manager: "m",
        operation: "Update",
        apiVersion: "authentication.k8s.io/v1",
        time: expect.any(String),
        fieldsType: "FieldsV1",
        fieldsV1: { "f:spec": { "f:audiences": {}, "f:expirationSeconds": {} } },
        subresource: "token",
      },
    ]);
  });
});

describe("scale", () => {
  const template = { metadata: { labels: { app: "a" } }, spec: { containers: [] } };
  const spec = {
    replicas: 2,
    selector: { matchLabels: { app: "a" }, matchExpressions: [{ key: "t", operator: "In", values: ["y", "x"] }] },
    template,
  };

  it("is owned apart: by managers of Scales in conflicts, and without a time", async () => {
    const replicas = { "f:spec": { "f:replicas": {} } };
    const apply = (manager: string, count: number, more = ""): Promise<Reply> =>
      server.send("PATCH", `${deployments}/d/scale?fieldManager=${manager}${more}`, {
        body: { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d" }, spec: { replicas: count } },
        contentType: "application/apply-patch+yaml",
      });
    const owners = async (): Promise<unknown> =>
      (await server.send("GET", `${deployments}/d`)).body.metadata.managedFields
        ?.filter(({ fieldsV1 }) => JSON.stringify(fieldsV1).includes("f:replicas"))
        .map(({ manager, operation, apiVersion, subresource = "", time, fieldsV1 }) => [
          ...[manager, operation, apiVersion, subresource],
          ...[time === undefined, JSON.stringify(fieldsV1) === JSON.stringify(replicas)],
        ]);
    await server.send("POST", `${deployments}?fieldManager=c`, { body: { metadata: { name: "d" }, spec } });
    expect(await owners()).toEqual([["c", "Update", "apps/v1", "", false, false]]);
    await server.send("PATCH", `${deployments}/d/scale?fieldManager=p`, { body: { spec: { replicas: 2 } }, contentType: merge });
    expect(await owners()).toEqual([["c", "Update", "apps/v1", "", true, true]]);
    await server.send("PATCH", `${deployments}/d?fieldManager=k`, { body: { spec: { replicas: 3 } }, contentType: merge });
    expect((await apply("u", 4)).body.message).toBe('Apply failed with 1 conflict: conflict with "k" using autoscaling/v1: .spec.replicas');
    expect((await apply("u", 4, "&force=true")).status).toBe(200);
    expect(await owners()).toEqual([["u", "Apply", "apps/v1", "scale", true, true]]);
  });

  it("reads and writes replicas through a Scale", async () => {
    await server.send("POST", deployments, { body: { metadata: { name: "d" }, spec } });
    const table = await server.send("GET", `${deployments}/d/scale`, { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" });
    expect(table.body).toMatchObject({ kind: "Table", rows: [{ cells: ["d", 2, 0, "0s"], object: { metadata: { name: "d" } } }] });
    const { body } = await server.send("GET", `${deployments}/d/scale`);
    expect(body).toMatchObject({
      kind: "Scale",
      apiVersion: "autoscaling/v1",
      spec: { replicas: 2 },
      status: { replicas: 0, selector: "app=a,t in (x,y)" },
    });
    const patched = await server.send("PATCH", `${deployments}/d/scale`, { body: { spec: { replicas: 5 } }, contentType: merge });
    expect(patched.body.spec).toEqual({ replicas: 5 });
    expect((await server.send("GET", `${deployments}/d`)).body).toMatchObject({ spec: { replicas: 5 }, metadata: { generation: 2 } });
    expect(seen.at(-1)).toMatchObject({
      operation: "UPDATE",
      subresource: "scale",
      kind: { kind: "Scale" },
      object: { spec: { replicas: 5 } },
    });
  });

  it("refuses negative replicas and a stale resource version", async () => {
    const { resourceVersion } = (await server.send("POST", deployments, { body: { metadata: { name: "d" }, spec } })).body.metadata;
    const negative = await server.send("PUT", `${deployments}/d/scale`, { body: { metadata: { name: "d" }, spec: { replicas: -1 } } });
    expect(negative.body.message).toBe(
      'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    );
    await server.send("PATCH", `${deployments}/d`, { body: { spec: { replicas: 3 } }, contentType: merge });
    const stale = await server.send("PUT", `${deployments}/d/scale`, {
      body: { metadata: { name: "d", resourceVersion }, spec: { replicas: 1 } },
    });
    expect(stale.status).toBe(409);
  });
});

describe("binding", () => {
  const bind = (target: object, query = "") =>
    server.send("POST", `${pods}/a/binding${query}`, { body: { metadata: { name: "a", annotations: { n: "1" } }, target } });

  it("sets the node and the condition once", async () => {
    await createPod("a");
    const { status, body } = await bind({ kind: "Node", name: "n1" });
    expect([status, body.status]).toEqual([201, "Success"]);
    const pod = (await server.send("GET", `${pods}/a`)).body;
    expect(pod).toMatchObject({
      metadata: { annotations: { n: "1" }, generation: 1 },
      spec: { nodeName: "n1" },
      status: { conditions: [{ type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime: "2026-01-01T00:00:00Z" }] },
    });
    expect((await bind({ name: "n2" })).body.message).toBe(
      'Operation cannot be fulfilled on pods/binding "a": pod a is already assigned to node "n1"',
    );
  });

  it("refuses gated pods, wrong targets and absent pods; a dry run binds nothing", async () => {
    expect((await bind({ name: "n1" })).status).toBe(404);
    await createPod("a", { schedulingGates: [{ name: "g" }] });
    expect((await bind({ name: "n1" })).status).toBe(409);
    expect((await bind({ kind: "Pod", name: "n1" })).body.message).toContain('target.kind: Unsupported value: "Pod"');
    await server.send("DELETE", `${pods}/a`);
    await createPod("a");
    expect((await bind({ name: "n1" }, "?dryRun=All")).status).toBe(201);
    expect((await server.send("GET", `${pods}/a`)).body.spec).not.toHaveProperty("nodeName");
  });

  it("is also served by the bindings resource", async () => {
    await createPod("a");
    await server.send("POST", "/api/v1/namespaces/default/bindings", { body: { metadata: { name: "a" }, target: { name: "n1" } } });
    expect((await server.send("GET", `${pods}/a`)).body.spec).toMatchObject({ nodeName: "n1" });
  });

  it("looks at the pod's version and uid before the pod; the bindings resource at the version alone", async () => {
    await createPod("a", { nodeName: "n0" });
    const send = (path: string, metadata: object) =>
      server.send("POST", path, { body: { metadata: { name: "a", ...metadata }, target: { name: "n1" } } });
    const failed = (what: string) =>
      expect.stringMatching(
        new RegExp(`^Operation cannot be fulfilled on pods "a": StorageError: .*Precondition failed: ${what} in precondition: 1, `),
      );
    const own = `${pods}/a/binding`;
    const legacy = "/api/v1/namespaces/default/bindings";
    for (const path of [own, legacy])
      expect((await send(path, { resourceVersion: "1" })).body).toMatchObject({ code: 409, message: failed("ResourceVersion") });
    expect((await send(own, { uid: "1", resourceVersion: "1" })).body).toMatchObject({ code: 409, message: failed("UID") });
    expect((await send(legacy, { uid: "1" })).body.message).toContain('already assigned to node "n0"');
  });

  it("keeps the time of a condition that is there, also where it has none", async () => {
    await createPod("a");
    const status = { conditions: [{ type: "PodScheduled", status: "True" }] };
    await server.send("PATCH", `${pods}/a/status`, { body: { status }, contentType: merge });
    await bind({ name: "n1" });
    expect((await server.send("GET", `${pods}/a`)).body.status).toMatchObject({
      conditions: [{ type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime: null }],
    });
  });
});

describe("eviction", () => {
  const evict = (deleteOptions?: object) =>
    server.send("POST", `${pods}/a/eviction`, {
      body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: "a" }, ...(deleteOptions ? { deleteOptions } : {}) },
    });
  const budget = async (name: string, status: object, spec: object = {}) => {
    await server.send("POST", budgets, { body: { metadata: { name }, spec: { selector: { matchLabels: { app: "x" } }, ...spec } } });
    await server.send("PATCH", `${budgets}/${name}/status`, { body: { status: { observedGeneration: 1, ...status } }, contentType: merge });
  };
  const running = async () => {
    await createPod("a", {}, { app: "x" });
    const status = { phase: "Running", conditions: [{ type: "Ready", status: "True" }] };
    await server.send("PATCH", `${pods}/a/status`, { body: { status }, contentType: merge });
  };

  it("does not know what to do where the request and its body differ about dry runs", async () => {
    await running();
    const body = { metadata: { name: "a" }, deleteOptions: { dryRun: ["Some"] } };
    const reply = await server.send("POST", `${pods}/a/eviction?dryRun=All`, { body });
    expect([reply.status, reply.body.message]).toEqual([500, "Non-matching dry-run options in request and content: [All] and [Some]"]);
  });

  it("deletes no pod whose record cannot be read", async () => {
    await running();
    const body = { metadata: { name: "a" }, deleteOptions: { ignoreStoreReadErrorWithClusterBreakingPotential: true } };
    const reply = await server.send("POST", `${pods}/a/eviction`, { body });
    const field = "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential";
    const detail = "Invalid value: true: can not be set for pod eviction, try after removing the option";
    expect([reply.status, reply.body.message]).toEqual([422, `Eviction.policy "a" is invalid: ${field}: ${detail}`]);
  });

  it("is never answered with a table", async () => {
    await running();
    const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const reply = await server.send("POST", `${pods}/a/eviction`, { body: { metadata: { name: "a" } }, accept: table });
    expect(reply.status).toBe(406);
    expect((await server.send("GET", `${pods}/a`)).status).toBe(200);
  });

  it("is of the namespace of the path", async () => {
    await running();
    const reply = await server.send("POST", `${pods}/a/eviction`, { body: { metadata: { name: "a", namespace: "other" } } });
    expect([reply.status, reply.body.message]).toEqual([
      400,
      "the namespace of the provided object does not match the namespace sent on the request",
    ]);
  });

  it("deletes a pod that no budget protects", async () => {
    await running();
    expect((await evict()).status).toBe(201);
    expect((await server.send("GET", `${pods}/a`)).status).toBe(404);
  });

  it("is refused while the budget allows no disruption", async () => {
    await running();
    await budget("b", { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1 });
    const { body } = await evict();
    expect(body).toMatchObject({
      code: 429,
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: { causes: [{ reason: "DisruptionBudget", message: "The disruption budget b needs 1 healthy pods and has 1 currently" }] },
    });
    expect((await server.send("GET", `${pods}/a`)).status).toBe(200);
  });

  it("takes an allowed disruption from the budget", async () => {
    await running();
    await budget("b", { disruptionsAllowed: 1, currentHealthy: 1, desiredHealthy: 0 });
    expect((await evict()).status).toBe(201);
    expect((await server.send("GET", `${budgets}/b`)).body.status).toMatchObject({
      disruptionsAllowed: 0,
      disruptedPods: { a: "2026-01-01T00:00:00Z" },
      conditions: [{ type: "DisruptionAllowed", status: "False", reason: "InsufficientPods" }],
    });
    const { managedFields = [] } = (await server.send("GET", `${budgets}/b`)).body.metadata;
    const owners = managedFields.map(({ manager, subresource }) => [manager, subresource]);
    expect(owners).toContainEqual(["kube-apiserver", "status"]);
  });

  it("of a pod that is another than it was is refused, when the budget has been charged", async () => {
    await running();
    await budget("b", { disruptionsAllowed: 2, currentHealthy: 1, desiredHealthy: 0 });
    const stale = (await evict({ preconditions: { resourceVersion: "1" } })).body;
    expect([stale.code, stale.message]).toEqual([
      409,
      expect.stringContaining("the ResourceVersion in the precondition (1) does not match"),
    ]);
    expect((await server.send("GET", `${budgets}/b`)).body.status).toMatchObject({ disruptionsAllowed: 1 });
    const { resourceVersion } = (await server.send("GET", `${pods}/a`)).body.metadata;
    expect((await evict({ preconditions: { resourceVersion } })).status).toBe(201);
  });

  it("with options that no delete takes is refused when the pod has been told; of an absent pod it is not found", async () => {
    expect((await evict({ propagationPolicy: "Bad" })).status).toBe(404);
    await running();
    expect((await evict({ propagationPolicy: "Bad" })).body.message).toContain('propagationPolicy: Unsupported value: "Bad"');
    const { metadata, status } = (await server.send("GET", `${pods}/a`)).body;
    expect(metadata.deletionTimestamp).toBeUndefined();
    expect(status).toMatchObject({ conditions: [{ type: "Ready" }, { type: "DisruptionTarget" }] });
  });

  it("says why a budget refuses that has healthy pods enough", async () => {
    await running();
    const condition = {
      type: "DisruptionAllowed",
      status: "False",
      reason: "Other",
      message: "not now",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    await budget("b", { disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 1, conditions: [condition] });
    const says = (message: string): object => ({ details: { causes: [{ reason: "DisruptionBudget", message }] } });
    const refusal = "The disruption budget b does not allow evicting pods currently";
    expect((await evict()).body).toMatchObject(says(`${refusal} (Other): not now`));
    await budget("b", { conditions: [] });
    expect((await evict()).body).toMatchObject(says(refusal));
  });

  it("of a pod that stays for its finalizers tells why", async () => {
    await server.send("POST", pods, { body: { metadata: { name: "a", finalizers: ["example.com/f"] }, spec: { containers: [] } } });
    await evict();
    const { body } = await server.send("GET", `${pods}/a`);
    expect(body.metadata.deletionTimestamp).toBeDefined();
    expect(body.status).toMatchObject({ conditions: [{ type: "DisruptionTarget", status: "True", reason: "EvictionByEvictionAPI" }] });
  });

  it("does not work under two budgets", async () => {
    await running();
    await budget("b", { disruptionsAllowed: 1 });
    await budget("c", { disruptionsAllowed: 1 });
    expect((await evict()).body.message).toBe(
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
  });
});

describe("other subresources", () => {
  it("hands creates to their creator and connections to theirs", async () => {
    const path = "/api/v1/namespaces/default/serviceaccounts/sa/token";
    const { status, body } = await server.send("POST", path, { body: { spec: {} } });
    expect([status, body.status]).toEqual([201, { token: "t" }]);
    expect(created).toMatchObject([{ subresource: "token", namespace: "default", name: "sa", object: { kind: "TokenRequest" } }]);
    await createPod("a");
    expect((await server.send("GET", `${pods}/a/log`)).body).toBe("log");
  });
});
