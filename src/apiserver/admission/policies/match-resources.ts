// Which requests the matchConstraints of a policy, or the matchResources of a binding, are for: selectors of namespaces and
// objects, rules that leave out, rules that take in, held against the request's own resource and, where equivalents count,
// against other versions of the same objects.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { type LabelMatcher, labelMatcher } from "../../../api/meta/selectors.ts";
import type { GroupVersionKind, ResourceType } from "../../../api/resource-type.ts";
import type { MatchResources, NamedRuleWithOperations } from "../../../api/types/admissionregistration-v1.ts";
import type { AdmissionRequest } from "../admission.ts";
import { findNamespace, type NamespaceDependencies } from "../find-namespace.ts";
import { namespaceOf } from "../webhooks/match-webhook.ts";
import type { EquivalentResource, ServedKinds } from "../webhooks/served-kinds.ts";
import { compileRule, type RuleMatcher, type RuleSubject } from "../webhooks/webhook-rules.ts";

/** As what a policy sees a request. */
export interface MatchedResource {
  readonly resource: ResourceType;
  readonly kind: GroupVersionKind;
  /** Present where the objects are seen in another version. */
  readonly equivalent: EquivalentResource | undefined;
}

interface NamedRule {
  readonly matches: RuleMatcher;
  /** Empty: any. */
  readonly names: readonly string[];
}

export interface CompiledMatch {
  readonly namespaceSelector: LabelMatcher;
  readonly objectSelector: LabelMatcher;
  readonly excluded: readonly NamedRule[];
  readonly included: readonly NamedRule[];
  readonly takesEquivalents: boolean;
}

export interface MatchDependencies extends NamespaceDependencies {
  readonly kinds: ServedKinds;
}

/** Throws SelectorError. */
export function compileMatch(match: MatchResources): CompiledMatch {
  return {
    namespaceSelector: labelMatcher(match.namespaceSelector ?? {}),
    objectSelector: labelMatcher(match.objectSelector ?? {}),
    excluded: (match.excludeResourceRules ?? []).map(namedRule),
    included: (match.resourceRules ?? []).map(namedRule),
    takesEquivalents: match.matchPolicy !== "Exact",
  };
}

const namedRule = (rule: NamedRuleWithOperations): NamedRule => ({ matches: compileRule(rule), names: rule.resourceNames ?? [] });

/** undefined where the request is none of these. Throws 404 for a namespace that is gone, or 500. */
export async function matchResources(
  deps: MatchDependencies,
  match: CompiledMatch,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<MatchedResource | undefined> {
  if (!matchesObject(match, object, request.oldObject)) return undefined;
  if (matchRules(deps, match.excluded, request, match.takesEquivalents)) return undefined;
  const own: MatchedResource = { resource: request.resource, kind: request.kind, equivalent: undefined };
  const found = match.included.length === 0 ? own : matchRules(deps, match.included, request, match.takesEquivalents);
  return found && (await matchesNamespace(deps, match, request, object)) ? found : undefined;
}

function matchesObject({ objectSelector }: CompiledMatch, ...objects: readonly (KubernetesObject | undefined)[]): boolean {
  if (objectSelector.everything) return true;
  return objects.some((object) => object?.metadata !== undefined && objectSelector.matches(object.metadata.labels));
}

const isNamespaces = ({ group, resource }: ResourceType): boolean => group === "" && resource === "namespaces";

function matchRules(
  { kinds }: MatchDependencies,
  rules: readonly NamedRule[],
  request: AdmissionRequest,
  takesEquivalents: boolean,
): MatchedResource | undefined {
  const subject = (type: ResourceType): RuleSubject => ({
    operation: request.operation,
    group: type.group,
    version: type.version,
    resource: type.resource,
    subresource: request.subresource,
    clusterScoped: isNamespaces(type) || request.namespace === "",
  });
  const named = ({ names }: NamedRule): boolean => names.length === 0 || names.includes(request.name);
  const { resource, kind } = request;
  const own = subject(resource);
  if (rules.some((rule) => rule.matches(own) && named(rule))) return { resource, kind, equivalent: undefined };
  if (!takesEquivalents || rules.length === 0) return undefined;
  const equivalents = kinds.equivalentsOf(resource);
  for (const rule of rules)
    for (const equivalent of equivalents) if (rule.matches(subject(equivalent.type)) && named(rule)) return seenAs(request, equivalent);
  return undefined;
}

/** Subresources with kinds of their own (Scale) are the same in every version. */
function seenAs({ kind, resource }: AdmissionRequest, equivalent: EquivalentResource): MatchedResource {
  const { type } = equivalent;
  if (kind.kind !== resource.kind || kind.group !== resource.group) return { resource: type, kind, equivalent: undefined };
  return { resource: type, kind: { group: type.group, version: type.version, kind: type.kind }, equivalent };
}

async function matchesNamespace(
  deps: MatchDependencies,
  { namespaceSelector }: CompiledMatch,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<boolean> {
  if (namespaceSelector.everything) return true;
  // Other cluster-scoped objects are never left out.
  if (request.namespace === "" && !isNamespaces(request.resource)) return true;
  const writesNamespace = isNamespaces(request.resource) && request.subresource === "" && request.operation !== "DELETE";
  const labels = writesNamespace ? object?.metadata.labels : (await findNamespace(deps, namespaceOf(request))).metadata.labels;
  return namespaceSelector.matches(labels);
}
