// A pod's topology spread constraints, ready to be asked: its own, or the cluster's defaults for pods that belong to a
// service or a workload (spread over nodes and zones, as a preference). matchLabelKeys narrow a constraint down to pods
// that agree with this one in those labels.
import { type LabelMatcher, type Labels, labelMatcher, labelsMatcher, noLabelsMatcher } from "../../api/meta/selectors.ts";
import { type NodeMatcher, requiredNodeMatcher } from "../../api/semantics/node-affinity.ts";
import { keepsOut, untoleratedTaint } from "../../api/semantics/taints.ts";
import type { ReplicaSet, StatefulSet } from "../../api/types/apps-v1.ts";
import type { Node, Pod, ReplicationController, Service, TopologySpreadConstraint } from "../../api/types/core-v1.ts";

export const hostnameLabel = "kubernetes.io/hostname";

export interface SpreadConstraint {
  readonly topologyKey: string;
  readonly maxSkew: number;
  readonly minDomains: number;
  /** Whether a pod of the same namespace with these labels counts. */
  readonly counts: (labels: Labels | undefined) => boolean;
  /** Whether the pod itself will count, where it is placed. */
  readonly countsItself: boolean;
  /** Whether the node's pods count, and its domain is one to spread over: by the constraint's inclusion policies. */
  readonly includes: (node: Node) => boolean;
}

export interface PodSpread {
  readonly constraints: readonly SpreadConstraint[];
  /** Only nodes that have all topology labels count. Not so for the defaults: many clusters have no zones. */
  readonly needsAllLabels: boolean;
}

/** What the defaults look at to find the pods that belong together. */
export interface WorkloadLister {
  services(namespace: string): readonly Service[];
  replicationController(key: string): ReplicationController | undefined;
  replicaSet(key: string): ReplicaSet | undefined;
  statefulSet(key: string): StatefulSet | undefined;
}

type Action = TopologySpreadConstraint["whenUnsatisfiable"];

/** What pods without constraints of their own are spread by. */
export interface SpreadDefaults {
  readonly constraints: readonly TopologySpreadConstraint[];
  /** As for a pod's own constraints. */
  readonly needsAllLabels: boolean;
}

const systemConstraints: readonly TopologySpreadConstraint[] = [
  { topologyKey: hostnameLabel, maxSkew: 3, whenUnsatisfiable: "ScheduleAnyway" },
  { topologyKey: "topology.kubernetes.io/zone", maxSkew: 5, whenUnsatisfiable: "ScheduleAnyway" },
];

export const systemDefaults: SpreadDefaults = { constraints: systemConstraints, needsAllLabels: false };

export interface SpreadContext {
  readonly workloads: WorkloadLister;
  readonly defaults: SpreadDefaults;
}

export function spreadOf(pod: Pod, action: Action, { workloads, defaults: { constraints, needsAllLabels } }: SpreadContext): PodSpread {
  const own = pod.spec.topologySpreadConstraints ?? [];
  if (own.length > 0) {
    const wanted = own.filter((c) => c.whenUnsatisfiable === action);
    return { constraints: wanted.map((c) => compile(c, pod, matchersOf(c, pod))), needsAllLabels: true };
  }
  const wanted = constraints.filter((c) => c.whenUnsatisfiable === action);
  const matchers = wanted.length > 0 ? workloadMatchers(pod, workloads) : [];
  return { constraints: matchers.length > 0 ? wanted.map((c) => compile(c, pod, matchers)) : [], needsAllLabels };
}

function compile(constraint: TopologySpreadConstraint, pod: Pod, matchers: readonly LabelMatcher[]): SpreadConstraint {
  const { topologyKey, maxSkew, minDomains = 1, nodeAffinityPolicy = "Honor", nodeTaintsPolicy = "Ignore" } = constraint;
  const matches = (labels: Labels | undefined): boolean => matchers.every((matcher) => matcher.matches(labels));
  const selectsAll = matchers.every((matcher) => matcher.everything);
  const admits: NodeMatcher | undefined = nodeAffinityPolicy === "Honor" ? requiredNodeMatcher(pod.spec) : undefined;
  const toleratesTaints = (node: Node): boolean =>
    nodeTaintsPolicy === "Ignore" || !untoleratedTaint(node.spec.taints, pod.spec.tolerations, keepsOut);
  return {
    topologyKey,
    maxSkew,
    minDomains,
    // A selector that asks for nothing counts no pods.
    counts: selectsAll ? () => false : matches,
    countsItself: matches(pod.metadata.labels),
    includes: (node) => (admits?.(node) ?? true) && toleratesTaints(node),
  };
}

function matchersOf({ labelSelector, matchLabelKeys = [] }: TopologySpreadConstraint, pod: Pod): readonly LabelMatcher[] {
  const matcher = labelSelector ? labelMatcher(labelSelector) : noLabelsMatcher;
  if (matcher.nothing) return [matcher];
  const same = matchLabelKeys.flatMap((key) => {
    const value = pod.metadata.labels?.[key];
    return value === undefined ? [] : [[key, value] as const];
  });
  return same.length > 0 ? [labelsMatcher(Object.fromEntries(same)), matcher] : [matcher];
}

/** Selectors of the services that select the pod and of its owner; none where it belongs to nothing. */
function workloadMatchers(pod: Pod, workloads: WorkloadLister): readonly LabelMatcher[] {
  const { namespace = "", labels, ownerReferences } = pod.metadata;
  const merged: Record<string, string> = {};
  for (const { spec } of workloads.services(namespace)) {
    if (spec?.selector && matchesPairs(spec.selector, labels)) Object.assign(merged, spec.selector);
  }
  const owner = ownerReferences?.find((reference) => reference.controller);
  const key = `${namespace}/${owner?.name}`;
  const matchers: LabelMatcher[] = [];
  if (owner?.apiVersion === "v1" && owner.kind === "ReplicationController")
    Object.assign(merged, workloads.replicationController(key)?.spec?.selector);
  else if (owner?.apiVersion === "apps/v1" && (owner.kind === "ReplicaSet" || owner.kind === "StatefulSet")) {
    const spec = owner.kind === "ReplicaSet" ? workloads.replicaSet(key)?.spec : workloads.statefulSet(key)?.spec;
    if (spec) matchers.push(labelMatcher(spec.selector));
  }
  if (Object.keys(merged).length > 0) matchers.push(labelsMatcher(merged));
  return matchers.filter((matcher) => !matcher.everything);
}

function matchesPairs(pairs: Labels, labels: Labels | undefined): boolean {
  for (const key in pairs) if (labels?.[key] !== pairs[key]) return false;
  return true;
}
