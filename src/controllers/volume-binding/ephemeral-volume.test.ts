import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { persistentvolumeclaims, persistentvolumes, pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { createControllerFixture } from "../../testing/controller-fixture.ts";
import { ephemeralVolumeController } from "./ephemeral-volume.ts";
import { volumeExpander } from "./volume-expander.ts";

const template = { metadata: { labels: { a: "b" } }, spec: { accessModes: ["ReadWriteOnce" as const], storageClassName: "slow" } };
const pod: New<Pod> = {
  metadata: { name: "p", namespace: "default" },
  spec: {
    containers: [],
    volumes: [
      { name: "data", ephemeral: { volumeClaimTemplate: template } },
      { name: "e", emptyDir: {} },
    ],
  },
};
const at = { namespace: "default", name: "p-data" };

describe("ephemeral-volume-controller", () => {
  it("makes a claim that is the pod's, and makes it anew when it is deleted", async () => {
    await using fixture = createControllerFixture();
    fixture.start(ephemeralVolumeController);
    const { uid } = (await fixture.client.create(pods, pod)).metadata;
    await fixture.settle();
    expect(await fixture.client.get(persistentvolumeclaims, at)).toMatchObject({
      metadata: { labels: { a: "b" }, ownerReferences: [{ kind: "Pod", name: "p", uid, controller: true }] },
      spec: template.spec,
    });
    await fixture.client.delete(persistentvolumeclaims, at);
    await fixture.settle();
    expect((await fixture.client.list(persistentvolumeclaims)).items).toHaveLength(1);
    expect(fixture.problems).toEqual([]);
  });

  it("does not take a claim of that name that is someone else's", async () => {
    await using fixture = createControllerFixture();
    fixture.start(ephemeralVolumeController);
    await fixture.client.create(persistentvolumeclaims, { metadata: at, spec: {} });
    await fixture.client.create(pods, pod);
    await fixture.settle();
    expect((await fixture.client.get(persistentvolumeclaims, at)).metadata.ownerReferences).toBeUndefined();
    expect((await fixture.eventsOf("p"))[0]).toContain(
      "FailedBinding: ephemeral volume data: PVC default/p-data was not created for pod default/p (pod is not owner)",
    );
  });
});

describe("persistentvolume-expander-controller", () => {
  it("says that a bound claim which asks for more waits for an outside resizer", async () => {
    await using fixture = createControllerFixture();
    fixture.start(volumeExpander);
    const request = (storage: string) => ({ resources: { requests: { storage } } });
    const status = { phase: "Bound" as const, capacity: { storage: "2Gi" } };
    const claim = await fixture.client.create(persistentvolumeclaims, {
      metadata: at,
      spec: { volumeName: "v", ...request("1Gi") },
      status,
    });
    const claimRef = { ...at, uid: claim.metadata.uid };
    await fixture.client.create(persistentvolumes, {
      metadata: { name: "v" },
      spec: { csi: { driver: "d", volumeHandle: "h" }, claimRef },
    });
    await fixture.settle();
    expect(await fixture.eventsOf("p-data")).toEqual([]);
    await fixture.client.patch(persistentvolumeclaims, at, { spec: request("3Gi") }, { type: "merge" });
    await fixture.settle();
    expect(await fixture.eventsOf("p-data")).toEqual(["ExternalExpanding: waiting for an external controller to expand this PVC"]);
  });
});
