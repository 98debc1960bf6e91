// What there is to do for a claim and for a volume: pure decisions over what is known of the two and of storage classes. A
// binding is in four places: the volume's claimRef and phase, the claim's volumeName and phase; it may have stopped after any
// of them, and each run goes on from there.

import {
  bindCompletedAnnotation,
  boundByControllerAnnotation,
  isVolumeOf,
  selectedNodeAnnotation,
  storageClassOf,
} from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";
import { hasSameVolumeMode, mismatchOf } from "./find-volume.ts";
import { hostPathProblem } from "./host-path-provisioner.ts";
import { deleterOf, provisionerNamed } from "./volume-plugins.ts";

const classAnnotation = "volume.beta.kubernetes.io/storage-class";
const defaultClassAnnotation = "storageclass.kubernetes.io/is-default-class";
const provisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
const migratedToAnnotation = "pv.kubernetes.io/migrated-to";

export type ClaimPlan =
  | { readonly kind: "bind"; readonly volume: PersistentVolume }
  /** Nothing suits it for now. `retry`: what stands in the way may pass without a change of the claim. */
  | { readonly kind: "wait"; readonly event?: EventToRecord; readonly retry?: boolean }
  | { readonly kind: "lose"; readonly event: EventToRecord }
  /** The class that is the default now, for a claim that was made before there was one. */
  | { readonly kind: "assign-class"; readonly className: string }
  /** Marks the claim for its provisioner, which is outside or cannot. */
  | { readonly kind: "provision"; readonly provisioner: string; readonly event: EventToRecord }
  /** The same, and makes a directory of this machine its volume. */
  | { readonly kind: "make-directory"; readonly provisioner: string; readonly storageClass: StorageClass }
  | { readonly kind: "cannot-provision"; readonly event: EventToRecord }
  /** Classes have no volumes made for them here. */
  | { readonly kind: "leave" };

/** What the administrator lets this controller make. */
export interface ProvisioningSettings {
  /** Volumes are made for claims, by whomever. Default true. */
  readonly isDynamic?: boolean;
  /** Volumes of directories of this machine may be made. Default false. */
  readonly ofHostPaths?: boolean;
}

export interface ClaimObservation {
  readonly claim: PersistentVolumeClaim;
  /** The volume that the claim names. */
  readonly named: PersistentVolume | undefined;
  /** The class that the claim names. */
  readonly storageClass: StorageClass | undefined;
  readonly defaultClass: () => StorageClass | undefined;
  /** A volume for a claim that names none. */
  readonly find: (options: { readonly onlyReserved: boolean }) => PersistentVolume | undefined;
  /** Names of pods that use the claim and have no node yet. */
  readonly waitingPods: () => readonly string[];
  readonly provisioning?: ProvisioningSettings;
}

export function planClaim(observed: ClaimObservation): ClaimPlan {
  const { claim } = observed;
  if (claim.metadata.annotations?.[bindCompletedAnnotation] !== undefined) return planBoundClaim(observed);
  return claim.spec?.volumeName ? planNamedVolume(observed) : planAnyVolume(observed);
}

function planBoundClaim({ claim, named }: ClaimObservation): ClaimPlan {
  const lose = (reason: string, message: string): ClaimPlan => ({ kind: "lose", event: { type: "Warning", reason, message } });
  if (!claim.spec?.volumeName) return lose("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
  if (!named) return lose("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!");
  const reference = named.spec?.claimRef;
  if (!reference || reference.uid === claim.metadata.uid) return { kind: "bind", volume: named };
  return lose("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly");
}

function planNamedVolume({ claim, named }: ClaimObservation): ClaimPlan {
  if (!named) return { kind: "wait" };
  const { name } = named.metadata;
  if (!named.spec?.claimRef) {
    const mismatch = mismatchOf(named, claim);
    if (mismatch === undefined) return { kind: "bind", volume: named };
    return waitWith("Warning", "VolumeMismatch", `Cannot bind to requested volume ${JSON.stringify(name)}: ${mismatch}`);
  }
  if (isVolumeOf(named, claim)) return { kind: "bind", volume: named };
  return waitWith("Warning", "FailedBinding", `volume ${JSON.stringify(name)} already bound to a different claim.`);
}

function planAnyVolume({ claim, storageClass, find, defaultClass, waitingPods, provisioning = {} }: ClaimObservation): ClaimPlan {
  const waitsForConsumer = storageClass?.volumeBindingMode === "WaitForFirstConsumer";
  const volume = find({ onlyReserved: waitsForConsumer });
  if (volume) return { kind: "bind", volume };
  const assigned = hasClass(claim) ? undefined : defaultClass();
  if (assigned) return { kind: "assign-class", className: assigned.metadata.name };
  const isOnItsWay = claim.metadata.annotations?.[selectedNodeAnnotation] !== undefined;
  if (waitsForConsumer && !isOnItsWay) return waitForConsumer(waitingPods());
  if (storageClassOf(claim) !== "") return planProvisioning(claim, storageClass, provisioning);
  return waitWith("Normal", "FailedBinding", "no persistent volumes available for this claim and no storage class is set");
}

const waitWith = (type: "Normal" | "Warning", reason: string, message: string): ClaimPlan => ({
  kind: "wait",
  event: { type, reason, message },
  retry: true,
});

function waitForConsumer(pods: readonly string[]): ClaimPlan {
  if (pods.length === 0) return waitWith("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
  return waitWith("Normal", "WaitForPodScheduled", `waiting for pod${pods.length > 1 ? "s" : ""} ${pods.join(",")} to be scheduled`);
}

function planProvisioning(
  claim: PersistentVolumeClaim,
  storageClass: StorageClass | undefined,
  { isDynamic = true, ofHostPaths = false }: ProvisioningSettings,
): ClaimPlan {
  const failure = (message: string): EventToRecord => ({ type: "Warning", reason: "ProvisioningFailed", message });
  const fail = (message: string): ClaimPlan => ({ kind: "cannot-provision", event: failure(message) });
  if (!isDynamic) return { kind: "leave" };
  if (!storageClass) return fail(`storageclass.storage.k8s.io ${JSON.stringify(storageClassOf(claim))} not found`);
  const provisioner = provisionerNamed(storageClass.provisioner);
  if (provisioner.kind === "none") return fail(provisioner.message);
  const { name } = provisioner;
  if (provisioner.kind === "host-path") {
    if (claim.spec?.dataSource)
      return fail(`plugin ${JSON.stringify(name)} is not a CSI plugin. Only CSI plugin can provision a claim with a datasource`);
    const problem = hostPathProblem(claim, storageClass, ofHostPaths);
    if (problem === undefined) return { kind: "make-directory", provisioner: name, storageClass };
    return { kind: "provision", provisioner: name, event: failure(problem) };
  }
  const message = `Waiting for a volume to be created either by the external provisioner '${name}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
  return { kind: "provision", provisioner: name, event: { type: "Normal", reason: "ExternalProvisioning", message } };
}

const hasClass = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  metadata.annotations?.[classAnnotation] !== undefined || spec?.storageClassName !== undefined;

/** The newest of the classes marked as the default. */
export function defaultClassOf(classes: Iterable<StorageClass>): StorageClass | undefined {
  const marked = [...classes].filter(({ metadata }) => metadata.annotations?.[defaultClassAnnotation] === "true");
  const age = ({ metadata }: StorageClass): string => metadata.creationTimestamp;
  return marked.sort((a, b) => (age(a) === age(b) ? (a.metadata.name < b.metadata.name ? -1 : 1) : age(a) > age(b) ? -1 : 1))[0];
}

export type VolumePlan =
  | { readonly kind: "phase"; readonly phase: "Available" | "Bound" }
  /** The claim it is reserved for names no volume yet: binding is the claim's part. */
  | { readonly kind: "await-claim" }
  /** It cannot be bound to the claim it is reserved for, whose volume mode is another. */
  | { readonly kind: "mismatch" }
  | { readonly kind: "unbind" }
  /** Its claim is gone. */
  | { readonly kind: "release"; readonly reclaim: Reclaim };

export type Reclaim =
  /** Kept, or left to whoever provisioned it. */
  | { readonly kind: "leave" }
  | { readonly kind: "fail"; readonly event: EventToRecord }
  /** Its directory on this machine is removed, and then it. */
  | { readonly kind: "directory"; readonly path: string }
  /** It is emptied by a pod, and free again. */
  | { readonly kind: "recycle" };

/** `claim`: the one that the volume's claimRef means, by its uid. */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | undefined): VolumePlan {
  if (!volume.spec?.claimRef?.uid) return { kind: "phase", phase: "Available" };
  if (!claim) return { kind: "release", reclaim: planReclaim(volume) };
  const { volumeName } = claim.spec ?? {};
  if (!volumeName) return { kind: hasSameVolumeMode(volume, claim) ? "await-claim" : "mismatch" };
  if (volumeName === volume.metadata.name) return { kind: "phase", phase: "Bound" };
  // The claim has another volume. What was made for it alone goes the way of its policy.
  const wasMadeForIt = volume.metadata.annotations?.[provisionedByAnnotation] !== undefined;
  if (wasMadeForIt && volume.spec.persistentVolumeReclaimPolicy === "Delete") return { kind: "release", reclaim: planReclaim(volume) };
  return { kind: "unbind" };
}

/** Nearly all that can delete a volume is outside. */
function planReclaim(volume: PersistentVolume): Reclaim {
  const { metadata, spec } = volume;
  const fail = (reason: string, message: string): Reclaim => ({ kind: "fail", event: { type: "Warning", reason, message } });
  if (metadata.annotations?.[migratedToAnnotation]) return { kind: "leave" };
  switch (spec?.persistentVolumeReclaimPolicy) {
    case "Retain":
      return { kind: "leave" };
    case "Recycle":
      return { kind: "recycle" };
    case "Delete": {
      const deleter = deleterOf(volume, metadata.annotations?.[provisionedByAnnotation]);
      if (deleter.kind === "outside") return { kind: "leave" };
      return deleter.kind === "directory" ? deleter : fail("VolumeFailedDelete", deleter.message);
    }
    default:
      return fail("VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy");
  }
}

/** The volume with the claim in its claimRef; the same object where it is there already. */
export function withClaim(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const { namespace, name, uid, resourceVersion } = claim.metadata;
  const known = volume.spec?.claimRef;
  if (known?.uid === uid && known.name === name && known.namespace === namespace) return volume;
  const claimRef = { apiVersion: claim.apiVersion, kind: claim.kind, namespace, name, uid, resourceVersion };
  const bound = { ...volume, spec: { ...volume.spec, claimRef } };
  return isVolumeOf(volume, claim) ? bound : withAnnotations(bound, { [boundByControllerAnnotation]: "yes" });
}

/** The volume that is free for others: for anyone, or for the claim that its maker has reserved it for. */
export function withoutClaim(volume: PersistentVolume): PersistentVolume {
  const { [boundByControllerAnnotation]: isOurs, ...annotations } = volume.metadata.annotations ?? {};
  const { claimRef, ...spec } = volume.spec ?? {};
  if (isOurs !== undefined) return { ...volume, metadata: { ...volume.metadata, annotations }, spec };
  const { uid: _, ...reserved } = claimRef ?? {};
  return { ...volume, spec: { ...spec, claimRef: reserved } };
}

/** The claim that names the volume and says that it is bound. */
export function withVolume(claim: PersistentVolumeClaim, volume: PersistentVolume): PersistentVolumeClaim {
  const { name } = volume.metadata;
  const isNew = claim.spec?.volumeName !== name;
  const named = isNew ? { ...claim, spec: { ...claim.spec, volumeName: name } } : claim;
  return withAnnotations(named, { ...(isNew ? { [boundByControllerAnnotation]: "yes" } : {}), [bindCompletedAnnotation]: "yes" });
}

/** The object with these annotations; the same where it has them. */
export function withAnnotations<T extends PersistentVolume | PersistentVolumeClaim>(
  object: T,
  wanted: Readonly<Record<string, string>>,
): T {
  const { annotations } = object.metadata;
  if (Object.entries(wanted).every(([name, value]) => annotations?.[name] === value)) return object;
  return { ...object, metadata: { ...object.metadata, annotations: { ...annotations, ...wanted } } };
}

const preResizeAnnotation = "volume.alpha.kubernetes.io/pre-resize-capacity";

/** The claim's status in this phase; a claim that is not bound tells nothing of a volume. */
export function claimStatus(
  claim: PersistentVolumeClaim,
  phase: "Pending" | "Bound" | "Lost",
  volume?: PersistentVolume,
): NonNullable<PersistentVolumeClaim["status"]> {
  const { accessModes: _, capacity, currentVolumeAttributesClassName, ...status } = claim.status ?? {};
  if (!volume) return { ...status, phase };
  const { accessModes, capacity: size, volumeAttributesClassName } = volume.spec ?? {};
  const resizedFrom = volume.metadata.annotations?.[preResizeAnnotation];
  // Later changes of the size are the resizer's to tell.
  const told = claim.status?.phase === phase ? capacity : resizedFrom ? { ...capacity, storage: resizedFrom } : size;
  const attributes = claim.status?.phase === "Pending" ? volumeAttributesClassName : currentVolumeAttributesClassName;
  return {
    ...status,
    phase,
    ...(accessModes ? { accessModes } : {}),
    ...(told ? { capacity: told } : {}),
    ...(attributes === undefined ? {} : { currentVolumeAttributesClassName: attributes }),
  };
}
