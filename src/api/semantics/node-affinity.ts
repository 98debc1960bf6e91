// Node selectors: which nodes a pod's nodeSelector and required node affinity admit, and how much it prefers one. Terms
// are or-ed, the requirements of a term and-ed; a term without requirements matches nothing.
import type { Affinity, Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm } from "../types/core-v1.ts";

/** What is matched: a node, or any part of one that has its name and labels. */
export type NodeIdentity = Pick<Node, "metadata">;
export type NodeMatcher = (node: NodeIdentity) => boolean;

function compileRequirement(requirement: NodeSelectorRequirement): (value: string | undefined) => boolean {
  const values = new Set(requirement.values);
  const bound = Number(requirement.values?.[0]);
  switch (requirement.operator) {
    case "In":
      return (value) => value !== undefined && values.has(value);
    case "NotIn":
      return (value) => value === undefined || !values.has(value);
    case "Exists":
      return (value) => value !== undefined;
    case "DoesNotExist":
      return (value) => value === undefined;
    case "Gt":
      return (value) => value !== undefined && /^[+-]?\d+$/.test(value) && Number(value) > bound;
    case "Lt":
      return (value) => value !== undefined && /^[+-]?\d+$/.test(value) && Number(value) < bound;
    default:
      return () => false;
  }
}

export function compileNodeSelectorTerm(term: NodeSelectorTerm): NodeMatcher {
  const labels = (term.matchExpressions ?? []).map((r) => ({ key: r.key, test: compileRequirement(r) }));
  const fields = (term.matchFields ?? []).map((r) => ({ key: r.key, test: compileRequirement(r) }));
  if (labels.length + fields.length === 0) return () => false;
  return (node) =>
    labels.every(({ key, test }) => test(node.metadata.labels?.[key])) &&
    fields.every(({ key, test }) => test(key === "metadata.name" ? node.metadata.name : undefined));
}

export function compileNodeSelector(selector: NodeSelector): NodeMatcher {
  const terms = selector.nodeSelectorTerms.map(compileNodeSelectorTerm);
  return (node) => terms.some((term) => term(node));
}

/** What a pod requires of its node; undefined where it requires nothing. */
export function requiredNodeMatcher(spec: {
  readonly nodeSelector?: Readonly<Record<string, string>>;
  readonly affinity?: Affinity;
}): NodeMatcher | undefined {
  const pairs = Object.entries(spec.nodeSelector ?? {});
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (pairs.length === 0 && !required) return undefined;
  const affinity = required ? compileNodeSelector(required) : () => true;
  return (node) => pairs.every(([key, value]) => node.metadata.labels?.[key] === value) && affinity(node);
}
