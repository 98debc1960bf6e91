// Whether a webhook is to be called for a request, and as what: selectors of namespaces and objects first, then the rules,
// held against the request's own resource and, where the webhook takes them, against other versions of the same objects;
// match conditions last, as they cost most.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import type { Labels } from "../../../api/meta/selectors.ts";
import { forbidden, internalError, isStatus } from "../../../api/meta/status-error.ts";
import type { GroupVersionKind, ResourceType } from "../../../api/resource-type.ts";
import { namespaces } from "../../../api/resources.generated.ts";
import type { Client } from "../../../client/client.ts";
import type { AdmissionReader, AdmissionRequest } from "../admission.ts";
import { type EquivalentResource, type ServedKinds, seenAs } from "./served-kinds.ts";
import type { WebhookMetrics, WebhookStep } from "./webhook-metrics.ts";
import type { RuleSubject } from "./webhook-rules.ts";
import type { CompiledWebhook } from "./webhook-source.ts";

/** How a webhook sees a request. */
export interface Invocation {
  readonly hook: CompiledWebhook;
  readonly resource: ResourceType;
  readonly kind: GroupVersionKind;
  /** Present where the webhook sees the objects in another version. */
  readonly equivalent: EquivalentResource | undefined;
}

export interface MatchDependencies {
  readonly reader: AdmissionReader;
  /** Asked for namespaces that the reader does not know yet. */
  readonly client: Pick<Client, "get">;
  readonly kinds: ServedKinds;
  readonly metrics: WebhookMetrics;
}

const exemptKinds = new Set([
  "ValidatingWebhookConfiguration",
  "MutatingWebhookConfiguration",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
]);

/** What configures admission is never subject to it: nobody could repair a webhook that refuses everything. */
export function isExempt({ kind }: AdmissionRequest): boolean {
  return kind.group === "admissionregistration.k8s.io" && exemptKinds.has(kind.kind);
}

const isNamespaces = ({ group, resource }: ResourceType): boolean => group === "" && resource === "namespaces";

/** Namespaces are in themselves. */
export function namespaceOf(request: AdmissionRequest): string {
  return isNamespaces(request.resource) ? request.name : request.namespace;
}

/** Undefined where the webhook is not to be called. Throws 403, 404 and 500. */
export async function matchWebhook(
  deps: MatchDependencies,
  hook: CompiledWebhook,
  request: AdmissionRequest,
  { object, step }: { readonly object: KubernetesObject | undefined; readonly step: WebhookStep },
): Promise<Invocation | undefined> {
  if (!matchesObject(hook, object, request.oldObject)) return undefined;
  const invocation = matchRules(deps, hook, request);
  if (!invocation) return undefined;
  if (hook.selectorProblem !== undefined) throw internalError(new Error(hook.selectorProblem));
  if (!(await matchesNamespace(deps, hook, request, object))) return undefined;
  return (await matchesConditions(deps, invocation, request, { object, step })) ? invocation : undefined;
}

function matchesObject({ objectSelector }: CompiledWebhook, ...objects: readonly (KubernetesObject | undefined)[]): boolean {
  if (objectSelector.everything) return true;
  return objects.some((object) => object?.metadata !== undefined && objectSelector.matches(object.metadata.labels));
}

function matchRules({ kinds }: MatchDependencies, hook: CompiledWebhook, request: AdmissionRequest): Invocation | undefined {
  const subject = (type: ResourceType): RuleSubject => ({
    operation: request.operation,
    group: type.group,
    version: type.version,
    resource: type.resource,
    subresource: request.subresource,
    clusterScoped: isNamespaces(type) || request.namespace === "",
  });
  const own = subject(request.resource);
  if (hook.rules.some((matches) => matches(own))) return { hook, resource: request.resource, kind: request.kind, equivalent: undefined };
  if (!hook.takesEquivalents) return undefined;
  const equivalents = kinds.equivalentsOf(request.resource);
  if (equivalents.length === 0) return undefined;
  for (const matches of hook.rules)
    for (const equivalent of equivalents) if (matches(subject(equivalent.type))) return asEquivalent(hook, request, equivalent);
  return undefined;
}

/** Subresources with kinds of their own (Scale) are the same in every version. */
function asEquivalent(hook: CompiledWebhook, request: AdmissionRequest, equivalent: EquivalentResource): Invocation {
  const { type } = equivalent;
  const { kind, resource } = request;
  if (kind.kind !== resource.kind || kind.group !== resource.group) return { hook, resource: type, kind, equivalent: undefined };
  return { hook, resource: type, kind: { group: type.group, version: type.version, kind: type.kind }, equivalent };
}

async function matchesNamespace(
  deps: MatchDependencies,
  { namespaceSelector }: CompiledWebhook,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<boolean> {
  if (namespaceSelector.everything) return true;
  // Other cluster-scoped objects are never left out.
  if (request.namespace === "" && !isNamespaces(request.resource)) return true;
  return namespaceSelector.matches(await namespaceLabels(deps, request, object));
}

async function namespaceLabels(
  { reader, client }: MatchDependencies,
  request: AdmissionRequest,
  object: KubernetesObject | undefined,
): Promise<Labels | undefined> {
  const writesNamespace = isNamespaces(request.resource) && request.subresource === "" && request.operation !== "DELETE";
  if (writesNamespace) return object?.metadata.labels;
  const name = namespaceOf(request);
  const known = reader.informer(namespaces).get(name);
  if (known) return known.metadata.labels;
  try {
    return (await client.get(namespaces, { name })).metadata.labels;
  } catch (error) {
    if (isStatus(error, "NotFound")) throw error;
    throw internalError(error);
  }
}

async function matchesConditions(
  { metrics }: MatchDependencies,
  invocation: Invocation,
  request: AdmissionRequest,
  { object, step }: { readonly object: KubernetesObject | undefined; readonly step: WebhookStep },
): Promise<boolean> {
  const { hook, equivalent } = invocation;
  if (!hook.conditions) return true;
  const { oldObject } = request;
  const result = await hook.conditions.evaluate({
    request,
    matched: invocation,
    object: await seenAs(equivalent, object),
    oldObject: await seenAs(equivalent, oldObject),
  });
  if ("problem" in result) {
    metrics.conditionFailed(hook.name, step, request.operation);
    if (hook.ignoresFailures) return false;
    throw forbidden(request.resource, request.name, result.problem);
  }
  if (!result.matches) metrics.excluded(hook.name, step, request.operation);
  return result.matches;
}
