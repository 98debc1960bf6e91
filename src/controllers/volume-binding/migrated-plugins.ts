// What claims and volumes are marked with for the sake of the CSI drivers that do the work of volume plugins of the past.
// Upstream's controllers keep these marks right with every look at a claim or volume.
import { driverOf } from "../../api/semantics/migrated-volumes.ts";
import type { PersistentVolume, PersistentVolumeClaim } from "../../api/types/core-v1.ts";

const migratedToAnnotation = "pv.kubernetes.io/migrated-to";
const provisionedByAnnotation = "pv.kubernetes.io/provisioned-by";
const provisionerAnnotations = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/** On a volume that a plugin of this process made: it goes when what is behind it is gone. */
export const inTreeFinalizer = "kubernetes.io/pv-controller";
/** The same of those that a driver made. */
const driverFinalizer = "external-provisioner.volume.kubernetes.io/finalizer";

/** The claim with the mark of the driver that is to make its volume; the same where it is right. */
export function withDriverOfClaim(claim: PersistentVolumeClaim): PersistentVolumeClaim {
  const { annotations } = claim.metadata;
  const name = provisionerAnnotations.find((each) => annotations?.[each] !== undefined);
  return name === undefined ? claim : withDriver(claim, annotations?.[name] ?? "");
}

/** The volume with the mark of the driver that is to delete it, and with what keeps it until then; the same where it is right. */
export function withDriverOfVolume(volume: PersistentVolume): PersistentVolume {
  const provisioner = volume.metadata.annotations?.[provisionedByAnnotation];
  if (provisioner === undefined) return volume;
  const marked = withDriver(volume, provisioner);
  const finalizers = volume.metadata.finalizers ?? [];
  const wanted = finalizersFor(volume, provisioner, finalizers);
  if (wanted === finalizers) return marked;
  return { ...marked, metadata: { ...marked.metadata, finalizers: wanted } };
}

function finalizersFor({ spec }: PersistentVolume, provisioner: string, present: readonly string[]): readonly string[] {
  const without = (...names: readonly string[]): readonly string[] =>
    present.some((name) => names.includes(name)) ? present.filter((name) => !names.includes(name)) : present;
  if (driverOf(provisioner) !== undefined) return without(inTreeFinalizer);
  if (!provisioner.startsWith("kubernetes.io/")) return present;
  if (spec?.persistentVolumeReclaimPolicy !== "Delete") return without(inTreeFinalizer, driverFinalizer);
  const kept = without(driverFinalizer);
  return kept.includes(inTreeFinalizer) ? kept : [...kept, inTreeFinalizer];
}

function withDriver<T extends PersistentVolume | PersistentVolumeClaim>(object: T, provisioner: string): T {
  const { [migratedToAnnotation]: present, ...others } = object.metadata.annotations ?? {};
  const driver = driverOf(provisioner);
  // An annotation that is there and empty counts as none.
  if (driver === undefined ? !present : present === driver) return object;
  const annotations = driver === undefined ? others : { ...others, [migratedToAnnotation]: driver };
  return { ...object, metadata: { ...object.metadata, annotations } };
}
