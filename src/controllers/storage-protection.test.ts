import { describe, expect, it } from "vitest";
import { isStatus } from "../api/meta/status-error.ts";
import { persistentvolumeclaims, persistentvolumes, pods, volumeattributesclasses } from "../api/resources.generated.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { attributesClassProtectionController, claimProtectionController, volumeProtectionController } from "./storage-protection.ts";

const at = { namespace: "default", name: "c" };
const claimFinalizer = "kubernetes.io/pvc-protection";

function started(): ControllerFixture {
  const fixture = createControllerFixture();
  fixture.start(claimProtectionController, volumeProtectionController, attributesClassProtectionController);
  return fixture;
}

const addPod = (f: ControllerFixture, volume: object, nodeName = "n1") =>
  f.client.create(pods, {
    metadata: { namespace: "default", name: "p" },
    spec: { containers: [], ...(nodeName ? { nodeName } : {}), volumes: [{ name: "data", ...volume }] },
  });

const usesC = { persistentVolumeClaim: { claimName: "c" } };

async function addClaim(f: ControllerFixture, more: object = {}): Promise<void> {
  await f.client.create(persistentvolumeclaims, { metadata: { ...at, finalizers: [claimFinalizer], ...more }, spec: {} });
}

async function exists(f: ControllerFixture, name = "c"): Promise<boolean> {
  try {
    await f.client.get(persistentvolumeclaims, { namespace: "default", name });
    return true;
  } catch (error) {
    if (isStatus(error, "NotFound")) return false;
    throw error;
  }
}

const removePod = (f: ControllerFixture) => f.client.delete(pods, { namespace: "default", name: "p" }, { body: { gracePeriodSeconds: 0 } });

describe("persistentvolumeclaim-protection-controller", () => {
  it("protects claims that were made without protection", async () => {
    await using f = started();
    await f.client.create(persistentvolumeclaims, { metadata: { ...at, finalizers: ["example.com/own"] }, spec: {} });
    await f.settle();
    expect((await f.client.get(persistentvolumeclaims, at)).metadata.finalizers).toEqual(["example.com/own", claimFinalizer]);
  });

  it("keeps a claim as long as a pod on a node uses it, even one that has ended", async () => {
    await using f = started();
    await addClaim(f);
    await addPod(f, usesC);
    const status = { phase: "Succeeded" };
    await f.client.patch(pods, { namespace: "default", name: "p" }, { status }, { type: "merge", subresource: "status" });
    await f.client.delete(persistentvolumeclaims, at);
    await f.settle();
    expect(await exists(f)).toBe(true);
    await removePod(f);
    await f.settle();
    expect(await exists(f)).toBe(false);
  });

  it("does not wait for pods without a node", async () => {
    await using f = started();
    await addClaim(f);
    await addPod(f, usesC, "");
    await f.client.delete(persistentvolumeclaims, at);
    await f.settle();
    expect(await exists(f)).toBe(false);
  });

  it("asks the server before it lets a claim go", async () => {
    await using f = started();
    f.api.watchDelayMs = (path) => (path.endsWith("/pods") ? 60_000 : 0);
    await addClaim(f);
    await f.settle();
    await f.client.create(pods, { metadata: { namespace: "default", name: "first" }, spec: { containers: [] } });
    await f.settle();
    await addPod(f, usesC);
    await f.client.delete(persistentvolumeclaims, at);
    await f.settle();
    expect(await exists(f)).toBe(true);
  });

  it("lets the claim of an ephemeral volume go when the kubelet is done with its pod", async () => {
    await using f = started();
    const pod = await addPod(f, { ephemeral: {} });
    const ownerReferences = [{ apiVersion: "v1", kind: "Pod", name: "p", uid: pod.metadata.uid, controller: true }];
    await addClaim(f, { name: "p-data", ownerReferences });
    await f.client.delete(persistentvolumeclaims, { namespace: "default", name: "p-data" });
    await f.settle();
    expect(await exists(f, "p-data")).toBe(true);
    await removePod(f);
    await f.settle();
    expect(await exists(f, "p-data")).toBe(false);
  });
});

describe("persistentvolume-protection-controller", () => {
  it("keeps a volume that is bound", async () => {
    await using f = started();
    const target = { name: "v" };
    await f.client.create(persistentvolumes, { metadata: target, spec: {}, status: { phase: "Bound" } });
    await f.settle();
    await f.client.delete(persistentvolumes, target);
    await f.settle();
    const volume = await f.client.get(persistentvolumes, target);
    expect(volume.metadata.finalizers).toEqual(["kubernetes.io/pv-protection"]);
    await f.client.updateStatus(persistentvolumes, { ...volume, status: { phase: "Released" } });
    await f.settle();
    await expect(f.client.get(persistentvolumes, target)).rejects.toThrow("not found");
  });
});

describe("volumeattributesclass-protection-controller", () => {
  it("keeps a class that a claim names", async () => {
    await using f = started();
    const target = { name: "gold" };
    await f.client.create(volumeattributesclasses, { metadata: target, driverName: "d" });
    await f.client.create(persistentvolumeclaims, { metadata: at, spec: { volumeAttributesClassName: "gold" } });
    await f.settle();
    await f.client.delete(volumeattributesclasses, target);
    await f.settle();
    await expect(f.client.get(volumeattributesclasses, target)).resolves.toBeDefined();
    await f.client.delete(persistentvolumeclaims, at);
    await f.settle();
    await expect(f.client.get(volumeattributesclasses, target)).rejects.toThrow("not found");
  });
});
