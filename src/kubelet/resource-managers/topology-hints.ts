// On which NUMA nodes a container's resources lie together (the policies none, best-effort, restricted and single-numa-node
// of upstream's topology manager). Each manager says on which sets of nodes it could satisfy the request, the narrowest of
// them preferred; here one hint of each is combined in every way, and the best combination wins. Pure.
import { countOf, maskOf, masksOf, type NodeMask, nodesIn } from "./node-mask.ts";

export interface TopologyHint {
  /** Undefined: anywhere. */
  readonly nodes: NodeMask | undefined;
  readonly preferred: boolean;
}

/** By resource. Undefined: it does not matter where. An empty list: nowhere. */
export type ProviderHints = Readonly<Record<string, readonly TopologyHint[] | undefined>>;

export const topologyPolicies = ["none", "best-effort", "restricted", "single-numa-node"] as const;

export type TopologyPolicy = (typeof topologyPolicies)[number];

export interface TopologyDecision {
  readonly hint: TopologyHint;
  readonly admit: boolean;
}

/** How nodes are compared: the fewest with the lowest ids, or of as many those that are nearest to each other. */
export interface TopologyPreference {
  /** prefer-closest-numa-nodes: node → its distances to all nodes. Default: distances do not matter. */
  readonly distances?: ReadonlyMap<number, readonly number[]>;
}

const anywhere: TopologyHint = { nodes: undefined, preferred: true };

/** `numaNodes` are those of the machine. */
export function decideTopology(
  policy: TopologyPolicy,
  numaNodes: readonly number[],
  providers: readonly ProviderHints[],
  { distances }: TopologyPreference = {},
): TopologyDecision {
  if (policy === "none") return { hint: { nodes: undefined, preferred: false }, admit: true };
  const all = maskOf(numaNodes);
  const lists = providers.flatMap(listsOf);
  if (policy !== "single-numa-node") {
    const hint = bestCombination(all, lists, distances ? nearest(distances) : isNarrower);
    return { hint, admit: policy === "best-effort" || hint.preferred };
  }
  const single = lists.map((list) => list.filter((h) => h.preferred && (h.nodes === undefined || countOf(h.nodes) === 1)));
  const best = bestCombination(all, single, isNarrower);
  return { hint: best.nodes === all ? { ...best, nodes: undefined } : best, admit: best.preferred };
}

function listsOf(hints: ProviderHints): readonly (readonly TopologyHint[])[] {
  const lists = Object.values(hints);
  if (lists.length === 0) return [[anywhere]];
  return lists.map((list) => (list === undefined ? [anywhere] : list.length === 0 ? [{ nodes: undefined, preferred: false }] : list));
}

/** Whether the first set of nodes is better than the second. */
type Fitter = (a: NodeMask, b: NodeMask) => boolean;

function bestCombination(all: NodeMask, lists: readonly (readonly TopologyHint[])[], isFitter: Fitter): TopologyHint {
  const target = widestNeed(lists);
  let best: TopologyHint | undefined;
  for (const combination of combinations(lists)) {
    const candidate = merge(all, combination);
    if (candidate.nodes !== 0 && (!best || isBetter(candidate, best, { target, isFitter }))) best = candidate;
  }
  return best ?? { nodes: all, preferred: false };
}

/** So many nodes does the resource need that needs most of them. */
function widestNeed(lists: readonly (readonly TopologyHint[])[]): number {
  const needs = lists.map((list) => Math.min(...list.map((h) => (h.nodes === undefined ? Infinity : countOf(h.nodes)))));
  return Math.max(0, ...needs.filter(Number.isFinite));
}

function* combinations(
  lists: readonly (readonly TopologyHint[])[],
  chosen: readonly TopologyHint[] = [],
): Iterable<readonly TopologyHint[]> {
  const next = lists[chosen.length];
  if (!next) yield chosen;
  else for (const hint of next) yield* combinations(lists, [...chosen, hint]);
}

/** What all of them allow; preferred where each is, and all are of the same nodes. */
function merge(all: NodeMask, combination: readonly TopologyHint[]): TopologyHint {
  const masks = combination.map((h) => h.nodes).filter((m) => m !== undefined);
  const same = masks.every((mask) => mask === masks[0]);
  return { nodes: masks.reduce((left, mask) => left & mask, all), preferred: same && combination.every((h) => h.preferred) };
}

function isBetter(
  candidate: TopologyHint,
  best: TopologyHint,
  { target, isFitter }: { readonly target: number; readonly isFitter: Fitter },
): boolean {
  if (candidate.preferred !== best.preferred) return candidate.preferred;
  const [a, b] = [candidate.nodes ?? 0, best.nodes ?? 0];
  if (candidate.preferred) return isFitter(a, b);
  // None is ideal: as near as can be to what the widest resource needs, rather fewer nodes than more.
  const [countA, countB] = [countOf(a), countOf(b)];
  if (countB > target) return isFitter(a, b);
  if (countB === target) return countA === target && isFitter(a, b);
  if (countA > target) return false;
  return countA === countB ? isFitter(a, b) : countA > countB;
}

/** Fewer nodes, or as many with lower ids. */
function isNarrower(a: NodeMask, b: NodeMask): boolean {
  const [countA, countB] = [countOf(a), countOf(b)];
  return countA === countB ? a < b : countA < countB;
}

/** Fewer nodes, or as many that are nearer to each other. */
function nearest(distances: ReadonlyMap<number, readonly number[]>): Fitter {
  const average = (mask: NodeMask): number => {
    const nodes = nodesIn(mask);
    const sum = nodes.reduce((of, a) => of + nodes.reduce((to, b) => to + (distances.get(a)?.[b] ?? 0), 0), 0);
    return sum / Math.max(1, nodes.length ** 2);
  };
  return (a, b) => {
    if (countOf(a) !== countOf(b)) return countOf(a) < countOf(b);
    const [ofA, ofB] = [average(a), average(b)];
    return ofA === ofB ? a < b : ofA < ofB;
  };
}

/** Something that lies on NUMA nodes: a CPU on one, a device on any number. */
export interface Placed {
  readonly nodes: NodeMask;
}

/** On which sets of nodes so many can be had: of those available, and of those that must be among them. */
export function hintsFor(
  count: number,
  numaNodes: readonly number[],
  {
    all,
    available,
    mustHave = [],
  }: { readonly all: readonly Placed[]; readonly available: readonly Placed[]; readonly mustHave?: readonly Placed[] },
): readonly TopologyHint[] {
  const within = (placed: readonly Placed[], mask: NodeMask): number => placed.filter((p) => (p.nodes & mask) !== 0).length;
  let narrowest = numaNodes.length;
  const possible: NodeMask[] = [];
  for (const mask of masksOf(numaNodes)) {
    if (within(all, mask) >= count) narrowest = Math.min(narrowest, countOf(mask));
    // Those without a place do not matter.
    if (mustHave.some((p) => p.nodes !== 0 && (p.nodes & mask) === 0)) continue;
    if (within(mustHave, mask) + within(available, mask) >= count) possible.push(mask);
  }
  return possible.map((nodes) => ({ nodes, preferred: countOf(nodes) === narrowest }));
}
