// NodeVolumeLimits: a CSI driver says in the node's CSINode how many of its volumes can be attached there; a pod goes only
// where its own and those of the pods already there are not more. A volume that several pods of a node use counts once, a
// claim that is still to be provisioned counts for the driver of its class.
import { keyOf } from "../../api/meta/object.ts";
import { claimNameOf, storageClassOf } from "../../api/semantics/volume-claims.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import type { CSINode } from "../../api/types/storage-v1.ts";
import type { Plugin, Rejection } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import { isClaimOf, type StorageView, volumesSignature } from "./pod-volumes.ts";

export interface VolumeLimitsView extends Pick<StorageView, "claim" | "volume" | "storageClass"> {
  csiNode(name: string): CSINode | undefined;
}

const tooManyVolumes: Rejection = { reasons: ["node(s) exceed max volume count"] };

/** Drivers by the names of volumes that are the same for all who use one. */
type Volumes = ReadonlyMap<string, string>;

export function createNodeVolumeLimits(view: VolumeLimitsView): Plugin {
  return {
    name: "NodeVolumeLimits",
    filter({ pod }) {
      const wanted = volumesOf(pod, view);
      if (wanted.size === 0) return undefined;
      return (node) => {
        const limits = limitsOf(view.csiNode(node.name));
        return limits.size > 0 && exceeds(limits, wanted, attachedTo(node, view)) ? tooManyVolumes : undefined;
      };
    },
    filterSignature: volumesSignature,
    queueingHints: [
      { event: "NodeAdd" },
      { event: "CSINode" },
      { event: "AssignedPodDelete", concerns: (_pod, before) => volumesOf(before as Pod, view).size > 0 },
      { event: "PersistentVolumeClaim", concerns: (pod, _before, after) => isClaimOf(pod, after) },
    ],
  };
}

function volumesOf(pod: Pod, view: VolumeLimitsView): Volumes {
  const volumes = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) {
    const name = claimNameOf(pod, volume);
    const claim = name === undefined ? undefined : view.claim(`${pod.metadata.namespace}/${name}`);
    const found = claim && identify(claim, view);
    if (found) volumes.set(`${found.driver}/${found.handle}`, found.driver);
  }
  return volumes;
}

function identify(claim: PersistentVolumeClaim, view: VolumeLimitsView): { readonly driver: string; readonly handle: string } | undefined {
  const volume = claim.spec?.volumeName ? view.volume(claim.spec.volumeName) : undefined;
  if (volume) {
    const { csi } = volume.spec ?? {};
    return csi ? { driver: csi.driver, handle: csi.volumeHandle } : undefined;
  }
  const driver = view.storageClass(storageClassOf(claim))?.provisioner;
  return driver ? { driver, handle: keyOf(claim) } : undefined;
}

function limitsOf(csiNode: CSINode | undefined): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const { name, allocatable } of csiNode?.spec.drivers ?? [])
    if (allocatable?.count !== undefined) limits.set(name, allocatable.count);
  return limits;
}

function attachedTo(node: NodeInfo, view: VolumeLimitsView): Volumes {
  const attached = new Map<string, string>();
  for (const { pod } of node.pods) {
    if (pod.spec.volumes === undefined) continue;
    for (const [volume, driver] of volumesOf(pod, view)) attached.set(volume, driver);
  }
  return attached;
}

function exceeds(limits: ReadonlyMap<string, number>, wanted: Volumes, attached: Volumes): boolean {
  const counts = new Map<string, number>();
  const count = (driver: string): number => (counts.get(driver) ?? 0) + 1;
  for (const driver of attached.values()) counts.set(driver, count(driver));
  for (const [volume, driver] of wanted) {
    if (attached.has(volume)) continue;
    counts.set(driver, count(driver));
    if ((counts.get(driver) ?? 0) > (limits.get(driver) ?? Number.POSITIVE_INFINITY)) return true;
  }
  return false;
}
