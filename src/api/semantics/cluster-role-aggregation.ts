// Aggregated cluster roles: a role with an aggregation rule has the rules of all cluster roles its selectors select, so
// that "view" covers custom resources as soon as somebody labels a role for them.
import { selects } from "../meta/selectors.ts";
import type { ClusterRole, PolicyRule } from "../types/rbac-v1.ts";

/** The rules an aggregating role has to have, in the order of the selected roles' names, each once. */
export function aggregatedRules(role: ClusterRole, all: Iterable<ClusterRole>): readonly PolicyRule[] {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? [];
  const candidates = [...all]
    .filter((r) => r.metadata.name !== role.metadata.name)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const rules = new Map<string, PolicyRule>();
  for (const selector of selectors)
    for (const candidate of candidates)
      if (selects(selector, candidate.metadata.labels)) for (const rule of candidate.rules ?? []) rules.set(JSON.stringify(rule), rule);
  return [...rules.values()];
}
