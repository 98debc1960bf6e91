// Which requests the rules of a webhook are for: operations on resources of API groups and versions, with wildcards, and
// with subresources only where they are named ("pods/*", "*/scale", "*/*").
import type { RuleWithOperations } from "../../../api/types/admissionregistration-v1.ts";

/** What rules look at. */
export interface RuleSubject {
  readonly operation: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  /** Of the object; "" where it is not known. */
  readonly name: string;
  /** In no namespace; namespaces themselves are not in one either. */
  readonly clusterScoped: boolean;
}

export type RuleMatcher = (subject: RuleSubject) => boolean;

export function compileRule(rule: RuleWithOperations): RuleMatcher {
  const operations = named(rule.operations);
  const groups = named(rule.apiGroups);
  const versions = named(rule.apiVersions);
  const resources = (rule.resources ?? []).map(resourceMatcher);
  const scope = rule.scope ?? "*";
  return (subject) =>
    (scope === "*" || subject.clusterScoped === (scope === "Cluster")) &&
    operations(subject.operation) &&
    groups(subject.group) &&
    versions(subject.version) &&
    resources.some((matches) => matches(subject.resource, subject.subresource));
}

function named(names: readonly string[] = []): (name: string) => boolean {
  if (names.includes("*")) return () => true;
  return (name) => names.includes(name);
}

function resourceMatcher(text: string): (resource: string, subresource: string) => boolean {
  const slash = text.indexOf("/");
  const wanted = slash < 0 ? text : text.slice(0, slash);
  const wantedSub = slash < 0 ? "" : text.slice(slash + 1);
  return (resource, subresource) => (wanted === "*" || wanted === resource) && (wantedSub === "*" || wantedSub === subresource);
}
