// What the server warns of in volumes, claims and storage classes: deprecated annotations, labels and plugins.

import { parseQuantity } from "../../../api/meta/quantity.ts";
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeSpec } from "../../../api/types/core-v1.ts";
import type { CSIStorageCapacity, StorageClass } from "../../../api/types/storage-v1.ts";
import { deprecatedNodeLabel, nodeTermWarnings } from "../../../api/validation/deprecated-labels.ts";
import { isFractional } from "../../../api/validation/resources.ts";

const oldClassKey = "volume.beta.kubernetes.io/storage-class";
const oldClassWarning = `metadata.annotations[${oldClassKey}]: deprecated since v1.8; use "storageClassName" attribute instead`;
const oldMountOptionsKey = "volume.beta.kubernetes.io/mount-options";
const oldMountOptionsWarning = `metadata.annotations[${oldMountOptionsKey}]: deprecated since v1.31; use "mountOptions" attribute instead`;

/** Plugins that are gone, in the order in which they are warned of. */
const gonePlugins: readonly (readonly [keyof PersistentVolumeSpec, string])[] = [
  ["cephfs", "deprecated in v1.28, non-functional in v1.31+"],
  ["photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"],
  ["scaleIO", "deprecated in v1.16, non-functional in v1.22+"],
  ["storageos", "deprecated in v1.22, non-functional in v1.25+"],
  ["glusterfs", "deprecated in v1.25, non-functional in v1.26+"],
  ["rbd", "deprecated in v1.28, non-functional in v1.31+"],
];

export function volumeWarnings({ metadata, spec = {} }: PersistentVolume): readonly string[] {
  const terms = spec.nodeAffinity?.required?.nodeSelectorTerms ?? [];
  return [
    ...(metadata.annotations?.[oldClassKey] === undefined ? [] : [oldClassWarning]),
    ...(metadata.annotations?.[oldMountOptionsKey] === undefined ? [] : [oldMountOptionsWarning]),
    ...(spec.persistentVolumeReclaimPolicy === "Recycle"
      ? [
          "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.",
        ]
      : []),
    ...terms.flatMap((term, i) => nodeTermWarnings(term, `spec.nodeAffinity.required.nodeSelectorTerms[${i}]`)),
    ...gonePlugins.flatMap(([plugin, text]) =>
      spec[plugin] === undefined ? [] : [`spec.${plugin === "storageos" ? "storageOS" : plugin}: ${text}`],
    ),
  ];
}

export function claimWarnings({ metadata, spec = {} }: PersistentVolumeClaim): readonly string[] {
  const fractional = (["requests", "limits"] as const).flatMap((list) => {
    const size = spec.resources?.[list]?.["storage"];
    if (size === undefined || !isFractional(parseQuantity(size))) return [];
    return [`spec.resources.${list}[storage]: fractional byte value ${JSON.stringify(String(size))} is invalid, must be an integer`];
  });
  return [...(metadata.annotations?.[oldClassKey] === undefined ? [] : [oldClassWarning]), ...fractional];
}

export function storageClassWarnings({ allowedTopologies = [] }: StorageClass): readonly string[] {
  return allowedTopologies.flatMap(({ matchLabelExpressions = [] }, i) =>
    matchLabelExpressions.flatMap(({ key }, j) => {
      const text = deprecatedNodeLabel(key);
      return text === undefined ? [] : [`allowedTopologies[${i}].matchLabelExpressions[${j}].key: ${text}`];
    }),
  );
}

export function storageCapacityWarnings({ nodeTopology }: CSIStorageCapacity): readonly string[] {
  const { matchExpressions = [], matchLabels = {} } = nodeTopology ?? {};
  return [
    ...nodeTermWarnings({ matchExpressions }, "nodeTopology"),
    ...Object.keys(matchLabels).flatMap((label) => {
      const text = deprecatedNodeLabel(label);
      return text === undefined ? [] : [`nodeTopology.matchLabels.${label}: ${text}`];
    }),
  ];
}
