// Volumes that are attached to nodes: those of CSI drivers that ask for it. Their attachments are VolumeAttachment objects,
// named after volume, driver and node, which the driver's own attacher carries out.
import { createHash } from "node:crypto";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import { claimNameOf } from "../../api/semantics/volume-claims.ts";
import type { ContainerStatus, PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { CSIDriver } from "../../api/types/storage-v1.ts";

export interface AttachableVolume {
  /** Of the PersistentVolume. */
  readonly name: string;
  readonly driver: string;
  readonly handle: string;
  /** As nodes name it in their status: "kubernetes.io/csi/driver^handle". */
  readonly uniqueName: string;
  /** More than one node may have it at a time. */
  readonly isShared: boolean;
}

export function attachableVolume(
  { metadata, spec }: PersistentVolume,
  driverOf: (name: string) => CSIDriver | undefined,
): AttachableVolume | undefined {
  const { csi, accessModes = [] } = spec ?? {};
  if (!csi || driverOf(csi.driver)?.spec?.attachRequired === false) return undefined;
  const isShared = accessModes.length === 0 || accessModes.some((mode) => mode === "ReadWriteMany" || mode === "ReadOnlyMany");
  const { driver, volumeHandle: handle } = csi;
  return { name: metadata.name, driver, handle, uniqueName: `kubernetes.io/csi/${driver}^${handle}`, isShared };
}

export function attachmentName({ handle, driver }: Pick<AttachableVolume, "handle" | "driver">, nodeName: string): string {
  return `csi-${createHash("sha256").update(`${handle}${driver}${nodeName}`).digest("hex")}`;
}

/** Keys of the claims whose volumes a pod needs on its node. */
export function claimKeysOf(pod: Pod): readonly string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => {
    const name = claimNameOf(pod, volume);
    return name === undefined ? [] : [`${pod.metadata.namespace}/${name}`];
  });
}

/** The volume of a bound claim, where both agree that it is. */
export function isBoundTo(claim: PersistentVolumeClaim, { metadata, spec }: PersistentVolume): boolean {
  return claim.status?.phase === "Bound" && claim.spec?.volumeName === metadata.name && spec?.claimRef?.uid === claim.metadata.uid;
}

/** Its containers no longer run, so that its volumes may go from the node. */
export function isPodEnded(pod: Pod): boolean {
  return isPodTerminal(pod) || (pod.metadata.deletionTimestamp !== undefined && (pod.status?.containerStatuses ?? []).every(isStopped));
}

const isStopped = ({ state }: ContainerStatus): boolean => state?.running === undefined;
