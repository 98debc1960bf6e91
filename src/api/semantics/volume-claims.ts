// Persistent volumes and claims: the annotations that say how far a binding has come, which volumes a claim can have, and
// which nodes can reach a volume. What the volume controller and the scheduler agree on.
import { parseQuantity, type Quantity } from "../meta/quantity.ts";
import { labelMatcher } from "../meta/selectors.ts";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "../types/core-v1.ts";
import { compileNodeSelector } from "./node-affinity.ts";

/** On a claim: the volume controller has finished binding it. */
export const bindCompletedAnnotation = "pv.kubernetes.io/bind-completed";
/** On a claim or volume: not the user has bound it. */
export const boundByControllerAnnotation = "pv.kubernetes.io/bound-by-controller";
/** On a claim whose class waits for its first consumer: the node that the scheduler has chosen. */
export const selectedNodeAnnotation = "volume.kubernetes.io/selected-node";
/** The provisioner of classes whose volumes are made by hand. */
export const noProvisioner = "kubernetes.io/no-provisioner";
const classAnnotation = "volume.beta.kubernetes.io/storage-class";

/** "" where the claim or volume has no class. */
export function storageClassOf({ metadata, spec }: PersistentVolumeClaim | PersistentVolume): string {
  return metadata.annotations?.[classAnnotation] ?? spec?.storageClassName ?? "";
}

/** The claim of a pod's volume, by name: its own, or the one that is made for an ephemeral volume. */
export function claimNameOf(pod: Pod, volume: Volume): string | undefined {
  return volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral ? `${pod.metadata.name}-${volume.name}` : undefined);
}

/** Both sides know of the binding. */
export function isFullyBound({ metadata, spec }: PersistentVolumeClaim): boolean {
  return Boolean(spec?.volumeName) && metadata.annotations?.[bindCompletedAnnotation] !== undefined;
}

/** Whether a volume is reserved for the claim: by the claim's name, and its UID where that is already known. */
export function isVolumeOf({ spec }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  const reference = spec?.claimRef;
  if (!reference || reference.name !== metadata.name || reference.namespace !== metadata.namespace) return false;
  return !reference.uid || reference.uid === metadata.uid;
}

/** Whether the volume can be used on the node. */
export function isReachable({ spec }: PersistentVolume, node: Pick<Node, "metadata">): boolean {
  const required = spec?.nodeAffinity?.required;
  return !required || compileNodeSelector(required)(node);
}

/**
 * The volume for a claim: the one that is reserved for it, else the smallest that has what it asks for, can be used on the
 * node, and is not in `taken`. Undefined where there is none, or where the reserved one is out of the node's reach.
 */
export function findVolumeFor(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
  { node, taken }: { readonly node: Pick<Node, "metadata">; readonly taken: ReadonlySet<string> },
): PersistentVolume | undefined {
  const wanted = parseQuantity(claim.spec?.resources?.requests?.storage ?? 0);
  let smallest: PersistentVolume | undefined;
  for (const volume of volumes) {
    if (taken.has(volume.metadata.name) || !suits(volume, claim)) continue;
    const size = sizeOf(volume);
    if (size.compare(wanted) < 0) continue;
    if (isVolumeOf(volume, claim)) return isReachable(volume, node) ? volume : undefined;
    if (volume.spec?.claimRef || !isOnOffer(volume, claim) || !isReachable(volume, node)) continue;
    if (!smallest || sizeOf(smallest).compare(size) > 0) smallest = volume;
  }
  return smallest;
}

/** What a volume holds. */
export const sizeOf = (volume: PersistentVolume): Quantity => parseQuantity(volume.spec?.capacity?.storage ?? 0);

/** What even a volume reserved for the claim must have. */
export function suits({ metadata, spec }: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  return (
    (spec?.volumeMode ?? "Filesystem") === (claim.spec?.volumeMode ?? "Filesystem") &&
    (spec?.volumeAttributesClassName ?? "") === (claim.spec?.volumeAttributesClassName ?? "") &&
    metadata.deletionTimestamp === undefined
  );
}

/** Whether a volume that is reserved for nobody has what the claim asks for, its size aside. */
export function isOnOffer(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { selector, accessModes = [] } = claim.spec ?? {};
  return (
    volume.status?.phase === "Available" &&
    (!selector || labelMatcher(selector).matches(volume.metadata.labels)) &&
    storageClassOf(volume) === storageClassOf(claim) &&
    accessModes.every((mode) => volume.spec?.accessModes?.includes(mode))
  );
}
