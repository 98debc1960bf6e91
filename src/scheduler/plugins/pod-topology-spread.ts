// PodTopologySpread: pods that belong together are spread over domains (zones, nodes: the values of a node label). A
// DoNotSchedule constraint keeps the pod out of domains that would then have more than maxSkew pods over the emptiest; a
// ScheduleAnyway one prefers emptier domains. Placed pods are counted group by group.
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { maxNodeScore, type NodeFilter, type NodeScorer, type Plugin, type QueueingHint, type Rejection } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { PodGroups } from "../pod-groups.ts";
import {
  hostnameLabel,
  type PodSpread,
  type SpreadConstraint,
  type SpreadContext,
  type SpreadDefaults,
  spreadOf,
  systemDefaults,
  type WorkloadLister,
} from "./spread-constraints.ts";

const tooMany: Rejection = { reasons: ["node(s) didn't match pod topology spread constraints"] };
const noSuchLabel: Rejection = {
  reasons: ["node(s) didn't match pod topology spread constraints (missing required label)"],
  unresolvable: true,
};

/** A raw score that says: not to be scored. Scores themselves are never negative. */
const ignored = -1;

export function createPodTopologySpread(workloads: WorkloadLister, defaults: SpreadDefaults = systemDefaults): Plugin {
  const context: SpreadContext = { workloads, defaults };
  return {
    name: "PodTopologySpread",
    filter({ pod, snapshot }) {
      const spread = spreadOf(pod, "DoNotSchedule", context);
      if (spread.constraints.length === 0) return undefined;
      return requiredFilter(spread, pod, snapshot);
    },
    filterSignature: ({ pod }) => (spreadOf(pod, "DoNotSchedule", context).constraints.length === 0 ? "" : undefined),
    score({ pod, snapshot }, feasible) {
      const spread = spreadOf(pod, "ScheduleAnyway", context);
      if (spread.constraints.length === 0) return undefined;
      return preferredScorer(spread, pod, { groups: snapshot.groups, feasible });
    },
    normalizeScore: favourLow,
    queueingHints: hints((pod) => spreadOf(pod, "DoNotSchedule", context).constraints),
  };
}

const labelOf = (info: NodeInfo, key: string): string | undefined => info.node?.metadata.labels?.[key];

const hasAllLabels = (info: NodeInfo, constraints: readonly SpreadConstraint[]): boolean =>
  constraints.every((c) => labelOf(info, c.topologyKey) !== undefined);

/** The pods that count for a constraint, by node. */
function* countedPods(groups: PodGroups, namespace: string, { counts }: SpreadConstraint): Iterable<readonly [NodeInfo, number]> {
  for (const group of groups.inNamespace(namespace)) if (!group.terminating && counts(group.labels)) yield* group.nodes;
}

interface Domains {
  readonly constraint: SpreadConstraint;
  readonly counts: ReadonlyMap<string, number>;
  /** Pods in the emptiest domain; none when there are fewer domains than there should be. */
  readonly fewest: number;
}

function requiredFilter(
  { constraints }: PodSpread,
  pod: Pod,
  { nodes, groups }: { readonly nodes: readonly NodeInfo[]; readonly groups: PodGroups },
): NodeFilter {
  const all = constraints.map((constraint) => {
    const domains = new Map<string, number>();
    const included = (info: NodeInfo): boolean =>
      info.node !== undefined && hasAllLabels(info, constraints) && constraint.includes(info.node);
    for (const info of nodes) if (included(info)) domains.set(labelOf(info, constraint.topologyKey) ?? "", 0);
    for (const [info, count] of countedPods(groups, pod.metadata.namespace ?? "", constraint)) {
      if (!included(info)) continue;
      const value = labelOf(info, constraint.topologyKey) ?? "";
      domains.set(value, (domains.get(value) ?? 0) + count);
    }
    return withFewest(constraint, domains);
  });
  return (info) => {
    for (const { constraint, counts, fewest } of all) {
      const value = labelOf(info, constraint.topologyKey);
      if (value === undefined) return noSuchLabel;
      if ((counts.get(value) ?? 0) + (constraint.countsItself ? 1 : 0) - fewest > constraint.maxSkew) return tooMany;
    }
    return undefined;
  };
}

function withFewest(constraint: SpreadConstraint, counts: ReadonlyMap<string, number>): Domains {
  let fewest = Number.POSITIVE_INFINITY;
  for (const count of counts.values()) if (count < fewest) fewest = count;
  return { constraint, counts, fewest: counts.size < constraint.minDomains ? 0 : fewest };
}

function preferredScorer(
  { constraints, needsAllLabels }: PodSpread,
  pod: Pod,
  { groups, feasible }: { readonly groups: PodGroups; readonly feasible: readonly NodeInfo[] },
): NodeScorer {
  const scored = (info: NodeInfo): boolean => !needsAllLabels || hasAllLabels(info, constraints);
  const candidates = needsAllLabels ? feasible.filter(scored) : feasible;
  const all = constraints.map((constraint) => {
    const perNode = constraint.topologyKey === hostnameLabel;
    // Nodes are domains of their own, whatever their labels say.
    const domainOf = perNode ? (info: NodeInfo) => info.name : (info: NodeInfo) => labelOf(info, constraint.topologyKey);
    const domains = new Map<string | undefined, number>();
    for (const info of candidates) domains.set(domainOf(info), 0);
    for (const [info, count] of countedPods(groups, pod.metadata.namespace ?? "", constraint)) {
      const before = domains.get(domainOf(info));
      if (before === undefined || !info.node || !(perNode || (scored(info) && constraint.includes(info.node)))) continue;
      domains.set(domainOf(info), before + count);
    }
    return { constraint, domains, domainOf, weight: Math.log(domains.size + 2) };
  });
  return (info) => {
    if (!scored(info)) return ignored;
    let score = 0;
    for (const { constraint, domains, domainOf, weight } of all) {
      if (labelOf(info, constraint.topologyKey) === undefined) continue;
      score += (domains.get(domainOf(info)) ?? 0) * weight + (constraint.maxSkew - 1);
    }
    return Math.round(score);
  };
}

/** The fewer the better; 0 for what was ignored. */
function favourLow(scores: Float64Array): void {
  let min = Number.POSITIVE_INFINITY;
  let max = 0;
  for (const score of scores) {
    if (score === ignored) continue;
    if (score < min) min = score;
    if (score > max) max = score;
  }
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] ?? 0;
    if (score === ignored) scores[i] = 0;
    else scores[i] = max === 0 ? maxNodeScore : Math.floor((maxNodeScore * (max + min - score)) / max);
  }
}

// ---- queueing hints

function hints(constraintsOf: (pod: Pod) => readonly SpreadConstraint[]): readonly QueueingHint[] {
  const counted = (pod: Pod, other: unknown): boolean =>
    (other as Pod).metadata.namespace === pod.metadata.namespace &&
    constraintsOf(pod).some((c) => c.counts((other as Pod).metadata.labels));
  const isPlace = (pod: Pod, node: unknown): boolean =>
    constraintsOf(pod).every((c) => (node as Node).metadata.labels?.[c.topologyKey] !== undefined);
  return [
    { event: "AssignedPodAdd", concerns: (pod, _before, after) => counted(pod, after) },
    { event: "AssignedPodDelete", concerns: (pod, before) => counted(pod, before) },
    // A pod that begins to terminate is not counted from then on, but that wakes nobody: its end does.
    { event: "AssignedPodUpdate", concerns: (pod, before, after) => counted(pod, before) !== counted(pod, after) },
    { event: "NodeAdd", concerns: (pod, _before, after) => isPlace(pod, after) },
    { event: "NodeDelete", concerns: (pod, before) => isPlace(pod, before) },
    { event: "NodeLabel", concerns: (pod, before, after) => isPlace(pod, before) || isPlace(pod, after) },
    { event: "NodeTaint", concerns: (pod, _before, after) => isPlace(pod, after) },
    { event: "UnscheduledPodUpdate" },
  ];
}
