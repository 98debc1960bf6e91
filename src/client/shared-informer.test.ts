import { describe, expect, it } from "vitest";
import { configmaps } from "../api/resources.generated.ts";
import type { ConfigMap } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLogger } from "../base/log.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { createClient } from "./create-client.ts";
import { createInformerFactory } from "./informer-factory.ts";

function setUp() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const lines: string[] = [];
  const logger = createLogger("test", { write: (line) => void lines.push(line) });
  const factory = createInformerFactory(client, { clock, logger, deepFreeze: true });
  const informer = factory.informer(configmaps);
  const told: string[] = [];
  const record = (what: string) => (map: ConfigMap) => void told.push(`${what} ${map.metadata.name} ${map.data?.v ?? ""}`.trim());
  informer.addHandler({ onAdd: record("add"), onUpdate: record("update"), onDelete: record("delete") });
  const create = (name: string, v = "1", namespace = "default") =>
    client.create(configmaps, { metadata: { name, namespace }, data: { v } });
  const change = async (name: string, v: string) => {
    await client.patch(configmaps, { namespace: "default", name }, { data: { v } }, { type: "merge" });
    await clock.settle();
  };
  return { clock, api, client, factory, informer, told, create, change, lines };
}

describe("SharedInformer", () => {
  it("lists, then follows changes in order", async () => {
    const { clock, client, factory, informer, told, create, change } = setUp();
    await create("a");
    factory.start();
    await factory.synced();
    expect(informer.hasSynced).toBe(true);
    await create("b");
    await change("a", "2");
    await client.delete(configmaps, { namespace: "default", name: "b" });
    await clock.settle();
    expect(told).toEqual(["add a 1", "add b 1", "update a 2", "delete b 1"]);
    expect(informer.get("default/a")?.data).toEqual({ v: "2" });
    expect(informer.size).toBe(1);
    await factory.stop();
  });

  it("keeps an object that an index cannot read, says so, and goes on", async () => {
    const { clock, factory, informer, told, lines, create } = setUp();
    informer.addIndex("by-v", ({ metadata, data }) => {
      if (metadata.name === "odd") throw new TypeError("nothing of the kind");
      return [data?.v ?? ""];
    });
    await create("odd");
    factory.start();
    await factory.synced();
    await create("good");
    await clock.settle();
    expect(told).toEqual(["add odd 1", "add good 1"]);
    expect(informer.byIndex("by-v", "1").map(({ metadata }) => metadata.name)).toEqual(["good"]);
    expect(lines.join("")).toMatch(/cannot be found by an index.*default\/odd.*by-v/);
    await factory.stop();
  });

  it("tells a late handler of everything that is there", async () => {
    const { factory, informer, create } = setUp();
    await create("a");
    factory.start();
    await factory.synced();
    const late: string[] = [];
    const registration = informer.addHandler({ onAdd: (map) => void late.push(map.metadata.name) });
    expect(late).toEqual(["a"]);
    registration.remove();
    await create("b");
    await factory.stop();
    expect(late).toEqual(["a"]);
  });

  it("goes on from where it was when a watch breaks, without telling anything twice", async () => {
    const { clock, api, factory, told, create } = setUp();
    await create("a");
    factory.start();
    await factory.synced();
    await clock.settle();
    api.breakWatches();
    await create("b");
    await clock.advance(5_000);
    expect(told).toEqual(["add a 1", "add b 1"]);
    await factory.stop();
  });

  it("lists again after 410 and tells the differences, deletions too", async () => {
    const { clock, api, client, factory, told, create, change } = setUp();
    await create("gone");
    await create("kept");
    await create("changed");
    await create("replaced");
    factory.start();
    await factory.synced();
    await clock.settle();
    api.breakWatches();
    await client.delete(configmaps, { namespace: "default", name: "gone" });
    await client.delete(configmaps, { namespace: "default", name: "replaced" });
    await create("replaced", "new");
    await change("changed", "2");
    api.compact();
    told.length = 0;
    await clock.advance(5_000);
    expect([...told].sort()).toEqual(["add replaced new", "delete gone 1", "delete replaced 1", "update changed 2"]);
    await factory.stop();
  });

  it("waits longer after each failure while the server is down, and recovers", async () => {
    const { clock, api, factory, told, create, lines } = setUp();
    await create("a");
    let calls = 0;
    api.intercept = () => {
      calls++;
      throw new Error("connection refused");
    };
    factory.start();
    await clock.advance(60_000);
    expect(calls).toBeGreaterThan(3);
    expect(calls).toBeLessThan(12);
    expect(lines.join()).toContain("connection refused");
    api.intercept = () => undefined;
    await clock.advance(60_000);
    expect(told).toEqual(["add a 1"]);
    await factory.stop();
  });

  it("logs a handler that throws and goes on with the others", async () => {
    const { clock, factory, informer, told, create, lines } = setUp();
    informer.addHandler({
      onAdd() {
        throw new Error("my fault");
      },
    });
    factory.start();
    await factory.synced();
    await create("a");
    await clock.settle();
    expect(told).toEqual(["add a 1"]);
    expect(lines.join()).toContain("my fault");
    await factory.stop();
  });

  it("finds objects by namespace and by indexes, as they change", async () => {
    const { clock, factory, informer, create, change } = setUp();
    informer.addIndex("v", (map) => (map.data?.v ? [map.data.v] : []));
    factory.start();
    await factory.synced();
    await create("a");
    await create("b");
    await create("c", "1", "other");
    await clock.settle();
    const names = (maps: readonly ConfigMap[]) => maps.map((map) => map.metadata.name).sort();
    expect(names(informer.inNamespace("default"))).toEqual(["a", "b"]);
    expect(names(informer.byIndex("v", "1"))).toEqual(["a", "b", "c"]);
    await change("a", "2");
    expect(names(informer.byIndex("v", "1"))).toEqual(["b", "c"]);
    expect(informer.byIndex("v", "2").map((map) => map.data?.v)).toEqual(["2"]);
    expect(() => informer.byIndex("nope", "1")).toThrow('there is no index "nope"');
    await factory.stop();
  });

  it("knows how far its cache has come", async () => {
    const { clock, factory, informer, create } = setUp();
    factory.start();
    await factory.synced();
    const made = await create("a");
    expect(informer.isAtLeast(made.metadata.resourceVersion)).toBe(false);
    await clock.settle();
    expect(informer.isAtLeast(made.metadata.resourceVersion)).toBe(true);
    await factory.stop();
  });

  it("is one for all who ask for the same", () => {
    const { factory, informer } = setUp();
    expect(factory.informer(configmaps)).toBe(informer);
    expect(factory.informer(configmaps, { namespace: "default" })).not.toBe(informer);
  });

  it("freezes what it caches", async () => {
    const { clock, factory, informer, create } = setUp();
    factory.start();
    await factory.synced();
    await create("a");
    await clock.settle();
    const cached = informer.get("default/a") as { data: Record<string, string> };
    expect(() => {
      cached.data.v = "changed";
    }).toThrow(TypeError);
    await factory.stop();
  });
});
