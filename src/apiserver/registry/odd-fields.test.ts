// What odd values in single fields come to, kind by kind: which problems are told and in which order, what is kept beside them.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtInDefinitions } from "./definitions.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";
import { describedResources } from "./resources/all.ts";

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions(describedResources) });
});
afterEach(() => server.stop());

const apps = "/apis/apps/v1/namespaces/default";
const core = "/api/v1/namespaces/default";
const template = { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "c", image: "i" }] } };
const selector = { matchLabels: { a: "b" } };
const causesOf = (body: object): string[] =>
  ((body as { details?: { causes?: { field: string; message: string }[] } }).details?.causes ?? []).map(
    ({ field, message }) => `${field}: ${message}`,
  );
const create = (url: string, body: object) => server.send("POST", url, { body });

describe("a create", () => {
  it("rounds the amounts in the status of a stateful set's claims", async () => {
    const wants = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1" } } };
    const claim = { metadata: { name: "c" }, spec: wants, status: { allocatedResources: { "example.com/y": "0.5m" } } };
    const spec = { selector, template, volumeClaimTemplates: [claim] };
    const { body } = await create(`${apps}/statefulsets`, { kind: "StatefulSet", metadata: { name: "x" }, spec });
    expect(body["spec"]).toMatchObject({ volumeClaimTemplates: [{ status: { allocatedResources: { "example.com/y": "1m" } } }] });
  });

  it("finds a definition's storage version once, where two versions have its name", async () => {
    const version = { name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } };
    const spec = { group: "a.b", scope: "Cluster", names: { plural: "xs", kind: "X" }, versions: [version, version] };
    const url = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    const { body } = await create(url, { kind: "CustomResourceDefinition", metadata: { name: "xs.a.b" }, spec });
    expect(causesOf(body)).toContain('status.storedVersions: Invalid value: ["v1"]: must have the storage version v1');
  });

  it("gives a daemon set's rolling update that is not used zeroes for what is missing", async () => {
    const spec = { selector, template, updateStrategy: { type: "OnDelete", rollingUpdate: { maxSurge: 1 } } };
    const { body } = await create(`${apps}/daemonsets`, { kind: "DaemonSet", metadata: { name: "x" }, spec });
    expect(body["spec"]).toMatchObject({ updateStrategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } });
  });

  it("looks at the metadata of a disruption budget and of an event only where the rest is right", async () => {
    const budget = { kind: "PodDisruptionBudget", metadata: {}, spec: { selector: { matchLabels: { a: "-1" } } } };
    const url = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    expect(causesOf((await create(url, budget)).body).map((text) => text.split(":")[0])).toEqual(["spec.selector.matchLabels"]);
    const event = { kind: "Event", metadata: { name: "e", ownerReferences: [{}] }, involvedObject: { namespace: "other" } };
    expect(causesOf((await create(`${core}/events`, event)).body)).toEqual([
      'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
    ]);
  });

  it("takes bytes as a list of numbers too, and names an item that is none", async () => {
    const secret = (list: unknown) => ({ kind: "Secret", metadata: { name: "x" }, data: { k: list } });
    expect((await create(`${core}/secrets?dryRun=All`, secret([104, 105]))).body.data).toEqual({ k: "aGk=" });
    expect((await create(`${core}/secrets?dryRun=All`, secret([300]))).body.message).toContain("number 300 into Go struct field");
  });

  it("gives an autoscaler of v1 the defaults of v2 in its annotation, and no status", async () => {
    const key = "autoscaling.alpha.kubernetes.io";
    const annotations = {
      [`${key}/behavior`]: '{"ScaleUp":{"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":10}]}}',
      [`${key}/conditions`]: '[{"type":"AbleToScale","status":"True","lastTransitionTime":null}]',
    };
    const spec = { maxReplicas: 2, minReplicas: 1, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" } };
    const url = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers";
    const { body } = await create(url, { kind: "HorizontalPodAutoscaler", metadata: { name: "h", annotations }, spec });
    const kept = body.metadata.annotations as Record<string, string>;
    expect(Object.keys(kept)).toEqual([`${key}/behavior`]);
    expect(JSON.parse(kept[`${key}/behavior`] ?? "")).toMatchObject({ ScaleUp: { StabilizationWindowSeconds: 0, SelectPolicy: "Max" } });
  });

  it("shows owners in Go's order, and tells of each repeated one", async () => {
    const owner = (name: string) => ({ controller: true, uid: name, name, kind: "K", apiVersion: "v1" });
    const map = (owners: object[]) => ({ kind: "ConfigMap", metadata: { name: "x", ownerReferences: owners } });
    expect((await create(`${core}/configmaps`, map([owner("a"), owner("b")]))).body.message).toContain(
      'Invalid value: [{"apiVersion":"v1","kind":"K","name":"a","uid":"a","controller":true}',
    );
    const { warnings } = await create(`${core}/configmaps`, map([owner("a"), owner("a"), owner("a")]));
    expect(warnings.join()).toContain("observed: a, a");
  });

  it("refuses a time zone that leaves its directory, and a lifecycle of an ephemeral container that is empty", async () => {
    const job = { template: { spec: { ...template.spec, restartPolicy: "Never" } } };
    const cron = {
      kind: "CronJob",
      metadata: { name: "x" },
      spec: { schedule: "* * * * *", timeZone: "a..b", jobTemplate: { spec: job } },
    };
    expect(causesOf((await create("/apis/batch/v1/namespaces/default/cronjobs", cron)).body)).toEqual([
      'spec.timeZone: Invalid value: "a..b": time: invalid location name',
    ]);
    const spec = { ...template.spec, ephemeralContainers: [{ name: "e", image: "i", lifecycle: {} }] };
    const made = await create(`${core}/podtemplates`, { kind: "PodTemplate", metadata: { name: "x" }, template: { spec } });
    expect(causesOf(made.body)).toContain(
      "template.spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container",
    );
  });

  it("names both problems of a binding's target, and asks for a name last", async () => {
    const bind = async (target: object) => (await create(`${core}/bindings`, { kind: "Binding", metadata: {}, target })).body.message;
    expect(await bind({ kind: "X" })).toContain('supported values: "Node", "<empty>", target.name: Required value]');
    expect(await bind({ name: "n" })).toBe("Name parameter required.");
  });
});

describe("an update", () => {
  it("counts a selector of webhooks that was sent empty, and an immutable map that is now empty", async () => {
    const url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    const hook = { name: "a.b.c", clientConfig: { url: "https://x.y/z" }, sideEffects: "None", admissionReviewVersions: ["v1"] };
    const hooks = (more: object) => ({ kind: "ValidatingWebhookConfiguration", metadata: { name: "w" }, webhooks: [{ ...hook, ...more }] });
    const { resourceVersion } = (await create(url, hooks({}))).body.metadata;
    const { body } = await server.send("PUT", `${url}/w`, {
      body: { ...hooks({ objectSelector: { matchExpressions: [] } }), metadata: { name: "w", resourceVersion } },
    });
    expect(body.metadata.generation).toBe(2);
    const map = { kind: "ConfigMap", metadata: { name: "m" }, immutable: true };
    await create(`${core}/configmaps`, map);
    const changed = await server.send("PUT", `${core}/configmaps/m`, { body: { ...map, binaryData: {} } });
    expect(causesOf(changed.body)).toEqual(["binaryData: Forbidden: field is immutable when `immutable` is set"]);
  });
});

describe("a field behind a gate that is off", () => {
  const stopping = (signal: string) => ({
    ...template,
    spec: { containers: [{ name: "c", image: "i", lifecycle: { stopSignal: signal } }], os: { name: "linux" } },
  });
  const signalOf = (body: object): unknown =>
    (body as { spec: { template: ReturnType<typeof stopping> } }).spec.template.spec.containers[0]?.lifecycle?.stopSignal;
  const merged = (body: object) => server.send("PATCH", `${apps}/replicasets/r`, { body, contentType: "application/merge-patch+json" });

  it("is not written, but stays where somebody else has stored one", async () => {
    const sent = { kind: "ReplicaSet", metadata: { name: "r" }, spec: { selector, template: stopping("SIGUSR1") } };
    const { body } = await create(`${apps}/replicasets`, sent);
    expect(signalOf(body)).toBeUndefined();
    expect(signalOf((await merged({ spec: { template: stopping("SIGUSR1") } })).body)).toBeUndefined();
    const stored = { ...body, spec: { ...(body["spec"] as object), template: stopping("SIGUSR1") } };
    const key = "/registry/replicasets/default/r";
    const value = Buffer.from(JSON.stringify(stored));
    expect(await server.store.get(key)).toBeDefined();
    await server.store.transact({ conditions: [], operations: [{ type: "put", key, value }] });
    expect(signalOf((await merged({ metadata: { labels: { x: "y" } } })).body)).toBe("SIGUSR1");
    expect(signalOf((await merged({ spec: { template: stopping("SIGUSR2") } })).body)).toBe("SIGUSR2");
  });
});

describe("a Scale", () => {
  const url = `${apps}/replicasets/r`;
  const ownersOf = async (): Promise<string[]> => {
    const { managedFields = [] } = (await server.send("GET", url)).body["metadata"];
    return managedFields.filter(({ fieldsV1 }) => JSON.stringify(fieldsV1).includes("f:replicas")).map(({ manager = "" }) => manager);
  };
  const scaled = (replicas: number, manager: string) =>
    server.send("PATCH", `${url}/scale?fieldManager=${manager}`, {
      body: { spec: { replicas } },
      contentType: "application/merge-patch+json",
    });

  it("of no replicas is owned by nobody, nor is what is written after it", async () => {
    const made = { kind: "ReplicaSet", metadata: { name: "r" }, spec: { replicas: 3, selector, template } };
    await server.send("POST", `${apps}/replicasets?fieldManager=creator`, { body: made });
    await scaled(5, "one");
    expect(await ownersOf()).toEqual(["one"]);
    await scaled(0, "two");
    expect(await ownersOf()).toEqual([]);
    await scaled(4, "three");
    expect(await ownersOf()).toEqual([]);
    await server.send("PATCH", `${url}?fieldManager=four`, {
      body: { spec: { replicas: 6 } },
      contentType: "application/merge-patch+json",
    });
    expect(await ownersOf()).toEqual(["four"]);
    await scaled(7, "five");
    expect(await ownersOf()).toEqual(["five"]);
  });
});

describe("an applied Scale", () => {
  const apply = (name: string, body: object) =>
    server.send("PATCH", `${apps}/deployments/${name}/scale?fieldManager=m&force=true`, {
      body: JSON.stringify({ apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name }, ...body }),
      contentType: "application/apply-patch+yaml",
    });

  it("is checked by its own type, changes nothing it does not say, and leaves labels alone", async () => {
    await create(`${apps}/deployments`, { kind: "Deployment", metadata: { name: "d" }, spec: { replicas: 3, selector, template } });
    expect((await apply("d", { spec: { replicas: 1, x: 1 } })).body.message).toBe(
      "failed to create typed patch object (/d; autoscaling/v1, Kind=Scale): .spec.x: field not declared in schema",
    );
    expect((await apply("d", { spec: {} })).body.spec).toEqual({ replicas: 3 });
    expect((await apply("d", { metadata: { name: "d", labels: { z: "y" } }, spec: { replicas: 4 } })).status).toBe(200);
    const { body } = await server.send("GET", `${apps}/deployments/d`);
    expect(body["spec"]).toMatchObject({ replicas: 4 });
    expect(body.metadata.labels).toBeUndefined();
  });

  const unforced = (replicas: number, metadata: object = {}) =>
    server.send("PATCH", `${apps}/deployments/d/scale?fieldManager=n`, {
      body: JSON.stringify({ apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "d", ...metadata }, spec: { replicas } }),
      contentType: "application/apply-patch+yaml",
    });
  const theOldWay = 'conflict with "before-first-apply" with subresource "scale" using autoscaling/v1: .spec.replicas';

  it("conflicts with replicas that nobody owns", async () => {
    await create(`${apps}/deployments`, { kind: "Deployment", metadata: { name: "d" }, spec: { replicas: 3, selector, template } });
    await server.send("PATCH", `${apps}/deployments/d`, {
      body: { metadata: { managedFields: [{}] } },
      contentType: "application/merge-patch+json",
    });
    expect((await unforced(2)).body.message).toBe(`Apply failed with 1 conflict: ${theOldWay}`);
    expect((await unforced(3)).status).toBe(200);
    const owners = (await server.send("GET", `${apps}/deployments/d`)).body["metadata"].managedFields;
    expect(owners?.map(({ manager, operation, subresource, time }) => [manager, operation, subresource, time])).toEqual([
      ["n", "Apply", "scale", undefined],
      ["before-first-apply", "Update", "scale", undefined],
    ]);
  });

  it("of no replicas says something that a Scale without any has not, so that it conflicts with who owns them", async () => {
    await create(`${apps}/deployments?fieldManager=c`, {
      kind: "Deployment",
      metadata: { name: "d" },
      spec: { replicas: 0, selector, template },
    });
    expect((await unforced(0)).body.message).toBe('Apply failed with 1 conflict: conflict with "c" using autoscaling/v1: .spec.replicas');
    expect((await apply("d", { spec: { replicas: 0 } })).status).toBe(200);
    expect((await unforced(0)).body.message).toBe(
      'Apply failed with 1 conflict: conflict with "m" with subresource "scale": .spec.replicas',
    );
  });

  it("of another object with the same name is a conflict, however it is written", async () => {
    await create(`${apps}/deployments`, { kind: "Deployment", metadata: { name: "d" }, spec: { replicas: 3, selector, template } });
    const refused =
      /^Operation cannot be fulfilled on deployments\/scale.apps "d": Precondition failed: UID in precondition: x, UID in object/;
    for (const reply of [
      await unforced(3, { uid: "x" }),
      await server.send("PATCH", `${apps}/deployments/d/scale`, {
        body: { metadata: { uid: "x" } },
        contentType: "application/merge-patch+json",
      }),
    ]) {
      expect(reply.status).toBe(409);
      expect(reply.body.message).toMatch(refused);
    }
    const put = await server.send("PUT", `${apps}/deployments/d/scale`, { body: { metadata: { name: "d", uid: "x" }, spec: {} } });
    expect([put.status, put.body.message]).toEqual([409, expect.stringContaining("UID in precondition: x")]);
  });
});
