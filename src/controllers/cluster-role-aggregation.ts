// clusterrole-aggregation-controller: ClusterRoles with an aggregation rule have the rules of those their selectors match.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { clusterroles } from "../api/resources.generated.ts";
import { aggregatedRules } from "../api/semantics/cluster-role-aggregation.ts";
import { type Controller, watch } from "./controller.ts";

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
