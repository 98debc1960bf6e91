// Policy rules: whether a rule allows a request, and whether rules cover other rules (nobody may grant what he does not
// hold). The comparison takes the rules to be covered apart into single permissions: one verb on one resource of one
// group, perhaps of one name, or on one path.
import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";

export function ruleAllows(rule: PolicyRule, request: AuthorizationAttributes): boolean {
  if (!ruleAllowsSome(rule, request)) return false;
  return !request.isResourceRequest || !rule.resourceNames?.length || rule.resourceNames.includes(request.name);
}

/** Whether it allows the request for some name of an object. */
export function ruleAllowsSome(rule: PolicyRule, request: AuthorizationAttributes): boolean {
  if (!hasOrAll(rule.verbs, request.verb)) return false;
  if (!request.isResourceRequest) return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, request.path));
  return hasOrAll(rule.apiGroups, request.apiGroup) && resourceMatches(rule.resources, request.resource, request.subresource);
}

function hasOrAll(values: readonly string[] | undefined, wanted: string): boolean {
  return values !== undefined && (values.includes(wanted) || values.includes("*"));
}

/** "*" is all, "pods/log" itself, and a star for the resource means that subresource of every one. */
function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  if (!resources) return false;
  if (subresource === "") return hasOrAll(resources, resource);
  return hasOrAll(resources, `${resource}/${subresource}`) || resources.includes(`*/${subresource}`);
}

function urlMatches(url: string, path: string): boolean {
  return url === "*" || url === path || (url.endsWith("*") && path.startsWith(url.replace(/\*+$/, "")));
}

/** The single permissions of `wanted` that none of `held` covers. */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): readonly PolicyRule[] {
  return wanted.flatMap(takeApart).filter((single) => !held.some((rule) => covers(rule, single)));
}

function takeApart(rule: PolicyRule): PolicyRule[] {
  const singles: PolicyRule[] = [];
  const names = rule.resourceNames?.length ? rule.resourceNames.map((name) => [name]) : [undefined];
  for (const group of rule.apiGroups ?? [])
    for (const resource of rule.resources ?? [])
      for (const verb of rule.verbs)
        for (const resourceNames of names)
          singles.push({ apiGroups: [group], resources: [resource], verbs: [verb], ...(resourceNames ? { resourceNames } : {}) });
  for (const url of rule.nonResourceURLs ?? []) for (const verb of rule.verbs) singles.push({ nonResourceURLs: [url], verbs: [verb] });
  return singles;
}

/** Whether a rule covers a single permission. */
function covers(rule: PolicyRule, single: PolicyRule): boolean {
  const [verb = ""] = single.verbs;
  if (!hasOrAll(rule.verbs, verb)) return false;
  const url = single.nonResourceURLs?.[0];
  if (url !== undefined) return (rule.nonResourceURLs ?? []).some((own) => urlCovers(own, url));
  const name = single.resourceNames?.[0];
  return (
    hasOrAll(rule.apiGroups, single.apiGroups?.[0] ?? "") &&
    resourceCovers(rule.resources ?? [], single.resources?.[0] ?? "") &&
    (!rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name)))
  );
}

function resourceCovers(own: readonly string[], resource: string): boolean {
  const slash = resource.indexOf("/");
  return hasOrAll(own, resource) || (slash >= 0 && own.includes(`*/${resource.slice(slash + 1)}`));
}

function urlCovers(own: string, url: string): boolean {
  return own === url || (own.endsWith("*") && url.startsWith(own.replace(/\*+$/, "")));
}

/** Puts single permissions that differ by verb only together again, for messages. */
export function compactRules(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const compacted: PolicyRule[] = [];
  const simple = new Map<string, PolicyRule>();
  for (const rule of rules) {
    const { apiGroups, resources, resourceNames = [], nonResourceURLs = [] } = rule;
    if (apiGroups?.length !== 1 || resources?.length !== 1 || resourceNames.length > 1 || nonResourceURLs.length > 0) {
      compacted.push(rule);
      continue;
    }
    const key = JSON.stringify([apiGroups, resources, resourceNames]);
    const known = simple.get(key);
    simple.set(key, known ? { ...known, verbs: [...known.verbs, ...rule.verbs] } : rule);
  }
  return [...compacted, ...simple.values()];
}

/** {APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]} */
export function describeRule(rule: PolicyRule): string {
  const part = (name: string, values: readonly string[] | undefined): string[] =>
    values?.length ? [`${name}:[${values.map((v) => JSON.stringify(v)).join(" ")}]`] : [];
  return `{${[
    ...part("APIGroups", rule.apiGroups),
    ...part("Resources", rule.resources),
    ...part("NonResourceURLs", rule.nonResourceURLs),
    ...part("ResourceNames", rule.resourceNames),
    ...part("Verbs", rule.verbs),
  ].join(", ")}}`;
}
