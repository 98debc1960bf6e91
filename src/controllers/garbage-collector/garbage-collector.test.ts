import { describe, expect, it } from "vitest";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { configmaps, deployments } from "../../api/resources.generated.ts";
import type { ConfigMap } from "../../api/types/core-v1.ts";
import type { DeleteOptions, OwnerReference } from "../../api/types/meta-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { garbageCollector } from "./garbage-collector.ts";
import { planCollection } from "./plan-collection.ts";

const namespace = "shop";

function refTo(owner: KubernetesObject, more: Partial<OwnerReference> = {}): OwnerReference {
  return { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.metadata.name, uid: owner.metadata.uid, ...more };
}

function make(
  fixture: ControllerFixture,
  name: string,
  ownerReferences: OwnerReference[] = [],
  finalizers: string[] = [],
): Promise<ConfigMap> {
  return fixture.client.create(configmaps, { metadata: { name, namespace, ownerReferences, finalizers } });
}

async function started(): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(garbageCollector);
  await fixture.settle();
  return fixture;
}

const remove = (fixture: ControllerFixture, name: string, body: DeleteOptions = {}) =>
  fixture.client.delete(configmaps, { namespace, name }, { body });

async function left(fixture: ControllerFixture): Promise<readonly string[]> {
  await fixture.settle();
  await fixture.clock.advance(5_000);
  return (await fixture.client.list(configmaps, { namespace })).items.map((map) => map.metadata.name).sort();
}

describe("planCollection()", () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "x", uid: "x", resourceVersion: "1", creationTimestamp: "" } };
  const plan = (
    owners: [string, "solid" | "dangling" | "waiting"][],
    more: { hasDependents?: boolean; hasWaitingDependents?: boolean; finalizers?: string[] } = {},
  ) =>
    planCollection({
      object: { ...object, metadata: { ...object.metadata, finalizers: more.finalizers ?? [] } },
      owners: new Map(owners),
      hasDependents: more.hasDependents ?? false,
      hasWaitingDependents: more.hasWaitingDependents ?? false,
    });

  it("keeps what has a living owner or never had one", () => {
    expect(plan([])).toEqual({ kind: "keep" });
    expect(plan([["a", "solid"]])).toEqual({ kind: "keep" });
  });

  it("takes dead owners' references from what has a living one", () => {
    expect(
      plan([
        ["a", "solid"],
        ["b", "dangling"],
        ["c", "waiting"],
      ]),
    ).toEqual({ kind: "dropReferences", uids: ["b", "c"] });
  });

  it("deletes what has none, as its finalizers ask", () => {
    expect(plan([["b", "dangling"]])).toMatchObject({ kind: "delete", propagation: "Background" });
    expect(plan([["b", "dangling"]], { finalizers: ["orphan"] })).toMatchObject({ propagation: "Orphan" });
    expect(plan([["b", "dangling"]], { finalizers: ["foregroundDeletion"] })).toMatchObject({ propagation: "Foreground" });
  });

  it("deletes in the foreground where an owner waits and there are dependents, breaking cycles", () => {
    expect(plan([["b", "waiting"]], { hasDependents: true })).toEqual({ kind: "delete", propagation: "Foreground", unblockFirst: false });
    expect(plan([["b", "waiting"]], { hasDependents: true, hasWaitingDependents: true })).toMatchObject({ unblockFirst: true });
    expect(plan([["b", "waiting"]])).toMatchObject({ propagation: "Background" });
  });
});

describe("garbage-collector-controller", () => {
  it("collects a chain of dependents to its end", async () => {
    await using fixture = await started();
    const a = await make(fixture, "a");
    const b = await make(fixture, "b", [refTo(a)]);
    const c = await make(fixture, "c", [refTo(b)]);
    await fixture.client.create(deployments, {
      metadata: { name: "d", namespace, ownerReferences: [refTo(c)] },
      spec: { selector: {}, template: {} },
    });
    await make(fixture, "other");
    expect(await left(fixture)).toEqual(["a", "b", "c", "other"]);
    await remove(fixture, "a");
    expect(await left(fixture)).toEqual(["other"]);
    expect((await fixture.client.list(deployments)).items).toEqual([]);
    expect(fixture.problems).toEqual([]);
  });

  it("collects what lost its owner while nobody watched", async () => {
    await using fixture = createControllerFixture();
    const a = await make(fixture, "a");
    await make(fixture, "b", [refTo(a)]);
    await remove(fixture, "a");
    fixture.start(garbageCollector);
    expect(await left(fixture)).toEqual([]);
  });

  it("does not take a successor of the same name for the owner", async () => {
    await using fixture = await started();
    const a = await make(fixture, "a");
    await make(fixture, "b", [refTo(a)]);
    await remove(fixture, "a");
    await make(fixture, "a");
    expect(await left(fixture)).toEqual(["a"]);
  });

  it("takes only the dead owner's reference from what has another", async () => {
    await using fixture = await started();
    const [dead, alive] = [await make(fixture, "dead"), await make(fixture, "alive")];
    await make(fixture, "d", [refTo(dead), refTo(alive)]);
    await fixture.settle();
    await remove(fixture, "dead");
    expect(await left(fixture)).toEqual(["alive", "d"]);
    const d = await fixture.client.get(configmaps, { namespace, name: "d" });
    expect(d.metadata.ownerReferences?.map((ref) => ref.name)).toEqual(["alive"]);
  });

  it("in the foreground waits for blocking dependents, and only for them", async () => {
    await using fixture = await started();
    const owner = await make(fixture, "owner");
    await make(fixture, "blocks", [refTo(owner, { blockOwnerDeletion: true })], ["example.com/hold"]);
    await make(fixture, "held", [refTo(owner)], ["example.com/hold"]);
    await fixture.settle();
    await remove(fixture, "owner", { propagationPolicy: "Foreground" });
    expect(await left(fixture)).toEqual(["blocks", "held", "owner"]);
    await fixture.client.patch(configmaps, { namespace, name: "blocks" }, { metadata: { finalizers: [] } }, { type: "merge" });
    expect(await left(fixture)).toEqual(["held"]);
  });

  it("in the foreground deletes a tree from its leaves", async () => {
    await using fixture = await started();
    const order: string[] = [];
    fixture.informers.informer(configmaps).addHandler({ onDelete: (map) => void order.push(map.metadata.name) });
    const a = await make(fixture, "a");
    const b = await make(fixture, "b", [refTo(a, { blockOwnerDeletion: true })]);
    await make(fixture, "c", [refTo(b, { blockOwnerDeletion: true })]);
    await fixture.settle();
    await remove(fixture, "a", { propagationPolicy: "Foreground" });
    expect(await left(fixture)).toEqual([]);
    expect(order).toEqual(["c", "b", "a"]);
  });

  it("breaks a cycle of foreground deletions", async () => {
    await using fixture = await started();
    const a = await make(fixture, "a");
    const b = await make(fixture, "b", [refTo(a, { blockOwnerDeletion: true })]);
    await fixture.client.patch(
      configmaps,
      { namespace, name: "a" },
      { metadata: { ownerReferences: [refTo(b, { blockOwnerDeletion: true })] } },
      { type: "merge" },
    );
    await fixture.settle();
    await remove(fixture, "a", { propagationPolicy: "Foreground" });
    expect(await left(fixture)).toEqual([]);
  });

  it("when orphaning frees the dependents before the owner goes", async () => {
    await using fixture = await started();
    const owner = await make(fixture, "owner");
    await make(fixture, "d", [refTo(owner)]);
    await fixture.settle();
    await remove(fixture, "owner", { propagationPolicy: "Orphan" });
    expect(await left(fixture)).toEqual(["d"]);
    expect((await fixture.client.get(configmaps, { namespace, name: "d" })).metadata.ownerReferences).toEqual([]);
  });

  it("reports and collects what refers to an owner in another namespace", async () => {
    await using fixture = await started();
    const owner = await fixture.client.create(configmaps, { metadata: { name: "owner", namespace: "elsewhere" } });
    await make(fixture, "d", [refTo(owner)]);
    expect(await left(fixture)).toEqual([]);
    const message = `ownerRef [v1/ConfigMap, namespace: shop, name: owner, uid: ${owner.metadata.uid}] does not exist in namespace "shop"`;
    expect(await fixture.eventsOf("d")).toEqual([`OwnerRefInvalidNamespace: ${message}`]);
    expect((await fixture.client.list(configmaps, { namespace: "elsewhere" })).items).toHaveLength(1);
  });

  it("leaves alone what refers to a kind that nobody serves", async () => {
    await using fixture = await started();
    await make(fixture, "d", [{ apiVersion: "example.com/v1", kind: "Thing", name: "t", uid: "t" }]);
    expect(await left(fixture)).toEqual(["d"]);
    expect(fixture.problems.join()).toContain("unknown kind of owner example.com/v1 Thing");
  });

  it("does not delete on the word of a cache that lags", async () => {
    await using fixture = await started();
    fixture.api.watchDelayMs = (path) => (path.endsWith("/deployments") ? 10_000 : 0);
    const owner = await fixture.client.create(deployments, { metadata: { name: "web", namespace }, spec: { selector: {}, template: {} } });
    await make(fixture, "d", [{ ...refTo(owner), apiVersion: "apps/v1", kind: "Deployment" }]);
    expect(await left(fixture)).toEqual(["d"]);
  });
});
