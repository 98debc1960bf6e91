import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { events, persistentvolumeclaims, persistentvolumes, pods } from "../../api/resources.generated.ts";
import type { Event, PersistentVolume, PersistentVolumeClaim, Pod, PodStatus } from "../../api/types/core-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import type { ControllerOptions } from "../controller-options.ts";
import { volumeBinder } from "./volume-binder.ts";

type Source = Partial<NonNullable<PersistentVolume["spec"]>>;

const podAt = { namespace: "default", name: "recycler-for-v" };

/** A volume `v` of the policy Recycle that the claim `c` had, which is gone now. */
async function released(source: Source, options: ControllerOptions = {}): Promise<ControllerFixture> {
  const fixture = createControllerFixture(options);
  fixture.start(volumeBinder);
  const { capacity = { storage: "5Gi" }, ...rest } = source;
  const spec = { capacity, accessModes: ["ReadWriteOnce"], persistentVolumeReclaimPolicy: "Recycle", storageClassName: "slow", ...rest };
  await fixture.client.create(persistentvolumes, { metadata: { name: "v" }, spec } as New<PersistentVolume>);
  await fixture.client.create(persistentvolumeclaims, {
    metadata: { name: "c", namespace: "work" },
    spec: { accessModes: ["ReadWriteOnce"], storageClassName: "slow", resources: { requests: { storage: "1Gi" } } },
    status: { phase: "Pending" },
  } as New<PersistentVolumeClaim>);
  await fixture.settle();
  expect(await phaseOf(fixture)).toBe("Bound");
  return fixture;
}

async function deleteClaim(fixture: ControllerFixture): Promise<void> {
  await fixture.client.delete(persistentvolumeclaims, { namespace: "work", name: "c" });
  await fixture.settle();
}

const volumeOf = ({ client }: ControllerFixture) => client.get(persistentvolumes, { name: "v" });
const phaseOf = async (fixture: ControllerFixture) => (await volumeOf(fixture)).status?.phase;
const podOf = ({ client }: ControllerFixture): Promise<Pod> => client.get(pods, podAt);
const podsOf = async ({ client }: ControllerFixture): Promise<number> => (await client.list(pods)).items.length;

async function setStatus(fixture: ControllerFixture, status: PodStatus): Promise<void> {
  await fixture.client.updateStatus(pods, { ...(await podOf(fixture)), status });
  await fixture.settle();
}

const hostPath: Source = { hostPath: { path: "/data" } };

describe("persistentvolume-binder-controller, reclaim policy Recycle", () => {
  it("empties the volume with a pod and offers it again", async () => {
    await using fixture = await released(hostPath);
    await deleteClaim(fixture);
    expect(await phaseOf(fixture)).toBe("Released");
    const { metadata, spec } = await podOf(fixture);
    expect(metadata).toMatchObject({ namespace: "default", name: "recycler-for-v" });
    expect(spec).toMatchObject({
      activeDeadlineSeconds: 150,
      restartPolicy: "Never",
      volumes: [{ name: "vol", hostPath: { path: "/data" } }],
      containers: [{ name: "pv-recycler", command: ["/bin/sh"], volumeMounts: [{ name: "vol", mountPath: "/scrub" }] }],
    });
    await setStatus(fixture, { phase: "Running" });
    expect(await phaseOf(fixture)).toBe("Released");
    await setStatus(fixture, { phase: "Succeeded" });
    const volume = await volumeOf(fixture);
    expect(volume.status?.phase).toBe("Available");
    expect(volume.spec?.claimRef).toBeUndefined();
    expect(await podsOf(fixture)).toBe(0);
    expect(await fixture.eventsOf("v")).toEqual(["VolumeRecycled: Volume recycled"]);
    expect(fixture.problems).toEqual([]);
  });

  it("gives the pod the time that the volume's size and plugin warrant", async () => {
    await using small = await released({ ...hostPath, capacity: { storage: "1500Mi" } });
    await deleteClaim(small);
    expect((await podOf(small)).spec.activeDeadlineSeconds).toBe(60);
    await using nfs = await released({ nfs: { server: "s", path: "/p" } });
    await deleteClaim(nfs);
    expect((await podOf(nfs)).spec).toMatchObject({ activeDeadlineSeconds: 300, volumes: [{ nfs: { server: "s", path: "/p" } }] });
    const recycler = { hostPath: { minimumTimeoutSeconds: 7, timeoutIncrementSeconds: 100 } };
    await using tuned = await released(hostPath, { volumes: { recycler } });
    await deleteClaim(tuned);
    expect((await podOf(tuned)).spec.activeDeadlineSeconds).toBe(500);
  });

  it("takes the administrator's template, with the volume in the place of its first", async () => {
    const podTemplate: New<Pod> = {
      metadata: { name: "x", generateName: "y-", namespace: "tools", labels: { a: "b" } },
      spec: {
        containers: [{ name: "own", image: "own:1" }],
        volumes: [
          { name: "scrub", emptyDir: {} },
          { name: "tmp", emptyDir: {} },
        ],
      },
    };
    await using fixture = await released(hostPath, { volumes: { recycler: { hostPath: { podTemplate } } } });
    await deleteClaim(fixture);
    const { metadata, spec } = await fixture.client.get(pods, { namespace: "tools", name: "recycler-for-v" });
    expect(metadata).toMatchObject({ labels: { a: "b" } });
    expect(metadata.generateName).toBeUndefined();
    expect(spec.volumes).toEqual([
      { name: "scrub", hostPath: { path: "/data" } },
      { name: "tmp", emptyDir: {} },
    ]);
  });

  it("tells of the volume what is told of the pod", async () => {
    await using fixture = await released(hostPath);
    await deleteClaim(fixture);
    const { uid } = (await podOf(fixture)).metadata;
    const tell = (name: string, about: string, message: string) =>
      fixture.client.create(events, {
        metadata: { namespace: "default", name },
        involvedObject: { kind: "Pod", namespace: "default", name: podAt.name, uid: about },
        ...{ type: "Warning", reason: "FailedScheduling", message },
      } as New<Event>);
    await tell("one", uid, "no nodes");
    await tell("two", "of an earlier pod", "long ago");
    await fixture.settle();
    expect(await fixture.eventsOf("v")).toEqual(["RecyclerPod: Recycler pod: no nodes"]);
  });

  it("marks the volume Failed, says so once, and tries again", async () => {
    await using fixture = await released(hostPath);
    await deleteClaim(fixture);
    await setStatus(fixture, { phase: "Failed", message: "disk on fire" });
    const failed = (await volumeOf(fixture)).status;
    expect(failed).toMatchObject({ phase: "Failed", message: "Recycle failed: failed to recycle volume: disk on fire" });
    await fixture.clock.advance(15_000);
    await setStatus(fixture, { phase: "Failed" });
    await fixture.clock.advance(15_000);
    await setStatus(fixture, { phase: "Succeeded" });
    expect(await phaseOf(fixture)).toBe("Available");
    expect(await fixture.eventsOf("v")).toEqual([
      "VolumeFailedRecycle: Recycle failed: failed to recycle volume: disk on fire",
      "VolumeRecycled: Volume recycled",
    ]);
  });

  it("notices that its pod was deleted", async () => {
    await using fixture = await released(hostPath);
    await deleteClaim(fixture);
    await fixture.client.delete(pods, podAt);
    await fixture.settle();
    expect((await volumeOf(fixture)).status?.message).toBe("Recycle failed: failed to recycle volume: recycler pod was deleted");
  });

  it("replaces a pod that it does not know", async () => {
    await using fixture = await released(hostPath);
    await fixture.client.create(pods, { metadata: podAt, spec: { containers: [{ name: "forged" }] } });
    await deleteClaim(fixture);
    expect((await volumeOf(fixture)).status?.message).toBe("Recycle failed: old recycler pod found, will retry later");
    await fixture.clock.advance(15_000);
    await fixture.settle();
    expect((await podOf(fixture)).spec.containers[0]?.name).toBe("pv-recycler");
  });

  it("waits while pods still use the volume", async () => {
    await using fixture = await released(hostPath);
    const spec = { containers: [{ name: "c" }], volumes: [{ name: "d", persistentVolumeClaim: { claimName: "c" } }] };
    await fixture.client.create(pods, { metadata: { namespace: "work", name: "user" }, spec, status: { phase: "Running" } });
    await deleteClaim(fixture);
    expect(await phaseOf(fixture)).toBe("Released");
    expect(await fixture.eventsOf("v")).toEqual(["VolumeFailedRecycle: Volume is used by pods: work/user (2)"]);
    await fixture.client.delete(pods, { namespace: "work", name: "user" });
    await fixture.clock.advance(15_000);
    await fixture.settle();
    expect((await podOf(fixture)).metadata.name).toBe("recycler-for-v");
  });

  it("leaves no pod behind when the volume is deleted or kept", async () => {
    await using deleted = await released(hostPath);
    await deleteClaim(deleted);
    await deleted.client.delete(persistentvolumes, { name: "v" });
    await deleted.settle();
    expect(await podsOf(deleted)).toBe(0);
    await using kept = await released(hostPath);
    await deleteClaim(kept);
    await kept.client.patch(persistentvolumes, { name: "v" }, { spec: { persistentVolumeReclaimPolicy: "Retain" } }, { type: "merge" });
    await kept.settle();
    expect(await podsOf(kept)).toBe(0);
    expect(await phaseOf(kept)).toBe("Released");
  });

  it("cannot empty what no plugin knows", async () => {
    await using fixture = await released({ csi: { driver: "d", volumeHandle: "h" } });
    await deleteClaim(fixture);
    expect(await phaseOf(fixture)).toBe("Failed");
    expect(await fixture.eventsOf("v")).toEqual(["VolumeFailedRecycle: No recycler plugin found for the volume!"]);
  });
});
