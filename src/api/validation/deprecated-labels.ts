// Labels of nodes that have newer names, and what the server says to those who still select nodes by the old ones.
import type { NodeSelectorRequirement } from "../types/core-v1.ts";

const deprecated: ReadonlyMap<string, string> = new Map([
  ["beta.kubernetes.io/arch", 'deprecated since v1.14; use "kubernetes.io/arch" instead'],
  ["beta.kubernetes.io/os", 'deprecated since v1.14; use "kubernetes.io/os" instead'],
  ["failure-domain.beta.kubernetes.io/region", 'deprecated since v1.17; use "topology.kubernetes.io/region" instead'],
  ["failure-domain.beta.kubernetes.io/zone", 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'],
  ["beta.kubernetes.io/instance-type", 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'],
  ["app.kubernetes.io/created-by", "deprecated since v1.9"],
  ["scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"],
  ["node-role.kubernetes.io/master", 'use "node-role.kubernetes.io/control-plane" instead'],
]);

/** What to use instead of a label; undefined for labels that are fine. */
export function deprecatedNodeLabel(key: string): string | undefined {
  return deprecated.get(key);
}

/** The warnings for the requirements of a node selector term at `field`. */
export function nodeTermWarnings(
  { matchExpressions = [] }: { readonly matchExpressions?: readonly Pick<NodeSelectorRequirement, "key">[] },
  field: string,
): string[] {
  return matchExpressions.flatMap(({ key }, i) => {
    const text = deprecated.get(key);
    return text === undefined ? [] : [`${field}.matchExpressions[${i}].key: ${key} is ${text}`];
  });
}
