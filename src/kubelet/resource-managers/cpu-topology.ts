// The machine's CPUs: to which core, socket, NUMA node and third-level cache each belongs, read from /sys/devices/system.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFile } from "../../linux/host-file.ts";
import { type CpuSet, parseCpuSet, sameCpus } from "./cpu-set.ts";
import { type NumaNode, readNumaNodes } from "./numa-nodes.ts";

export interface Cpu {
  readonly id: number;
  /** Unique on the machine: the lowest CPU of the core. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
  /** The third-level cache, where the CPUs of a NUMA node have several of them. */
  readonly cache?: number;
}

export interface CpuTopology {
  readonly cpus: readonly Cpu[];
  readonly numaNodes: readonly number[];
  /** Hardware threads of one core. */
  readonly cpusPerCore: number;
}

/** CPUs and memory. */
export interface MachineTopology {
  readonly cpus: CpuTopology;
  readonly nodes: readonly NumaNode[];
}

export async function readMachineTopology(root = "/sys/devices/system"): Promise<MachineTopology> {
  const [cpus, nodes] = await Promise.all([readCpuTopology(root), readNumaNodes({ nodes: join(root, "node") })]);
  return { cpus, nodes };
}

export function topologyOf(cpus: readonly Cpu[]): CpuTopology {
  const cores = new Set(cpus.map((c) => c.core)).size;
  return {
    cpus,
    numaNodes: [...new Set(cpus.map((c) => c.node))].sort((a, b) => a - b),
    cpusPerCore: cores === 0 ? 0 : Math.floor(cpus.length / cores),
  };
}

export const idsOf = ({ cpus }: CpuTopology): CpuSet => cpus.map((c) => c.id);

/** Of the CPUs that are online. A machine that tells nothing of nodes has one. */
export async function readCpuTopology(root = "/sys/devices/system"): Promise<CpuTopology> {
  const online = parseCpuSet(await hostFile(join(root, "cpu", "online"))) ?? [];
  const nodes = await readNodes(root);
  return topologyOf(await Promise.all(online.map((id) => readCpu(root, id, nodes.get(id) ?? { node: 0, cpus: online }))));
}

async function readCpu(root: string, id: number, { node, cpus }: NodeOfCpu): Promise<Cpu> {
  const directory = join(root, "cpu", `cpu${id}`, "topology");
  const [siblings, socket, cache] = await Promise.all([
    hostFile(join(directory, "thread_siblings_list")),
    hostFile(join(directory, "physical_package_id")),
    readCache(join(root, "cpu", `cpu${id}`, "cache"), cpus),
  ]);
  const core = parseCpuSet(siblings)?.[0] ?? id;
  return { id, core, socket: Math.max(0, Number.parseInt(socket, 10) || 0), node, ...(cache === undefined ? {} : { cache }) };
}

/** The third-level cache's number; undefined where all CPUs of the node share it. */
async function readCache(directory: string, ofNode: CpuSet): Promise<number | undefined> {
  for (const name of await readdir(directory).catch(() => [] as string[])) {
    if (!name.startsWith("index") || (await hostFile(join(directory, name, "level"))).trim() !== "3") continue;
    const shared = parseCpuSet(await hostFile(join(directory, name, "shared_cpu_list"))) ?? [];
    const id = Number.parseInt(await hostFile(join(directory, name, "id")), 10);
    return shared.length === 0 || sameCpus(shared, ofNode) ? undefined : Number.isNaN(id) ? shared[0] : id;
  }
  return undefined;
}

interface NodeOfCpu {
  readonly node: number;
  /** All of the node. */
  readonly cpus: CpuSet;
}

async function readNodes(root: string): Promise<ReadonlyMap<number, NodeOfCpu>> {
  const names = await readdir(join(root, "node")).catch(() => [] as string[]);
  const nodes = new Map<number, NodeOfCpu>();
  for (const name of names.filter((n) => /^node\d+$/.test(n))) {
    const cpus = parseCpuSet(await hostFile(join(root, "node", name, "cpulist"))) ?? [];
    for (const cpu of cpus) nodes.set(cpu, { node: Number(name.slice(4)), cpus });
  }
  return nodes;
}
