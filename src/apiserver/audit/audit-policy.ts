// The audit policy: which requests are recorded, how much of them and at which stages. Rules are asked in order and the first
// that matches decides; a request that none matches is not recorded.

import { type ConfigFields, readConfigDocument } from "../../api/encode/config-fields.ts";
import { isDNS1123Subdomain } from "../../api/meta/names.ts";
import type { UserInfo } from "../authn/user.ts";
import type { RequestInfo } from "../http/request-info.ts";

export const auditLevels = ["None", "Metadata", "Request", "RequestResponse"] as const;
export type AuditLevel = (typeof auditLevels)[number];
export const auditStages = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"] as const;
export type AuditStage = (typeof auditStages)[number];

interface GroupResources {
  readonly group: string;
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}

interface PolicyRule {
  readonly level: AuditLevel;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly namespaces: readonly string[];
  readonly nonResourceURLs: readonly string[];
  readonly decision: AuditDecision;
}

/** What is recorded of a request. */
export interface AuditDecision {
  readonly level: AuditLevel;
  readonly omitStages: ReadonlySet<AuditStage>;
  readonly omitManagedFields: boolean;
}

export interface AuditPolicy {
  /** Without a user nobody has been authenticated: rules that name users or groups do not match. */
  decide(user: UserInfo | undefined, info: RequestInfo): AuditDecision;
}

const nothing: AuditDecision = { level: "None", omitStages: new Set(), omitManagedFields: false };

/** `unknown` is told of fields that are not known, or given twice: they do not count. Throws ConfigError. */
export async function parseAuditPolicy(text: string, unknown: (problem: string) => void = () => undefined): Promise<AuditPolicy> {
  const root = await readConfigDocument(text, "of kind Policy", unknown);
  // The version alone is asked for.
  if (root.has("kind")) root.oneOf("kind", ["Policy"]);
  root.oneOf("apiVersion", ["audit.k8s.io/v1"]);
  root.ignore("metadata");
  const omitStages = stagesOf(root);
  const omitManagedFields = root.boolean("omitManagedFields") ?? false;
  const rules = root.objects("rules").map((rule) => parseRule(rule, omitStages, omitManagedFields));
  root.end();
  if (rules.length === 0) throw root.problem("rules", "expected at least one");
  return {
    decide: (user, info) => rules.find((rule) => matches(rule, user, info))?.decision ?? nothing,
  };
}

function stagesOf(fields: ConfigFields): readonly AuditStage[] {
  return fields.texts("omitStages").map((name) => {
    const stage = auditStages.find((s) => s === name);
    if (!stage) throw fields.problem("omitStages", `expected some of ${auditStages.join(", ")}`);
    return stage;
  });
}

function parseRule(fields: ConfigFields, omitted: readonly AuditStage[], omitsFields: boolean): PolicyRule {
  const level = fields.oneOf("level", auditLevels);
  const decision: AuditDecision = {
    level,
    omitStages: new Set([...omitted, ...stagesOf(fields)]),
    omitManagedFields: fields.boolean("omitManagedFields") ?? omitsFields,
  };
  const rule: PolicyRule = {
    level,
    users: fields.texts("users"),
    userGroups: fields.texts("userGroups"),
    verbs: fields.texts("verbs"),
    resources: fields.objects("resources").map(parseResources),
    namespaces: fields.texts("namespaces"),
    nonResourceURLs: fields.texts("nonResourceURLs"),
    decision,
  };
  fields.end();
  if (rule.nonResourceURLs.length > 0 && (rule.resources.length > 0 || rule.namespaces.length > 0))
    throw fields.problem("nonResourceURLs", "rules cannot apply to both regular resources and non-resource URLs");
  for (const url of rule.nonResourceURLs) {
    if (url === "*") continue;
    if (!url.startsWith("/")) throw fields.problem("nonResourceURLs", 'non-resource URL rules must begin with a "/" character');
    if (url.slice(0, -1).includes("*"))
      throw fields.problem("nonResourceURLs", `non-resource URL wildcards '*' must be the final character of the rule`);
  }
  return rule;
}

function parseResources(fields: ConfigFields): GroupResources {
  const parsed = { group: fields.text("group") ?? "", resources: fields.texts("resources"), resourceNames: fields.texts("resourceNames") };
  fields.end();
  const [wrongGroup] = parsed.group === "" || parsed.group === "*" ? [] : isDNS1123Subdomain(parsed.group);
  if (wrongGroup !== undefined) throw fields.problem("group", wrongGroup);
  if (parsed.resourceNames.length > 0 && parsed.resources.length === 0)
    throw fields.problem("resourceNames", "using resourceNames requires at least one resource");
  return parsed;
}

function matches(rule: PolicyRule, user: UserInfo | undefined, info: RequestInfo): boolean {
  if (rule.users.length > 0 && !(user && rule.users.includes(user.name))) return false;
  if (rule.userGroups.length > 0 && !user?.groups.some((group) => rule.userGroups.includes(group))) return false;
  if (rule.verbs.length > 0 && !rule.verbs.includes(info.verb)) return false;
  if (rule.namespaces.length > 0 || rule.resources.length > 0) return coversResource(rule, info);
  if (rule.nonResourceURLs.length > 0) return !info.isResourceRequest && rule.nonResourceURLs.some((url) => coversPath(url, info.path));
  return true;
}

function coversResource({ namespaces, resources }: PolicyRule, info: RequestInfo): boolean {
  if (!info.isResourceRequest) return false;
  if (namespaces.length > 0 && !namespaces.includes(info.namespace)) return false;
  if (resources.length === 0) return true;
  const combined = info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`;
  return resources.some(({ group, resources: names, resourceNames }) => {
    if (group !== info.apiGroup && group !== "*") return false;
    if (names.length === 0) return true;
    if (resourceNames.length > 0 && !resourceNames.includes(info.name)) return false;
    return names.some((name) => {
      if (name === "*" || name === combined || name === `${info.resource}/*`) return true;
      return info.subresource !== "" && name === `*/${info.subresource}`;
    });
  });
}

const coversPath = (url: string, path: string): boolean =>
  url === "*" || url === path || (url.endsWith("*") && path.startsWith(url.slice(0, -1)));
