// What the volume controller knows and writes: caches of claims, volumes, classes and pods with the indexes it asks, and
// writes that its next look at the same object sees.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { persistentvolumeclaims, persistentvolumes, pods, storageclasses } from "../../api/resources.generated.ts";
import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import { bindCompletedAnnotation, claimNameOf, storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { ControllerContext } from "../controller.ts";
import type { VolumeRecycler } from "./volume-recycler.ts";

/** After so long what waits is looked at again, and told of again in an event. */
export const syncPeriodMs = 15_000;

export const claimPrefix = "claim:";

/** Claims without a volume by class, all claims by the volume they name, volumes by class and by claim, pods that are not over. */
export const unboundIndex = "unboundOfClass";
export const byVolumeIndex = "volumeName";
export const byClassIndex = "storageClass";
export const byClaimIndex = "claimRef";
export const podsOfClaimIndex = "podsOfClaim";

const unboundClass = (claim: PersistentVolumeClaim): readonly string[] =>
  claim.spec?.volumeName || claim.metadata.annotations?.[bindCompletedAnnotation] ? [] : [storageClassOf(claim)];
export const volumeNameOf = ({ spec }: PersistentVolumeClaim): readonly string[] => (spec?.volumeName ? [spec.volumeName] : []);
const classOf = (volume: PersistentVolume): readonly string[] => [storageClassOf(volume)];
export const claimRefOf = ({ spec }: PersistentVolume): readonly string[] =>
  spec?.claimRef ? [`${spec.claimRef.namespace}/${spec.claimRef.name}`] : [];
const claimsUsed = (pod: Pod): readonly string[] =>
  isOver(pod)
    ? []
    : (pod.spec.volumes ?? []).flatMap((volume) => {
        const name = claimNameOf(pod, volume);
        return name === undefined ? [] : [`${pod.metadata.namespace}/${name}`];
      });

/** It has ended, or is being deleted and has no container that runs. */
function isOver(pod: Pod): boolean {
  if (isPodTerminal(pod)) return true;
  if (pod.metadata.deletionTimestamp === undefined) return false;
  return (pod.status?.containerStatuses ?? []).every(({ state }) => state?.terminated !== undefined || state?.waiting !== undefined);
}

export interface Caches {
  readonly claims: Informer<PersistentVolumeClaim>;
  readonly volumes: Informer<PersistentVolume>;
  readonly classes: Informer<StorageClass>;
  readonly pods: Informer<Pod>;
  /** One list of writes for all keys: a volume that one claim has just got must not be given to another. */
  readonly recentClaims: RecentWrites<PersistentVolumeClaim>;
  readonly recentVolumes: RecentWrites<PersistentVolume>;
}

export const allKeys = "";

export interface Work extends Caches {
  readonly recycler: VolumeRecycler;
  readonly signal: AbortSignal;
}

export function cachesOf({ informers }: ControllerContext): Caches {
  const claims = informers.informer(persistentvolumeclaims);
  const volumes = informers.informer(persistentvolumes);
  const podInformer = informers.informer(pods);
  claims.addIndex(unboundIndex, unboundClass);
  claims.addIndex(byVolumeIndex, volumeNameOf);
  volumes.addIndex(byClassIndex, classOf);
  volumes.addIndex(byClaimIndex, claimRefOf);
  podInformer.addIndex(podsOfClaimIndex, claimsUsed);
  return {
    claims,
    volumes,
    classes: informers.informer(storageclasses),
    pods: podInformer,
    recentClaims: new RecentWrites<PersistentVolumeClaim>(claims),
    recentVolumes: new RecentWrites<PersistentVolume>(volumes),
  };
}

export function claimOf({ claims, recentClaims }: Caches, key: string): PersistentVolumeClaim | undefined {
  const cached = claims.get(key);
  return cached && (recentClaims.correct(allKeys, [cached])[0] ?? cached);
}

export function volumeNamed({ volumes, recentVolumes }: Caches, name: string): PersistentVolume | undefined {
  const cached = volumes.get(name);
  return cached && (recentVolumes.correct(allKeys, [cached])[0] ?? cached);
}

export async function writeVolume(
  { client }: ControllerContext,
  work: Work,
  from: PersistentVolume,
  to: PersistentVolume,
): Promise<PersistentVolume> {
  if (to === from) return from;
  return work.recentVolumes.written(allKeys, await client.update(persistentvolumes, to, { signal: work.signal }));
}

export async function writePhase(
  { client }: ControllerContext,
  work: Work,
  volume: PersistentVolume,
  { phase, message }: { readonly phase: "Available" | "Bound" | "Released" | "Failed"; readonly message?: string },
): Promise<PersistentVolume> {
  if (volume.status?.phase === phase) return volume;
  const { message: _, ...status } = volume.status ?? {};
  const changed = { ...volume, status: { ...status, phase, ...(message === undefined ? {} : { message }) } };
  return work.recentVolumes.written(allKeys, await client.updateStatus(persistentvolumes, changed, { signal: work.signal }));
}

export async function writeClaim(
  { client }: ControllerContext,
  work: Work,
  from: PersistentVolumeClaim,
  to: PersistentVolumeClaim,
): Promise<PersistentVolumeClaim> {
  if (to === from) return from;
  return work.recentClaims.written(allKeys, await client.update(persistentvolumeclaims, to, { signal: work.signal }));
}

export async function writeClaimStatus(
  { client }: ControllerContext,
  work: Work,
  claim: PersistentVolumeClaim,
  status: NonNullable<PersistentVolumeClaim["status"]>,
): Promise<PersistentVolumeClaim> {
  if (semanticallyEqual(status, claim.status)) return claim;
  const changed = { ...claim, status };
  return work.recentClaims.written(allKeys, await client.updateStatus(persistentvolumeclaims, changed, { signal: work.signal }));
}
