// What a control group uses: the numbers behind the kubelet's resource metrics and eviction signals, read in either version.
// The working set is usage without the file pages that can be dropped at once, as cAdvisor computes it.
import { join } from "node:path";
import type { CgroupSystem } from "./cgroup-system.ts";
import { hostFile } from "./host-file.ts";

export interface CgroupUsage {
  readonly cpuNanoseconds: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  /** Undefined without a limit. */
  readonly memoryLimitBytes?: number;
  readonly processes: number;
  /** Undefined where swap is not accounted for. */
  readonly swapBytes?: number;
}

/** Version 1 reports "no limit" as the largest multiple of the page size. */
const noLimit = 2 ** 62;

/** Undefined when there is no such group. */
export async function readUsage(system: CgroupSystem, path: string): Promise<CgroupUsage | undefined> {
  const read = (controller: string, file: string): Promise<string> => {
    const tree = system.controllers.get(controller);
    return tree === undefined ? Promise.resolve("") : hostFile(join(tree, path, file));
  };
  return system.version === 1 ? readVersion1(read) : readVersion2(read);
}

type Read = (controller: string, file: string) => Promise<string>;

async function readVersion1(read: Read): Promise<CgroupUsage | undefined> {
  const [cpu, usage, stat, limit, pids, withSwap] = await Promise.all([
    read("cpuacct", "cpuacct.usage"),
    read("memory", "memory.usage_in_bytes"),
    read("memory", "memory.stat"),
    read("memory", "memory.limit_in_bytes"),
    read("pids", "pids.current"),
    read("memory", "memory.memsw.usage_in_bytes"),
  ]);
  if (usage === "") return undefined;
  const value = parseStat(stat);
  return assemble(limit, {
    ...(withSwap === "" ? {} : { swapBytes: Math.max(0, Number(withSwap) - Number(usage)) }),
    cpuNanoseconds: Number(cpu),
    memoryBytes: Number(usage),
    workingSetBytes: Math.max(0, Number(usage) - value("total_inactive_file")),
    rssBytes: value("total_rss"),
    pageFaults: value("total_pgfault"),
    majorPageFaults: value("total_pgmajfault"),
    processes: Number(pids),
  });
}

async function readVersion2(read: Read): Promise<CgroupUsage | undefined> {
  const [cpu, usage, stat, limit, pids, swap] = await Promise.all([
    read("cpu", "cpu.stat"),
    read("memory", "memory.current"),
    read("memory", "memory.stat"),
    read("memory", "memory.max"),
    read("pids", "pids.current"),
    read("memory", "memory.swap.current"),
  ]);
  if (usage === "") return undefined;
  const value = parseStat(stat);
  return assemble(limit, {
    ...(swap === "" ? {} : { swapBytes: Number(swap) }),
    cpuNanoseconds: parseStat(cpu)("usage_usec") * 1000,
    memoryBytes: Number(usage),
    workingSetBytes: Math.max(0, Number(usage) - value("inactive_file")),
    rssBytes: value("anon"),
    pageFaults: value("pgfault"),
    majorPageFaults: value("pgmajfault"),
    processes: Number(pids),
  });
}

function assemble(limit: string, usage: CgroupUsage): CgroupUsage {
  const bytes = Number(limit);
  return limit === "" || limit === "max" || bytes >= noLimit ? usage : { ...usage, memoryLimitBytes: bytes };
}

/** Of "name value" lines; 0 for names that are missing. */
function parseStat(text: string): (name: string) => number {
  const values = new Map(text.split("\n").map((line) => line.split(" ") as [string, string]));
  return (name) => Number(values.get(name) ?? 0);
}
