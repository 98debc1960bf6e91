// CPUs packed as close as possible: whole sockets and NUMA nodes where as many are needed, then (as an option) within as few
// third-level caches as possible, then whole cores, then single hardware threads. What is already in part use is filled
// first, so that whole groups stay free for others. Pure.
import { type CpuSet, cpuSet } from "./cpu-set.ts";
import type { Cpu, CpuTopology } from "./cpu-topology.ts";

export interface PackingOptions {
  /** Threads of as many cores as possible, instead of whole cores. Default false. */
  readonly spread?: boolean;
  /** Within as few third-level caches as possible, where they are not one. Default false. */
  readonly byCache?: boolean;
}

type GroupOf = (cpu: Cpu) => number;

const socketOf: GroupOf = (cpu) => cpu.socket;
const nodeOf: GroupOf = (cpu) => cpu.node;
const coreOf: GroupOf = (cpu) => cpu.core;
const cacheOf: GroupOf = (cpu) => cpu.cache ?? cpu.socket;

/** `count` of those that are available; undefined where they are fewer. */
export function packCpus(
  topology: CpuTopology,
  { available, count, spread = false, byCache = false }: PackingOptions & { readonly available: CpuSet; readonly count: number },
): CpuSet | undefined {
  if (available.length < count) return undefined;
  const taking = new Taking(topology, available, count);
  const [outer, inner] = levelsOf(topology);
  taking.wholeGroups([outer, inner], outer);
  taking.wholeGroups([outer, inner], inner);
  if (byCache) taking.caches();
  if (!spread) taking.wholeGroups([outer, inner, coreOf], coreOf);
  taking.singles(spread ? [outer, inner, socketOf] : [outer, inner, coreOf], spread ? socketOf : coreOf);
  return cpuSet(taking.taken);
}

/** The free CPUs of each NUMA node, those first that have the fewest, or lie on a socket that has. */
export function freeByNode(topology: CpuTopology, available: CpuSet): readonly (readonly Cpu[])[] {
  const [outer, inner] = levelsOf(topology);
  const free = new Set(available);
  const cpus = topology.cpus.filter((cpu) => free.has(cpu.id));
  return ordered(cpus, [outer, inner, nodeOf], nodeOf);
}

/** The larger groups first: a socket may have several NUMA nodes, or a node several sockets. */
const levelsOf = (topology: CpuTopology): readonly [outer: GroupOf, inner: GroupOf] =>
  sizeOf(topology, nodeOf) > sizeOf(topology, socketOf) ? [nodeOf, socketOf] : [socketOf, nodeOf];

class Taking {
  readonly taken: number[] = [];
  readonly #topology: CpuTopology;
  #left: readonly Cpu[];
  #needed: number;

  constructor(topology: CpuTopology, available: CpuSet, count: number) {
    const free = new Set(available);
    this.#topology = topology;
    this.#left = topology.cpus.filter((cpu) => free.has(cpu.id));
    this.#needed = count;
  }

  /** As many whole free groups as are needed. */
  wholeGroups(levels: readonly GroupOf[], groupOf: GroupOf): void {
    for (const group of ordered(this.#left, levels, groupOf))
      if (group.length <= this.#needed && group.length === sizeOfGroup(this.#topology, groupOf, group)) this.#take(group);
  }

  singles(levels: readonly GroupOf[], groupOf: GroupOf): void {
    this.#take(ordered(this.#left, levels, groupOf).flat().slice(0, this.#needed));
  }

  caches(): void {
    const [outer, inner] = levelsOf(this.#topology);
    const levels = outer === nodeOf ? [outer, cacheOf] : [outer, inner, cacheOf];
    const each = Math.floor(sizeOf(this.#topology, cacheOf));
    for (const [first] of ordered(this.#left, levels, cacheOf)) {
      if (!first || this.#needed === 0) return;
      if (this.#needed >= each) this.wholeGroups(levels, cacheOf);
      if (this.#needed > 0) this.#partOfCache(cacheOf(first));
    }
  }

  /** All that is needed from one cache, in whole cores but for the last thread; or nothing. */
  #partOfCache(cache: number): void {
    const { cpusPerCore } = this.#topology;
    const within = this.#left.filter((cpu) => cacheOf(cpu) === cache);
    const cores = [...new Set(within.map(coreOf))].sort((a, b) => a - b).slice(0, Math.ceil(this.#needed / cpusPerCore));
    let cpus = within.filter((cpu) => cores.includes(cpu.core)).sort((a, b) => a.id - b.id);
    if (this.#needed % 2 !== 0 && cpusPerCore > 1 && cpus.length > this.#needed) cpus = cpus.slice(0, -1);
    if (cpus.length === this.#needed) this.#take(cpus);
  }

  #take(cpus: readonly Cpu[]): void {
    this.taken.push(...cpus.map((c) => c.id));
    this.#left = this.#left.filter((cpu) => !cpus.includes(cpu));
    this.#needed -= cpus.length;
  }
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
