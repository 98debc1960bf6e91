// What all pods of the node together may have, as limits of their common control group: the machine without what is
// reserved for the system and for Kubernetes. The eviction threshold is not subtracted: it is reached before the limit.
import type { CgroupLimits } from "../linux/cgroups.ts";
import { cpuShares } from "./linux-resources.ts";
import type { KubeletOptions } from "./options.ts";

export function podsLimits(machine: { readonly cpus: number; readonly memoryBytes: number }, options: KubeletOptions): CgroupLimits {
  const { reservedMemoryBytes = 0, reservedMilliCpu = 0, enforceNodeAllocatable = ["pods"] } = options;
  if (!enforceNodeAllocatable.includes("pods")) return {};
  return {
    cpuShares: cpuShares(Math.max(0, machine.cpus * 1000 - reservedMilliCpu)),
    ...(reservedMemoryBytes > 0 ? { memoryBytes: Math.max(0, machine.memoryBytes - reservedMemoryBytes) } : {}),
  };
}
