// VolumeRestrictions: a claim with the access mode ReadWriteOncePod is for one pod at a time; a disk of the in-tree kinds
// that cannot be shared is for one pod on a node.
import type { Pod, Volume } from "../../api/types/core-v1.ts";
import type { Plugin, Rejection } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import { claimNotFound, isClaimOf, ownClaimNames, type StorageView, volumesSignature } from "./pod-volumes.ts";

const claimInUse: Rejection = {
  reasons: ["node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"],
};
const diskConflict: Rejection = { reasons: ["node(s) had no available disk"] };

export function createVolumeRestrictions(storage: Pick<StorageView, "claim">): Plugin {
  return {
    name: "VolumeRestrictions",
    preFilter({ pod }) {
      const missing = ownClaimNames(pod).find((name) => !storage.claim(`${pod.metadata.namespace}/${name}`));
      return missing === undefined ? undefined : claimNotFound(missing);
    },
    filter({ pod, snapshot }) {
      const exclusive = ownClaimNames(pod).filter((name) => {
        const modes = storage.claim(`${pod.metadata.namespace}/${name}`)?.spec?.accessModes;
        return modes?.includes("ReadWriteOncePod") ?? false;
      });
      if (exclusive.length > 0 && isUsed(pod, exclusive, snapshot.nodes)) return () => claimInUse;
      const disks = (pod.spec.volumes ?? []).filter(isInTreeDisk);
      if (disks.length === 0) return undefined;
      return (node) => (hasConflict(disks, node) ? diskConflict : undefined);
    },
    filterSignature: volumesSignature,
    queueingHints: [
      {
        event: "AssignedPodDelete",
        concerns: (pod, before) => {
          const names = ownClaimNames(pod);
          const other = before as Pod;
          const shares = other.metadata.namespace === pod.metadata.namespace && ownClaimNames(other).some((name) => names.includes(name));
          return shares || (pod.spec.volumes ?? []).some((volume) => conflictsWith(volume, other));
        },
      },
      { event: "NodeAdd" },
      { event: "PersistentVolumeClaim", concerns: (pod, before, after) => before === undefined && isClaimOf(pod, after) },
    ],
  };
}

/** Looks through the placed pods: only for the few pods that have such a claim. */
function isUsed(pod: Pod, names: readonly string[], nodes: readonly NodeInfo[]): boolean {
  for (const node of nodes) {
    for (const { pod: other } of node.pods) {
      if (other.spec.volumes === undefined || other.metadata.namespace !== pod.metadata.namespace) continue;
      if (other.metadata.uid !== pod.metadata.uid && ownClaimNames(other).some((name) => names.includes(name))) return true;
    }
  }
  return false;
}

const isInTreeDisk = (v: Volume): boolean => Boolean(v.gcePersistentDisk ?? v.awsElasticBlockStore ?? v.rbd ?? v.iscsi);

function hasConflict(disks: readonly Volume[], node: NodeInfo): boolean {
  for (const { pod } of node.pods) if (disks.some((disk) => conflictsWith(disk, pod))) return true;
  return false;
}

function conflictsWith(disk: Volume, pod: Pod): boolean {
  return (pod.spec.volumes ?? []).some((other) => {
    const [a, b] = [disk, other];
    if (a.gcePersistentDisk && b.gcePersistentDisk)
      return a.gcePersistentDisk.pdName === b.gcePersistentDisk.pdName && !(a.gcePersistentDisk.readOnly && b.gcePersistentDisk.readOnly);
    if (a.awsElasticBlockStore && b.awsElasticBlockStore) return a.awsElasticBlockStore.volumeID === b.awsElasticBlockStore.volumeID;
    if (a.iscsi && b.iscsi) return a.iscsi.iqn === b.iscsi.iqn && !(a.iscsi.readOnly && b.iscsi.readOnly);
    if (!a.rbd || !b.rbd) return false;
    const [one, two] = [a.rbd, b.rbd];
    const sameImage = (one.pool ?? "rbd") === (two.pool ?? "rbd") && one.image === two.image;
    return sameImage && one.monitors.some((monitor) => two.monitors.includes(monitor)) && !(one.readOnly && two.readOnly);
  });
}
