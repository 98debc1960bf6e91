// How events of the kubelet refer to what they are about: a pod, one of its containers, its node.

import type { Node, ObjectReference, Pod } from "../api/types/core-v1.ts";
import type { OwnerReference } from "../api/types/meta-v1.ts";
import { containerFieldPath } from "./pods/pod-spec.ts";

export function podReference(pod: Pod): ObjectReference {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return { kind: "Pod", apiVersion: "v1", name, namespace, uid, ...(resourceVersion ? { resourceVersion } : {}) };
}

export function containerReference(pod: Pod, containerName: string): ObjectReference {
  return { ...podReference(pod), fieldPath: containerFieldPath(pod.spec, containerName) };
}

/** As the owner of what goes with the node. */
export function nodeOwner({ metadata: { name, uid } }: Node): OwnerReference {
  return { apiVersion: "v1", kind: "Node", name, uid };
}

/** The name serves as uid, because events are recorded before the object is known: kubectl looks for that, and for the real one. */
export function nodeReference(nodeName: string): ObjectReference {
  return { kind: "Node", apiVersion: "v1", name: nodeName, uid: nodeName };
}
