import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import { MemoryManager, type MemoryManagerOptions } from "./memory-manager.ts";
import { memoryCheckpointFormat } from "./memory-state.ts";
import type { NumaNode } from "./numa-nodes.ts";
import { containersOf } from "./provider.ts";
import { reservedByNode } from "./reserved-memory.ts";
import type { TopologyHint } from "./topology-hints.ts";

const gi = 2 ** 30;

/** Two nodes of 4 Gi, on each two huge pages of 512 Mi; 1 Gi of the first is reserved. */
const nodes: readonly NumaNode[] = [0, 1].map((id) => ({
  ...{ id, memoryBytes: 4 * gi, distances: [10, 20] },
  hugePages: [{ pageBytes: gi / 2, pages: 2 }],
}));

let directory: string;
let active: Set<string>;
let registry: MetricsRegistry;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-memory-"));
  active = new Set();
});
afterEach(() => rm(directory, { recursive: true }));

const statePath = (): string => join(directory, "memory_manager_state");
const state = async () => JSON.parse(await readFile(statePath(), "utf8"));

async function start(options: Partial<MemoryManagerOptions> = {}): Promise<MemoryManager> {
  registry = new MetricsRegistry();
  const manager = new MemoryManager(
    {
      ...{ clock: new VirtualClock(), logger: silentLogger, metrics: registerManagerMetrics(registry), nodes },
      isActive: (uid) => active.has(uid),
    },
    { path: statePath(), policy: "Static", reserved: new Map([[0, { memory: gi }]]), ...options },
  );
  await manager.start();
  return manager;
}

function asking(name: string, memory: string, { huge, ...fields }: Partial<Container> & { readonly huge?: string } = {}): Container {
  const amounts = { cpu: "1", memory, ...(huge ? { "hugepages-512Mi": huge } : {}) };
  return { name, image: "i", resources: { requests: amounts, limits: amounts }, ...fields };
}

function podOf(uid: string, containers: readonly Container[], initContainers: readonly Container[] = []): Pod {
  active.add(uid);
  return { metadata: { name: uid, namespace: "default", uid }, spec: { containers, initContainers } } as unknown as Pod; // what is looked at
}

const anywhere: TopologyHint = { nodes: undefined, preferred: false };

async function give(manager: MemoryManager, pod: Pod, hint = anywhere): Promise<string | undefined> {
  const part = manager.begin(pod);
  for (const container of containersOf(pod)) await part.allocate(container, hint);
  return manager.memoryNodes(pod.metadata.uid, "main");
}

test("the checksum of the state is upstream's", () => {
  // As upstream's tests have it.
  const text =
    '{"policyName":"static","machineState":{"0":{"numberOfAssignments":0,"memoryMap":{"memory":{"total":2048,"systemReserved":512,"allocatable":1536,"reserved":512,"free":1024}},"cells":[]}},"entries":{"pod":{"container1":[{"numaAffinity":[0],"type":"memory","size":512}]}},"checksum":4215593881}';
  expect(memoryCheckpointFormat.encode(memoryCheckpointFormat.decode(text))).toBe(text);
  expect(() => memoryCheckpointFormat.decode(text.replace("2048", "4096"))).toThrow("checkpoint is corrupted");
});

test("guaranteed containers get their memory on one node where it fits, the others anywhere", async () => {
  const manager = await start();
  expect(await give(manager, podOf("p1", [asking("main", "2Gi")]))).toBe("0");
  expect(await give(manager, podOf("p2", [asking("main", "2Gi")]))).toBe("1");
  const burstable = podOf("p3", [{ name: "main", image: "i", resources: { requests: { memory: "1Gi" } } }]);
  expect(manager.concerns(burstable)).toBe(false);
  expect(await give(manager, burstable)).toBeUndefined();
  expect(await state()).toMatchObject({
    policyName: "Static",
    machineState: {
      // A page size is kept from ordinary memory: 4 Gi − 1 Gi reserved − 1 Gi of huge pages.
      0: { numberOfAssignments: 1, cells: [0], memoryMap: { memory: { allocatable: 2 * gi, reserved: 2 * gi, free: 0 } } },
      1: { memoryMap: { memory: { systemReserved: 0, allocatable: 3 * gi, free: gi } } },
    },
    entries: { p1: { main: [{ numaAffinity: [0], type: "memory", size: 2 * gi }] } },
  });
  expect(registry.text()).toContain("kubelet_memory_manager_pinning_requests_total 2");
  expect(manager.allocatableMemory()).toContainEqual({ numaAffinity: [1], type: "memory", size: 3 * gi });
});

test("hints prefer the fewest nodes that could ever hold so much, huge pages with them", async () => {
  const manager = await start();
  const pod = podOf("p1", [asking("main", "2Gi", { huge: "1Gi" })]);
  const hints = [
    { nodes: 0b01, preferred: true },
    { nodes: 0b10, preferred: true },
    { nodes: 0b11, preferred: false },
  ];
  const part = manager.begin(pod);
  expect(part.hints(containersOf(pod)[0] as Container)).toEqual({ memory: hints, "hugepages-512Mi": hints });
  expect(part.podHints()).toEqual({ memory: hints, "hugepages-512Mi": hints });
  expect(await give(manager, pod, { nodes: 0b10, preferred: true })).toBe("1");
  // Given already: the same place again.
  expect(manager.begin(pod).podHints()).toMatchObject({ memory: [{ nodes: 0b10, preferred: true }] });
  const second = podOf("p2", [asking("main", "1Gi", { huge: "1Gi" })]);
  expect(manager.begin(second).podHints().memory).toEqual([{ nodes: 0b01, preferred: true }]);
});

test("a node is used for containers that fit on it or for those that need several, never for both", async () => {
  const manager = await start();
  expect(await give(manager, podOf("wide", [asking("main", "4Gi")]))).toBe("0,1");
  expect(await state()).toMatchObject({ machineState: { 0: { cells: [0, 1] }, 1: { cells: [0, 1] } } });
  await expect(give(manager, podOf("narrow", [asking("main", "1Gi")]))).resolves.toBe("0,1");
  manager.release("wide");
  manager.release("narrow");
  expect(await give(manager, podOf("one", [asking("main", "1Gi")]))).toBe("0");
  await expect(give(manager, podOf("two", [asking("main", "4Gi")]))).rejects.toThrow(
    "[memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available",
  );
  await expect(give(manager, podOf("three", [asking("main", "1Gi")]), { nodes: 0b11, preferred: false })).rejects.toThrow(
    "[memorymanager] preferred hint violates NUMA node allocation",
  );
  expect(registry.text()).toContain("kubelet_memory_manager_pinning_errors_total 2");
});

test("a hint that is too small grows, but not where it must be kept", async () => {
  const manager = await start();
  expect(await give(manager, podOf("p1", [asking("main", "4Gi")]), { nodes: 0b01, preferred: false })).toBe("0,1");
  manager.release("p1");
  await give(manager, podOf("p2", [asking("main", "2Gi")]), { nodes: 0b01, preferred: true });
  await expect(give(manager, podOf("p3", [asking("main", "2Gi")]), { nodes: 0b01, preferred: true })).rejects.toThrow(
    "[memorymanager] failed to find NUMA nodes to extend the current topology hint",
  );
});

test("what init containers had goes on to those after them, and back when these start", async () => {
  const manager = await start();
  const pod = podOf("p1", [asking("main", "1Gi")], [asking("init", "2Gi"), asking("sidecar", "512Mi", { restartPolicy: "Always" })]);
  await give(manager, pod);
  const sizeOf = (name: string): number | undefined => manager.blocksOf("p1", name)[0]?.size;
  expect([sizeOf("init"), sizeOf("sidecar"), sizeOf("main")]).toEqual([gi / 2, gi / 2, gi]);
  expect((await state()).machineState[0].memoryMap.memory.reserved).toBe(2 * gi);
  manager.starting(pod, containersOf(pod)[1] as Container);
  expect(sizeOf("init")).toBeUndefined();
  expect(await give(manager, podOf("p2", [asking("main", "512Mi")]))).toBe("0");
});

test("pods that have gone give back what they had when somebody asks", async () => {
  const manager = await start();
  await give(manager, podOf("p1", [asking("main", "2Gi")]));
  active.delete("p1");
  expect(await give(manager, podOf("p2", [asking("main", "2Gi")]))).toBe("0");
});

describe("after a restart", () => {
  test("containers have what they had", async () => {
    const first = await start();
    await give(first, podOf("p1", [asking("main", "4Gi")]));
    await first.stop();
    const second = await start();
    expect(second.memoryNodes("p1", "main")).toBe("0,1");
    second.release("p1");
    await second.stop();
    expect(await state()).toMatchObject({ machineState: { 0: { numberOfAssignments: 0, cells: [0] } } });
  });

  test("a state of another policy or another machine keeps the kubelet from starting", async () => {
    const first = await start();
    await first.stop();
    await expect(start({ policy: "None" })).rejects.toThrow(
      `could not restore state from checkpoint: [memorymanager] configured policy "None" differs from state checkpoint policy "Static", please drain this node and delete the memory manager checkpoint file "${statePath()}" before restarting Kubelet`,
    );
    await expect(start({ reserved: new Map([[0, { memory: 2 * gi }]]) })).rejects.toThrow(
      "[memorymanager] the expected machine state is different from the real one",
    );
    const { checksum: _, ...content } = await state();
    const entries = { p: { c: [{ numaAffinity: [7], type: "memory", size: 1 }] } };
    await writeFile(statePath(), memoryCheckpointFormat.encode({ ...content, entries }));
    await expect(start()).rejects.toThrow("(pod: p, container: c) the memory assignment uses the NUMA that does not exist");
  });

  test("without a policy the file only says so", async () => {
    const manager = await start({ policy: "None" });
    expect(await state()).toMatchObject({ policyName: "None", machineState: {} });
    expect(manager.concerns(podOf("p", [asking("main", "1Gi")]))).toBe(false);
    expect(manager.allocatableMemory()).toEqual([]);
  });
});

test("what is reserved of the nodes must be what the node keeps back in all", () => {
  const kept = new Map([["memory", parseQuantity("1124Mi")]]);
  const reserve = (...limits: readonly Readonly<Record<string, string>>[]) =>
    reservedByNode(
      limits.map((of, numaNode) => ({ numaNode, limits: of })),
      { nodes: [0, 1], kept },
    );
  expect(reserve({ memory: "1Gi" }, { memory: "100Mi" })).toEqual(new Map([[0, { memory: gi }], [1, { memory: 100 * 2 ** 20 }]])); // biome-ignore format: one line says it
  expect(() => reserve({ memory: "1Gi" })).toThrow(
    'the total amount "1Gi" of type "memory" is not equal to the value "1124Mi" determined by Node Allocatable feature',
  );
  expect(() => reserve({ memory: "1124Mi" }, {}, {})).toThrow("references a NUMA node 2 that does not exist on this machine");
  expect(() => reservedByNode([], { nodes: [0], kept: new Map() })).toThrow("you should specify the system reserved memory");
});
