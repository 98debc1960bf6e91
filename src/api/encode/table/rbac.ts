// Tables of role bindings. Roles have the default table.
import type { ClusterRoleBinding, RoleBinding, Subject } from "../../types/rbac-v1.ts";
import { age, ageColumn, column, nameColumn, wideColumn } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

/** Names of users, groups and service accounts. */
function subjectCells(subjects: readonly Subject[] = []): readonly string[] {
  const names = (kind: string, nameOf: (subject: Subject) => string): string =>
    subjects
      .filter((subject) => subject.kind === kind)
      .map(nameOf)
      .join(", ");
  const serviceAccount = ({ name, namespace }: Subject): string => (namespace ? `${namespace}/${name}` : name);
  return [names("User", ({ name }) => name), names("Group", ({ name }) => name), names("ServiceAccount", serviceAccount)];
}

function bindingTable<B extends RoleBinding | ClusterRoleBinding>(roleText: string, kind: string): TableConvertor<B> {
  return {
    columns: [
      nameColumn,
      column("Role", roleText),
      ageColumn,
      wideColumn("Users", `Users in the ${kind}`),
      wideColumn("Groups", `Groups in the ${kind}`),
      wideColumn("ServiceAccounts", `ServiceAccounts in the ${kind}`),
    ],
    cells: (binding, nowMs) => {
      const { metadata, roleRef, subjects } = binding;
      return [metadata.name, `${roleRef.kind}/${roleRef.name}`, age(binding, nowMs), ...subjectCells(subjects)];
    },
  };
}

export const roleBindingTable = bindingTable<RoleBinding>(texts.RoleBinding.roleRef, "roleBinding");
export const clusterRoleBindingTable = bindingTable<ClusterRoleBinding>(texts.ClusterRoleBinding.roleRef, "clusterRoleBinding");
