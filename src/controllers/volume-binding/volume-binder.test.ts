import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { persistentvolumeclaims, persistentvolumes, pods, storageclasses } from "../../api/resources.generated.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { volumeBinder } from "./volume-binder.ts";

type VolumeSpec = NonNullable<PersistentVolume["spec"]>;
type ClaimSpec = NonNullable<PersistentVolumeClaim["spec"]>;

function volume(
  name: string,
  { size = "2Gi", annotations = {}, ...spec }: Partial<VolumeSpec> & { size?: string; annotations?: Record<string, string> } = {},
): New<PersistentVolume> {
  return {
    metadata: { name, annotations },
    spec: {
      capacity: { storage: size },
      accessModes: ["ReadWriteOnce"],
      storageClassName: "slow",
      persistentVolumeReclaimPolicy: "Retain",
      nfs: { server: "s", path: "/p" },
      ...spec,
    },
  };
}

function claim(name: string, spec: Partial<ClaimSpec> = {}): New<PersistentVolumeClaim> {
  return {
    metadata: { name, namespace: "default" },
    spec: { accessModes: ["ReadWriteOnce"], storageClassName: "slow", resources: { requests: { storage: "1Gi" } }, ...spec },
    status: { phase: "Pending" },
  };
}

async function started(...volumes: New<PersistentVolume>[]): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(volumeBinder);
  for (const each of volumes) await fixture.client.create(persistentvolumes, each);
  await fixture.settle();
  return fixture;
}

async function createClaim(fixture: ControllerFixture, wanted: New<PersistentVolumeClaim>): Promise<void> {
  await fixture.client.create(persistentvolumeclaims, wanted);
  await fixture.settle();
}

const createClass = (fixture: ControllerFixture, name: string, more: Partial<StorageClass> = {}): Promise<StorageClass> =>
  fixture.client.create(storageclasses, { metadata: { name }, provisioner: "example.com/disk", ...more });

const claimNamed = (fixture: ControllerFixture, name: string) => fixture.client.get(persistentvolumeclaims, { namespace: "default", name });
const volumeNamed = (fixture: ControllerFixture, name: string) => fixture.client.get(persistentvolumes, { name });
const volumeOf = async (fixture: ControllerFixture, name: string) => (await claimNamed(fixture, name)).spec?.volumeName;
const phaseOf = async (fixture: ControllerFixture, name: string) => (await volumeNamed(fixture, name)).status?.phase;

describe("persistentvolume-binder-controller", () => {
  it("binds a claim to the smallest volume that suits it, and says so in four places", async () => {
    await using fixture = await started(
      volume("large", { size: "5Gi" }),
      volume("right"),
      volume("many", { accessModes: ["ReadWriteOnce", "ReadOnlyMany"], size: "1Gi" }),
      volume("small", { size: "500Mi" }),
      volume("other", { storageClassName: "fast", size: "1Gi" }),
      volume("block", { volumeMode: "Block", size: "1Gi" }),
    );
    expect(await phaseOf(fixture, "right")).toBe("Available");
    await createClaim(fixture, claim("c"));
    const bound = await claimNamed(fixture, "c");
    expect(bound).toMatchObject({
      metadata: { annotations: { "pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "yes" } },
      spec: { volumeName: "right" },
      status: { phase: "Bound", capacity: { storage: "2Gi" }, accessModes: ["ReadWriteOnce"] },
    });
    expect(await volumeNamed(fixture, "right")).toMatchObject({
      metadata: { annotations: { "pv.kubernetes.io/bound-by-controller": "yes" } },
      spec: { claimRef: { kind: "PersistentVolumeClaim", namespace: "default", name: "c", uid: bound.metadata.uid } },
      status: { phase: "Bound" },
    });
    expect(fixture.problems).toEqual([]);
  });

  it("gives a volume to one claim only, although its cache lags behind", async () => {
    await using fixture = await started(volume("v"));
    fixture.api.watchDelayMs = (path) => (path.endsWith("/persistentvolumes") ? 400 : 0);
    for (const name of ["a", "b", "c"]) await fixture.client.create(persistentvolumeclaims, claim(name));
    await fixture.clock.advance(5_000);
    const owners = await Promise.all(["a", "b", "c"].map((name) => volumeOf(fixture, name)));
    expect(owners.filter((name) => name === "v")).toHaveLength(1);
  });

  it("takes a volume that is reserved for the claim, whatever its class, and leaves the reservation with it", async () => {
    await using fixture = await started(
      volume("free"),
      volume("mine", { storageClassName: "x", claimRef: { namespace: "default", name: "c" } }),
    );
    await createClaim(fixture, claim("c"));
    expect(await volumeOf(fixture, "c")).toBe("mine");
    expect((await volumeNamed(fixture, "mine")).metadata.annotations).toEqual({});
  });

  it("says why a claim cannot have the volume it names", async () => {
    await using fixture = await started(volume("v", { size: "500Mi" }));
    await createClaim(fixture, claim("c", { volumeName: "v" }));
    expect(await fixture.eventsOf("c")).toContainEqual(
      expect.stringContaining('VolumeMismatch: Cannot bind to requested volume "v": requested PV is too small'),
    );
    expect((await claimNamed(fixture, "c")).status?.phase).toBe("Pending");
  });

  it("binds a waiting claim when a volume for it appears", async () => {
    await using fixture = await started();
    await createClaim(fixture, claim("c", { storageClassName: "" }));
    expect((await fixture.eventsOf("c"))[0]).toContain(
      "FailedBinding: no persistent volumes available for this claim and no storage class is set",
    );
    await fixture.client.create(persistentvolumes, volume("v", { storageClassName: "" }));
    await fixture.settle();
    expect(await volumeOf(fixture, "c")).toBe("v");
  });

  it("leaves a claim whose class waits for its first consumer to the scheduler, and says for which pods it waits", async () => {
    await using fixture = await started(volume("v"));
    await createClass(fixture, "slow", { volumeBindingMode: "WaitForFirstConsumer" });
    await fixture.settle();
    await createClaim(fixture, claim("c"));
    expect(await volumeOf(fixture, "c")).toBeUndefined();
    const pod: New<Pod> = {
      metadata: { name: "p", namespace: "default" },
      spec: { containers: [], volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] },
    };
    await fixture.client.create(pods, pod);
    await fixture.clock.advance(16_000);
    const events = await fixture.eventsOf("c");
    expect(events[0]).toContain("WaitForFirstConsumer: waiting for first consumer to be created before binding");
    expect(events[1]).toContain("WaitForPodScheduled: waiting for pod p to be scheduled");
    // The scheduler's part: it reserves a volume for the claim.
    const { uid } = (await claimNamed(fixture, "c")).metadata;
    await fixture.client.patch(
      persistentvolumes,
      { name: "v" },
      { spec: { claimRef: { namespace: "default", name: "c", uid } } },
      { type: "merge" },
    );
    await fixture.settle();
    expect((await claimNamed(fixture, "c")).status?.phase).toBe("Bound");
  });

  it("names the provisioner of the claim's class, and tells of a class that does not exist or cannot provision", async () => {
    await using fixture = await started();
    await createClass(fixture, "slow");
    await createClass(fixture, "manual", { provisioner: "kubernetes.io/no-provisioner" });
    await fixture.settle();
    for (const name of ["slow", "manual", "none"]) await createClaim(fixture, claim(name, { storageClassName: name }));
    expect((await claimNamed(fixture, "slow")).metadata.annotations).toMatchObject({
      "volume.kubernetes.io/storage-provisioner": "example.com/disk",
    });
    expect((await fixture.eventsOf("slow"))[0]).toMatch(/^ExternalProvisioning: Waiting for a volume .* 'example.com\/disk' or manually/);
    expect((await fixture.eventsOf("manual"))[0]).toContain("no volume plugin matched name: kubernetes.io/no-provisioner");
    expect((await fixture.eventsOf("none"))[0]).toContain('storageclass.storage.k8s.io "none" not found');
  });

  it("knows former plugins by their drivers, and says what the one of host paths cannot", async () => {
    await using fixture = await started();
    await createClass(fixture, "aws", { provisioner: "kubernetes.io/aws-ebs" });
    await createClass(fixture, "host", { provisioner: "kubernetes.io/host-path" });
    await fixture.settle();
    for (const name of ["aws", "host"]) await createClaim(fixture, claim(name, { storageClassName: name }));
    const markOf = async (name: string): Promise<string | undefined> =>
      (await claimNamed(fixture, name)).metadata.annotations?.["volume.kubernetes.io/storage-provisioner"];
    expect(await markOf("aws")).toBe("ebs.csi.aws.com");
    expect((await fixture.eventsOf("aws"))[0]).toContain("external provisioner 'ebs.csi.aws.com'");
    expect(await markOf("host")).toBe("kubernetes.io/host-path");
    expect((await fixture.eventsOf("host"))[0]).toContain(
      'ProvisioningFailed: Failed to create provisioner: provisioning in volume plugin "kubernetes.io/host-path" is disabled',
    );
  });

  it("makes directories volumes where it may, each with the finalizer of its maker, and deletes both", async () => {
    await using fixture = createControllerFixture({ volumes: { provisioning: { ofHostPaths: true } } });
    fixture.start(volumeBinder);
    await createClass(fixture, "host", { provisioner: "kubernetes.io/host-path", reclaimPolicy: "Delete" });
    await fixture.settle();
    await createClaim(fixture, claim("c", { storageClassName: "host" }));
    const bound = async () => fixture.settle().then(() => claimNamed(fixture, "c"));
    await expect.poll(bound, { timeout: 30_000 }).toMatchObject({ status: { phase: "Bound", capacity: { storage: "1Gi" } } });
    const { metadata, spec } = await volumeNamed(fixture, `pvc-${(await bound()).metadata.uid}`);
    expect(metadata).toMatchObject({
      annotations: {
        "kubernetes.io/createdby": "hostpath-dynamic-provisioner",
        "pv.kubernetes.io/provisioned-by": "kubernetes.io/host-path",
      },
      finalizers: ["kubernetes.io/pv-controller"],
    });
    const path = spec?.hostPath?.path ?? "";
    expect(existsSync(path)).toBe(true);
    expect((await fixture.eventsOf("c")).at(-1)).toBe(
      `ProvisioningSucceeded: Successfully provisioned volume ${metadata.name} using kubernetes.io/host-path`,
    );
    await fixture.client.delete(persistentvolumeclaims, { namespace: "default", name: "c" });
    const left = async () => fixture.settle().then(async () => (await fixture.client.list(persistentvolumes)).items.length);
    await expect.poll(left, { timeout: 30_000 }).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(fixture.problems).toEqual([]);
  });

  it.each([
    [
      "mount options",
      { mountOptions: ["a", "b"] },
      {},
      'Mount options are not supported by the provisioner but StorageClass "host" has mount options [a b]',
    ],
    [
      "a block device",
      {},
      { volumeMode: "Block" },
      'Failed to provision volume with StorageClass "host": kubernetes.io/host-path does not support block volume provisioning',
    ],
    [
      "a source",
      {},
      { dataSource: { kind: "PersistentVolumeClaim", name: "x" } },
      'plugin "kubernetes.io/host-path" is not a CSI plugin. Only CSI plugin can provision a claim with a datasource',
    ],
  ] as const)("makes no directory for a claim with %s", async (_, ofClass, ofClaim, message) => {
    await using fixture = createControllerFixture({ volumes: { provisioning: { ofHostPaths: true } } });
    fixture.start(volumeBinder);
    await createClass(fixture, "host", { provisioner: "kubernetes.io/host-path", ...ofClass });
    await fixture.settle();
    await createClaim(fixture, claim("c", { storageClassName: "host", ...ofClaim }));
    expect((await fixture.eventsOf("c"))[0]).toContain(`ProvisioningFailed: ${message}`);
    expect((await fixture.client.list(persistentvolumes)).items).toEqual([]);
  });

  it("makes nothing where volumes are not to be made", async () => {
    await using fixture = createControllerFixture({ volumes: { provisioning: { isDynamic: false } } });
    fixture.start(volumeBinder);
    await createClass(fixture, "slow");
    await createClaim(fixture, claim("c"));
    expect((await claimNamed(fixture, "c")).metadata.annotations).toBeUndefined();
    expect(await fixture.eventsOf("c")).toEqual([]);
  });

  it.each([
    ["kubernetes.io/aws-ebs", "Delete", ["kubernetes.io/pv-controller", "x/y"], "ebs.csi.aws.com", ["x/y"]],
    [
      "kubernetes.io/host-path",
      "Delete",
      ["external-provisioner.volume.kubernetes.io/finalizer"],
      undefined,
      ["kubernetes.io/pv-controller"],
    ],
    ["kubernetes.io/host-path", "Retain", ["kubernetes.io/pv-controller"], undefined, []],
    [
      "d.example.com",
      "Delete",
      ["external-provisioner.volume.kubernetes.io/finalizer"],
      undefined,
      ["external-provisioner.volume.kubernetes.io/finalizer"],
    ],
  ] as const)(
    "marks a volume of %s (%s) with its driver and what keeps it",
    async (maker, persistentVolumeReclaimPolicy, finalizers, driver, kept) => {
      const annotations = { "pv.kubernetes.io/provisioned-by": maker, "pv.kubernetes.io/migrated-to": "stale" };
      const made = volume("v", { persistentVolumeReclaimPolicy, annotations });
      await using fixture = await started({ ...made, metadata: { ...made.metadata, finalizers } });
      const { metadata } = await volumeNamed(fixture, "v");
      expect(metadata.annotations?.["pv.kubernetes.io/migrated-to"]).toBe(driver);
      expect(metadata.finalizers ?? []).toEqual(kept);
    },
  );

  it("deletes a host path below /tmp with its volume, and no other", async () => {
    const directory = await mkdtemp("/tmp/volume-binder-");
    await using fixture = await started(
      volume("v", { persistentVolumeReclaimPolicy: "Delete", hostPath: { path: directory } }),
      volume("w", { persistentVolumeReclaimPolicy: "Delete", hostPath: { path: "/data/w" }, storageClassName: "other" }),
    );
    await createClaim(fixture, claim("c"));
    await createClaim(fixture, claim("d", { storageClassName: "other" }));
    for (const name of ["c", "d"]) await fixture.client.delete(persistentvolumeclaims, { namespace: "default", name });
    const names = async () => (await fixture.client.list(persistentvolumes)).items.map(({ metadata }) => metadata.name);
    await expect.poll(() => fixture.settle().then(names), { timeout: 30_000 }).toEqual(["w"]);
    expect(existsSync(directory)).toBe(false);
    expect((await volumeNamed(fixture, "w")).status).toMatchObject({
      phase: "Failed",
      message: "host_path deleter only supports /tmp/.+ but received provided /data/w",
    });
  });

  it("gives a claim without class the newest default", async () => {
    await using fixture = await started(volume("v"));
    const { storageClassName: _, ...spec } = claim("c").spec ?? {};
    await createClaim(fixture, { ...claim("c"), spec });
    await createClass(fixture, "slow", {
      metadata: { name: "slow", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } } as never,
    });
    await fixture.settle();
    expect(await volumeOf(fixture, "c")).toBe("v");
  });

  it.each([
    ["Retain", {}, "Released", undefined],
    ["Delete", { csi: { driver: "d", volumeHandle: "h" }, annotations: { "pv.kubernetes.io/provisioned-by": "d" } }, "Released", undefined],
    ["Delete", {}, "Failed", 'error getting deleter volume plugin for volume "v": no deletable volume plugin matched'],
    ["Delete", { annotations: { "pv.kubernetes.io/provisioned-by": "kubernetes.io/nfs" } }, "Failed", "no deletable volume plugin matched"],
  ] as const)("%s of %j makes a volume whose claim is gone %s", async (persistentVolumeReclaimPolicy, more, phase, message) => {
    await using fixture = await started(volume("v", { persistentVolumeReclaimPolicy, ...more }));
    await createClaim(fixture, claim("c"));
    expect(await phaseOf(fixture, "v")).toBe("Bound");
    await fixture.client.delete(persistentvolumeclaims, { namespace: "default", name: "c" });
    await fixture.settle();
    expect((await volumeNamed(fixture, "v")).status).toMatchObject({ phase, ...(message ? { message } : {}) });
    // A claim of the same name is another claim.
    await createClaim(fixture, claim("c"));
    expect(await volumeOf(fixture, "c")).toBeUndefined();
  });

  it("declares a claim lost whose volume is gone", async () => {
    await using fixture = await started(volume("v"));
    await createClaim(fixture, claim("c"));
    await fixture.client.delete(persistentvolumes, { name: "v" });
    await fixture.settle();
    expect((await claimNamed(fixture, "c")).status).toEqual({ phase: "Lost" });
    expect(await fixture.eventsOf("c")).toEqual(["ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!"]);
  });

  it("frees a volume whose claim has bound to another, and keeps its maker's reservation", async () => {
    await using fixture = await started(
      volume("v", { storageClassName: "other", claimRef: { namespace: "default", name: "d" } }),
      volume("w"),
    );
    await createClaim(fixture, claim("c"));
    const { uid } = (await claimNamed(fixture, "c")).metadata;
    await fixture.client.patch(
      persistentvolumes,
      { name: "v" },
      { spec: { claimRef: { namespace: "default", name: "c", uid } } },
      { type: "merge" },
    );
    await fixture.settle();
    expect(await volumeNamed(fixture, "v")).toMatchObject({ spec: { claimRef: { name: "c" } }, status: { phase: "Available" } });
    expect((await volumeNamed(fixture, "v")).spec?.claimRef?.uid).toBeUndefined();
  });
});
