// How events of the kubelet refer to what they are about: a pod, one of its containers, its node.
import type { ObjectReference, Pod } from "../api/types/core-v1.ts";
import { containerFieldPath } from "./pod-spec.ts";

export function podReference(pod: Pod): ObjectReference {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return { kind: "Pod", apiVersion: "v1", name, namespace, uid, ...(resourceVersion ? { resourceVersion } : {}) };
}

export function containerReference(pod: Pod, containerName: string): ObjectReference {
  return { ...podReference(pod), fieldPath: containerFieldPath(pod.spec, containerName) };
}

/** Upstream's kubelet gives the node's name as its uid, because it records before it knows the object. */
export function nodeReference(nodeName: string): ObjectReference {
  return { kind: "Node", apiVersion: "v1", name: nodeName, uid: nodeName };
}
