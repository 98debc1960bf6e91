import { expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { persistentvolumeclaims, persistentvolumes } from "../../api/resources.generated.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { volumeExpander } from "./volume-expander.ts";

const at = { namespace: "default", name: "c" };

async function grown(source: Partial<NonNullable<PersistentVolume["spec"]>>): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(volumeExpander);
  const claim = await fixture.client.create(persistentvolumeclaims, {
    metadata: at,
    spec: { volumeName: "v", resources: { requests: { storage: "1Gi" } } },
    status: { phase: "Bound", capacity: { storage: "1Gi" } },
  } as New<PersistentVolumeClaim>);
  const claimRef = { ...at, uid: claim.metadata.uid };
  await fixture.client.create(persistentvolumes, { metadata: { name: "v" }, spec: { claimRef, ...source } } as New<PersistentVolume>);
  await fixture.settle();
  expect(await fixture.eventsOf("c")).toEqual([]);
  const spec = { resources: { requests: { storage: "2Gi" } } };
  await fixture.client.patch(persistentvolumeclaims, at, { spec }, { type: "merge" });
  await fixture.settle();
  return fixture;
}

it("persistentvolume-expander-controller leaves a claim that grows to somebody outside", async () => {
  await using fixture = await grown({ csi: { driver: "d", volumeHandle: "h" } });
  expect(await fixture.eventsOf("c")).toEqual(["ExternalExpanding: waiting for an external controller to expand this PVC"]);
  expect((await fixture.client.get(persistentvolumeclaims, at)).metadata.annotations).toBeUndefined();
});

it("persistentvolume-expander-controller names the driver that has taken over from a plugin", async () => {
  await using fixture = await grown({ awsElasticBlockStore: { volumeID: "vol-1" } });
  expect(await fixture.eventsOf("c")).toEqual([
    "ExternalExpanding: CSI migration enabled for kubernetes.io/aws-ebs; waiting for external resizer to expand the pvc",
  ]);
  const { annotations } = (await fixture.client.get(persistentvolumeclaims, at)).metadata;
  expect(annotations).toEqual({ "volume.kubernetes.io/storage-resizer": "ebs.csi.aws.com" });
});
