// Which flow schema a request belongs to: the first, by precedence and then by name, with a rule that names the asker and
// what is asked.
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from "../../api/types/flowcontrol-v1.ts";
import type { UserInfo } from "../authn/user.ts";
import type { RequestInfo } from "../http/request-info.ts";

const precedenceOf = ({ spec }: FlowSchema): number => spec.matchingPrecedence ?? 0; // defaulted when written

/** In the order in which they are asked. */
export function inMatchingOrder(schemas: Iterable<FlowSchema>): readonly FlowSchema[] {
  const byName = (a: FlowSchema, b: FlowSchema): number => (a.metadata.name < b.metadata.name ? -1 : 1);
  return [...schemas].sort((a, b) => precedenceOf(a) - precedenceOf(b) || byName(a, b));
}

/** `ordered`: by inMatchingOrder. */
export function matchFlowSchema(ordered: readonly FlowSchema[], user: UserInfo, info: RequestInfo): FlowSchema | undefined {
  return ordered.find(({ spec }) => spec.rules?.some((rules) => matches(rules, user, info)));
}

function matches({ subjects, resourceRules, nonResourceRules }: PolicyRulesWithSubjects, user: UserInfo, info: RequestInfo): boolean {
  if (!subjects.some((subject) => isSubject(subject, user))) return false;
  if (info.isResourceRequest) return resourceRules?.some((rule) => coversResource(rule, info)) ?? false;
  return nonResourceRules?.some((rule) => coversPath(rule, info)) ?? false;
}

function isSubject({ kind, user: asUser, group, serviceAccount }: Subject, user: UserInfo): boolean {
  if (kind === "User") return asUser?.name === "*" || asUser?.name === user.name;
  if (kind === "Group") return group?.name === "*" || user.groups.some((name) => name === group?.name);
  if (kind !== "ServiceAccount" || !serviceAccount) return false;
  const { namespace, name } = serviceAccount;
  const prefix = `system:serviceaccount:${namespace}:`;
  return name === "*" ? user.name.startsWith(prefix) : user.name === prefix + name;
}

const includes = (values: readonly string[], value: string): boolean => values[0] === "*" || values.includes(value);

function coversResource(rule: ResourcePolicyRule, { verb, apiGroup, resource, subresource, namespace }: RequestInfo): boolean {
  if (!includes(rule.verbs, verb) || !includes(rule.apiGroups, apiGroup)) return false;
  if (!includes(rule.resources, subresource === "" ? resource : `${resource}/${subresource}`)) return false;
  return namespace === "" ? (rule.clusterScope ?? false) : includes(rule.namespaces ?? [], namespace);
}

function coversPath({ verbs, nonResourceURLs }: NonResourcePolicyRule, { verb, path }: RequestInfo): boolean {
  if (!includes(verbs, verb)) return false;
  return nonResourceURLs.some((url) => url === "*" || url === path || path.startsWith(`${url.replace(/\*$/, "").replace(/\/?$/, "/")}`));
}
