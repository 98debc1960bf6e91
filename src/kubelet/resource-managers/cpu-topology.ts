// The machine's CPUs: to which core, socket and NUMA node each belongs, read from /sys/devices/system.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFile } from "../../linux/host-file.ts";
import { type CpuSet, parseCpuSet } from "./cpu-set.ts";

export interface Cpu {
  readonly id: number;
  /** Unique on the machine: the lowest CPU of the core. */
  readonly core: number;
  readonly socket: number;
  readonly node: number;
}

export interface CpuTopology {
  readonly cpus: readonly Cpu[];
  readonly numaNodes: readonly number[];
  /** Hardware threads of one core. */
  readonly cpusPerCore: number;
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
  return topologyOf(await Promise.all(online.map((id) => readCpu(root, id, nodes.get(id) ?? 0))));
}

async function readCpu(root: string, id: number, node: number): Promise<Cpu> {
  const directory = join(root, "cpu", `cpu${id}`, "topology");
  const [siblings, socket] = await Promise.all([
    hostFile(join(directory, "thread_siblings_list")),
    hostFile(join(directory, "physical_package_id")),
  ]);
  return { id, core: parseCpuSet(siblings)?.[0] ?? id, socket: Math.max(0, Number.parseInt(socket, 10) || 0), node };
}

/** CPU → node. */
async function readNodes(root: string): Promise<ReadonlyMap<number, number>> {
  const names = await readdir(join(root, "node")).catch(() => [] as string[]);
  const nodes = new Map<number, number>();
  for (const name of names.filter((n) => /^node\d+$/.test(n)))
    for (const cpu of parseCpuSet(await hostFile(join(root, "node", name, "cpulist"))) ?? []) nodes.set(cpu, Number(name.slice(4)));
  return nodes;
}
