// clusterrole-aggregation-controller: ClusterRoles with an aggregation rule have the rules of those their selectors match. The
// rules are applied: where nothing matches, those that the controller has given go, and those that somebody else gave stay.
import { semanticallyEqual } from "../api/meta/equality.ts";
import { clusterroles } from "../api/resources.generated.ts";
import { aggregatedRules } from "../api/semantics/cluster-role-aggregation.ts";
import { type Controller, watch } from "./controller.ts";

const fieldManager = "clusterrole-aggregation-controller";

export const clusterRoleAggregation: Controller = {
  name: fieldManager,
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
        if (semanticallyEqual(rules, role.rules)) return undefined;
        const applied = { apiVersion: role.apiVersion, kind: role.kind, metadata: { name }, ...(rules.length > 0 ? { rules } : {}) };
        await client.patch(clusterroles, { name }, applied, { type: "apply", fieldManager, force: true, signal });
        return undefined;
      },
    };
  },
};
