import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { namespaces, pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { AdmissionRequest } from "../admission/admission.ts";
import { builtInDefinitions } from "./definitions.ts";
import { plainResource } from "./plain-resource.ts";
import { createFixture, type Fixture } from "./request-fixture.ts";

const path = "/api/v1/namespaces/default/configmaps";
const podPath = "/api/v1/namespaces/default/pods";
const merge = "application/merge-patch+json";

const gracefulPods = {
  ...plainResource(pods),
  deletionReturnsObject: true,
  gracefulDeletion: {
    gracePeriodSeconds: (pod: Pod, requested: number | undefined) =>
      pod.spec.nodeName ? (requested ?? pod.spec.terminationGracePeriodSeconds ?? 30) : 0,
  },
};
const finalizedNamespaces = {
  ...plainResource(namespaces),
  create: { prepare: (ns: object) => ({ ...ns, spec: { finalizers: ["kubernetes"] } }) as never },
};

let server: Fixture;
beforeEach(() => {
  server = createFixture({ definitions: builtInDefinitions([gracefulPods, finalizedNamespaces]) });
});
afterEach(() => server.stop());

const create = (name: string, metadata: object = {}): Promise<unknown> =>
  server.send("POST", path, { body: { metadata: { name, ...metadata } } });
const createPod = (name: string, spec: object): Promise<unknown> =>
  server.send("POST", podPath, { body: { metadata: { name }, spec: { containers: [], ...spec } } });

describe("delete", () => {
  it("answers a Status that names what is gone", async () => {
    await create("a");
    const { status, body } = await server.send("DELETE", `${path}/a`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ kind: "Status", status: "Success", details: { name: "a", kind: "configmaps" } });
    expect((await server.send("DELETE", `${path}/a`)).status).toBe(404);
  });

  it("only marks an object with finalizers, until the last is removed", async () => {
    await create("a", { finalizers: ["example.com/f"] });
    const marked = await server.send("DELETE", `${path}/a`);
    expect(marked.body.metadata).toMatchObject({ deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 0 });
    expect((await server.send("POST", path, { body: { metadata: { name: "a" } } })).body.message).toBe(
      'object is being deleted: configmaps "a" already exists',
    );
    const added = await server.send("PATCH", `${path}/a`, {
      body: { metadata: { finalizers: ["example.com/f", "x.y/z"] } },
      contentType: merge,
    });
    expect(added.body.message).toContain(
      'no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.y/z"}',
    );
    const removed = await server.send("PATCH", `${path}/a`, { body: { metadata: { finalizers: null } }, contentType: merge });
    expect(removed.status).toBe(200);
    expect((await server.send("GET", `${path}/a`)).status).toBe(404);
  });

  it.each([
    ["Orphan", ["orphan"]],
    ["Foreground", ["foregroundDeletion"]],
  ])("with propagation %s leaves the garbage collector %j", async (propagationPolicy, finalizers) => {
    await create("a");
    const { body } = await server.send("DELETE", `${path}/a`, { body: { propagationPolicy } });
    expect(body.metadata.finalizers).toEqual(finalizers);
    const background = await server.send("DELETE", `${path}/a`, { body: { propagationPolicy: "Background" } });
    expect(background.body).toMatchObject({ kind: "Status", status: "Success" });
  });

  it("removes what a finalizer for dependents alone has kept as it was, in one step", async () => {
    await create("a", { finalizers: ["orphan"] });
    const log = await server.watch(`${path}?watch=true`);
    await server.send("DELETE", `${path}/a`, { body: { propagationPolicy: "Background" } });
    await expect.poll(() => log.events.length).toBe(2);
    expect(log.events.map(({ type, object }) => [type, object.metadata.finalizers])).toEqual([
      ["ADDED", ["orphan"]],
      ["DELETED", ["orphan"]],
    ]);
  });

  it("checks preconditions", async () => {
    await create("a");
    const wrong = await server.send("DELETE", `${path}/a`, { body: { preconditions: { uid: "x" } } });
    expect(wrong.body).toMatchObject({ code: 409 });
    expect(wrong.body.message).toContain("the UID in the precondition (x) does not match the UID in record");
    expect((await server.send("DELETE", `${path}/a`, { body: { preconditions: { resourceVersion: "1" } } })).status).toBe(409);
    expect((await server.send("GET", `${path}/a`)).status).toBe(200);
  });

  it("changes nothing in a dry run", async () => {
    await create("a", { finalizers: ["example.com/f"] });
    const { body } = await server.send("DELETE", `${path}/a?dryRun=All`);
    expect(body.metadata.deletionTimestamp).toBeDefined();
    expect((await server.send("GET", `${path}/a`)).body.metadata.deletionTimestamp).toBeUndefined();
  });

  it("refuses options that are wrong", async () => {
    await create("a");
    expect((await server.send("DELETE", `${path}/a?dryRun=Some`)).status).toBe(422);
    expect((await server.send("DELETE", `${path}/a`, { body: "{not json" })).body.message).toBe(
      "couldn't get version/kind; json parse error: invalid character 'n' looking for beginning of object key string",
    );
    expect((await server.send("DELETE", `${path}/a?gracePeriodSeconds=abc`)).status).toBe(400);
    expect((await server.send("DELETE", `${path}/a`, { body: { orphanDependents: true, propagationPolicy: "Orphan" } })).status).toBe(422);
  });
});

describe("graceful deletion", () => {
  it("removes a pod without a node at once", async () => {
    await createPod("a", {});
    expect((await server.send("DELETE", `${podPath}/a`)).body).toMatchObject({
      kind: "Pod",
      metadata: { deletionGracePeriodSeconds: 0, generation: 2 },
    });
    expect((await server.send("GET", `${podPath}/a`)).status).toBe(404);
  });

  it("gives a pod on a node its grace period, which can be shortened but not lengthened", async () => {
    await createPod("a", { nodeName: "n", terminationGracePeriodSeconds: 50 });
    const first = await server.send("DELETE", `${podPath}/a`);
    expect(first.body.metadata).toMatchObject({ deletionGracePeriodSeconds: 50, deletionTimestamp: "2026-01-01T00:00:50Z", generation: 2 });
    expect((await server.send("DELETE", `${podPath}/a?gracePeriodSeconds=80`)).body.metadata.deletionGracePeriodSeconds).toBe(50);
    const shorter = await server.send("DELETE", `${podPath}/a`, { body: { gracePeriodSeconds: 5 } });
    expect(shorter.body.metadata).toMatchObject({
      deletionGracePeriodSeconds: 5,
      deletionTimestamp: "2026-01-01T00:00:05Z",
      generation: 2,
    });
    await server.send("DELETE", `${podPath}/a?gracePeriodSeconds=0`);
    expect((await server.send("GET", `${podPath}/a`)).status).toBe(404);
  });

  it("waits for nothing any more but finalizers where the grace period is nothing", async () => {
    await createPod("a", {});
    const waiting = await server.send("DELETE", `${podPath}/a`, { body: { propagationPolicy: "Foreground" } });
    expect(waiting.body.metadata).toMatchObject({ deletionGracePeriodSeconds: 0, finalizers: ["foregroundDeletion"] });
    const removed = await server.send("DELETE", `${podPath}/a`, { body: { propagationPolicy: "Background" } });
    expect(removed.body.metadata).toMatchObject({ uid: waiting.body.metadata.uid, finalizers: ["foregroundDeletion"] });
    expect((await server.send("GET", `${podPath}/a`)).status).toBe(404);
  });

  it("moves no end into the past", async () => {
    await createPod("a", { nodeName: "n", terminationGracePeriodSeconds: 50 });
    await server.send("DELETE", `${podPath}/a`);
    await server.clock.advance(20_000);
    const shorter = await server.send("DELETE", `${podPath}/a?gracePeriodSeconds=5`);
    expect(shorter.body.metadata).toMatchObject({ deletionGracePeriodSeconds: 1, deletionTimestamp: "2026-01-01T00:00:20Z" });
  });

  it("asks again what becomes of dependents when a pod's grace period is over", async () => {
    await server.send("POST", podPath, { body: { metadata: { name: "a", finalizers: ["example.com/f"] }, spec: { containers: [] } } });
    await server.send("DELETE", `${podPath}/a`);
    const { body } = await server.send("DELETE", `${podPath}/a`, { body: { gracePeriodSeconds: 1, propagationPolicy: "Foreground" } });
    expect(body.metadata).toMatchObject({ deletionGracePeriodSeconds: 0, finalizers: ["example.com/f", "foregroundDeletion"] });
  });

  it("counts a negative grace period as one second", async () => {
    await createPod("a", { nodeName: "n" });
    expect((await server.send("DELETE", `${podPath}/a?gracePeriodSeconds=-5`)).body.metadata.deletionGracePeriodSeconds).toBe(1);
  });
});

describe("namespaces", () => {
  it("are terminating until they are finalized", async () => {
    await server.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    const { status, body } = await server.send("DELETE", "/api/v1/namespaces/n");
    expect(status).toBe(200);
    expect(body).toMatchObject({ metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" }, status: { phase: "Terminating" } });
    expect((await server.send("GET", "/api/v1/namespaces/n")).body.status).toEqual({ phase: "Terminating" });
    const finalized = await server.send("PUT", "/api/v1/namespaces/n/finalize", {
      body: { metadata: { name: "n" }, spec: { finalizers: [] } },
    });
    expect(finalized.status).toBe(200);
    expect((await server.send("GET", "/api/v1/namespaces/n")).status).toBe(404);
  });

  it("wait for metadata's finalizers alone when they are deleted again", async () => {
    await server.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } });
    await server.send("DELETE", "/api/v1/namespaces/n", { body: { propagationPolicy: "Orphan" } });
    await server.send("PUT", "/api/v1/namespaces/n/finalize", { body: { metadata: { name: "n", finalizers: ["orphan"] }, spec: {} } });
    const { body } = await server.send("DELETE", "/api/v1/namespaces/n");
    expect(body.metadata).toMatchObject({ deletionGracePeriodSeconds: 0, finalizers: ["orphan"] });
  });
});

describe("the options of a namespace's deletion", () => {
  it("name its uid to who validates it", async () => {
    const seen: unknown[] = [];
    const record = ({ options }: AdmissionRequest): undefined => void seen.push(options["preconditions"]);
    const watched = createFixture({
      definitions: builtInDefinitions([finalizedNamespaces]),
      admission: [{ name: "Recorder", handles: ({ operation }) => operation === "DELETE", admit: record, validate: record }],
    });
    const { uid } = (await watched.send("POST", "/api/v1/namespaces", { body: { metadata: { name: "n" } } })).body.metadata;
    await watched.send("DELETE", "/api/v1/namespaces/n", { body: { preconditions: { resourceVersion: "0" } } });
    await watched.send("DELETE", "/api/v1/namespaces/n");
    expect(seen).toEqual([undefined, { uid }]);
    await watched.stop();
  });
});

describe("deletecollection", () => {
  it("goes no further when whoever asked for it has gone", async () => {
    const gone = new AbortController();
    let deletions = 0;
    await server.stop();
    server = createFixture({
      admission: [
        {
          name: "Counts",
          handles: ({ operation }) => operation === "DELETE",
          validate: () => {
            if (++deletions === 20) gone.abort(new Error("gone"));
          },
        },
      ],
    });
    for (let i = 0; i < 100; i++) await create(`many-${i}`);
    await expect(server.send("DELETE", path, { signal: gone.signal })).rejects.toThrow("gone");
    const { items } = (await server.send("GET", path)).body;
    expect(items.length).toBeGreaterThan(50);
    expect((await server.send("GET", path)).body.items).toHaveLength(items.length);
  });

  it("deletes what the selectors select and answers with it", async () => {
    for (const [name, l] of [
      ["a", "1"],
      ["b", "2"],
      ["c", "1"],
    ] as const)
      await create(name, { labels: { l } });
    const { body } = await server.send("DELETE", `${path}?labelSelector=l=1`);
    expect(body).toMatchObject({ kind: "ConfigMapList", items: [{ metadata: { name: "a" } }, { metadata: { name: "c" } }] });
    expect((await server.send("GET", path)).body.items.map((item) => item.metadata.name)).toEqual(["b"]);
  });

  it("answers with a table or with metadata where that is wanted", async () => {
    const deleteAs = async (as: string): Promise<unknown> => {
      await create("a");
      return (await server.send("DELETE", path, { accept: `application/json;as=${as};g=meta.k8s.io;v=v1` })).body;
    };
    expect(await deleteAs("Table")).toMatchObject({ kind: "Table", rows: [{ cells: ["a", expect.anything()] }] });
    expect(await deleteAs("PartialObjectMetadataList")).toMatchObject({
      kind: "PartialObjectMetadataList",
      items: [{ metadata: { name: "a" } }],
    });
    expect((await server.send("GET", path)).body.items).toEqual([]);
  });
});
