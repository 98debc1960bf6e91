// Roles of components that upstream does not have, made at the start: each may do what it does and nothing else. Rules for one
// namespace stand in a Role there.
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../api/resources.generated.ts";
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import type { Client } from "../../client/client.ts";

export interface ComponentRules {
  readonly everywhere: readonly PolicyRule[];
  /** By namespace. */
  readonly within?: Readonly<Record<string, readonly PolicyRule[]>>;
}

const apiVersion = "rbac.authorization.k8s.io/v1";
const roleRef = (kind: string, name: string) => ({ apiGroup: "rbac.authorization.k8s.io", kind, name });
const applied = { type: "apply", fieldManager: "coracle", force: true } as const;

/** `user`: who gets the rules, and the name of the roles: "system:coracle:dns". `client`: of an administrator. */
export async function grantComponentRoles(client: Client, user: string, { everywhere, within = {} }: ComponentRules): Promise<void> {
  const subjects = [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }];
  const metadata = { name: user };
  await client.patch(clusterroles, metadata, { apiVersion, kind: "ClusterRole", metadata, rules: everywhere }, applied);
  const binding = { apiVersion, kind: "ClusterRoleBinding", metadata, roleRef: roleRef("ClusterRole", user), subjects };
  await client.patch(clusterrolebindings, metadata, binding, applied);
  for (const [namespace, rules] of Object.entries(within)) {
    const at = { namespace, name: user };
    await client.patch(roles, at, { apiVersion, kind: "Role", metadata: at, rules }, applied);
    await client.patch(
      rolebindings,
      at,
      { apiVersion, kind: "RoleBinding", metadata: at, roleRef: roleRef("Role", user), subjects },
      applied,
    );
  }
}
