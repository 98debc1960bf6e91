// Pod affinity and anti-affinity terms: which other pods a term means, by their labels and by their namespace, which may be
// named, selected by its labels, or (when the term says neither) be the pod's own. matchLabelKeys and mismatchLabelKeys
// have been merged into the label selector by the API server when the pod was made.
import { type LabelMatcher, type Labels, labelMatcher, noLabelsMatcher, SelectorError } from "../meta/selectors.ts";
import type { Pod, PodAffinityTerm, WeightedPodAffinityTerm } from "../types/core-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";

/** What a term looks at in the other pod. */
export interface PodIdentity {
  readonly namespace: string;
  readonly labels: Labels | undefined;
}

/** Labels of a namespace; undefined where it is not known. */
export type NamespaceLabels = (namespace: string) => Labels | undefined;

export interface CompiledAffinityTerm {
  readonly topologyKey: string;
  /** Namespaces named, besides those that are selected. */
  readonly namespaces: ReadonlySet<string>;
  readonly selectsNamespaces: boolean;
  matches(pod: PodIdentity, namespaceLabels: NamespaceLabels): boolean;
}

export interface WeightedTerm {
  readonly term: CompiledAffinityTerm;
  readonly weight: number;
}

/** A pod's wishes about other pods. */
export interface CompiledPodAffinity {
  readonly required: readonly CompiledAffinityTerm[];
  readonly requiredAnti: readonly CompiledAffinityTerm[];
  /** Anti-affinity with negative weights. */
  readonly preferred: readonly WeightedTerm[];
}

export function identityOf(pod: Pod): PodIdentity {
  return { namespace: pod.metadata.namespace ?? "", labels: pod.metadata.labels };
}

/** Undefined for a pod that has no wishes about others. */
export function compilePodAffinity(pod: Pod): CompiledPodAffinity | undefined {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return undefined;
  const own = pod.metadata.namespace ?? "";
  const compile = (term: PodAffinityTerm): CompiledAffinityTerm => compileAffinityTerm(term, own);
  const weighted = (terms: readonly WeightedPodAffinityTerm[] | undefined, sign: 1 | -1): WeightedTerm[] =>
    (terms ?? []).map((t) => ({ term: compile(t.podAffinityTerm), weight: sign * t.weight }));
  const compiled: CompiledPodAffinity = {
    required: (podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    requiredAnti: (podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).map(compile),
    preferred: [
      ...weighted(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution, 1),
      ...weighted(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution, -1),
    ],
  };
  return compiled.required.length + compiled.requiredAnti.length + compiled.preferred.length > 0 ? compiled : undefined;
}

export function compileAffinityTerm(term: PodAffinityTerm, ownNamespace: string): CompiledAffinityTerm {
  const named = term.namespaces ?? [];
  const namespaces = new Set(named.length === 0 && !term.namespaceSelector ? [ownNamespace] : named);
  const ofNamespaces = matcherOrNothing(term.namespaceSelector);
  const ofPods = matcherOrNothing(term.labelSelector);
  return {
    topologyKey: term.topologyKey,
    namespaces,
    selectsNamespaces: !ofNamespaces.nothing,
    matches: (pod, namespaceLabels) =>
      (namespaces.has(pod.namespace) || (!ofNamespaces.nothing && ofNamespaces.matches(namespaceLabels(pod.namespace)))) &&
      ofPods.matches(pod.labels),
  };
}

/** A selector that cannot be understood selects nothing: the API server does not let one in. */
function matcherOrNothing(selector: LabelSelector | undefined): LabelMatcher {
  try {
    return labelMatcher(selector);
  } catch (error) {
    if (error instanceof SelectorError) return noLabelsMatcher;
    throw error;
  }
}
