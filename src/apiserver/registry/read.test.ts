import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFixture, type Fixture } from "./request-fixture.ts";

const path = "/api/v1/namespaces/default/configmaps";
const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
const merge = "application/merge-patch+json";

let server: Fixture;
beforeEach(() => {
  server = createFixture();
});
afterEach(() => server.stop());

async function create(name: string, namespace = "default", labels?: Record<string, string>): Promise<string> {
  const body = { metadata: { name, ...(labels ? { labels } : {}) }, data: { k: name } };
  return (await server.send("POST", `/api/v1/namespaces/${namespace}/configmaps`, { body })).body.metadata.resourceVersion;
}

const names = async (url: string): Promise<string[]> => (await server.send("GET", url)).body.items.map((item) => item.metadata.name);

describe("list", () => {
  it("shows the objects of a namespace, or of all, in key order", async () => {
    for (const name of ["c", "a", "b.1", "b", "b-1"]) await create(name);
    await create("z", "a");
    expect(await names(path)).toEqual(["a", "b", "b-1", "b.1", "c"]);
    expect(await names("/api/v1/configmaps")).toEqual(["z", "a", "b", "b-1", "b.1", "c"]);
  });

  it("leaves kind and apiVersion out of items of built-in kinds", async () => {
    await create("a");
    const { body } = await server.send("GET", path);
    expect(body).toMatchObject({ kind: "ConfigMapList", apiVersion: "v1" });
    expect(Object.keys(body.items[0] ?? {}).sort()).toEqual(["data", "metadata"]);
    expect(body.items[0]?.metadata.resourceVersion).toBe(body.metadata.resourceVersion);
  });

  it("streams many objects as one valid list", async () => {
    for (let i = 0; i < 100; i++) await create(`n${i}`);
    expect((await server.send("GET", path)).body.items).toHaveLength(100);
  });

  it("selects by labels and fields, and refuses unknown fields", async () => {
    await create("a", "default", { app: "x" });
    await create("b", "default", { app: "y" });
    expect(await names(`${path}?labelSelector=app%20in%20(x)`)).toEqual(["a"]);
    expect(await names(`${path}?fieldSelector=metadata.name!=a`)).toEqual(["b"]);
    expect(await names("/api/v1/configmaps?fieldSelector=metadata.namespace=default,metadata.name=b")).toEqual(["b"]);
    expect((await server.send("GET", `${path}?fieldSelector=data.k=1`)).body.message).toBe(
      '"data.k" is not a known field selector: only "metadata.name", "metadata.namespace"',
    );
  });

  it("goes on page by page at the revision of the first", async () => {
    for (const name of ["a", "b", "c", "d", "e"]) await create(name);
    const first = (await server.send("GET", `${path}?limit=2`)).body;
    const metadata = first.metadata as unknown as { continue: string; remainingItemCount: number; resourceVersion: string };
    expect(metadata.remainingItemCount).toBe(3);
    await create("bb");
    await server.send("DELETE", `${path}/d`);
    await server.send("PATCH", `${path}/e`, { body: { data: { k: "changed" } }, contentType: merge });
    const rest = (await server.send("GET", `${path}?limit=5&continue=${metadata.continue}`)).body;
    expect(rest.items.map((item) => [item.metadata.name, (item.data as { k: string }).k])).toEqual([
      ["c", "c"],
      ["d", "d"],
      ["e", "e"],
    ]);
    expect(rest.metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  it("reads exact revisions from the store when the cache has forgotten them", async () => {
    await server.stop();
    server = createFixture({ events: { minEvents: 0, maxEvents: 1 } });
    const revision = await create("a");
    await server.send("GET", path);
    await create("b");
    await create("c");
    expect(await names(`${path}?resourceVersion=${revision}&resourceVersionMatch=Exact`)).toEqual(["a"]);
    expect(await names(`${path}?resourceVersion=${revision}&limit=10`)).toEqual(["a"]);
    expect(await names(`${path}?resourceVersion=${revision}&resourceVersionMatch=NotOlderThan`)).toEqual(["a", "b", "c"]);
  });

  it("answers 410 for a compacted revision, with a token that goes on without consistency", async () => {
    await server.stop();
    server = createFixture({ events: { minEvents: 0, maxEvents: 1 } });
    for (const name of ["a", "b", "c"]) await create(name);
    const first = (await server.send("GET", `${path}?limit=1`)).body;
    await create("d");
    await create("e");
    await server.store.compact(Number(await create("f")));
    const old = await server.send("GET", `${path}?limit=1&continue=${(first.metadata as { continue?: string }).continue}`);
    expect(old.body).toMatchObject({ code: 410, reason: "Expired" });
    const rest = await names(`${path}?continue=${(old.body.metadata as { continue?: string }).continue}`);
    expect(rest).toEqual(["b", "c", "d", "e", "f"]);
  });

  it("refuses revisions that are malformed or far off", async () => {
    const wrong = await server.send("GET", `${path}?resourceVersion=abc`);
    expect(wrong.body.message).toBe(
      'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax',
    );
    const exact = await server.send("GET", `${path}?resourceVersion=99999&resourceVersionMatch=Exact`);
    expect(exact.body).toMatchObject({ code: 504, reason: "Timeout" });
    const waiting = server.send("GET", `${path}?resourceVersion=99999`);
    await server.clock.advance(3000);
    expect((await waiting).body).toMatchObject({ code: 504, details: { causes: [{ reason: "ResourceVersionTooLarge" }] } });
  });

  it("shows what was written before it, whoever wrote it", async () => {
    await names(path);
    const value = Buffer.from(JSON.stringify({ kind: "ConfigMap", apiVersion: "v1", metadata: { name: "x", namespace: "default" } }));
    await server.store.transact({ conditions: [], operations: [{ type: "put", key: "/registry/configmaps/default/x", value }] });
    expect(await names(path)).toEqual(["x"]);
  });
});

describe("representations", () => {
  it("shows tables with what includeObject asks for", async () => {
    await create("a");
    const { body } = await server.send("GET", path, { accept: table });
    expect(body).toMatchObject({ kind: "Table", columnDefinitions: [{ name: "Name" }, { name: "Created At" }] });
    expect(body.rows).toMatchObject([
      { cells: ["a", "2026-01-01T00:00:00Z"], object: { kind: "PartialObjectMetadata", metadata: { name: "a" } } },
    ]);
    expect((await server.send("GET", `${path}/a?includeObject=None`, { accept: table })).body.rows).toMatchObject([{ object: null }]);
    expect((await server.send("GET", `${path}?includeObject=Bogus`, { accept: table })).status).toBe(400);
  });

  it("shows metadata alone", async () => {
    await create("a");
    const list = await server.send("GET", path, { accept: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io" });
    expect(list.body).toMatchObject({
      kind: "PartialObjectMetadataList",
      items: [{ kind: "PartialObjectMetadata", metadata: { name: "a" } }],
    });
    expect(list.body.items[0]?.data).toBeUndefined();
  });
});

describe("watch", () => {
  const shown = (events: readonly { type: string; object: { metadata: { name?: string } } }[]): string[] =>
    events.map((event) => `${event.type} ${event.object.metadata.name ?? ""}`.trim());

  it("begins with the present objects and goes on", async () => {
    await create("a");
    const log = await server.watch(`${path}?watch=true`);
    await create("b");
    await server.send("DELETE", `${path}/a`);
    await server.clock.settle();
    expect(shown(log.events)).toEqual(["ADDED a", "ADDED b", "DELETED a"]);
  });

  it("goes on from a revision with every later event, also from before the cache was loaded", async () => {
    const revision = await create("a");
    await server.send("PATCH", `${path}/a`, { body: { data: { k: "2" } }, contentType: merge });
    await server.send("DELETE", `${path}/a`);
    const last = await create("b");
    const log = await server.watch(`${path}?watch=true&resourceVersion=${revision}`);
    await server.clock.settle();
    expect(shown(log.events)).toEqual(["MODIFIED a", "DELETED a", "ADDED b"]);
    expect(log.events.map((e) => Number(e.object.metadata.resourceVersion) > Number(revision))).toEqual([true, true, true]);
    expect(log.events.at(-1)?.object.metadata.resourceVersion).toBe(last);
  });

  it("shows objects that come into a selector as added and those that leave as deleted", async () => {
    const log = await server.watch(`${path}?watch=true&labelSelector=app=x`);
    await create("a", "default", { app: "x" });
    await server.send("PATCH", `${path}/a`, { body: { metadata: { labels: { app: "y" } } }, contentType: merge });
    await server.send("PATCH", `${path}/a`, { body: { metadata: { labels: { app: "x" } } }, contentType: merge });
    await create("other", "default", { app: "z" });
    await server.clock.settle();
    expect(shown(log.events)).toEqual(["ADDED a", "DELETED a", "ADDED a"]);
    expect(log.events[1]?.object.metadata.labels).toEqual({ app: "x" });
  });

  it("tells a client whose revision is gone to start over", async () => {
    const revision = await create("a");
    await create("b");
    await server.store.compact(Number(await create("c")));
    const log = await server.watch(`${path}?watch=true&resourceVersion=${revision}`);
    await log.ended;
    expect(log.events).toMatchObject([{ type: "ERROR", object: { kind: "Status", code: 410, reason: "Expired" } }]);
    expect(log.events[0]?.object.message).toMatch(/^too old resource version: /);
  });

  it("marks the end of the initial events, sends bookmarks and ends in time", async () => {
    await create("a");
    const query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=100";
    const log = await server.watch(`${path}?${query}`);
    await server.clock.settle();
    expect(shown(log.events)).toEqual(["ADDED a", "BOOKMARK"]);
    expect(log.events[1]?.object.metadata.annotations).toEqual({ "k8s.io/initial-events-end": "true" });
    const { body } = await server.send("POST", "/api/v1/namespaces/default/secrets", { body: { metadata: { name: "s" } } });
    await server.clock.advance(60_000);
    expect(shown(log.events).slice(2)).toEqual(["BOOKMARK"]);
    expect(log.events[2]?.object.metadata.resourceVersion).toBe(body.metadata.resourceVersion);
    await server.clock.advance(40_000);
    await log.ended;
    expect(shown(log.events).slice(3)).toEqual(["BOOKMARK"]);
  });

  it("ends when the client goes", async () => {
    const client = new AbortController();
    const log = await server.watch(`${path}?watch=true`, { signal: client.signal });
    client.abort(new Error("gone"));
    await log.ended;
    expect([...server.stores.all].reduce((sum, { cache }) => sum + cache.watcherCount, 0)).toBe(0);
  });

  it("closes a client that does not keep up, and nobody else", async () => {
    await server.stop();
    server = createFixture({ maxPending: 10 });
    const slow = await server.handler({
      request: {
        method: "GET",
        path,
        query: new URLSearchParams("watch=true"),
        headers: {},
        headerLines: () => [],
        body: { kind: "none" },
        signal: new AbortController().signal,
        remoteAddress: "",
      },
      info: { ...(await import("../http/request-info.ts")).parseRequestInfo("GET", path, new URLSearchParams("watch=true")) },
      user: { name: "u", groups: [] },
      warnings: [],
      receivedAtMs: 0,
    });
    const quick = await server.watch(`${path}?watch=true`);
    for (let i = 0; i < 30; i++) await create(`n${i}`);
    await server.clock.settle();
    expect(quick.events).toHaveLength(30);
    if (slow.kind !== "watch") throw new Error("no watch");
    const batches = [];
    for await (const batch of slow.stream.batches) batches.push(batch);
    expect(batches).toEqual([]);
  });

  it("shows tables, the columns in the first only", async () => {
    const log = await server.watch(`${path}?watch=true`, { accept: table });
    await create("a");
    await create("b");
    await server.clock.settle();
    expect(log.events).toMatchObject([
      {
        type: "ADDED",
        object: { kind: "Table", columnDefinitions: [{ name: "Name" }, {}], rows: [{ cells: ["a", "2026-01-01T00:00:00Z"] }] },
      },
      { type: "ADDED", object: { kind: "Table", columnDefinitions: null } },
    ]);
  });

  it("by name sees an object go and another come in its place", async () => {
    const first = await create("a");
    const byName = `${path}?watch=true&fieldSelector=metadata.name%3Da`;
    const started = await server.watch(byName);
    await create("b");
    await server.send("DELETE", `${path}/a`);
    await create("a");
    const late = await server.watch(`${byName}&resourceVersion=${first}`);
    await server.clock.settle();
    expect(shown(started.events)).toEqual(["ADDED a", "DELETED a", "ADDED a"]);
    expect(shown(late.events)).toEqual(["DELETED a", "ADDED a"]);
  });

  it("watches one object by the old path", async () => {
    const log = await server.watch("/api/v1/watch/namespaces/default/configmaps/a");
    await create("b");
    await create("a");
    await server.clock.settle();
    expect(shown(log.events)).toEqual(["ADDED a"]);
  });
});
