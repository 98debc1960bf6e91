// Which CPUs of those that are free a container gets: packed as close as possible, or, where the policy's options say so, in
// equal parts from several NUMA nodes. Pure.
import type { CpuSet } from "./cpu-set.ts";
import type { CpuTopology } from "./cpu-topology.ts";
import { distributeCpus } from "./distribute-cpus.ts";
import { type PackingOptions, packCpus } from "./pack-cpus.ts";

export interface CpuRequest extends PackingOptions {
  readonly available: CpuSet;
  readonly count: number;
  /** Where one NUMA node is too small: equal parts of several, in groups of so many CPUs. Default 0: nodes are filled up. */
  readonly distributedBy?: number;
}

/** Undefined when fewer are available. */
export function takeCpus(topology: CpuTopology, request: CpuRequest): CpuSet | undefined {
  const { available, count, distributedBy = 0 } = request;
  if (available.length < count) return undefined;
  if (count === 0) return [];
  const distributed = distributedBy > 0 ? distributeCpus(topology, { ...request, groupSize: distributedBy }) : undefined;
  return distributed ?? packCpus(topology, request);
}
