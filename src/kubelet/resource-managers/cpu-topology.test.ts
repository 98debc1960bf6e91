import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readCpuTopology, readMachineTopology } from "./cpu-topology.ts";
import { readNumaNodes } from "./numa-nodes.ts";

async function machine(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "coracle-cpus-"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), `${text}\n`);
  }
  return root;
}

test("cores, sockets and nodes are read of the CPUs that are online", async () => {
  const root = await machine({
    "cpu/online": "0-1,3",
    "cpu/cpu0/topology/thread_siblings_list": "0,3",
    "cpu/cpu0/topology/physical_package_id": "0",
    "cpu/cpu1/topology/thread_siblings_list": "1",
    "cpu/cpu1/topology/physical_package_id": "1",
    "cpu/cpu3/topology/thread_siblings_list": "0,3",
    "cpu/cpu3/topology/physical_package_id": "0",
    "node/node0/cpulist": "0,3",
    "node/node1/cpulist": "1",
  });
  expect(await readCpuTopology(root)).toEqual({
    cpus: [
      { id: 0, core: 0, socket: 0, node: 0 },
      { id: 1, core: 1, socket: 1, node: 1 },
      { id: 3, core: 0, socket: 0, node: 0 },
    ],
    numaNodes: [0, 1],
    cpusPerCore: 1,
  });
  await rm(root, { recursive: true });
});

test("third-level caches are told apart where a node has several", async () => {
  const of = (cpu: number, list: string, id?: string): Readonly<Record<string, string>> => ({
    [`cpu/cpu${cpu}/cache/index2/level`]: "2",
    [`cpu/cpu${cpu}/cache/index3/level`]: "3",
    [`cpu/cpu${cpu}/cache/index3/shared_cpu_list`]: list,
    ...(id === undefined ? {} : { [`cpu/cpu${cpu}/cache/index3/id`]: id }),
  });
  const root = await machine({
    ...{ "cpu/online": "0-3", "node/node0/cpulist": "0-2", "node/node1/cpulist": "3" },
    ...{ ...of(0, "0-1", "4"), ...of(1, "0-1", "4"), ...of(2, "2"), ...of(3, "3", "9") },
  });
  expect((await readCpuTopology(root)).cpus.map((cpu) => cpu.cache)).toEqual([4, 4, 2, undefined]);
  await rm(root, { recursive: true });
});

test("nodes are read with their memory, huge pages and distances, those without CPUs too", async () => {
  const root = await machine({
    ...{ "cpu/online": "0", "node/node0/cpulist": "0", "node/node1/cpulist": "" },
    ...{ "node/node0/meminfo": "Node 0 MemTotal:       2048 kB\nNode 0 MemFree: 12 kB", "node/node0/distance": "10 20" },
    ...{ "node/node1/meminfo": "Node 1 MemTotal:       1024 kB", "node/node1/distance": "20 10" },
    "node/node1/hugepages/hugepages-2048kB/nr_hugepages": "3",
  });
  const { cpus, nodes } = await readMachineTopology(root);
  expect(cpus.numaNodes).toEqual([0]);
  expect(nodes).toEqual([
    { id: 0, memoryBytes: 2 ** 21, hugePages: [], distances: [10, 20] },
    { id: 1, memoryBytes: 2 ** 20, hugePages: [{ pageBytes: 2 ** 21, pages: 3 }], distances: [20, 10] },
  ]);
  const meminfo = join(root, "meminfo");
  await writeFile(meminfo, "MemTotal: 4 kB");
  expect(await readNumaNodes({ nodes: join(root, "none"), meminfo, hugePages: join(root, "none") })).toEqual([
    { id: 0, memoryBytes: 4096, hugePages: [], distances: [] },
  ]);
  await rm(root, { recursive: true });
});

test("a machine that tells little has one node, and a core for each CPU", async () => {
  const root = await machine({ "cpu/online": "0-1" });
  expect(await readCpuTopology(root)).toMatchObject({
    numaNodes: [0],
    cpusPerCore: 1,
    cpus: [
      { core: 0, socket: 0 },
      { core: 1, socket: 0 },
    ],
  });
  await rm(root, { recursive: true });
});
