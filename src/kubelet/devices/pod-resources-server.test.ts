import { expect, test } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { callInProcess } from "../../rpc/in-process.ts";
import { PullRate } from "../pulls/pull-rate.ts";
import type { DeviceFact } from "./device-inventory.ts";
import { registerPodResourcesMetrics } from "./device-metrics.ts";
import { type PodResourcesLister, podResourcesV1 } from "./generated/pod-resources-v1.ts";
import { podResourcesHandlers } from "./pod-resources-server.ts";

const pod = {
  metadata: { name: "web", namespace: "default", uid: "u1" },
  spec: {
    initContainers: [{ name: "init" }, { name: "sidecar", restartPolicy: "Always" }],
    containers: [{ name: "main" }],
  },
} as unknown as Pod; // what is looked at

const device = (id: string, ...nodes: readonly number[]): DeviceFact => ({ id, isHealthy: true, nodes });

function lister(burst = 10) {
  const clock = new VirtualClock();
  const registry = new MetricsRegistry();
  const handlers = podResourcesHandlers({
    pods: () => [pod],
    devicesOf: (_uid, name) => new Map(name === "main" ? [["example.com/widget", [device("a"), device("b", 0, 1)]]] : []),
    allocatableDevices: () => new Map([["example.com/widget", [device("a")]]]),
    cpusOf: (_uid, name) => (name === "sidecar" ? [2, 3] : []),
    allocatableCpus: () => [1, 2, 3],
    memoryOf: (_uid, name) => (name === "main" ? [{ numaAffinity: [0, 1], type: "memory", size: 2 ** 30 }] : []),
    allocatableMemory: () => [{ numaAffinity: [1], type: "hugepages-2Mi", size: 2 ** 21 }],
    metrics: registerPodResourcesMetrics(registry),
    rate: new PullRate(clock, { perSecond: 100, burst }),
  });
  const service = { protocol: podResourcesV1, service: "PodResourcesLister", handlers };
  return { api: callInProcess<PodResourcesLister>(service, { clock }), registry };
}

const widgets = [
  { resourceName: "example.com/widget", deviceIds: ["a"] },
  { resourceName: "example.com/widget", deviceIds: ["b"], topology: { nodes: [{ id: 0 }] } },
  { resourceName: "example.com/widget", deviceIds: ["b"], topology: { nodes: [{ id: 1 }] } },
];

test("List and Get tell what each container has, sidecars among them", async () => {
  const { api, registry } = lister();
  const expected = {
    ...{ name: "web", namespace: "default" },
    containers: [
      { name: "sidecar", devices: [], cpuIds: [2, 3], memory: [], dynamicResources: [] },
      {
        ...{ name: "main", devices: widgets, cpuIds: [], dynamicResources: [] },
        memory: [{ memoryType: "memory", size: 2 ** 30, topology: { nodes: [{ id: 0 }, { id: 1 }] } }],
      },
    ],
  };
  expect(await api.list({})).toEqual({ podResources: [expected] });
  expect(await api.get({ podName: "web", podNamespace: "default" })).toEqual({ podResources: expected });
  await expect(api.get({ podName: "gone", podNamespace: "default" })).rejects.toThrow("pod gone in namespace default not found");
  expect(registry.text()).toContain('kubelet_pod_resources_endpoint_requests_total{server_api_version="v1"} 3');
  expect(registry.text()).toContain('kubelet_pod_resources_endpoint_errors_get{server_api_version="v1"} 1');
});

test("GetAllocatableResources tells what the node can give at all", async () => {
  const { api } = lister();
  expect(await api.getAllocatableResources({})).toEqual({
    ...{ devices: [{ resourceName: "example.com/widget", deviceIds: ["a"] }], cpuIds: [1, 2, 3] },
    memory: [{ memoryType: "hugepages-2Mi", size: 2 ** 21, topology: { nodes: [{ id: 1 }] } }],
  });
});

test("too many requests are refused", async () => {
  const { api } = lister(1);
  await api.list({});
  await expect(api.list({})).rejects.toThrow("rejected by rate limit");
});
