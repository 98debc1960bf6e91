import { describe, expect, it } from "vitest";
import { pods, resourceclaims, resourceslices } from "../api/resources.generated.ts";
import type { DeviceTaint, DeviceToleration } from "../api/types/resource-v1.ts";
import { formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { deviceTaintEvictionController } from "./device-taint-eviction.ts";

const at = { namespace: "d", name: "p" };

async function setUp(fixture: ControllerFixture, tolerations: readonly DeviceToleration[] = []): Promise<void> {
  const { client } = fixture;
  const resourceClaims = [{ name: "gpu", resourceClaimName: "x" }];
  const pod = await client.create(pods, { metadata: at, spec: { nodeName: "n", containers: [{ name: "c" }], resourceClaims } });
  const claim = await client.create(resourceclaims, { metadata: { namespace: "d", name: "x" }, spec: {} });
  const results = [{ driver: "dr", pool: "po", device: "dev", request: "r", tolerations }];
  const reservedFor = [{ resource: "pods", name: "p", uid: pod.metadata.uid }];
  await client.updateStatus(resourceclaims, { ...claim, status: { allocation: { devices: { results } }, reservedFor } });
  await client.create(resourceslices, {
    metadata: { name: "s" },
    spec: { driver: "dr", nodeName: "n", pool: { name: "po", generation: 1, resourceSliceCount: 1 }, devices: [{ name: "dev" }] },
  });
  fixture.start(deviceTaintEvictionController);
  await fixture.settle();
}

async function taint({ client, clock }: ControllerFixture, effect?: DeviceTaint["effect"]): Promise<void> {
  const slice = await client.get(resourceslices, { name: "s" });
  const taints = effect ? [{ key: "broken", effect, timeAdded: formatTime(clock.now()) }] : [];
  await client.update(resourceslices, { ...slice, spec: { ...slice.spec, devices: [{ name: "dev", taints }] } });
}

const pod = ({ client }: ControllerFixture) => client.get(pods, at);

describe("deviceTaintEvictionController", () => {
  it("deletes a pod whose device is tainted NoExecute, and says so", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await taint(fixture, "NoExecute");
    await fixture.settle();
    const { metadata, status } = await pod(fixture);
    expect(metadata.deletionTimestamp).toBeDefined();
    expect(status?.conditions).toMatchObject([{ type: "DisruptionTarget", status: "True", reason: "DeletionByDeviceTaintManager" }]);
    expect(status?.conditions?.[0]?.observedGeneration).toBeUndefined();
    expect(await fixture.eventsOf("p")).toEqual(["DeviceTaintManagerEviction: Marking for deletion"]);
  });

  it("leaves pods alone under other taints and tolerated ones", async () => {
    for (const [effect, tolerations] of [
      ["NoSchedule", []],
      ["NoExecute", [{ operator: "Exists", effect: "NoExecute" }]],
      ["NoExecute", [{ key: "broken", effect: "NoExecute" }]],
    ] as const) {
      await using fixture = createControllerFixture();
      await setUp(fixture, tolerations);
      await taint(fixture, effect);
      await fixture.settle();
      expect((await pod(fixture)).metadata.deletionTimestamp).toBeUndefined();
    }
  });

  it("waits as long as is tolerated, and lets the pod be when the taint goes", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, [{ operator: "Exists", effect: "NoExecute", tolerationSeconds: 60 }]);
    await taint(fixture, "NoExecute");
    await fixture.clock.advance(50_000);
    expect((await pod(fixture)).metadata.deletionTimestamp).toBeUndefined();
    await taint(fixture);
    await fixture.clock.advance(50_000);
    expect((await pod(fixture)).metadata.deletionTimestamp).toBeUndefined();
    expect(await fixture.eventsOf("p")).toEqual(["DeviceTaintManagerEviction: Cancelling deletion"]);
    await taint(fixture, "NoExecute");
    await fixture.clock.advance(61_000);
    expect((await pod(fixture)).metadata.deletionTimestamp).toBeDefined();
  });

  it("does not believe slices of an older generation", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await fixture.client.create(resourceslices, {
      metadata: { name: "newer" },
      spec: { driver: "dr", nodeName: "n", pool: { name: "po", generation: 2, resourceSliceCount: 1 }, devices: [{ name: "dev" }] },
    });
    await taint(fixture, "NoExecute");
    await fixture.settle();
    expect((await pod(fixture)).metadata.deletionTimestamp).toBeUndefined();
  });
});
