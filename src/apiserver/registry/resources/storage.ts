// Persistent volumes and claims, and the kinds of storage.k8s.io.
import {
  defaultCsiDriver,
  defaultPersistentVolume,
  defaultPersistentVolumeClaim,
  defaultStorageClass,
  defaultVolumeAttachment,
} from "../../../api/defaults/storage.ts";
import {
  csiDriverTable,
  csiNodeTable,
  persistentVolumeClaimTable,
  persistentVolumeTable,
  storageClassTable,
  volumeAttachmentTable,
  volumeAttributesClassTable,
} from "../../../api/encode/table/storage.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import {
  csidrivers,
  csinodes,
  csistoragecapacities,
  persistentvolumeclaims,
  persistentvolumes,
  storageclasses,
  volumeattachments,
  volumeattributesclasses,
} from "../../../api/resources.generated.ts";
import type { PersistentVolume } from "../../../api/types/core-v1.ts";
import type { CSIDriver, CSIStorageCapacity } from "../../../api/types/storage-v1.ts";
import { validatePersistentVolume } from "../../../api/validation/persistent-volume.ts";
import { validatePersistentVolumeClaim, validatePersistentVolumeClaimStatus } from "../../../api/validation/persistent-volume-claim.ts";
import {
  validateCSIDriver,
  validateCSINode,
  validateCSIStorageCapacity,
  validateStorageClass,
  validateStorageClassUpdate,
  validateVolumeAttachment,
  validateVolumeAttributesClass,
} from "../../../api/validation/storage.ts";
import { formatTime } from "../../../base/clock.ts";
import { completedClaim, withClaimDataSource } from "./claim-data-source.ts";
import { checked, describe, statusKeepsMetadata, withOnlyStatus, withStatusKeepingMetadata } from "./describe.ts";
import { claimWarnings, storageCapacityWarnings, storageClassWarnings, volumeWarnings } from "./storage-warnings.ts";

/** The time of the last change of phase is kept where the client does not say it. */
function withPhaseTime(volume: PersistentVolume, old: PersistentVolume, nowMs: number): PersistentVolume {
  const { status } = volume;
  const before = old.status;
  const { lastPhaseTransitionTime: _, ...rest } = status ?? {};
  const said = status?.lastPhaseTransitionTime;
  const was = before?.lastPhaseTransitionTime;
  if (status?.phase === before?.phase) return said === undefined && was !== undefined ? withTime(was) : volume;
  return said === undefined || said === was ? withTime(formatTime(nowMs)) : volume;

  function withTime(lastPhaseTransitionTime: string): PersistentVolume {
    return { ...volume, status: { ...rest, lastPhaseTransitionTime } };
  }
}

export const persistentVolumeDefinition = describe<PersistentVolume>(persistentvolumes, {
  metadataOnUpdate: ["whole", "whole"],
  defaults: defaultPersistentVolume,
  countsGeneration: false,
  create: {
    prepare: (volume, { nowMs }) => ({ ...volume, status: { phase: "Pending", lastPhaseTransitionTime: formatTime(nowMs) } }),
    validate: (volume) => validatePersistentVolume(volume),
    warnings: volumeWarnings,
  },
  update: { validate: validatePersistentVolume, warnings: volumeWarnings },
  status: { prepare: (volume, old, { nowMs }) => withPhaseTime(withOnlyStatus(volume, old), old, nowMs) },
  deletionReturnsObject: true,
  table: persistentVolumeTable,
});

export const persistentVolumeClaimDefinition = describe(persistentvolumeclaims, {
  metadataOnUpdate: ["changes", "whole"],
  defaults: defaultPersistentVolumeClaim,
  completed: completedClaim,
  countsGeneration: false,
  create: {
    prepare: (claim) => withClaimDataSource({ ...claim, status: { phase: "Pending" } }, undefined),
    validate: (claim) => validatePersistentVolumeClaim(claim),
    warnings: claimWarnings,
  },
  update: {
    prepare: (claim, old) => withClaimDataSource({ ...claim, ...(old.status ? { status: old.status } : {}) }, old),
    validate: validatePersistentVolumeClaim,
    warnings: claimWarnings,
  },
  status: { validate: validatePersistentVolumeClaimStatus },
  deletionReturnsObject: true,
  table: persistentVolumeClaimTable,
});

export const storageClassDefinition = describe(storageclasses, {
  metadataOnUpdate: ["whole", "changes"],
  defaults: defaultStorageClass,
  create: { validate: validateStorageClass, warnings: storageClassWarnings },
  update: {
    validate: (storageClass, old) => [...validateStorageClass(storageClass), ...validateStorageClassUpdate(storageClass, old)],
    warnings: storageClassWarnings,
  },
  deletionReturnsObject: true,
  table: storageClassTable,
});

const tokenWarning =
  "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";

const asksForTokens = ({ spec }: CSIDriver): boolean =>
  (spec.tokenRequests ?? []).length > 0 && spec.serviceAccountTokenInSecrets === undefined;

/** That pods wait for a driver is behind a feature gate that is off: the field is ignored. */
function withoutDisabledFields(driver: CSIDriver): CSIDriver {
  const { preventPodSchedulingIfMissing, ...spec } = driver.spec;
  return preventPodSchedulingIfMissing === undefined ? driver : { ...driver, spec };
}

/** Changes are counted, the creation is not. */
function withSpecGeneration(driver: CSIDriver, old: CSIDriver): CSIDriver {
  if (semanticallyEqual(driver.spec, old.spec)) return driver;
  return { ...driver, metadata: { ...driver.metadata, generation: (old.metadata.generation ?? 0) + 1 } };
}

export const csiDriverDefinition = describe<CSIDriver>(csidrivers, {
  defaults: defaultCsiDriver,
  create: {
    prepare: withoutDisabledFields,
    validate: (driver) => validateCSIDriver(driver),
    warnings: (driver) => (asksForTokens(driver) ? [tokenWarning] : []),
  },
  update: {
    prepare: (driver, old) => withSpecGeneration(withoutDisabledFields(driver), old),
    validate: validateCSIDriver,
    warnings: (driver, old) =>
      asksForTokens(driver) && !semanticallyEqual(driver.spec.tokenRequests, old.spec.tokenRequests) ? [tokenWarning] : [],
  },
  allowUnconditionalUpdate: false,
  deletionReturnsObject: true,
  table: csiDriverTable,
});

export const csiNodeDefinition = describe(csinodes, {
  metadataOnUpdate: ["whole"],
  ...checked(validateCSINode),
  allowUnconditionalUpdate: false,
  deletionReturnsObject: true,
  table: csiNodeTable,
});

export const csiStorageCapacityDefinition = describe<CSIStorageCapacity>(csistoragecapacities, {
  metadataOnUpdate: ["whole", "changes"],
  create: { validate: (capacity) => validateCSIStorageCapacity(capacity), warnings: storageCapacityWarnings },
  update: { validate: validateCSIStorageCapacity, warnings: storageCapacityWarnings },
  allowUnconditionalUpdate: false,
});

export const volumeAttachmentDefinition = describe(volumeattachments, {
  metadataOnUpdate: ["whole"],
  defaults: defaultVolumeAttachment,
  ...checked(validateVolumeAttachment),
  countsGeneration: false,
  resetFields: statusKeepsMetadata,
  status: { prepare: withStatusKeepingMetadata, validate: validateVolumeAttachment, metadata: ["whole"] },
  allowUnconditionalUpdate: false,
  deletionReturnsObject: true,
  table: volumeAttachmentTable,
});

export const volumeAttributesClassDefinition = describe(volumeattributesclasses, {
  metadataOnUpdate: ["changes", "whole"],
  ...checked(validateVolumeAttributesClass),
  deletionReturnsObject: true,
  table: volumeAttributesClassTable,
});
