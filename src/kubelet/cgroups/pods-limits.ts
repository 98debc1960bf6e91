// What all pods of the node together may have, as limits of their common control group: the machine without what is
// reserved for the system and for Kubernetes. The eviction threshold is not subtracted: it is reached before the limit.
import { parseQuantity } from "../../api/meta/quantity.ts";
import type { CgroupLimits } from "../../linux/cgroups.ts";
import { cpuShares } from "../containers/linux-resources.ts";
import type { KubeletOptions } from "../options.ts";

export interface MachineCapacity {
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Process ids; undefined where they cannot be told. */
  readonly pids?: number;
}

export function podsLimits(machine: MachineCapacity, options: KubeletOptions): CgroupLimits {
  const { systemReserved = {}, kubeReserved = {}, enforceNodeAllocatable = ["pods"] } = options;
  if (!enforceNodeAllocatable.includes("pods")) return {};
  const reserved = (resource: string): number =>
    [systemReserved[resource], kubeReserved[resource]].reduce(
      (sum, text) => sum + (text === undefined ? 0 : parseQuantity(text).milliValue()),
      0,
    );
  const memory = reserved("memory") / 1000;
  const pids = reserved("pid") / 1000;
  return {
    cpuShares: cpuShares(Math.max(0, machine.cpus * 1000 - reserved("cpu"))),
    memoryBytes: Math.max(0, machine.memoryBytes - memory),
    ...(machine.pids === undefined ? {} : { pids: Math.max(1, machine.pids - pids) }),
  };
}
