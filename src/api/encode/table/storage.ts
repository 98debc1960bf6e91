// Tables of volumes, claims and the kinds of storage.k8s.io.
import type { PersistentVolume, PersistentVolumeClaim } from "../../types/core-v1.ts";
import type { CSIDriver, CSINode, StorageClass, VolumeAttachment, VolumeAttributesClass } from "../../types/storage-v1.ts";
import { age, ageColumn, column, nameColumn, wideColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

const shortModes = [
  ["ReadWriteOnce", "RWO"],
  ["ReadOnlyMany", "ROX"],
  ["ReadWriteMany", "RWX"],
  ["ReadWriteOncePod", "RWOP"],
] as const;

/** "RWO,ROX". */
export function accessModesText(modes: readonly string[] | undefined): string {
  return shortModes
    .filter(([mode]) => modes?.includes(mode))
    .map(([, short]) => short)
    .join(",");
}

const oldClassKey = "volume.beta.kubernetes.io/storage-class";

type Classed = {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec?: { readonly storageClassName?: string };
};

const classText = ({ metadata, spec }: Classed): string => metadata.annotations?.[oldClassKey] ?? spec?.storageClassName ?? "";

export const persistentVolumeTable: TableConvertor<PersistentVolume> = {
  columns: [
    nameColumn,
    column("Capacity", texts.PersistentVolumeSpec.capacity),
    column("Access Modes", texts.PersistentVolumeSpec.accessModes),
    column("Reclaim Policy", texts.PersistentVolumeSpec.persistentVolumeReclaimPolicy),
    column("Status", texts.PersistentVolumeStatus.phase),
    column("Claim", texts.PersistentVolumeSpec.claimRef),
    column("StorageClass", "StorageClass of the pv"),
    column("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
    column("Reason", texts.PersistentVolumeStatus.reason),
    ageColumn,
    wideColumn("VolumeMode", texts.PersistentVolumeSpec.volumeMode),
  ],
  cells: (volume, nowMs) => {
    const { metadata, spec, status } = volume;
    const claim = spec?.claimRef;
    return [
      metadata.name,
      spec?.capacity?.["storage"] ?? "0",
      accessModesText(spec?.accessModes),
      spec?.persistentVolumeReclaimPolicy ?? "",
      metadata.deletionTimestamp === undefined ? (status?.phase ?? "") : "Terminating",
      claim ? `${claim.namespace ?? ""}/${claim.name ?? ""}` : "",
      classText(volume),
      spec?.volumeAttributesClassName ?? "<unset>",
      status?.reason ?? "",
      age(volume, nowMs),
      spec?.volumeMode ?? "<unset>",
    ];
  },
};

export const persistentVolumeClaimTable: TableConvertor<PersistentVolumeClaim> = {
  columns: [
    nameColumn,
    column("Status", texts.PersistentVolumeClaimStatus.phase),
    column("Volume", texts.PersistentVolumeClaimSpec.volumeName),
    column("Capacity", texts.PersistentVolumeClaimStatus.capacity),
    column("Access Modes", texts.PersistentVolumeClaimStatus.accessModes),
    column("StorageClass", "StorageClass of the pvc"),
    column("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
    ageColumn,
    wideColumn("VolumeMode", texts.PersistentVolumeClaimSpec.volumeMode),
  ],
  cells: (claim, nowMs) => {
    const { metadata, spec, status } = claim;
    const bound = Boolean(spec?.volumeName);
    return [
      metadata.name,
      metadata.deletionTimestamp === undefined ? (status?.phase ?? "") : "Terminating",
      spec?.volumeName ?? "",
      bound ? (status?.capacity?.["storage"] ?? "0") : "",
      bound ? accessModesText(status?.accessModes) : "",
      classText(claim),
      spec?.volumeAttributesClassName ?? "<unset>",
      age(claim, nowMs),
      spec?.volumeMode ?? "<unset>",
    ];
  },
};

const defaultClassKeys = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

export const storageClassTable: TableConvertor<StorageClass> = {
  columns: [
    nameColumn,
    column("Provisioner", texts.StorageClass.provisioner),
    column("ReclaimPolicy", texts.StorageClass.reclaimPolicy),
    column("VolumeBindingMode", texts.StorageClass.volumeBindingMode),
    column("AllowVolumeExpansion", texts.StorageClass.allowVolumeExpansion),
    ageColumn,
  ],
  cells: (storageClass, nowMs) => {
    const { metadata } = storageClass;
    const isDefault = defaultClassKeys.some((key) => metadata.annotations?.[key] === "true");
    return [
      isDefault ? `${metadata.name} (default)` : metadata.name,
      storageClass.provisioner,
      storageClass.reclaimPolicy ?? "Delete",
      storageClass.volumeBindingMode ?? "Immediate",
      storageClass.allowVolumeExpansion ?? false,
      age(storageClass, nowMs),
    ];
  },
};

export const volumeAttributesClassTable: TableConvertor<VolumeAttributesClass> = {
  columns: [nameColumn, column("DriverName", texts.VolumeAttributesClass.driverName), ageColumn],
  cells: (attributesClass, nowMs) => [attributesClass.metadata.name, attributesClass.driverName, age(attributesClass, nowMs)],
};

export const volumeAttachmentTable: TableConvertor<VolumeAttachment> = {
  columns: [
    nameColumn,
    { ...column("Attacher", texts.VolumeAttachmentSpec.attacher), format: "name" },
    column("PV", texts.VolumeAttachmentSource.persistentVolumeName),
    column("Node", texts.VolumeAttachmentSpec.nodeName),
    column("Attached", texts.VolumeAttachmentStatus.attached, "boolean"),
    ageColumn,
  ],
  cells: (attachment, nowMs) => {
    const { metadata, spec, status } = attachment;
    const volume = spec.source.persistentVolumeName ?? "";
    return [metadata.name, spec.attacher, volume, spec.nodeName, status?.attached ?? false, age(attachment, nowMs)];
  },
};

export const csiNodeTable: TableConvertor<CSINode> = {
  columns: [nameColumn, column("Drivers", "Drivers indicates the number of CSI drivers registered on the node", "integer"), ageColumn],
  cells: (node, nowMs) => [node.metadata.name, (node.spec.drivers ?? []).length, age(node, nowMs)],
};

export const csiDriverTable: TableConvertor<CSIDriver> = {
  columns: [
    nameColumn,
    column("AttachRequired", texts.CSIDriverSpec.attachRequired, "boolean"),
    column("PodInfoOnMount", texts.CSIDriverSpec.podInfoOnMount, "boolean"),
    column("StorageCapacity", texts.CSIDriverSpec.storageCapacity, "boolean"),
    column("TokenRequests", texts.CSIDriverSpec.tokenRequests),
    column("RequiresRepublish", texts.CSIDriverSpec.requiresRepublish, "boolean"),
    column("Modes", texts.CSIDriverSpec.volumeLifecycleModes),
    ageColumn,
  ],
  cells: (driver, nowMs) => {
    const { metadata, spec } = driver;
    return [
      metadata.name,
      spec.attachRequired ?? true,
      spec.podInfoOnMount ?? false,
      spec.storageCapacity ?? false,
      spec.tokenRequests ? spec.tokenRequests.map(({ audience }) => audience).join(",") : "<unset>",
      spec.requiresRepublish ?? false,
      (spec.volumeLifecycleModes ?? []).join(",") || "<none>",
      age(driver, nowMs),
    ];
  },
};
