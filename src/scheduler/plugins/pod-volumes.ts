// What the volume plugins look up, and the claims of a pod sorted by how far they are: bound, to be bound as soon as the
// pod has a node, or still to be bound by the volume controller.
import { claimNameOf, isFullyBound, storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from "../../api/types/core-v1.ts";
import type { StorageClass } from "../../api/types/storage-v1.ts";
import type { Rejection, SchedulingCycle } from "../framework.ts";

export interface StorageView {
  /** By "namespace/name". */
  claim(key: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  volumes(): Iterable<PersistentVolume>;
  storageClass(name: string): StorageClass | undefined;
}

export interface PodClaims {
  readonly bound: readonly PersistentVolumeClaim[];
  /** Of a class that waits for its first consumer, and not bound yet. */
  readonly delayed: readonly PersistentVolumeClaim[];
  /** To be bound before the pod can be placed. */
  readonly immediate: readonly PersistentVolumeClaim[];
}

/** The claims a pod names itself. */
export function ownClaimNames(pod: Pod): readonly string[] {
  return (pod.spec.volumes ?? []).flatMap((volume) => volume.persistentVolumeClaim?.claimName ?? []);
}

export const claimNotFound = (name: string): Rejection => ({
  reasons: [`persistentvolumeclaim "${name}" not found`],
  unresolvable: true,
});

/** The pod's claims, undefined where it has none, or why they keep it from being placed anywhere. */
export function claimsOf(pod: Pod, storage: StorageView): PodClaims | Rejection | undefined {
  const sorted = { bound: [] as PersistentVolumeClaim[], delayed: [] as PersistentVolumeClaim[], immediate: [] as PersistentVolumeClaim[] };
  let any = false;
  for (const volume of pod.spec.volumes ?? []) {
    const name = claimNameOf(pod, volume);
    if (name === undefined) continue;
    any = true;
    const claim = storage.claim(`${pod.metadata.namespace}/${name}`);
    const problem = problemOf(claim, name, volume.ephemeral ? pod : undefined);
    if (problem) return { reasons: [problem], unresolvable: true };
    if (claim) sorted[stageOf(claim, storage)].push(claim);
  }
  return any ? sorted : undefined;
}

function problemOf(claim: PersistentVolumeClaim | undefined, name: string, owner: Pod | undefined): string | undefined {
  if (!claim) {
    if (owner) return `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`;
    return `persistentvolumeclaim "${name}" not found`;
  }
  if (claim.status?.phase === "Lost")
    return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${claim.spec?.volumeName ?? ""}"`;
  if (claim.metadata.deletionTimestamp) return `persistentvolumeclaim "${name}" is being deleted`;
  const isOwned = claim.metadata.ownerReferences?.some((reference) => reference.controller && reference.uid === owner?.metadata.uid);
  if (!owner || isOwned) return undefined;
  const { namespace, name: podName } = owner.metadata;
  return `PVC ${namespace}/${name} was not created for pod ${namespace}/${podName} (pod is not owner)`;
}

function stageOf(claim: PersistentVolumeClaim, storage: StorageView): keyof PodClaims {
  if (isFullyBound(claim)) return "bound";
  const waits = storage.storageClass(storageClassOf(claim))?.volumeBindingMode === "WaitForFirstConsumer";
  return waits && !claim.spec?.volumeName ? "delayed" : "immediate";
}

/** Whether an object is a claim of this pod. */
export function isClaimOf(pod: Pod, object: unknown): boolean {
  const { namespace, name } = (object as PersistentVolumeClaim).metadata;
  return namespace === pod.metadata.namespace && (pod.spec.volumes ?? []).some((volume) => claimNameOf(pod, volume) === name);
}

/** For what looks at volumes: nothing to look at, or something that depends on more than the node. */
export const volumesSignature = ({ pod }: SchedulingCycle): string | undefined =>
  (pod.spec.volumes?.every(isPlain) ?? true) ? "" : undefined;

/** The kubelet makes it, wherever the pod goes. */
const isPlain = ({ projected, configMap, secret, emptyDir, downwardAPI, hostPath, image }: Volume): boolean =>
  (projected ?? configMap ?? secret ?? emptyDir ?? downwardAPI ?? hostPath ?? image) !== undefined;
