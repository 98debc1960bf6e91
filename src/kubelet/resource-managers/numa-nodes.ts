// The machine's NUMA nodes: memory, huge pages, and how far one is from the others, read from /sys/devices/system/node. Nodes
// without CPUs count: their memory can be had too.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { hostFile } from "../../linux/host-file.ts";
import { type HugePages, readHugePages } from "../../linux/huge-pages.ts";

export interface NumaNode {
  readonly id: number;
  readonly memoryBytes: number;
  readonly hugePages: readonly HugePages[];
  /** To each node, in the order of their ids; 10 to itself. Empty where the machine does not tell. */
  readonly distances: readonly number[];
}

export interface NumaRoots {
  /** Default /sys/devices/system/node. */
  readonly nodes?: string;
  /** For a machine that tells nothing of nodes. Default /proc/meminfo and /sys/kernel/mm/hugepages. */
  readonly meminfo?: string;
  readonly hugePages?: string;
}

/** In the order of their ids. A machine that tells nothing of nodes has one. */
export async function readNumaNodes(roots: NumaRoots = {}): Promise<readonly NumaNode[]> {
  const { nodes: root = "/sys/devices/system/node", meminfo = "/proc/meminfo", hugePages } = roots;
  const names = (await readdir(root).catch(() => [] as string[])).filter((name) => /^node\d+$/.test(name));
  if (names.length === 0)
    return [{ id: 0, memoryBytes: totalOf(await hostFile(meminfo)), hugePages: await readHugePages(hugePages), distances: [] }];
  const ids = names.map((name) => Number(name.slice("node".length))).sort((a, b) => a - b);
  return await Promise.all(ids.map((id) => readNode(join(root, `node${id}`), id)));
}

async function readNode(directory: string, id: number): Promise<NumaNode> {
  const [meminfo, distance, hugePages] = await Promise.all([
    hostFile(join(directory, "meminfo")),
    hostFile(join(directory, "distance")),
    readHugePages(join(directory, "hugepages")),
  ]);
  const distances = distance.split(/\s+/).filter((text) => text !== "");
  return { id, memoryBytes: totalOf(meminfo), hugePages, distances: distances.map(Number) };
}

/** "MemTotal: 18442012 kB", with or without "Node 0" before it. */
const totalOf = (meminfo: string): number => Number(/MemTotal:\s+(\d+) kB/.exec(meminfo)?.[1] ?? 0) * 1024;
