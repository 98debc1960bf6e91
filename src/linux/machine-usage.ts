// What the whole machine uses: its CPU time from the root control group (or /proc/stat), its memory as cAdvisor reckons it for
// the root group (what is not free, and without the file pages that can be dropped at once for the working set), swap and
// processes. In version 2 the root group has no memory.current: there /proc/meminfo and /proc/vmstat say it.
import { join } from "node:path";
import type { CgroupSystem } from "./cgroup-system.ts";
import { readUsage } from "./cgroup-usage.ts";
import { hostFile } from "./host-file.ts";

export interface MachineUsage {
  readonly cpuNanoseconds: number;
  readonly memoryTotalBytes: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly swapTotalBytes: number;
  readonly swapFreeBytes: number;
}

export interface ProcessCount {
  readonly processes?: number;
  /** The smaller of the kernel's limits for process ids and threads. */
  readonly maximum?: number;
}

const nanosecondsPerTick = 10_000_000;

/** Undefined where there is no /proc. */
export async function machineUsage(system: CgroupSystem | undefined): Promise<MachineUsage | undefined> {
  const [stat, meminfo, vmstat, root, cpuStat] = await Promise.all([
    hostFile("/proc/stat"),
    hostFile("/proc/meminfo"),
    hostFile("/proc/vmstat"),
    system?.version === 1 ? readUsage(system, "/") : undefined,
    system?.version === 2 ? hostFile(join(system.controllers.get("cpu") ?? "/", "cpu.stat")) : "",
  ]);
  if (meminfo === "") return undefined;
  return parseMachine({ stat, meminfo, vmstat, cpuStat }, root);
}

export interface MachineFiles {
  readonly stat: string;
  readonly meminfo: string;
  readonly vmstat: string;
  /** Of version 2's root group; "" elsewhere. */
  readonly cpuStat: string;
}

type RootUsage = Pick<MachineUsage, "cpuNanoseconds" | "memoryBytes" | "workingSetBytes" | "rssBytes" | "pageFaults" | "majorPageFaults">;

export function parseMachine({ stat, meminfo, vmstat, cpuStat }: MachineFiles, root: RootUsage | undefined): MachineUsage {
  const memory = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1] ?? 0) * 1024;
  const events = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(vmstat)?.[1] ?? 0);
  const usedBytes = memory("MemTotal") - memory("MemFree");
  const micros = /^usage_usec (\d+)$/m.exec(cpuStat)?.[1];
  const swap = { swapTotalBytes: memory("SwapTotal"), swapFreeBytes: memory("SwapFree"), memoryTotalBytes: memory("MemTotal") };
  if (root) {
    const { cpuNanoseconds, memoryBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults } = root;
    return { ...swap, cpuNanoseconds, memoryBytes, workingSetBytes, rssBytes, pageFaults, majorPageFaults };
  }
  return {
    ...swap,
    cpuNanoseconds: micros === undefined ? busyTicks(stat) * nanosecondsPerTick : Number(micros) * 1000,
    memoryBytes: usedBytes,
    workingSetBytes: Math.max(0, usedBytes - memory("Inactive\\(file\\)")),
    rssBytes: memory("AnonPages"),
    pageFaults: events("pgfault"),
    majorPageFaults: events("pgmajfault"),
  };
}

/** Of /proc/stat's first line: user, nice, system, idle, iowait, irq, softirq, steal; neither idle, waiting nor stolen. */
function busyTicks(stat: string): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? "").split(" ").map(Number);
  return user + nice + system + irq + softirq;
}

export async function processCount(): Promise<ProcessCount> {
  const [load, pidMax, threadsMax] = await Promise.all([
    hostFile("/proc/loadavg"),
    hostFile("/proc/sys/kernel/pid_max"),
    hostFile("/proc/sys/kernel/threads-max"),
  ]);
  const processes = /\/(\d+)/.exec(load)?.[1];
  const limits = [pidMax, threadsMax].filter((text) => text !== "").map(Number);
  return {
    ...(processes === undefined ? {} : { processes: Number(processes) }),
    ...(limits.length === 0 ? {} : { maximum: Math.min(...limits) }),
  };
}
