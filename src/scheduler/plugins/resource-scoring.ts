// How much a node is worth by what is asked of its resources, for strategies other than the default one (whose two columns
// resources.ts reads itself): LeastAllocated and MostAllocated over any resources and weights, and RequestedToCapacityRatio,
// whose shape says what each utilization is worth. Also the spread of utilizations for NodeResourcesBalancedAllocation.
import type { ResourceAmounts } from "../../api/semantics/pod-resources.ts";
import { isExtendedResource, isHugePageName } from "../../api/validation/resource-names.ts";
import type { ResourceWeight, ScoringStrategy, ShapePoint } from "../configuration/plugin-args.ts";
import { maxNodeScore, type NodeScorer } from "../framework.ts";
import type { NodeInfo, PodFacts } from "../node-info.ts";

/** Points of a shape go to 10, scores to 100. */
const shapeScale = maxNodeScore / 10;

/** Resources that count on a node only for pods that ask for them. */
const isScalar = (name: string): boolean => isExtendedResource(name) || isHugePageName(name) || name.includes("kubernetes.io/");

type ResourceScorer = (requested: number, allocatable: number) => number;

const leastAllocated: ResourceScorer = (requested, allocatable) =>
  requested > allocatable ? 0 : Math.floor(((allocatable - requested) * maxNodeScore) / allocatable);

const mostAllocated: ResourceScorer = (requested, allocatable) =>
  Math.floor((Math.min(requested, allocatable) * maxNodeScore) / allocatable);

function byShape(shape: readonly ShapePoint[]): ResourceScorer {
  const value = brokenLine(shape.map(({ utilization, score }) => ({ utilization, score: score * shapeScale })));
  return (requested, allocatable) => value(requested > allocatable ? 100 : Math.floor((requested * 100) / allocatable));
}

/** Straight between the points, level before the first and after the last. Whole numbers, cut towards zero. */
export function brokenLine(points: readonly ShapePoint[]): (at: number) => number {
  return (at) => {
    const next = points.findIndex(({ utilization }) => at <= utilization);
    const [before, after] = [points[next < 0 ? points.length - 1 : next - 1], points[next]];
    if (!before) return after?.score ?? 0;
    if (!after) return before.score;
    const rise = (after.score - before.score) * (at - before.utilization);
    return before.score + Math.trunc(rise / (after.utilization - before.utilization));
  };
}

/** The part of a resource that will be used on a node with the pod there. */
interface Use {
  readonly requested: number;
  readonly allocatable: number;
}

/** With assumed requests where containers name none; undefined where the resource does not count on this node. */
function useOf(name: string, node: NodeInfo, pod: PodFacts): Use | undefined {
  const allocatable = node.allocatable[name] ?? 0;
  const asked = pod.requests[name] ?? 0;
  if (allocatable === 0 || (asked === 0 && isScalar(name))) return undefined;
  if (name === "cpu") return { requested: node.scoredCpu + pod.scoredCpu, allocatable };
  if (name === "memory") return { requested: node.scoredMemory + pod.scoredMemory, allocatable };
  return { requested: (node.requested[name] ?? 0) + asked, allocatable };
}

export function strategyScorer({ type, resources, shape }: ScoringStrategy, pod: PodFacts): NodeScorer {
  if (type === "RequestedToCapacityRatio") return weighted(resources, pod, { score: byShape(shape ?? []), average: roundedAverage });
  return weighted(resources, pod, { score: type === "MostAllocated" ? mostAllocated : leastAllocated, average: flooredAverage });
}

interface Averaging {
  readonly score: ResourceScorer;
  readonly average: { readonly counts: (score: number) => boolean; readonly round: (value: number) => number };
}

const flooredAverage = { counts: () => true, round: Math.floor };
/** What a shape says is worth nothing does not weigh either. */
const roundedAverage = { counts: (score: number) => score > 0, round: Math.round };

function weighted(resources: readonly ResourceWeight[], pod: PodFacts, { score, average }: Averaging): NodeScorer {
  return (node) => {
    let sum = 0;
    let weights = 0;
    for (const { name, weight } of resources) {
      const use = useOf(name, node, pod);
      if (!use) continue;
      const points = score(use.requested, use.allocatable);
      if (!average.counts(points)) continue;
      sum += points * weight;
      weights += weight;
    }
    return weights === 0 ? 0 : average.round(sum / weights);
  };
}

/** Better where the pod makes the use of these resources more even: 75 where it changes nothing. */
export function balanceScorer(names: readonly string[], requests: ResourceAmounts): NodeScorer {
  return (node) => {
    const counted = names.filter((name) => (node.allocatable[name] ?? 0) > 0 && ((requests[name] ?? 0) > 0 || !isScalar(name)));
    const share = (name: string, more: number): number => Math.min(1, ((node.requested[name] ?? 0) + more) / (node.allocatable[name] ?? 1));
    const without = evenness(counted.map((name) => share(name, 0)));
    const withPod = evenness(counted.map((name) => share(name, requests[name] ?? 0)));
    return maxNodeScore / 2 + Math.trunc((maxNodeScore / 2 + withPod - without) / 2);
  };
}

/** 100 less the standard deviation of the shares. */
function evenness(shares: readonly number[]): number {
  const mean = shares.reduce((sum, share) => sum + share, 0) / Math.max(1, shares.length);
  const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / Math.max(1, shares.length);
  return Math.trunc((1 - Math.sqrt(variance)) * maxNodeScore);
}
