// What is to happen with the attachments of one volume: it is attached where pods need it and detached where none does, but
// not while the node still has it mounted, unless the node is out of service or has been down for six minutes. A volume that
// only one node may have is not attached to a second one.
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import { outOfServiceTaintKey } from "../../api/semantics/taints.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { VolumeAttachment } from "../../api/types/storage-v1.ts";
import type { AttachableVolume } from "./attachable-volume.ts";

/** A node that is down is given so long to unmount. */
export const maxWaitForUnmountMs = 6 * 60_000;
/** By this annotation a kubelet says that it leaves attaching to us. */
export const managedAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach";

export interface AttachmentInput {
  /** Whether a node that is down for too long loses the volume without having unmounted it. */
  readonly forceOnTimeout: boolean;
  readonly volume: AttachableVolume;
  /** Pods that need the volume, by node. */
  readonly wanted: ReadonlyMap<string, readonly Pod[]>;
  readonly attachments: readonly VolumeAttachment[];
  readonly node: (name: string) => Node | undefined;
  /** Since when nobody has needed the volume on a node. */
  readonly unwantedSinceMs: (nodeName: string) => number;
  readonly nowMs: number;
}

export interface AttachmentPlan {
  /** Nodes. */
  readonly attach: readonly string[];
  readonly detach: readonly VolumeAttachment[];
  /** Nodes that have to wait for others, with these. */
  readonly blocked: readonly { readonly nodeName: string; readonly by: readonly string[] }[];
}

export function planAttachments(input: AttachmentInput): AttachmentPlan {
  const { volume, wanted, attachments, node } = input;
  const attach: string[] = [];
  const blocked: { nodeName: string; by: readonly string[] }[] = [];
  const present = new Set(attachments.map(({ spec }) => spec.nodeName));
  for (const nodeName of wanted.keys()) {
    if (present.has(nodeName) || node(nodeName)?.metadata.annotations?.[managedAnnotation] === undefined) continue;
    const by = volume.isShared ? [] : [...present].filter((other) => other !== nodeName);
    if (by.length > 0) blocked.push({ nodeName, by });
    else {
      attach.push(nodeName);
      present.add(nodeName);
    }
  }
  const detach = attachments.filter(
    ({ metadata, spec }) => metadata.deletionTimestamp === undefined && !wanted.has(spec.nodeName) && mayDetach(input, spec.nodeName),
  );
  return { attach, detach, blocked };
}

function mayDetach({ forceOnTimeout, volume, node, unwantedSinceMs, nowMs }: AttachmentInput, nodeName: string): boolean {
  const on = node(nodeName);
  if (!on?.status?.volumesInUse?.includes(volume.uniqueName)) return true;
  if (on.spec?.taints?.some(({ key }) => key === outOfServiceTaintKey)) return true;
  if (!forceOnTimeout) return false;
  return !isConditionTrue(on.status.conditions, "Ready") && nowMs - unwantedSinceMs(nodeName) > maxWaitForUnmountMs;
}

/** What a pod is told whose volume is elsewhere; `others` are the pods that use it there. */
export function multiAttachMessage(volume: AttachableVolume, pod: Pod, others: readonly Pod[]): string {
  const prefix = `Multi-Attach error for volume ${JSON.stringify(volume.name)} `;
  if (others.length === 0) return `${prefix}Volume is already exclusively attached to one node and can't be attached to another`;
  const near = others.filter(({ metadata }) => metadata.namespace === pod.metadata.namespace).map(({ metadata }) => metadata.name);
  const farCount = others.length - near.length;
  if (near.length === 0) return `${prefix}Volume is already used by ${farCount} pod(s) in different namespaces`;
  const far = farCount > 0 ? ` and ${farCount} pod(s) in different namespaces` : "";
  return `${prefix}Volume is already used by pod(s) ${near.join(", ")}${far}`;
}
