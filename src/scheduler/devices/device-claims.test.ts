import { afterEach, describe, expect, it } from "vitest";
import { deviceclasses, resourceclaims, resourceslices } from "../../api/resources.generated.ts";
import type { ResourceClaim } from "../../api/types/resource-v1.ts";
import { createControllerFixture } from "../../testing/controller-fixture.ts";
import { NodeInfo } from "../node-info.ts";
import { testNode } from "../test-objects.ts";
import { deviceClaimsOf } from "./device-claims.ts";
import { driver, exactly, testDevice } from "./test-devices.ts";

const allocation = (device: string) => ({ devices: { results: [{ driver, pool: "a", device, request: "r" }] } });
const running: AsyncDisposable[] = [];

afterEach(async () => {
  for (const each of running.splice(0)) await each[Symbol.asyncDispose]();
});

async function setUp() {
  const fixture = createControllerFixture();
  running.push(fixture);
  const devices = deviceClaimsOf(fixture.informers);
  fixture.informers.start();
  await fixture.settle();
  const { client } = fixture;
  const makeClaim = async (): Promise<ResourceClaim> => {
    const claim = await client.create(resourceclaims, {
      metadata: { name: "c", namespace: "d" },
      spec: { devices: { requests: [exactly("r")] } },
    });
    await fixture.settle();
    return claim;
  };
  return {
    ...fixture,
    fixture,
    devices,
    client,
    makeClaim,
    settle: () => fixture.settle(),
    taken: () => devices.allocated.isTaken(`${driver}/a/d1`),
  };
}

describe("DeviceClaims", () => {
  it("counts a device from the promise until the claim is deallocated, without a gap", async () => {
    const t = await setUp();
    const claim = await t.makeClaim();
    t.devices.promise(claim.metadata.uid, allocation("d1"));
    expect([t.taken(), t.devices.isInFlight(claim)]).toEqual([true, true]);
    t.fixture.api.watchDelayMs = () => 1_000;
    const bound = await t.client.updateStatus(resourceclaims, { ...claim, status: { allocation: allocation("d1") } });
    t.devices.written(bound);
    t.devices.release(claim.metadata.uid);
    expect([t.taken(), t.devices.isInFlight(claim)]).toEqual([true, false]);
    // The informer lags, but what was written is known.
    expect(t.devices.get("d/c")?.status?.allocation).toEqual(allocation("d1"));
    await t.clock.advance(2_000);
    expect(t.taken()).toBe(true);
    await t.client.updateStatus(resourceclaims, { ...bound, status: {} });
    await t.clock.advance(2_000);
    expect([t.taken(), t.devices.get("d/c")?.status?.allocation]).toEqual([false, undefined]);
  });

  it("gives a promise back that could not be kept, and forgets deleted claims", async () => {
    const t = await setUp();
    const claim = await t.makeClaim();
    t.devices.promise(claim.metadata.uid, allocation("d1"));
    t.devices.release(claim.metadata.uid);
    t.devices.release(claim.metadata.uid);
    expect(t.taken()).toBe(false);
    t.devices.written(await t.client.updateStatus(resourceclaims, { ...claim, status: { allocation: allocation("d1") } }));
    await t.settle();
    expect(t.taken()).toBe(true);
    await t.client.delete(resourceclaims, { namespace: "d", name: "c" });
    await t.settle();
    expect([t.taken(), t.devices.get("d/c")]).toEqual([false, undefined]);
  });

  it("knows the pools of a node, and anew when a slice or the node's labels change", async () => {
    const t = await setUp();
    const info = new NodeInfo("a", 0);
    info.setNode(testNode("a"));
    const names = () => t.devices.poolsFor(info).flatMap(({ devices }) => devices.map(({ device }) => device.name));
    const pool = (name: string) => ({ name, generation: 1, resourceSliceCount: 1 });
    await t.client.create(resourceslices, {
      metadata: { name: "s" },
      spec: { driver, nodeName: "a", pool: pool("a"), devices: [testDevice("d1")] },
    });
    await t.settle();
    expect(names()).toEqual(["d1"]);
    const nodeSelector = { nodeSelectorTerms: [{ matchExpressions: [{ key: "fabric", operator: "Exists" as const }] }] };
    await t.client.create(resourceslices, {
      metadata: { name: "f" },
      spec: { driver, nodeSelector, pool: pool("f"), devices: [testDevice("f1")] },
    });
    await t.settle();
    expect(names()).toEqual(["d1"]);
    info.setNode(testNode("a", { labels: { fabric: "x" } }));
    expect(names()).toEqual(["d1", "f1"]);
    await t.client.delete(resourceslices, { name: "s" });
    await t.settle();
    expect(names()).toEqual(["f1"]);
  });

  it("gives an extended resource to the newest class that names it", async () => {
    const t = await setUp();
    const make = (name: string) =>
      t.client.create(deviceclasses, { metadata: { name }, spec: { extendedResourceName: "example.com/gpu" } });
    expect(t.devices.classes.forResource("example.com/gpu")).toBeUndefined();
    await make("old");
    await t.clock.advance(2_000);
    await make("new");
    await t.settle();
    expect(t.devices.classes.forResource("example.com/gpu")?.metadata.name).toBe("new");
    expect(t.devices.classes.forResource("deviceclass.resource.kubernetes.io/old")?.metadata.name).toBe("old");
    expect(t.devices.classes.forResource("example.com/other")).toBeUndefined();
  });
});
