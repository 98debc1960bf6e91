// Whether a webhook is to be called for a request, and as what: the selector of objects and the rules first, then that of
// namespaces; match conditions last, as they cost most.
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { forbidden, internalError } from "../../../api/meta/status-error.ts";
import type { Clock } from "../../../base/clock.ts";
import type { AdmissionRequest } from "../admission.ts";
import type { NamespaceDependencies } from "../find-namespace.ts";
import { type MatchedResource, matchesNamespace, matchesObject, matchRules } from "../match-request.ts";
import { type ServedKinds, seenAs } from "./served-kinds.ts";
import type { WebhookMetrics, WebhookStep } from "./webhook-metrics.ts";
import type { CompiledWebhook } from "./webhook-source.ts";

/** How a webhook sees a request. */
export interface Invocation extends MatchedResource {
  readonly hook: CompiledWebhook;
}

export interface MatchDependencies extends NamespaceDependencies {
  readonly kinds: ServedKinds;
  readonly metrics: WebhookMetrics;
  readonly clock: Pick<Clock, "monotonic">;
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

/** Undefined where the webhook is not to be called. Throws 403, 404 and 500. */
export async function matchWebhook(
  deps: MatchDependencies,
  hook: CompiledWebhook,
  request: AdmissionRequest,
  { object, step }: { readonly object: KubernetesObject | undefined; readonly step: WebhookStep },
): Promise<Invocation | undefined> {
  if (!matchesObject(hook.objectSelector, object, request.oldObject)) return undefined;
  const matched = matchRules(deps, hook, request);
  if (!matched) return undefined;
  if (hook.selectorProblem !== undefined) throw internalError(new Error(hook.selectorProblem));
  if (!(await matchesNamespace(deps, hook.namespaceSelector, request, object))) return undefined;
  const invocation: Invocation = { hook, ...matched };
  return (await matchesConditions(deps, invocation, request, { object, step })) ? invocation : undefined;
}

async function matchesConditions(
  { metrics, clock }: MatchDependencies,
  invocation: Invocation,
  request: AdmissionRequest,
  { object, step }: { readonly object: KubernetesObject | undefined; readonly step: WebhookStep },
): Promise<boolean> {
  const { hook, equivalent } = invocation;
  if (!hook.conditions) return true;
  const { oldObject } = request;
  const begunMs = clock.monotonic();
  const result = await hook.conditions.evaluate({
    request,
    matched: invocation,
    object: await seenAs(equivalent, object),
    oldObject: await seenAs(equivalent, oldObject),
  });
  metrics.conditionsTook(hook.name, step, request.operation, clock.monotonic() - begunMs);
  if ("problem" in result) {
    metrics.conditionFailed(hook.name, step, request.operation);
    if (hook.ignoresFailures) return false;
    throw forbidden(request.resource, request.name, result.problem);
  }
  if (!result.matches) metrics.excluded(hook.name, step, request.operation);
  return result.matches;
}
