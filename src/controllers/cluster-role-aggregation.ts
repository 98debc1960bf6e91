// clusterrole-aggregation-controller: ClusterRoles with an aggregation rule have the rules of those their selectors match.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { selects } from "../api/meta/selectors.ts";
import { clusterroles } from "../api/resources.generated.ts";
import type { ClusterRole, PolicyRule } from "../api/types/rbac-v1.ts";
import { type Controller, watch } from "./controller.ts";

/** The rules that a role takes over: those of the matching roles in order of their names, each rule once. */
export function aggregatedRules(role: ClusterRole, all: Iterable<ClusterRole>): readonly PolicyRule[] {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? [];
  const rules: PolicyRule[] = [];
  const others = [...all].filter((other) => other.metadata.name !== role.metadata.name);
  others.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const selector of selectors) {
    for (const other of others) {
      if (!selects(selector, other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) if (!rules.some((known) => semanticallyEqual(known, rule))) rules.push(rule);
    }
  }
  return rules;
}

export const clusterRoleAggregation: Controller = {
  name: "clusterrole-aggregation-controller",
  create({ client, informers }) {
    const roleInformer = informers.informer(clusterroles);
    return {
      watches: [
        // Any role may be one that an aggregating role matches.
        watch(roleInformer, () => [...roleInformer.list()].filter((role) => role.aggregationRule).map((role) => role.metadata.name)),
      ],
      async reconcile(name, { signal }) {
        const role = roleInformer.get(name);
        if (!role?.aggregationRule) return undefined;
        const rules = aggregatedRules(role, roleInformer.list());
        if (!semanticallyEqual(rules, role.rules)) await client.update(clusterroles, { ...role, rules }, { signal });
        return undefined;
      },
    };
  },
};
