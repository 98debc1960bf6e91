// What all pods of the node together may have, as limits of their common control group: the machine without what is
// reserved for the system and for Kubernetes. The eviction threshold is not subtracted: it is reached before the limit.
import { readFile } from "node:fs/promises";
import type { CgroupLimits } from "../linux/cgroups.ts";
import { cpuShares } from "./linux-resources.ts";
import type { KubeletOptions } from "./options.ts";

export interface MachineCapacity {
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Process ids of the machine; undefined where they cannot be told. */
  readonly pids?: number;
}

export function podsLimits(machine: MachineCapacity, options: KubeletOptions): CgroupLimits {
  if (options.enforcePodsAllocatable === false) return {};
  const { reservedMemoryBytes = 0, reservedPids = 0, reservedSystemCPUs = [] } = options;
  const reservedMilliCpu = reservedSystemCPUs.length > 0 ? reservedSystemCPUs.length * 1000 : (options.reservedMilliCpu ?? 0);
  const pids = machine.pids === undefined ? undefined : machine.pids - reservedPids;
  return {
    cpuShares: cpuShares(Math.max(0, machine.cpus * 1000 - reservedMilliCpu)),
    ...(reservedMemoryBytes > 0 ? { memoryBytes: Math.max(0, machine.memoryBytes - reservedMemoryBytes) } : {}),
    ...(reservedPids > 0 && pids !== undefined ? { pids: Math.max(1, pids) } : {}),
  };
}

/** The most processes and threads the kernel makes; undefined where it does not say. */
export async function machinePids(): Promise<number | undefined> {
  try {
    const [pids, threads] = await Promise.all([readFile("/proc/sys/kernel/pid_max", "utf8"), readFile("/proc/sys/kernel/threads-max", "utf8")]);
    return Math.min(Number(pids), Number(threads));
  } catch {
    return undefined; // not Linux: nothing to limit either
  }
}
