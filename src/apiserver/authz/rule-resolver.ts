// Which rules apply to a user in a namespace: those of the roles that cluster role bindings and the namespace's role
// bindings bind to the user, one of its groups, or the service account that it is. Bindings are found by an index over
// their subjects, so that the cost depends on what is bound to the user and not on how many bindings there are.
import { clusterrolebindings, clusterroles, rolebindings, roles } from "../../api/resources.generated.ts";
import type { ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject } from "../../api/types/rbac-v1.ts";
import type { AdmissionReader } from "../admission/admission.ts";
import { parseServiceAccountUsername } from "../authn/service-account.ts";
import type { UserInfo } from "../authn/user.ts";

/** A rule and where it comes from, or why a binding's role gives none. */
export type AppliedRule =
  | { readonly rule: PolicyRule; readonly binding: ClusterRoleBinding | RoleBinding; readonly subject: Subject }
  | { readonly error: string };

export interface RuleResolver {
  /** Grows with every change of a role or a binding. */
  readonly generation: number;
  /** Rules that apply in a namespace ("": cluster-wide ones only), cluster role bindings first. */
  rulesFor(user: UserInfo, namespace: string): Iterable<AppliedRule>;
  /** The rules of a referenced role. Throws where it does not exist, with upstream's text. */
  rulesOf(roleRef: RoleRef, namespace: string): readonly PolicyRule[];
}

/** A binding's role that does not exist or is of no known kind. */
export class RoleResolutionError extends Error {}

const indexName = "rbac-subject";

export function createRuleResolver(reader: AdmissionReader): RuleResolver {
  const clusterRoles = reader.informer(clusterroles);
  const namespacedRoles = reader.informer(roles);
  const clusterBindings = reader.informer(clusterrolebindings);
  const bindings = reader.informer(rolebindings);
  clusterBindings.addIndex(indexName, subjectKeys);
  bindings.addIndex(indexName, namespacedSubjectKeys);

  const rulesOf = (ref: RoleRef, namespace: string): readonly PolicyRule[] => {
    if (ref.kind !== "ClusterRole" && ref.kind !== "Role")
      throw new RoleResolutionError(`unsupported role reference kind: ${JSON.stringify(ref.kind)}`);
    const role = ref.kind === "ClusterRole" ? clusterRoles.get(ref.name) : namespacedRoles.get(`${namespace}/${ref.name}`);
    if (!role) throw new RoleResolutionError(`${ref.kind.toLowerCase()}.rbac.authorization.k8s.io ${JSON.stringify(ref.name)} not found`);
    return role.rules ?? [];
  };

  function* rulesBy(found: readonly (ClusterRoleBinding | RoleBinding)[], user: UserInfo, namespace: string): Generator<AppliedRule> {
    for (const binding of found) {
      const subject = binding.subjects?.find((s) => appliesTo(s, user, namespace));
      if (!subject) continue;
      let rules: readonly PolicyRule[];
      try {
        rules = rulesOf(binding.roleRef, namespace);
      } catch (error) {
        if (!(error instanceof RoleResolutionError)) throw error;
        yield { error: error.message };
        continue;
      }
      for (const rule of rules) yield { rule, binding, subject };
    }
  }

  let generation = 0;
  const changed = (): void => void generation++;
  const handler = { onAdd: changed, onUpdate: changed, onDelete: changed };
  for (const informer of [clusterRoles, namespacedRoles, clusterBindings, bindings]) informer.addHandler(handler);

  return {
    get generation() {
      return generation;
    },
    rulesOf,
    *rulesFor(user, namespace) {
      const keys = userKeys(user);
      yield* rulesBy(unique(keys.flatMap((key) => clusterBindings.byIndex(indexName, key))), user, "");
      if (namespace !== "")
        yield* rulesBy(unique(keys.flatMap((key) => bindings.byIndex(indexName, `${namespace}|${key}`))), user, namespace);
    },
  };
}

/** A binding that is found by several groups of a user counts once. */
function unique<T>(found: readonly T[]): readonly T[] {
  return found.length < 2 ? found : [...new Set(found)];
}

function subjectKeys(binding: ClusterRoleBinding | RoleBinding): readonly string[] {
  return (binding.subjects ?? []).map((s) =>
    s.kind === "ServiceAccount" ? `ServiceAccount:${s.namespace || (binding.metadata.namespace ?? "")}/${s.name}` : `${s.kind}:${s.name}`,
  );
}

function namespacedSubjectKeys(binding: RoleBinding): readonly string[] {
  return subjectKeys(binding).map((key) => `${binding.metadata.namespace ?? ""}|${key}`);
}

function userKeys(user: UserInfo): readonly string[] {
  const account = parseServiceAccountUsername(user.name);
  return [
    `User:${user.name}`,
    ...user.groups.map((g) => `Group:${g}`),
    ...(account ? [`ServiceAccount:${account.namespace}/${account.name}`] : []),
  ];
}

function appliesTo(subject: Subject, user: UserInfo, namespace: string): boolean {
  switch (subject.kind) {
    case "User":
      return subject.name === user.name;
    case "Group":
      return user.groups.includes(subject.name);
    case "ServiceAccount": {
      const account = parseServiceAccountUsername(user.name);
      return account?.name === subject.name && account.namespace === (subject.namespace || namespace);
    }
    default:
      return false;
  }
}
