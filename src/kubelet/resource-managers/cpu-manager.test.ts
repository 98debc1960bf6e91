import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { CpuManager, type CpuManagerOptions, type RunningContainer } from "./cpu-manager.ts";
import { formatCpuSet } from "./cpu-set.ts";
import { cpuCheckpointFormat } from "./cpu-state.ts";
import { type Cpu, topologyOf } from "./cpu-topology.ts";
import { registerManagerMetrics } from "./manager-metrics.ts";
import { containersOf } from "./provider.ts";

/** Two nodes of two cores with two threads: threads of core n are n and n + 4. */
const topology = topologyOf(Array.from({ length: 8 }, (_, id): Cpu => ({ id, core: id % 4, socket: (id % 4) >> 1, node: (id % 4) >> 1 })));

let directory: string;
let clock: VirtualClock;
let registry: MetricsRegistry;
let active: Set<string>;
let running: RunningContainer[];
let updates: string[];
const managers: CpuManager[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-cpus-"));
  clock = new VirtualClock();
  active = new Set();
  running = [];
  updates = [];
});
afterEach(async () => {
  await Promise.all(managers.splice(0).map((m) => m.stop()));
  await rm(directory, { recursive: true });
});

const statePath = (): string => join(directory, "cpu_manager_state");

async function start(options: Partial<CpuManagerOptions> = {}): Promise<CpuManager> {
  registry = new MetricsRegistry();
  const cri = {
    updateContainerResources: async ({ containerId, linux }) => {
      updates.push(`${containerId}=${linux?.cpusetCpus}`);
      return {};
    },
  } as Pick<CriRuntime, "updateContainerResources"> as CriRuntime; // nothing else is called
  const manager = new CpuManager(
    {
      ...{ cri, clock, logger: silentLogger, metrics: registerManagerMetrics(registry), topology },
      isActive: (uid) => active.has(uid),
      containers: () => running,
    },
    {
      ...{ path: statePath(), policy: "static", options: new Set(), reconcilePeriodMs: 10_000 },
      ...{ reservedSystemCPUs: "", reservedMilliCpu: 500, ...options },
    },
  );
  managers.push(manager);
  await manager.start();
  return manager;
}

const asking = (name: string, cpu: string, fields: Partial<Container> = {}): Container => {
  const amounts = { cpu, memory: "64Mi" };
  return { name, image: "i", resources: { requests: amounts, limits: amounts }, ...fields };
};

function podOf(uid: string, containers: readonly Container[], initContainers: readonly Container[] = []): Pod {
  active.add(uid);
  return { metadata: { name: uid, namespace: "default", uid }, spec: { containers, initContainers } } as unknown as Pod; // what is looked at
}

async function give(manager: CpuManager, pod: Pod, affinity?: number): Promise<string> {
  const part = manager.begin(pod);
  for (const container of containersOf(pod)) await part.allocate(container, { nodes: affinity, preferred: false });
  return formatCpuSet(manager.exclusiveCpus(pod.metadata.uid, "main") ?? []);
}

const shared = (manager: CpuManager): string => formatCpuSet(manager.cpusFor("nobody", "main") ?? []);
const state = async (): Promise<unknown> => JSON.parse(await readFile(statePath(), "utf8"));

test("the checksums are upstream's", () => {
  // As upstream's kubelet writes the file without a policy, and as its tests have it.
  const none = '{"policyName":"none","defaultCpuSet":"","checksum":1353318690}';
  expect(cpuCheckpointFormat.decode(none)).toEqual({ policyName: "none", defaultCpuSet: "" });
  expect(cpuCheckpointFormat.encode({ policyName: "none", defaultCpuSet: "" })).toBe(none);
  const entries = { pod: { container1: "4-6", container2: "1-3" } };
  expect(JSON.parse(cpuCheckpointFormat.encode({ policyName: "none", defaultCpuSet: "1-3", entries })).checksum).toBe(3610638499);
  expect(() => cpuCheckpointFormat.decode(none.replace("none", "static"))).toThrow("checkpoint is corrupted");
});

test("guaranteed containers with whole CPUs have them for themselves; the others share the rest", async () => {
  const manager = await start();
  expect(shared(manager)).toBe("0-7");
  expect(formatCpuSet(manager.allocatableCpus())).toBe("1-7");
  const pod = podOf("p1", [asking("main", "2"), asking("half", "500m")]);
  expect(manager.concerns(pod)).toBe(true);
  expect(await give(manager, pod)).toBe("1,5");
  expect(shared(manager)).toBe("0,2-4,6-7");
  expect(manager.exclusiveCpus("p1", "half")).toBeUndefined();
  expect(await state()).toMatchObject({ policyName: "static", defaultCpuSet: "0,2-4,6-7", entries: { p1: { main: "1,5" } } });
  const burstable = podOf("p2", [{ name: "main", image: "i", resources: { requests: { cpu: "2" } } }]);
  expect(manager.concerns(burstable)).toBe(false);
  expect(registry.text()).toContain("kubelet_cpu_manager_exclusive_cpu_allocation_count 2");
  expect(registry.text()).toContain("kubelet_cpu_manager_pinning_requests_total 1");
});

test("reserved CPUs are nobody's own", async () => {
  const manager = await start({ reservedSystemCPUs: "0,4" });
  await expect(give(manager, podOf("p1", [asking("main", "7")]))).rejects.toThrow(
    "not enough cpus available to satisfy request: requested=7, available=6",
  );
  expect(await give(manager, podOf("p2", [asking("main", "6")]))).toBe("1-3,5-7");
  expect(shared(manager)).toBe("0,4");
  expect(registry.text()).toContain("kubelet_cpu_manager_pinning_errors_total 1");
});

test("CPUs of init containers go on to those after them, and sidecars keep theirs", async () => {
  const manager = await start();
  const pod = podOf("p1", [asking("main", "2")], [asking("init", "3"), asking("sidecar", "1", { restartPolicy: "Always" })]);
  await give(manager, pod);
  const of = (name: string): string => formatCpuSet(manager.exclusiveCpus("p1", name) ?? []);
  expect([of("init"), of("sidecar"), of("main")]).toEqual(["1,4-5", "4", "1,5"]);
});

test("the CPUs of the chosen node come first", async () => {
  const manager = await start();
  const pod = podOf("p1", [asking("main", "4")]);
  expect(manager.begin(pod).hints(pod.spec.containers[0] as Container)).toEqual({
    cpu: [
      { nodes: 2, preferred: true },
      { nodes: 3, preferred: false },
    ],
  });
  expect(await give(manager, pod, 0b10)).toBe("2-3,6-7");
});

test("running containers follow what they share, also when pods go", async () => {
  const manager = await start();
  running.push({ podUid: "other", name: "main", id: "c1" });
  await give(manager, podOf("p1", [asking("main", "2")]));
  await vi.waitFor(() => expect(updates).toEqual(["c1=0,2-4,6-7"]), 60_000);
  active.delete("p1");
  await clock.advance(10_000);
  await vi.waitFor(() => expect(updates).toEqual(["c1=0,2-4,6-7", "c1=0-7"]), 60_000);
  expect(shared(manager)).toBe("0-7");
});

test("full-pcpus-only gives whole cores, and nothing of those that are reserved in part", async () => {
  const manager = await start({ options: new Set(["full-pcpus-only"]) });
  const smt = { reason: "SMTAlignmentError" };
  await expect(give(manager, podOf("p1", [asking("main", "3")]))).rejects.toMatchObject({
    ...{ ...smt, message: "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2" },
  });
  await expect(give(manager, podOf("p2", [asking("main", "8")]))).rejects.toMatchObject({
    ...{ ...smt, message: expect.stringContaining("available physical CPUs = 6, requested CPUs = 8, CPUs per core = 2") },
  });
  expect(await give(manager, podOf("p3", [asking("main", "6")]))).toBe("1-3,5-7");
});

test("with strict-cpu-reservation nobody runs on reserved CPUs", async () => {
  expect(shared(await start({ options: new Set(["strict-cpu-reservation"]), reservedSystemCPUs: "0-1" }))).toBe("2-7");
});

test("after a restart containers have what they had", async () => {
  const first = await start();
  await give(first, podOf("p1", [asking("main", "2")]));
  await first.stop();
  const second = await start();
  expect(formatCpuSet(second.exclusiveCpus("p1", "main") ?? [])).toBe("1,5");
  expect(shared(second)).toBe("0,2-4,6-7");
});

test("a state that cannot be gone on with keeps the kubelet from starting", async () => {
  const write = (fields: {
    readonly policyName?: string;
    readonly defaultCpuSet?: string;
    readonly entries?: Record<string, Record<string, string>>;
  }) => writeFile(statePath(), cpuCheckpointFormat.encode({ policyName: "static", defaultCpuSet: "0-7", ...fields }));
  await write({ policyName: "none", defaultCpuSet: "" });
  await expect(start()).rejects.toThrow(
    `could not restore state from checkpoint: configured policy "static" differs from state checkpoint policy "none", please drain this node and delete the CPU manager checkpoint file "${statePath()}" before restarting Kubelet`,
  );
  await write({ defaultCpuSet: "1-7" });
  await expect(start()).rejects.toThrow('not all reserved cpus: "0" are present in defaultCpuSet: "1-7"');
  await write({ entries: { p: { c: "7" } } });
  await expect(start()).rejects.toThrow('pod: p, container: c cpuset: "7" overlaps with default cpuset "0-7"');
  await write({ defaultCpuSet: "0-9" });
  await expect(start()).rejects.toThrow('current set of available CPUs "0-7" doesn\'t match with CPUs in state "0-9"');
  await writeFile(statePath(), "{}");
  await expect(start()).rejects.toThrow("checkpoint is corrupted");
});

test("the static policy needs CPUs that are reserved", async () => {
  await expect(start({ reservedMilliCpu: 0 })).rejects.toThrow(
    "the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero",
  );
  await expect(start({ reservedSystemCPUs: "0-9" })).rejects.toThrow("names CPUs this machine does not have: 8-9");
});

test("without a policy nothing is pinned, and the state says so", async () => {
  const manager = await start({ policy: "none" });
  expect(manager.cpusFor("p", "main")).toBeUndefined();
  expect(await state()).toEqual({ policyName: "none", defaultCpuSet: "", checksum: 1353318690 });
});
