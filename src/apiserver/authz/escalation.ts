// Nobody may grant what he does not hold. Whoever writes a role must have every permission in it, or the verb "escalate"
// on it; whoever writes a binding must have every permission of the role, or the verb "bind" on it. Members of
// system:masters may write anything. Runs as an admission hook after all other validation.
import type { KubernetesObject } from "../../api/meta/object.ts";
import { forbidden, notFound } from "../../api/meta/status-error.ts";
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding } from "../../api/types/rbac-v1.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission/admission.ts";
import { quoteList } from "../authn/quote-list.ts";
import type { UserInfo } from "../authn/user.ts";
import type { Authorizer } from "./authorizer.ts";
import { createRuleResolver, RoleResolutionError, type RuleResolver } from "./rule-resolver.ts";
import { compactRules, describeRule, TooManyPermissions, uncoveredRules } from "./rules.ts";

const group = "rbac.authorization.k8s.io";
const fullAuthority: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

interface EscalationDependencies {
  readonly authorizer: Authorizer;
  readonly resolver: RuleResolver;
}

/** The check as a validating hook that is always on (see create-admission-plugins.ts): not one of upstream's plugins. */
export function escalationCheck(deps: {
  readonly authorizer: Authorizer;
  readonly reader: Parameters<typeof createRuleResolver>[0];
}): AdmissionPlugin {
  const resolver = createRuleResolver(deps.reader);
  return {
    name: "RBACEscalation",
    handles: (request) =>
      request.resource.group === group && request.subresource === "" && (request.operation === "CREATE" || request.operation === "UPDATE"),
    validate: (request) => checkEscalation(request, { authorizer: deps.authorizer, resolver }),
  };
}

/** Throws 403 where the request grants more than its user holds. */
async function checkEscalation(request: AdmissionRequest, deps: EscalationDependencies): Promise<void> {
  const { user, object, resource } = request;
  if (!object || user.groups.includes("system:masters")) return;
  if (request.oldObject && changesOwnershipOnly(object, request.oldObject)) return;
  if (resource.resource === "roles" || resource.resource === "clusterroles") return checkRole(request, object as Role | ClusterRole, deps);
  if (resource.resource === "rolebindings" || resource.resource === "clusterrolebindings")
    return checkBinding(request, object as RoleBinding | ClusterRoleBinding, deps);
}

async function checkRole(request: AdmissionRequest, role: Role | ClusterRole, deps: EscalationDependencies): Promise<void> {
  // A create has no name in its path, so the verb is asked for without one, as upstream does.
  const name = request.operation === "CREATE" ? "" : request.name;
  if (await isAuthorized(deps.authorizer, request.user, "escalate", request.resource.resource, name, request.namespace)) return;
  confirmHeld(request, role.rules ?? [], deps.resolver);
  if (!aggregates(role) && !(request.oldObject && aggregates(request.oldObject as ClusterRole))) return;
  if (missingRights(request, fullAuthority, deps.resolver) !== undefined)
    throw forbidden(request.resource, role.metadata.name, "must have cluster-admin privileges to use the aggregationRule");
}

const aggregates = (role: Role | ClusterRole): boolean =>
  "aggregationRule" in role && (role.aggregationRule?.clusterRoleSelectors?.length ?? 0) > 0;

async function checkBinding(
  request: AdmissionRequest,
  binding: RoleBinding | ClusterRoleBinding,
  deps: EscalationDependencies,
): Promise<void> {
  const { roleRef } = binding;
  const resource = roleRef.kind === "ClusterRole" ? "clusterroles" : "roles";
  if (await isAuthorized(deps.authorizer, request.user, "bind", resource, roleRef.name, request.namespace)) return;
  let rules: readonly PolicyRule[];
  try {
    rules = deps.resolver.rulesOf(roleRef, request.namespace);
  } catch (error) {
    // Upstream names what the request is about, not the role.
    if (error instanceof RoleResolutionError) throw notFound(request.resource, roleRef.name);
    throw error;
  }
  confirmHeld(request, rules, deps.resolver);
}

async function isAuthorized(
  authorizer: Authorizer,
  user: UserInfo,
  verb: string,
  resource: string,
  name: string,
  namespace: string,
): Promise<boolean> {
  const { decision } = await authorizer.authorize({
    user,
    verb,
    isResourceRequest: true,
    path: "",
    apiGroup: group,
    apiVersion: "*",
    resource,
    subresource: "",
    namespace,
    name,
  });
  return decision === "allow";
}

function confirmHeld(request: AdmissionRequest, rules: readonly PolicyRule[], resolver: RuleResolver): void {
  const missing = missingRights(request, rules, resolver);
  if (missing !== undefined) throw forbidden(request.resource, request.object?.metadata.name ?? "", missing);
}

/** What is missing, in upstream's words; undefined where the user holds all of it. */
function missingRights(request: AdmissionRequest, rules: readonly PolicyRule[], resolver: RuleResolver): string | undefined {
  const held: PolicyRule[] = [];
  const errors: string[] = [];
  for (const applied of resolver.rulesFor(request.user, request.namespace)) {
    // Upstream reads the roles as a part of the request, and names its resource for a role that is missing.
    if ("error" in applied) errors.push(applied.error.replace(/^(cluster)?role\./, `${request.resource.resource}.`));
    else held.push(applied.rule);
  }
  let missing: readonly PolicyRule[];
  try {
    missing = uncoveredRules(held, rules);
  } catch (error) {
    if (!(error instanceof TooManyPermissions)) throw error;
    return `${attempt(request)} ${error.message} at once, not all of which are covered by a single rule`;
  }
  if (missing.length === 0) return undefined;
  const descriptions = [...new Set(compactRules(missing).map(describeRule))].sort();
  const text = `${attempt(request)} RBAC permissions not currently held:\n${descriptions.join("\n")}`;
  return errors.length === 0 ? text : `${text}; resolution errors: [${errors.join(" ")}]`;
}

const attempt = ({ user: { name, groups } }: AdmissionRequest): string =>
  `user ${JSON.stringify(name)} (groups=${quoteList(groups)}) is attempting to grant`;

/** The garbage collector may remove owners and finalizers without holding what the object grants. */
function changesOwnershipOnly(object: KubernetesObject, old: KubernetesObject): boolean {
  const rest = ({ metadata, ...others }: KubernetesObject): string => {
    const { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, generation: _g, ...meta } = metadata;
    return canonical({ metadata: meta, ...others });
  };
  const owners = (o: KubernetesObject): string => canonical([o.metadata.ownerReferences ?? [], o.metadata.finalizers ?? []]);
  return owners(object) !== owners(old) && rest(object) === rest(old);
}

/** JSON with sorted keys, for comparing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}
