// Nodes and pods for the scheduler's tests, as short as a test can say them.
import type { Node, Pod, PodSpec } from "../api/types/core-v1.ts";

const meta = { uid: "", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };

export function testNode(
  name: string,
  more: {
    labels?: Record<string, string>;
    spec?: Node["spec"];
    cpu?: string;
    memory?: string;
    pods?: string;
    images?: NonNullable<Node["status"]>["images"];
  } = {},
): Node {
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { ...meta, name, uid: `node-${name}`, labels: { "kubernetes.io/hostname": name, ...more.labels } },
    spec: more.spec ?? {},
    status: {
      allocatable: { cpu: more.cpu ?? "4", memory: more.memory ?? "8Gi", pods: more.pods ?? "110" },
      ...(more.images ? { images: more.images } : {}),
    },
  };
}

export function testPod(
  name: string,
  more: { cpu?: string; memory?: string; labels?: Record<string, string>; image?: string; spec?: Partial<PodSpec>; uid?: string } = {},
): Pod {
  const requests = { ...(more.cpu ? { cpu: more.cpu } : {}), ...(more.memory ? { memory: more.memory } : {}) };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...meta, name, namespace: "default", uid: more.uid ?? `pod-${name}`, ...(more.labels ? { labels: more.labels } : {}) },
    spec: { containers: [{ name: "c", image: more.image ?? "app", resources: { requests } }], ...more.spec },
  };
}

/** For plugins that ask which workload a pod is of: none. */
export const noWorkloads = {
  services: () => [],
  replicationController: () => undefined,
  replicaSet: () => undefined,
  statefulSet: () => undefined,
};
