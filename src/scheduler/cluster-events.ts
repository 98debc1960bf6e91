// What happens in a cluster that may make an unschedulable pod schedulable. Plugins name the events that concern them
// (queueing hints); the queue wakes only the pods whose rejecting plugins asked for an event.
import type { KubernetesObject } from "../api/meta/object.ts";
import type { ResourceType } from "../api/resource-type.ts";
import {
  csinodes,
  deviceclasses,
  persistentvolumeclaims,
  persistentvolumes,
  resourceclaims,
  resourceslices,
  storageclasses,
} from "../api/resources.generated.ts";
import type { Node } from "../api/types/core-v1.ts";

/** Every event, with the label it has in metrics where that is not its name. */
const eventLabels = {
  NodeAdd: undefined,
  NodeAllocatable: "NodeUpdateNodeAllocatable",
  NodeLabel: "NodeUpdateNodeLabel",
  NodeTaint: "NodeUpdateNodeTaint",
  NodeCondition: "NodeUpdateNodeCondition",
  NodeDeclaredFeature: "NodeUpdateNodeDeclaredFeature",
  NodeDelete: undefined,
  AssignedPodAdd: undefined,
  AssignedPodUpdate: undefined,
  AssignedPodDelete: undefined,
  UnscheduledPodUpdate: "UnschedulablePodUpdate",
  PersistentVolumeClaim: "PersistentVolumeClaimAdd",
  PersistentVolume: "PersistentVolumeAdd",
  StorageClass: "StorageClassAdd",
  ResourceClaim: "ResourceClaimAdd",
  ResourceSlice: "ResourceSliceAdd",
  DeviceClass: "DeviceClassAdd",
  CSINode: "CSINodeAdd",
} as const satisfies Readonly<Record<ClusterEvent, string | undefined>>;

// The table has a row for each event, which its type says.
export const clusterEvents = Object.keys(eventLabels) as readonly ClusterEvent[];

export const labelOfEvent = (event: ClusterEvent): string => eventLabels[event] ?? event;

export type ClusterEvent =
  | "NodeAdd"
  | "NodeAllocatable"
  | "NodeLabel"
  | "NodeTaint"
  | "NodeCondition"
  | "NodeDeclaredFeature"
  | "NodeDelete"
  /** A pod that holds room on a node was added, or its labels changed. */
  | "AssignedPodAdd"
  | "AssignedPodUpdate"
  /** A pod gave up its room. */
  | "AssignedPodDelete"
  /** The waiting pod itself was changed. */
  | "UnscheduledPodUpdate"
  /** One was added or changed; a ResourceClaim, or deleted. */
  | "PersistentVolumeClaim"
  | "PersistentVolume"
  | "StorageClass"
  | "ResourceClaim"
  | "ResourceSlice"
  | "DeviceClass"
  | "CSINode";

interface ObjectEvent {
  readonly event: ClusterEvent;
  readonly type: ResourceType<KubernetesObject>;
  /** What is deleted is an event too, without an object after it. */
  readonly withDeletes?: boolean;
}

/** Events that are about other objects than nodes and pods, with what is watched for them where a plugin asks. */
export const objectEvents: readonly ObjectEvent[] = [
  { event: "PersistentVolumeClaim", type: persistentvolumeclaims },
  { event: "PersistentVolume", type: persistentvolumes },
  { event: "StorageClass", type: storageclasses },
  { event: "ResourceClaim", type: resourceclaims, withDeletes: true },
  { event: "ResourceSlice", type: resourceslices },
  { event: "DeviceClass", type: deviceclasses },
  { event: "CSINode", type: csinodes },
];

/** Which of the node events an update amounts to. */
export function nodeEvents(before: Node, after: Node): ClusterEvent[] {
  const events: ClusterEvent[] = [];
  const differs = (pick: (node: Node) => unknown): boolean => JSON.stringify(pick(before)) !== JSON.stringify(pick(after));
  if (before.status?.allocatable !== after.status?.allocatable && differs((n) => n.status?.allocatable)) events.push("NodeAllocatable");
  if (before.metadata.labels !== after.metadata.labels && differs((n) => n.metadata.labels)) events.push("NodeLabel");
  if (differs((n) => [n.spec.taints, n.spec.unschedulable])) events.push("NodeTaint");
  if (differs((n) => n.status?.conditions?.map((c) => [c.type, c.status]))) events.push("NodeCondition");
  if (differs((n) => n.status?.declaredFeatures)) events.push("NodeDeclaredFeature");
  return events;
}
