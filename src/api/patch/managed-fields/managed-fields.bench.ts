// Who owns which fields, worked out at every write: the creation of a pod, its status, and the replacement of a config map.
import { bench, describe } from "vitest";
import type { KubernetesObject } from "../../meta/object.ts";
import { builtInSchemas } from "../../schema/schema.ts";
import { setOf } from "./field-set.ts";
import { shapeOf } from "./shape.ts";
import { updateManagedFields, type WriteContext } from "./update.ts";

const contextOf = (schema: string, more: Partial<WriteContext> = {}): WriteContext => ({
  shape: shapeOf(builtInSchemas.get(schema)),
  manager: "bench",
  now: "2026-01-01T00:00:00Z",
  ...more,
});

const created = contextOf("core-v1.Pod", { resetFields: setOf(["status"]) });
const reported = contextOf("core-v1.Pod", { subresource: "status", resetFields: setOf(["spec"], ["metadata", "labels"]) });
const replaced = contextOf("core-v1.ConfigMap");

const stored = <T extends KubernetesObject>(object: T): T => ({ ...object, metadata: { ...object.metadata, uid: "1" } });
const emptyPod = { kind: "Pod", apiVersion: "v1", metadata: {}, spec: { containers: null }, status: {} } as unknown as KubernetesObject;
const emptyMap = { kind: "ConfigMap", apiVersion: "v1", metadata: {} } as unknown as KubernetesObject;

const pod = {
  kind: "Pod",
  apiVersion: "v1",
  metadata: { name: "web", namespace: "default", labels: { app: "web" } },
  spec: {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    schedulerName: "default-scheduler",
    securityContext: {},
    containers: [
      {
        name: "c",
        image: "registry.k8s.io/pause:3.10",
        imagePullPolicy: "IfNotPresent",
        resources: { requests: { cpu: "100m", memory: "128Mi" } },
        terminationMessagePath: "/dev/termination-log",
      },
    ],
  },
  status: { phase: "Pending" },
} as unknown as KubernetesObject;
const storedPod = stored(updateManagedFields(emptyPod, pod, created));
const status = {
  phase: "Running",
  podIP: "10.0.0.1",
  conditions: [
    { type: "Ready", status: "True" },
    { type: "Initialized", status: "True" },
  ],
};

const mapOf = (data: Readonly<Record<string, string>>): KubernetesObject =>
  ({ kind: "ConfigMap", apiVersion: "v1", metadata: { name: "one", namespace: "default" }, data }) as unknown as KubernetesObject;
const storedMap = stored(updateManagedFields(emptyMap, mapOf({ a: "1", b: "2" }), replaced));

describe("managed fields", () => {
  bench("of a new pod", () => void updateManagedFields(emptyPod, pod, created));
  bench("of a pod's status", () => void updateManagedFields(storedPod, { ...storedPod, status } as KubernetesObject, reported));
  bench("of a replaced config map", () => void updateManagedFields(storedMap, mapOf({ a: "2", c: "3" }), replaced));
});
