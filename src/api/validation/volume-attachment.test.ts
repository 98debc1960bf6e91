// Volumes that stand in an attachment, and volumes of more than one source.
import { describe, expect, it } from "vitest";
import { defaultVolumeAttachment } from "../defaults/storage.ts";
import type { PersistentVolume, PersistentVolumeSpec } from "../types/core-v1.ts";
import type { VolumeAttachment } from "../types/storage-v1.ts";
import { validatePersistentVolume } from "./persistent-volume.ts";
import { validateVolumeAttachment } from "./storage.ts";

const metadata = { name: "a", namespace: "", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
const messages = (errors: readonly { readonly message: string }[]): string[] => errors.map((error) => error.message);

const csi = { driver: "d.example.com", volumeHandle: "h" };
const attachment = (inlineVolumeSpec: PersistentVolumeSpec, nodeName = "n"): VolumeAttachment => ({
  apiVersion: "storage.k8s.io/v1",
  kind: "VolumeAttachment",
  metadata,
  spec: { attacher: "d.example.com", nodeName, source: { inlineVolumeSpec } },
});

describe("a volume in an attachment", () => {
  it("has the defaults of its source, and none of a volume", () => {
    const { spec } = defaultVolumeAttachment(attachment({ azureDisk: { diskName: "d", diskURI: "https://d" } }));
    expect(spec.source.inlineVolumeSpec).toEqual({
      azureDisk: { diskName: "d", diskURI: "https://d", cachingMode: "ReadWrite", fsType: "ext4", readOnly: false, kind: "Shared" },
    });
  });

  it("names no class: that is said after what is wrong with its source", () => {
    const spec = { accessModes: ["ReadWriteOnce"], storageClassName: "fast", csi: { ...csi, volumeHandle: "" } } as PersistentVolumeSpec;
    expect(messages(validateVolumeAttachment(attachment(spec)))).toEqual([
      "spec.source.inlineVolumeSpec.csi.volumeHandle: Required value",
      "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes",
    ]);
  });

  it("is shown in the form of Go when the attachment is changed", () => {
    const spec = { accessModes: ["ReadWriteOnce"], csi } as PersistentVolumeSpec;
    const [error, ...more] = validateVolumeAttachment(attachment(spec, "m"), attachment(spec));
    expect(more).toEqual([]);
    expect(error?.message).toMatch(/"InlineVolumeSpec":\{"Capacity":null,"GCEPersistentDisk":null,.*"CSI":\{"Driver":"d.example.com"/);
    expect(error?.message).toMatch(
      /"AccessModes":\["ReadWriteOnce"\],"ClaimRef":null,.*"VolumeAttributesClassName":null\}\},"NodeName":"m"\}/,
    );
  });
});

describe("validatePersistentVolume()", () => {
  it("spells a second source of CephFS as upstream does", () => {
    const spec = {
      capacity: { storage: "1Gi" },
      accessModes: ["ReadWriteOnce"],
      nfs: { server: "s", path: "/p" },
      cephfs: { monitors: ["m"] },
    } as PersistentVolumeSpec;
    const volume: PersistentVolume = { apiVersion: "v1", kind: "PersistentVolume", metadata, spec };
    expect(messages(validatePersistentVolume(volume))).toEqual(["spec.cephFS: Forbidden: may not specify more than 1 volume type"]);
  });
});
