// CPUs in equal parts from as few NUMA nodes as can give them (the option distribute-cpus-across-numa): what does not divide
// evenly goes to those nodes that leave the machine most balanced, told by the standard deviation of what stays free. Pure.
import { type CpuSet, union, without } from "./cpu-set.ts";
import type { CpuTopology } from "./cpu-topology.ts";
import { freeByNode, type PackingOptions, packCpus } from "./pack-cpus.ts";

export interface DistributionRequest extends PackingOptions {
  readonly available: CpuSet;
  readonly count: number;
  /** CPUs that belong together: those of a core. */
  readonly groupSize: number;
}

/** NUMA node → free CPUs. */
type Free = ReadonlyMap<number, number>;

interface Distribution {
  readonly nodes: readonly number[];
  /** Those that give a group more than the others, in turn. */
  readonly remainder: readonly number[];
  readonly balance: number;
}

/** Undefined where no nodes can give equal parts. */
export function distributeCpus(topology: CpuTopology, request: DistributionRequest): CpuSet | undefined {
  const { available, count, groupSize } = request;
  if (count % groupSize !== 0) return undefined;
  const groups = freeByNode(topology, available);
  const free: Free = new Map(groups.map((cpus) => [cpus[0]?.node ?? 0, cpus.length]));
  const nodes = [...free.keys()];
  const perNode = Math.ceil(Math.ceil(topology.cpus.length / groupSize) / topology.numaNodes.length);
  const [fewest, most] = [Math.ceil(count / groupSize / perNode), Math.min(count / groupSize, nodes.length)];
  for (let size = fewest; size <= most; size++) {
    const best = bestDistribution(combinations(nodes, size), free, request);
    if (best) return take(topology, best, request);
  }
  return undefined;
}

function bestDistribution(candidates: Iterable<readonly number[]>, free: Free, request: DistributionRequest): Distribution | undefined {
  let best: Distribution | undefined;
  for (const nodes of candidates) {
    const candidate = distributionOver(nodes, free, request);
    if (candidate && candidate.balance < (best?.balance ?? Number.POSITIVE_INFINITY)) best = candidate;
    if (best?.balance === 0) break;
  }
  return best;
}

/** Undefined where these nodes cannot give equal parts. */
function distributionOver(nodes: readonly number[], free: Free, { count, groupSize }: DistributionRequest): Distribution | undefined {
  const of = (node: number): number => free.get(node) ?? 0;
  const groups = nodes.reduce((sum, node) => sum + Math.floor(of(node) / groupSize), 0);
  const part = partOf(count, nodes.length, groupSize);
  if (groups * groupSize < count || nodes.some((node) => of(node) < part)) return undefined;
  const after = new Map(free);
  for (const node of nodes) after.set(node, of(node) - part);
  const rest = count - part * nodes.length;
  if (rest === 0) return { nodes, remainder: [], balance: standardDeviation([...after.values()]) };
  const able = nodes.filter((node) => (after.get(node) ?? 0) >= groupSize);
  let best: Distribution | undefined;
  for (let size = able.length; size >= 1; size--)
    for (const remainder of combinations(able, size)) {
      const left = withoutRest(after, remainder, { rest, groupSize });
      const balance = left && standardDeviation([...left.values()]);
      if (balance !== undefined && balance < (best?.balance ?? Number.POSITIVE_INFINITY)) best = { nodes, remainder, balance };
    }
  return best;
}

const partOf = (count: number, nodes: number, groupSize: number): number => Math.floor(Math.floor(count / nodes) / groupSize) * groupSize;

/** A group from each of the nodes in turn until all of the rest is given; undefined where they cannot. */
function withoutRest(
  after: Free,
  nodes: readonly number[],
  { rest, groupSize }: { readonly rest: number; readonly groupSize: number },
): Free | undefined {
  const left = new Map(after);
  for (let missing = rest; missing > 0; ) {
    const before = missing;
    for (const node of nodes) {
      const has = left.get(node) ?? 0;
      if (missing <= 0 || has < groupSize) continue;
      left.set(node, has - groupSize);
      missing -= groupSize;
    }
    if (missing === before) return undefined;
  }
  return left;
}

function take(topology: CpuTopology, { nodes, remainder }: Distribution, request: DistributionRequest): CpuSet {
  const { available, count, groupSize, spread = false } = request;
  const nodeOf = new Map(topology.cpus.map((cpu) => [cpu.id, cpu.node]));
  let taken: CpuSet = [];
  const takeOn = (node: number, many: number): void => {
    const here = without(available, taken).filter((id) => nodeOf.get(id) === node);
    taken = union(taken, packCpus(topology, { available: here, count: many, spread }) ?? []);
  };
  for (const node of nodes) takeOn(node, partOf(count, nodes.length, groupSize));
  while (taken.length < count) {
    const before = taken.length;
    for (const node of remainder) if (taken.length < count) takeOn(node, groupSize);
    if (taken.length === before) throw new Error(`accounting error, not enough CPUs allocated, remaining: ${count - before}`);
  }
  return taken;
}

/** Every choice of so many, in order. */
function* combinations(items: readonly number[], size: number, chosen: readonly number[] = []): Iterable<readonly number[]> {
  if (size === 0) {
    yield chosen;
    return;
  }
  for (const [i, item] of items.entries())
    if (i + size <= items.length) yield* combinations(items.slice(i + 1), size - 1, [...chosen, item]);
}

/** To a thousandth. */
function standardDeviation(values: readonly number[]): number {
  const rounded = (value: number): number => Math.round(value * 1000) / 1000;
  const mean = rounded(values.reduce((sum, value) => sum + value, 0) / values.length);
  return rounded(Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length));
}
