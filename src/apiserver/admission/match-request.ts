// Which requests a webhook, a policy or a binding is for, as far as they say it in the same words: a selector of objects, a
// selector of namespaces, and rules, held against the request's own resource and, where equivalents count, against other
// versions of the same objects.
import type { KubernetesObject } from "../../api/meta/object.ts";
import type { LabelMatcher } from "../../api/meta/selectors.ts";
import type { GroupVersionKind, ResourceType } from "../../api/resource-type.ts";
import type { AdmissionRequest } from "./admission.ts";
import { findNamespace, type NamespaceDependencies } from "./find-namespace.ts";
import type { EquivalentResource, ServedKinds } from "./webhooks/served-kinds.ts";
import type { RuleMatcher, RuleSubject } from "./webhooks/webhook-rules.ts";

/** As what a request is seen by the one it is matched for. */
export interface MatchedResource {
  readonly resource: ResourceType;
  readonly kind: GroupVersionKind;
  /** Present where the objects are seen in another version. */
  readonly equivalent: EquivalentResource | undefined;
}

const isNamespaces = ({ group, resource }: ResourceType): boolean => group === "" && resource === "namespaces";

/** Namespaces are in themselves. */
export function namespaceOf({ resource, name, namespace }: AdmissionRequest): string {
  return isNamespaces(resource) ? name : namespace;
}

/** Either the object or what it was. */
export function matchesObject(selector: LabelMatcher, ...objects: readonly (KubernetesObject | undefined)[]): boolean {
  if (selector.everything) return true;
  return objects.some((object) => object?.metadata !== undefined && selector.matches(object.metadata.labels));
}

/** Undefined where no rule is for the request. */
export function matchRules(
  { kinds }: { readonly kinds: ServedKinds },
  { rules, takesEquivalents }: { readonly rules: readonly RuleMatcher[]; readonly takesEquivalents: boolean },
  request: AdmissionRequest,
): MatchedResource | undefined {
  const { resource, kind } = request;
  const subject = (type: ResourceType): RuleSubject => ({
    operation: request.operation,
    group: type.group,
    version: type.version,
    resource: type.resource,
    subresource: request.subresource,
    name: request.name,
    clusterScoped: isNamespaces(type) || request.namespace === "",
  });
  const own = subject(resource);
  if (rules.some((matches) => matches(own))) return { resource, kind, equivalent: undefined };
  if (!takesEquivalents || rules.length === 0) return undefined;
  const equivalents = kinds.equivalentsOf(resource);
  for (const matches of rules)
    for (const equivalent of equivalents) if (matches(subject(equivalent.type))) return asEquivalent(request, equivalent);
  return undefined;
}

/** Subresources with kinds of their own (Scale) are the same in every version. */
function asEquivalent({ kind, resource }: AdmissionRequest, equivalent: EquivalentResource): MatchedResource {
  const { type } = equivalent;
  if (kind.kind !== resource.kind || kind.group !== resource.group) return { resource: type, kind, equivalent: undefined };
  return { resource: type, kind: { group: type.group, version: type.version, kind: type.kind }, equivalent };
}

/** Throws 404 for a namespace that is gone, or 500. */
export async function matchesNamespace(
  deps: NamespaceDependencies,
  selector: LabelMatcher,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<boolean> {
  if (selector.everything) return true;
  // Other cluster-scoped objects are never left out.
  if (request.namespace === "" && !isNamespaces(request.resource)) return true;
  const writesNamespace = isNamespaces(request.resource) && request.subresource === "" && request.operation !== "DELETE";
  const labels = writesNamespace ? object?.metadata.labels : (await findNamespace(deps, namespaceOf(request))).metadata.labels;
  return selector.matches(labels);
}
