// What an administrator asks of the machine's control groups besides those of pods: that the system's and Kubernetes' own
// daemons keep to what is reserved for them (enforceNodeAllocatable), and in which group the kubelet itself is.
import { parseQuantity } from "../../api/meta/quantity.ts";
import { cpuShares } from "../../kubelet/containers/linux-resources.ts";
import type { ResourceTexts } from "../../kubelet/node/node-allocatable.ts";
import type { CgroupLimits, Cgroups } from "../../linux/cgroups.ts";
import { CommandError } from "../command-error.ts";

export interface ReservedCgroupsOptions {
  /** Names of enforceNodeAllocatable; default "pods". */
  readonly enforced: readonly string[];
  readonly systemReserved: ResourceTexts;
  readonly kubeReserved: ResourceTexts;
  /** Of the daemons; empty for none. */
  readonly systemReservedCgroup: string;
  readonly kubeReservedCgroup: string;
}

/** Throws CommandError for a group that does not exist: making it would limit nobody. */
export async function enforceReservations(cgroups: Pick<Cgroups, "exists" | "update">, options: ReservedCgroupsOptions): Promise<void> {
  const { enforced, systemReserved, kubeReserved, systemReservedCgroup, kubeReservedCgroup } = options;
  for (const [name, title, group, reserved] of [
    ["system-reserved", "System Reserved", systemReservedCgroup, systemReserved],
    ["kube-reserved", "Kube Reserved", kubeReservedCgroup, kubeReserved],
  ] as const) {
    const compressible = enforced.includes(`${name}-compressible`);
    if (!compressible && !enforced.includes(name)) continue;
    const path = group.startsWith("/") ? group : `/${group}`;
    if (!(await cgroups.exists(path)))
      throw new CommandError(`Failed to enforce ${title} Cgroup Limits on ${JSON.stringify(group)}: cgroup does not exist`);
    await cgroups.update(path, limitsOf(reserved, compressible));
  }
}

function limitsOf(reserved: ResourceTexts, compressible: boolean): CgroupLimits {
  const of = (name: string): number | undefined => (reserved[name] === undefined ? undefined : parseQuantity(reserved[name]).milliValue());
  const [cpu, memory, pids] = [of("cpu"), of("memory"), of("pid")];
  return {
    ...(cpu === undefined ? {} : { cpuShares: cpuShares(cpu) }),
    ...(compressible || memory === undefined ? {} : { memoryBytes: Math.ceil(memory / 1000) }),
    ...(compressible || pids === undefined ? {} : { pids: Math.ceil(pids / 1000) }),
  };
}
