// Which CPUs of those that are free a container gets: whole sockets and NUMA nodes where it needs as many, then whole cores,
// then single hardware threads. What is already in part use is filled first, so that whole groups stay free for others
// (upstream's packed strategy). Pure.
import { type CpuSet, cpuSet } from "./cpu-set.ts";
import type { Cpu, CpuTopology } from "./cpu-topology.ts";

type GroupOf = (cpu: Cpu) => number;

/** Undefined when fewer are available. */
export function takeCpus(topology: CpuTopology, available: CpuSet, count: number): CpuSet | undefined {
  if (available.length < count) return undefined;
  const free = new Set(available);
  let left = topology.cpus.filter((cpu) => free.has(cpu.id));
  const taken: number[] = [];
  const take = (cpus: readonly Cpu[]): void => {
    taken.push(...cpus.map((c) => c.id));
    left = left.filter((cpu) => !cpus.includes(cpu));
  };
  const socketOf: GroupOf = (cpu) => cpu.socket;
  const nodeOf: GroupOf = (cpu) => cpu.node;
  const coreOf: GroupOf = (cpu) => cpu.core;
  const [outer, inner] = sizeOf(topology, nodeOf) > sizeOf(topology, socketOf) ? [nodeOf, socketOf] : [socketOf, nodeOf];
  for (const groupOf of [outer, inner, coreOf])
    for (const group of ordered(left, [outer, inner, groupOf], groupOf))
      if (group.length === sizeOfGroup(topology, groupOf, group) && group.length <= count - taken.length) take(group);
  const singles = ordered(left, [outer, inner, coreOf], coreOf).flat();
  take(singles.slice(0, count - taken.length));
  return cpuSet(taken);
}

/** The free CPUs by group: those with the fewest free ones first, at each level from the outermost. */
function ordered(free: readonly Cpu[], levels: readonly GroupOf[], groupOf: GroupOf): readonly (readonly Cpu[])[] {
  const counts = levels.map((level) => countBy(free, level));
  const groups = new Map<number, Cpu[]>();
  for (const cpu of free) groups.set(groupOf(cpu), [...(groups.get(groupOf(cpu)) ?? []), cpu]);
  return [...groups.values()].sort(([a], [b]) => {
    if (!a || !b) return 0;
    for (const [i, level] of levels.entries()) {
      const [groupA, groupB] = [level(a), level(b)];
      if (groupA === groupB) continue;
      return (counts[i]?.get(groupA) ?? 0) - (counts[i]?.get(groupB) ?? 0) || groupA - groupB;
    }
    return a.id - b.id;
  });
}

function countBy(cpus: readonly Cpu[], groupOf: GroupOf): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const cpu of cpus) counts.set(groupOf(cpu), (counts.get(groupOf(cpu)) ?? 0) + 1);
  return counts;
}

function sizeOfGroup({ cpus }: CpuTopology, groupOf: GroupOf, [first]: readonly Cpu[]): number {
  return first ? cpus.filter((cpu) => groupOf(cpu) === groupOf(first)).length : 0;
}

/** CPUs of one group, on average. */
function sizeOf({ cpus }: CpuTopology, groupOf: GroupOf): number {
  return cpus.length / Math.max(1, new Set(cpus.map(groupOf)).size);
}
