// Roles and bindings. Their names may hold anything that fits a path ("system:node").
import { defaultRoleBinding } from "../../../api/defaults/cluster.ts";
import { clusterRoleBindingTable, roleBindingTable } from "../../../api/encode/table/rbac.ts";
import { isPathSegmentName, isPathSegmentPrefix } from "../../../api/meta/names.ts";
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../../api/resources.generated.ts";
import type { ClusterRoleBinding, RoleBinding } from "../../../api/types/rbac-v1.ts";
import type { NameCheck } from "../../../api/validation/object-meta.ts";
import { describe } from "./describe.ts";

export const pathSegmentName: NameCheck = (name, prefix) => (prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name));

const shared = { validateName: pathSegmentName, allowCreateOnUpdate: true };

export const roleDefinition = describe(roles, shared);
export const clusterRoleDefinition = describe(clusterroles, shared);
export const roleBindingDefinition = describe<RoleBinding>(rolebindings, {
  ...shared,
  defaults: defaultRoleBinding,
  table: roleBindingTable,
});
export const clusterRoleBindingDefinition = describe<ClusterRoleBinding>(clusterrolebindings, {
  ...shared,
  defaults: defaultRoleBinding,
  table: clusterRoleBindingTable,
});
