// Roles and bindings. Their names may hold anything that fits a path ("system:node").
import { defaultRoleBinding } from "../../../api/defaults/cluster.ts";
import { clusterRoleBindingTable, roleBindingTable } from "../../../api/encode/table/rbac.ts";
import { isPathSegmentName, isPathSegmentPrefix } from "../../../api/meta/names.ts";
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../../api/resources.generated.ts";
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from "../../../api/types/rbac-v1.ts";
import type { NameCheck } from "../../../api/validation/object-meta.ts";
import { validateClusterRole, validateClusterRoleBinding, validateRole, validateRoleBinding } from "../../../api/validation/rbac.ts";
import { checked, describe } from "./describe.ts";

/** Of a generateName the letters that will follow are not thought of here, but for other kinds with such names. */
export const pathSegmentName: NameCheck = (name, prefix) => (prefix ? isPathSegmentPrefix(name) : isPathSegmentName(name));

const shared = { validateName: isPathSegmentName, allowCreateOnUpdate: true };

export const roleDefinition = describe<Role>(roles, { metadataOnUpdate: ["whole", "changes"], ...shared, ...checked(validateRole) });
export const clusterRoleDefinition = describe<ClusterRole>(clusterroles, {
  metadataOnUpdate: ["whole", "changes"],
  ...shared,
  ...checked(validateClusterRole),
});
export const roleBindingDefinition = describe<RoleBinding>(rolebindings, {
  metadataOnUpdate: ["whole", "changes"],
  ...shared,
  ...checked(validateRoleBinding),
  defaults: defaultRoleBinding,
  table: roleBindingTable,
});
export const clusterRoleBindingDefinition = describe<ClusterRoleBinding>(clusterrolebindings, {
  metadataOnUpdate: ["whole", "changes"],
  ...shared,
  ...checked(validateClusterRoleBinding),
  defaults: defaultRoleBinding,
  table: clusterRoleBindingTable,
});
