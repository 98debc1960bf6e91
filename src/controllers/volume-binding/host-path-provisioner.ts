// Makes volumes of directories of this machine for classes of the provisioner kubernetes.io/host-path, where
// --enable-hostpath-provisioner says so: for development on one node, as upstream.
import { mkdir } from "node:fs/promises";
import type { New } from "../../api/meta/object.ts";
import { boundByControllerAnnotation, storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import { inTreeFinalizer } from "./migrated-plugins.ts";
import { hostPathPlugin } from "./volume-plugins.ts";

/** Why the claim cannot have one, in upstream's words; undefined where it can. `isEnabled`: such volumes may be made. */
export function hostPathProblem(
  { spec }: PersistentVolumeClaim,
  { metadata, mountOptions = [] }: StorageClass,
  isEnabled: boolean,
): string | undefined {
  const className = JSON.stringify(metadata.name);
  if (mountOptions.length > 0)
    return `Mount options are not supported by the provisioner but StorageClass ${className} has mount options [${mountOptions.join(" ")}]`;
  if (!isEnabled) return `Failed to create provisioner: provisioning in volume plugin "${hostPathPlugin}" is disabled`;
  if (spec?.volumeMode !== "Block") return undefined;
  return `Failed to provision volume with StorageClass ${className}: ${hostPathPlugin} does not support block volume provisioning`;
}

/** The volume's name is made of the claim's UID: a claim has one volume, however often it is tried. */
export const provisionedName = ({ metadata }: PersistentVolumeClaim): string => `pvc-${metadata.uid}`;

/** The volume for a claim, whose directory has its own name: trying again leaves no second one behind. */
export function hostPathVolume(claim: PersistentVolumeClaim, storageClass: StorageClass): New<PersistentVolume> {
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const { accessModes, resources } = claim.spec ?? {};
  const reclaimPolicy = storageClass.reclaimPolicy ?? "Delete";
  return {
    metadata: {
      name: provisionedName(claim),
      annotations: {
        "kubernetes.io/createdby": "hostpath-dynamic-provisioner",
        [boundByControllerAnnotation]: "yes",
        "pv.kubernetes.io/provisioned-by": hostPathPlugin,
      },
      ...(reclaimPolicy === "Delete" ? { finalizers: [inTreeFinalizer] } : {}),
    },
    spec: {
      accessModes: accessModes?.length ? accessModes : ["ReadWriteOnce"],
      capacity: { storage: resources?.requests?.storage ?? "0" },
      claimRef: { apiVersion: claim.apiVersion, kind: claim.kind, namespace, name, uid, resourceVersion },
      hostPath: { path: directoryFor(claim) },
      persistentVolumeReclaimPolicy: reclaimPolicy,
      storageClassName: storageClassOf(claim),
    },
  };
}

export const directoryFor = ({ metadata }: PersistentVolumeClaim): string => `/tmp/hostpath_pv/${metadata.uid}`;

export async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o750 });
}
