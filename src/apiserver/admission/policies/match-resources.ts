// Which requests the matchConstraints of a policy, or the matchResources of a binding, are for: selectors of namespaces and
// objects, rules that leave out, rules that take in.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { type LabelMatcher, labelMatcher } from "../../../api/meta/selectors.ts";
import type { MatchResources, NamedRuleWithOperations } from "../../../api/types/admissionregistration-v1.ts";
import type { AdmissionRequest } from "../admission.ts";
import type { NamespaceDependencies } from "../find-namespace.ts";
import { type MatchedResource, matchesNamespace, matchesObject, matchRules } from "../match-request.ts";
import type { ServedKinds } from "../webhooks/served-kinds.ts";
import { compileRule, type RuleMatcher } from "../webhooks/webhook-rules.ts";

export interface CompiledMatch {
  readonly namespaceSelector: LabelMatcher;
  readonly objectSelector: LabelMatcher;
  readonly excluded: readonly RuleMatcher[];
  readonly included: readonly RuleMatcher[];
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

function namedRule(rule: NamedRuleWithOperations): RuleMatcher {
  const matches = compileRule(rule);
  const names = rule.resourceNames ?? [];
  return names.length === 0 ? matches : (subject) => names.includes(subject.name) && matches(subject);
}

/** undefined where the request is none of these. Throws 404 for a namespace that is gone, or 500. */
export async function matchResources(
  deps: MatchDependencies,
  match: CompiledMatch,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<MatchedResource | undefined> {
  const { takesEquivalents, excluded, included } = match;
  if (!matchesObject(match.objectSelector, object, request.oldObject)) return undefined;
  if (matchRules(deps, { rules: excluded, takesEquivalents }, request)) return undefined;
  const own: MatchedResource = { resource: request.resource, kind: request.kind, equivalent: undefined };
  const found = included.length === 0 ? own : matchRules(deps, { rules: included, takesEquivalents }, request);
  return found && (await matchesNamespace(deps, match.namespaceSelector, request, object)) ? found : undefined;
}
