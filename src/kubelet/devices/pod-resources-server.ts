// The pod-resources API v1 on <root>/pod-resources/kubelet.sock: which devices, CPUs and memory each container has, and which
// the node can give at all. For monitoring on the node; a hundred requests a second at most.
import { chmod, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Input } from "../../rpc/protocol.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { serveRpc } from "../../rpc/server.ts";
import { isSidecar } from "../pods/pod-spec.ts";
import type { PullRate } from "../pulls/pull-rate.ts";
import type { MemoryBlock } from "../resource-managers/memory-nodes.ts";
import type { DeviceFact } from "./device-inventory.ts";
import type { PodResourcesMetrics } from "./device-metrics.ts";
import {
  type ContainerDevices,
  type ContainerMemory,
  type DynamicResource,
  type PodResources,
  type PodResourcesListerHandlers,
  podResourcesV1,
} from "./generated/pod-resources-v1.ts";

export interface PodResourcesSource {
  /** Those that are not over. */
  readonly pods: () => readonly Pod[];
  readonly devicesOf: (podUid: string, container: string) => ReadonlyMap<string, readonly DeviceFact[]>;
  readonly allocatableDevices: () => ReadonlyMap<string, readonly DeviceFact[]>;
  /** Its own, where it has any. */
  readonly cpusOf: (podUid: string, container: string) => readonly number[];
  readonly allocatableCpus: () => readonly number[];
  /** Of certain NUMA nodes, where it has any. */
  readonly memoryOf: (podUid: string, container: string) => readonly MemoryBlock[];
  readonly allocatableMemory: () => readonly MemoryBlock[];
  /** Devices that the container has by its pod's claims. */
  readonly claimsOf?: ((pod: Pod, container: Container) => readonly Input<DynamicResource>[]) | undefined;
  readonly metrics: PodResourcesMetrics;
  /** Throws for one request too many. */
  readonly rate: PullRate;
}

const version = "v1";

/** Resolves when it answers. */
export async function servePodResources(socketPath: string, source: PodResourcesSource): Promise<Running> {
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o750 });
  const services = [{ protocol: podResourcesV1, service: "PodResourcesLister", handlers: podResourcesHandlers(source) }];
  const server = await serveRpc({ endpoint: socketPath, services });
  await chmod(socketPath, 0o660);
  return server;
}

export function podResourcesHandlers(source: PodResourcesSource): PodResourcesListerHandlers {
  const { metrics } = source;
  const counted = (family: PodResourcesMetrics["list"]): void => {
    try {
      source.rate.take();
    } catch (cause) {
      throw new RpcError("RESOURCE_EXHAUSTED", "rejected by rate limit", { cause });
    }
    metrics.requests.series(version).add();
    family.series(version).add();
  };
  return {
    async list() {
      counted(metrics.list);
      return { podResources: source.pods().map((pod) => resourcesOf(source, pod)) };
    },
    async get({ podName, podNamespace }) {
      counted(metrics.get);
      const pod = source.pods().find((p) => p.metadata.name === podName && p.metadata.namespace === podNamespace);
      if (pod) return { podResources: resourcesOf(source, pod) };
      metrics.getErrors.series(version).add();
      throw new RpcError("UNKNOWN", `pod ${podName} in namespace ${podNamespace} not found`);
    },
    async getAllocatableResources() {
      counted(metrics.getAllocatable);
      const memory = source.allocatableMemory().map(listedMemory);
      return { devices: listed(source.allocatableDevices()), cpuIds: source.allocatableCpus(), memory };
    },
  };
}

function resourcesOf(source: PodResourcesSource, pod: Pod): Input<PodResources> {
  const { uid, name, namespace } = pod.metadata;
  const containers: readonly Container[] = [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
  return {
    name,
    namespace,
    containers: containers.map((c) => ({
      name: c.name,
      devices: listed(source.devicesOf(uid, c.name)),
      cpuIds: source.cpusOf(uid, c.name),
      memory: source.memoryOf(uid, c.name).map(listedMemory),
      dynamicResources: source.claimsOf?.(pod, c) ?? [],
    })),
  };
}

const listedMemory = ({ type, size, numaAffinity }: MemoryBlock): Input<ContainerMemory> => ({
  memoryType: type,
  size,
  topology: { nodes: numaAffinity.map((id) => ({ id })) },
});

/** One entry for each device and each of its nodes, as upstream lists them. */
function listed(devices: ReadonlyMap<string, readonly DeviceFact[]>): readonly Input<ContainerDevices>[] {
  const entries: Input<ContainerDevices>[] = [];
  for (const [resourceName, of] of devices)
    for (const { id, nodes } of of) {
      if (nodes.length === 0) entries.push({ resourceName, deviceIds: [id] });
      for (const node of nodes) entries.push({ resourceName, deviceIds: [id], topology: { nodes: [{ id: node }] } });
    }
  return entries;
}
