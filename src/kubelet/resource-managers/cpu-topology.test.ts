import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readCpuTopology } from "./cpu-topology.ts";

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
