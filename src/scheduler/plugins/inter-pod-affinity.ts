// InterPodAffinity: which other pods a pod wants near or far, where "near" is the same value of a node label. Required
// terms of the pod, required anti-affinity of the pods already there (they keep their distance, too), and the preferred
// terms of both sides. The first pod of a group that wants itself near is let in. Placed pods are asked group by group.
import {
  type CompiledAffinityTerm,
  type CompiledPodAffinity,
  compilePodAffinity,
  identityOf,
  type NamespaceLabels,
  type PodIdentity,
} from "../../api/semantics/pod-affinity.ts";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { maxNodeScore, type Plugin, type QueueingHint, type Rejection, type SchedulingCycle } from "../framework.ts";
import { type NodeInfo, podFacts } from "../node-info.ts";
import type { PodGroup, PodGroups } from "../pod-groups.ts";
import { TopologyCounts } from "../topology-counts.ts";

export interface InterPodAffinityOptions {
  readonly namespaceLabels: NamespaceLabels;
  /** What a required affinity of a placed pod to the new one counts when nodes are scored. Default 1. */
  readonly hardPodAffinityWeight?: number;
  /** What placed pods prefer counts only where the new pod has affinities of its own. Default false. */
  readonly ignorePreferredTermsOfExistingPods?: boolean;
}

const affinityUnmet: Rejection = { reasons: ["node(s) didn't match pod affinity rules"], unresolvable: true };
const antiAffinityUnmet: Rejection = { reasons: ["node(s) didn't match pod anti-affinity rules"] };
const othersKeepAway: Rejection = { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"] };

export function createInterPodAffinity(options: InterPodAffinityOptions): Plugin {
  const { namespaceLabels, hardPodAffinityWeight = 1, ignorePreferredTermsOfExistingPods = false } = options;
  return {
    name: "InterPodAffinity",
    filter(cycle) {
      const { pod, snapshot } = cycle;
      const { affinity, identity } = podFacts(pod);
      const kept = keptAway(snapshot.groups, identity, namespaceLabels);
      const required = affinity?.required ?? [];
      const requiredAnti = affinity?.requiredAnti ?? [];
      if (kept.isEmpty && required.length + requiredAnti.length === 0) return undefined;
      const wanted = countWanted(snapshot.groups, required, namespaceLabels);
      const unwanted = countEach(snapshot.groups, requiredAnti, namespaceLabels);
      const firstOfItsKind = wanted.isEmpty && required.length > 0 && required.every((t) => t.matches(identity, namespaceLabels));
      const keptKeys = [...kept.keys];
      return (node) => {
        if (!required.every((t) => hasLabel(node, t.topologyKey) && (firstOfItsKind || wanted.at(t.topologyKey, node) > 0)))
          return affinityUnmet;
        if (requiredAnti.some((t) => unwanted.at(t.topologyKey, node) > 0)) return antiAffinityUnmet;
        return keptKeys.some((key) => kept.at(key, node) > 0) ? othersKeepAway : undefined;
      };
    },
    filterSignature({ pod, snapshot }) {
      const { affinity, identity } = podFacts(pod);
      if (affinity && affinity.required.length + affinity.requiredAnti.length > 0) return undefined;
      if (snapshot.nominations.anyKeepsAway) return undefined;
      return keptAway(snapshot.groups, identity, namespaceLabels).isEmpty ? "" : undefined;
    },
    score(cycle) {
      const wishes = podFacts(cycle.pod).affinity?.preferred.length ?? 0;
      if (ignorePreferredTermsOfExistingPods && wishes === 0) return undefined;
      const weights = preferences(cycle, namespaceLabels, hardPodAffinityWeight);
      if (weights.isEmpty) return undefined;
      const keys = [...weights.keys];
      return (node) => {
        let score = 0;
        for (const key of keys) score += weights.at(key, node);
        return score;
      };
    },
    normalizeScore: stretch,
    queueingHints: hints(namespaceLabels),
  };
}

const hasLabel = (node: NodeInfo, key: string): boolean => node.node?.metadata.labels?.[key] !== undefined;

/** Where pods stand whose anti-affinity means this pod. */
function keptAway(groups: PodGroups, pod: PodIdentity, namespaceLabels: NamespaceLabels): TopologyCounts {
  const counts = new TopologyCounts();
  for (const group of groups.withRequiredAntiAffinity) {
    for (const term of group.affinity?.requiredAnti ?? []) {
      if (term.matches(pod, namespaceLabels)) addGroup(counts, term.topologyKey, group, 1);
    }
  }
  return counts;
}

/** Where pods stand that match all of the terms. */
function countWanted(groups: PodGroups, terms: readonly CompiledAffinityTerm[], namespaceLabels: NamespaceLabels): TopologyCounts {
  const counts = new TopologyCounts();
  const [first] = terms;
  if (!first) return counts;
  for (const group of groupsOf(groups, first)) {
    if (!terms.every((term) => term.matches(group, namespaceLabels))) continue;
    for (const term of terms) addGroup(counts, term.topologyKey, group, 1);
  }
  return counts;
}

/** Where pods stand that match any of the terms. */
function countEach(groups: PodGroups, terms: readonly CompiledAffinityTerm[], namespaceLabels: NamespaceLabels): TopologyCounts {
  const counts = new TopologyCounts();
  for (const term of terms) {
    for (const group of groupsOf(groups, term)) if (term.matches(group, namespaceLabels)) addGroup(counts, term.topologyKey, group, 1);
  }
  return counts;
}

function preferences({ pod, snapshot }: SchedulingCycle, namespaceLabels: NamespaceLabels, hardWeight: number): TopologyCounts {
  const { affinity, identity } = podFacts(pod);
  const { groups } = snapshot;
  const counts = new TopologyCounts();
  for (const { term, weight } of affinity?.preferred ?? []) {
    for (const group of groupsOf(groups, term)) {
      if (term.matches(group, namespaceLabels)) addGroup(counts, term.topologyKey, group, weight);
    }
  }
  for (const group of groups.withAffinity) {
    const { required = [], preferred = [] } = group.affinity ?? {};
    for (const term of required) {
      if (hardWeight > 0 && term.matches(identity, namespaceLabels)) addGroup(counts, term.topologyKey, group, hardWeight);
    }
    for (const { term, weight } of preferred) {
      if (term.matches(identity, namespaceLabels)) addGroup(counts, term.topologyKey, group, weight);
    }
  }
  return counts;
}

function addGroup(counts: TopologyCounts, key: string, group: PodGroup, weight: number): void {
  for (const [node, count] of group.nodes) counts.add(key, node, weight * count);
}

/** Groups that a term can mean, by their namespace. */
function* groupsOf(groups: PodGroups, term: CompiledAffinityTerm): Iterable<PodGroup> {
  if (term.selectsNamespaces) yield* groups.all();
  else for (const namespace of term.namespaces) yield* groups.inNamespace(namespace);
}

/** The lowest becomes 0 and the highest 100; where all are alike, all become 0. */
function stretch(scores: Float64Array): void {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const score of scores) {
    if (score < min) min = score;
    if (score > max) max = score;
  }
  const range = max - min;
  for (let i = 0; i < scores.length; i++) scores[i] = range > 0 ? Math.floor(maxNodeScore * (((scores[i] ?? 0) - min) / range)) : 0;
}

// ---- queueing hints

function hints(namespaceLabels: NamespaceLabels): readonly QueueingHint[] {
  const noWishes: CompiledPodAffinity = { required: [], requiredAnti: [], preferred: [] };
  const wishesOf = (pod: Pod): CompiledPodAffinity => compilePodAffinity(pod) ?? noWishes;
  const matchesAll = (terms: readonly CompiledAffinityTerm[], pod: Pod): boolean =>
    terms.length > 0 && terms.every((term) => term.matches(identityOf(pod), namespaceLabels));
  return [
    { event: "AssignedPodAdd", concerns: (pod, _before, after) => matchesAll(wishesOf(pod).required, after as Pod) },
    {
      event: "AssignedPodUpdate",
      concerns: (pod, before, after) => {
        const { required, requiredAnti } = wishesOf(pod);
        const [was, is] = [before as Pod, after as Pod];
        return (!matchesAll(required, was) && matchesAll(required, is)) || (matchesAll(requiredAnti, was) && !matchesAll(requiredAnti, is));
      },
    },
    {
      event: "AssignedPodDelete",
      concerns: (pod, before) =>
        matchesAll(wishesOf(pod).requiredAnti, before as Pod) || matchesAll(wishesOf(before as Pod).requiredAnti, pod),
    },
    { event: "NodeAdd", concerns: (pod, _before, after) => opensPlace(wishesOf(pod), after as Node) },
    { event: "NodeLabel", concerns: (pod, before, after) => changesPlace(wishesOf(pod), before as Node, after as Node) },
    { event: "UnscheduledPodUpdate" },
  ];
}

function opensPlace({ required, requiredAnti }: CompiledPodAffinity, node: Node): boolean {
  // A pod without wishes is kept away by others, who may not be near the new node.
  if (required.length === 0) return true;
  return requiredAnti.length > 0 || required.some((term) => node.metadata.labels?.[term.topologyKey] !== undefined);
}

function changesPlace({ required, requiredAnti }: CompiledPodAffinity, before: Node, after: Node): boolean {
  const value = (node: Node, term: CompiledAffinityTerm): string | undefined => node.metadata.labels?.[term.topologyKey];
  if (required.some((term) => value(after, term) !== undefined && value(after, term) !== value(before, term))) return true;
  if (requiredAnti.some((term) => value(before, term) !== undefined && value(after, term) !== value(before, term))) return true;
  return required.length + requiredAnti.length === 0;
}
