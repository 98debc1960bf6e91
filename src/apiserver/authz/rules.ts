// Policy rules: whether a rule allows a request, and whether rules cover other rules (nobody may grant what he does not
// hold). The comparison takes the rules to be covered apart into single permissions: one verb on one resource of one
// group, perhaps of one name, or on one path.

import type { PolicyRule } from "../../api/types/rbac-v1.ts";
import { appendAll } from "../../base/append-all.ts";
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
  return url === "*" || url === path || (url.endsWith("*") && path.startsWith(withoutStars(url)));
}

/** Permissions that are compared one by one: what stands in a few lists of a rule multiplies. */
const maxCompared = 20_000;

/** Rules that no single rule covers, and that are too many permissions to look at each. */
export class TooManyPermissions extends Error {
  constructor() {
    super(`more than ${maxCompared} permissions`);
  }
}

/** The single permissions of `wanted` that none of `held` covers. Throws TooManyPermissions. */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): readonly PolicyRule[] {
  const holding = held.map(heldRule);
  const uncovered: PolicyRule[] = [];
  let compared = 0;
  for (const rule of wanted) {
    const parts = partsOf(rule);
    const [resources, paths] = permissionsIn(parts);
    if (resources > 0 && !holding.some((own) => coversResources(own, parts))) {
      compared += resources;
      if (compared > maxCompared) throw new TooManyPermissions();
      addUncoveredResources(uncovered, holding, parts);
    }
    if (paths > 0 && !holding.some((own) => coversPaths(own, parts))) {
      compared += paths;
      if (compared > maxCompared) throw new TooManyPermissions();
      addUncoveredPaths(uncovered, holding, parts);
    }
  }
  return uncovered;
}

/** What a rule lists, each once. */
interface Parts {
  readonly groups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** One that is undefined where the rule is for objects of any name. */
  readonly names: readonly (string | undefined)[];
  readonly urls: readonly string[];
}

const once = (values: readonly string[] | undefined): readonly string[] => [...new Set(values)];

const partsOf = (rule: PolicyRule): Parts => ({
  groups: once(rule.apiGroups),
  resources: once(rule.resources),
  verbs: once(rule.verbs),
  names: rule.resourceNames?.length ? once(rule.resourceNames) : [undefined],
  urls: once(rule.nonResourceURLs),
});

/** On resources, and on paths. */
const permissionsIn = ({ groups, resources, verbs, names, urls }: Parts): readonly [number, number] => [
  groups.length * resources.length * verbs.length * names.length,
  urls.length * verbs.length,
];

/** A rule that is asked about many permissions. */
interface HeldRule {
  hasGroup(group: string): boolean;
  hasResource(resource: string): boolean;
  hasVerb(verb: string): boolean;
  hasName(name: string | undefined): boolean;
  hasPath(url: string): boolean;
}

function heldRule({ apiGroups, resources, verbs, resourceNames, nonResourceURLs = [] }: PolicyRule): HeldRule {
  const listed = (values: readonly string[] | undefined): ((wanted: string) => boolean) => {
    const own = new Set(values);
    return own.has("*") ? () => true : (wanted) => own.has(wanted);
  };
  const names = resourceNames?.length ? new Set<string | undefined>(resourceNames) : undefined;
  const hasOwn = listed(resources);
  return {
    hasGroup: listed(apiGroups),
    hasResource: (resource) => hasOwn(resource) || isSubresourceOfAll(resource, hasOwn),
    hasVerb: listed(verbs),
    hasName: (name) => names === undefined || (name !== undefined && names.has(name)),
    hasPath: (url) => nonResourceURLs.some((own) => urlCovers(own, url)),
  };
}

function isSubresourceOfAll(resource: string, isListed: (resource: string) => boolean): boolean {
  const slash = resource.indexOf("/");
  return slash >= 0 && isListed(`*/${resource.slice(slash + 1)}`);
}

const coversResources = (own: HeldRule, { groups, resources, verbs, names }: Parts): boolean =>
  verbs.every(own.hasVerb) && groups.every(own.hasGroup) && resources.every(own.hasResource) && names.every(own.hasName);

const coversPaths = (own: HeldRule, { urls, verbs }: Parts): boolean => verbs.every(own.hasVerb) && urls.every(own.hasPath);

function addUncoveredResources(uncovered: PolicyRule[], held: readonly HeldRule[], { groups, resources, verbs, names }: Parts): void {
  for (const group of groups) {
    const ofGroup = held.filter((rule) => rule.hasGroup(group));
    for (const resource of resources) {
      const ofResource = ofGroup.filter((rule) => rule.hasResource(resource));
      for (const verb of verbs) {
        const ofVerb = ofResource.filter((rule) => rule.hasVerb(verb));
        for (const name of names) {
          if (ofVerb.some((rule) => rule.hasName(name))) continue;
          const single = { apiGroups: [group], resources: [resource], verbs: [verb] };
          uncovered.push(name === undefined ? single : { ...single, resourceNames: [name] });
        }
      }
    }
  }
}

function addUncoveredPaths(uncovered: PolicyRule[], held: readonly HeldRule[], { urls, verbs }: Parts): void {
  for (const url of urls) {
    const ofPath = held.filter((rule) => rule.hasPath(url));
    for (const verb of verbs) if (!ofPath.some((rule) => rule.hasVerb(verb))) uncovered.push({ nonResourceURLs: [url], verbs: [verb] });
  }
}

const urlCovers = (own: string, url: string): boolean => own === url || (own.endsWith("*") && url.startsWith(withoutStars(own)));

/** Not by a pattern: those look at each star again for each before it. */
function withoutStars(url: string): string {
  let end = url.length;
  while (end > 0 && url[end - 1] === "*") end--;
  return url.slice(0, end);
}

/** Puts single permissions that differ by verb only together again, for messages. */
export function compactRules(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const compacted: PolicyRule[] = [];
  const simple = new Map<string, PolicyRule & { readonly verbs: string[] }>();
  for (const rule of rules) {
    const { apiGroups, resources, resourceNames = [], nonResourceURLs = [] } = rule;
    if (apiGroups?.length !== 1 || resources?.length !== 1 || resourceNames.length > 1 || nonResourceURLs.length > 0) {
      compacted.push(rule);
      continue;
    }
    const key = JSON.stringify([apiGroups, resources, resourceNames]);
    const known = simple.get(key);
    if (known) appendAll(known.verbs, rule.verbs);
    else simple.set(key, { ...rule, verbs: [...rule.verbs] });
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
