// Defaults of persistent volumes and claims, storage classes and CSI drivers.
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec } from "../types/core-v1.ts";
import type { CSIDriver, StorageClass, VolumeAttachment } from "../types/storage-v1.ts";
import { change, fill } from "./fill.ts";
import { roundFields } from "./resource-list.ts";
import { defaultAzureDisk, defaultClaimSpec, defaultHostPath, defaultIscsi, defaultRbd, defaultScaleIo } from "./volume.ts";

export function defaultPersistentVolume(volume: PersistentVolume): PersistentVolume {
  const withPhase = change(fill(volume, { status: {} }), "status", (status) => fill(status, { phase: "Pending" }));
  return change(withPhase, "spec", (given) => {
    const spec = fill(roundFields(given, "capacity"), { persistentVolumeReclaimPolicy: "Retain", volumeMode: "Filesystem" });
    return defaultSources(spec);
  });
}

function defaultSources(given: PersistentVolumeSpec): PersistentVolumeSpec {
  let spec = change(given, "hostPath", defaultHostPath);
  spec = change(spec, "iscsi", defaultIscsi);
  spec = change(spec, "rbd", defaultRbd);
  spec = change(spec, "scaleIO", defaultScaleIo);
  return change(spec, "azureDisk", defaultAzureDisk);
}

/** A volume that stands in an attachment has the defaults of its source, not those of a volume. */
export const defaultVolumeAttachment = (attachment: VolumeAttachment): VolumeAttachment =>
  change(attachment, "spec", (spec) =>
    change(spec, "source", (source) => change(source, "inlineVolumeSpec", (volume) => defaultSources(roundFields(volume, "capacity")))),
  );

export function defaultPersistentVolumeClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const withPhase = change(fill(claim, { status: {} }), "status", (status) => fill(status, { phase: "Pending" }));
  const rounded = change(withPhase, "status", (status) => roundFields(status, "capacity", "allocatedResources"));
  return change(rounded, "spec", defaultClaimSpec);
}

export const defaultStorageClass = (storageClass: StorageClass): StorageClass =>
  fill(storageClass, { reclaimPolicy: "Delete", volumeBindingMode: "Immediate" });

export function defaultCsiDriver(driver: CSIDriver): CSIDriver {
  return change(driver, "spec", (spec) =>
    fill(spec, {
      attachRequired: true,
      podInfoOnMount: false,
      storageCapacity: false,
      fsGroupPolicy: "ReadWriteOnceWithFSType",
      volumeLifecycleModes: ["Persistent"],
      requiresRepublish: false,
      seLinuxMount: false,
    }),
  );
}
