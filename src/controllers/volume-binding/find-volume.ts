// Which volume a claim gets, and why a volume that a claim names does not suit it. Of the volumes that offer the access modes
// asked for, those with the fewest modes come first, and of these the smallest.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { isOnOffer, isVolumeOf, sizeOf, storageClassOf, suits } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";

/** Without `onlyReserved` a volume that no one has; a claim whose class waits for its first consumer gets only its own. */
export function findVolume(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
  { onlyReserved }: { readonly onlyReserved: boolean },
): PersistentVolume | undefined {
  const wanted = wantedSize(claim);
  let best: PersistentVolume | undefined;
  for (const volume of volumes) {
    if (!suits(volume, claim) || sizeOf(volume).compare(wanted) < 0 || !offersModes(volume, claim)) continue;
    if (isVolumeOf(volume, claim)) return volume;
    if (onlyReserved || volume.spec?.claimRef || !isOnOffer(volume, claim)) continue;
    if (!best || isBetter(volume, best)) best = volume;
  }
  return best;
}

function isBetter(a: PersistentVolume, b: PersistentVolume): boolean {
  const modes = (a.spec?.accessModes?.length ?? 0) - (b.spec?.accessModes?.length ?? 0);
  const order = modes || sizeOf(a).compare(sizeOf(b));
  return order === 0 ? a.metadata.name < b.metadata.name : order < 0;
}

/** Why a claim cannot have the volume that it names; undefined where it can. */
export function mismatchOf(volume: PersistentVolume, claim: PersistentVolumeClaim): string | undefined {
  if (volume.metadata.deletionTimestamp !== undefined) return `the volume is marked for deletion ${JSON.stringify(volume.metadata.name)}`;
  if (sizeOf(volume).compare(wantedSize(claim)) < 0) return "requested PV is too small";
  if (storageClassOf(volume) !== storageClassOf(claim)) return "storageClassName does not match";
  if ((volume.spec?.volumeAttributesClassName ?? "") !== (claim.spec?.volumeAttributesClassName ?? ""))
    return "volumeAttributesClassName does not match";
  if (!hasSameVolumeMode(volume, claim)) return "incompatible volumeMode";
  return offersModes(volume, claim) ? undefined : "incompatible accessMode";
}

export function hasSameVolumeMode(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  return (volume.spec?.volumeMode ?? "Filesystem") === (claim.spec?.volumeMode ?? "Filesystem");
}

const wantedSize = (claim: PersistentVolumeClaim) => parseQuantity(claim.spec?.resources?.requests?.storage ?? 0);

function offersModes(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  return (claim.spec?.accessModes ?? []).every((mode) => volume.spec?.accessModes?.includes(mode));
}
