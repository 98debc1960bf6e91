import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { csidrivers, nodes, persistentvolumeclaims, persistentvolumes, pods, volumeattachments } from "../../api/resources.generated.ts";
import type { Node, NodeStatus, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { VolumeAttachmentStatus } from "../../api/types/storage-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { attachDetachController } from "./attach-detach.ts";

const uniqueName = "kubernetes.io/csi/dr^h1";
const managed = { "volumes.kubernetes.io/controller-managed-attach-detach": "true" };

async function setUp(fixture: ControllerFixture, accessMode = "ReadWriteOnce"): Promise<void> {
  const { client } = fixture;
  for (const name of ["n1", "n2"]) await client.create(nodes, { metadata: { name, annotations: managed }, spec: {} } as New<Node>);
  const claim = await client.create(persistentvolumeclaims, { metadata: { namespace: "d", name: "c" }, spec: { volumeName: "v" } });
  await client.updateStatus(persistentvolumeclaims, { ...claim, status: { phase: "Bound" } } as PersistentVolumeClaim);
  await client.create(persistentvolumes, {
    metadata: { name: "v" },
    spec: {
      accessModes: [accessMode],
      csi: { driver: "dr", volumeHandle: "h1" },
      claimRef: { namespace: "d", name: "c", uid: claim.metadata.uid },
    },
  });
  fixture.start(attachDetachController);
}

async function makePod({ client }: ControllerFixture, name: string, nodeName: string): Promise<void> {
  const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "c" } }];
  await client.create(pods, { metadata: { namespace: "d", name }, spec: { nodeName, containers: [{ name: "c" }], volumes } });
}

const removePod = ({ client }: ControllerFixture, name: string) =>
  client.delete(pods, { namespace: "d", name }, { body: { gracePeriodSeconds: 0 } });

const attachments = async ({ client }: ControllerFixture) => (await client.list(volumeattachments)).items;
const attachedTo = async (fixture: ControllerFixture) => (await attachments(fixture)).map(({ spec }) => spec.nodeName).sort();
const reported = async ({ client }: ControllerFixture, name: string) => (await client.get(nodes, { name })).status?.volumesAttached ?? [];

/** Plays the driver's attacher. */
async function attacher(fixture: ControllerFixture, status: VolumeAttachmentStatus = { attached: true }): Promise<void> {
  for (const attachment of await attachments(fixture)) await fixture.client.updateStatus(volumeattachments, { ...attachment, status });
  await fixture.settle();
}

async function nodeStatus({ client }: ControllerFixture, name: string, status: Partial<NodeStatus>): Promise<void> {
  await client.patch(nodes, { name }, { status }, { type: "merge", subresource: "status" });
}

describe("attachDetachController", () => {
  it("attaches a volume where a pod needs it, reports it, and detaches it when the node is done with it", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await makePod(fixture, "p", "n1");
    await fixture.settle();
    expect(await attachments(fixture)).toMatchObject([
      {
        metadata: { name: expect.stringMatching(/^csi-[0-9a-f]{64}$/) },
        spec: { attacher: "dr", nodeName: "n1", source: { persistentVolumeName: "v" } },
      },
    ]);
    expect(await reported(fixture, "n1")).toEqual([]);
    await attacher(fixture);
    expect(await reported(fixture, "n1")).toEqual([{ name: uniqueName, devicePath: "" }]);
    expect(await fixture.eventsOf("p")).toEqual(['SuccessfulAttachVolume: AttachVolume.Attach succeeded for volume "v" ']);
    await nodeStatus(fixture, "n1", { volumesInUse: [uniqueName] });
    await removePod(fixture, "p");
    await fixture.clock.advance(90_000);
    expect(await attachedTo(fixture)).toEqual(["n1"]);
    await nodeStatus(fixture, "n1", { volumesInUse: [] });
    await fixture.settle();
    expect(await attachedTo(fixture)).toEqual([]);
    expect(await reported(fixture, "n1")).toEqual([]);
  });

  it("says why attaching failed, once for each failure", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await makePod(fixture, "p", "n1");
    await fixture.settle();
    await attacher(fixture, { attached: false, attachError: { message: "no room", time: "2026-01-01T00:00:00Z" } });
    await fixture.clock.advance(130_000);
    expect(await fixture.eventsOf("p")).toEqual(['FailedAttachVolume: AttachVolume.Attach failed for volume "v" : no room']);
  });

  it("does not attach to a second node what only one may have", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await makePod(fixture, "p", "n1");
    await fixture.settle();
    await makePod(fixture, "q", "n2");
    await fixture.settle();
    expect(await attachedTo(fixture)).toEqual(["n1"]);
    expect(await fixture.eventsOf("q")).toEqual([
      'FailedAttachVolume: Multi-Attach error for volume "v" Volume is already used by pod(s) p',
    ]);
    await removePod(fixture, "p");
    await fixture.settle();
    expect(await attachedTo(fixture)).toEqual(["n2"]);
  });

  it("attaches to several nodes what they may share", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture, "ReadWriteMany");
    await makePod(fixture, "p", "n1");
    await makePod(fixture, "q", "n2");
    await fixture.settle();
    expect(await attachedTo(fixture)).toEqual(["n1", "n2"]);
  });

  it("detaches by force from a node that has been down for six minutes, and at once from one out of service", async () => {
    for (const [taints, waitMs] of [
      [[], 370_000],
      [[{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }], 1_000],
    ] as const) {
      await using fixture = createControllerFixture();
      await setUp(fixture);
      await makePod(fixture, "p", "n1");
      await fixture.settle();
      await attacher(fixture);
      await nodeStatus(fixture, "n1", { volumesInUse: [uniqueName] });
      await removePod(fixture, "p");
      await fixture.settle();
      expect(await attachedTo(fixture)).toEqual(["n1"]);
      await fixture.client.patch(nodes, { name: "n1" }, { spec: { taints } }, { type: "merge" });
      await fixture.clock.advance(waitMs + 60_000);
      expect(await attachedTo(fixture)).toEqual([]);
    }
  });

  it("leaves alone what its driver does not want attached, and nodes that attach for themselves", async () => {
    await using fixture = createControllerFixture();
    await setUp(fixture);
    await fixture.client.create(csidrivers, { metadata: { name: "dr" }, spec: { attachRequired: false } });
    await fixture.settle();
    await makePod(fixture, "p", "n1");
    await fixture.settle();
    expect(await attachments(fixture)).toEqual([]);
    await using other = createControllerFixture();
    await setUp(other);
    await other.client.patch(nodes, { name: "n1" }, { metadata: { annotations: null } }, { type: "merge" });
    await makePod(other, "p", "n1");
    await other.settle();
    expect(await attachments(other)).toEqual([]);
  });
});
