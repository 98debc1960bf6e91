// ValidatingAdmissionWebhook: webhooks that may refuse what is about to be stored. All that match are asked at once; the
// first refusal to arrive is the answer, after all have answered.
import { StatusError } from "../../../api/meta/status-error.ts";
import { validatingwebhookconfigurations } from "../../../api/resources.generated.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission.ts";
import { askWebhook, guarded, type WebhookDependencies } from "./call-webhook.ts";
import type { CompileMatchConditions } from "./match-conditions.ts";
import { type Invocation, isExempt, matchWebhook } from "./match-webhook.ts";
import { seenAs } from "./served-kinds.ts";
import { type CompiledWebhook, type ConfigurationManifests, type WebhookConfiguration, WebhookSource } from "./webhook-source.ts";

export function createValidatingWebhooks(
  deps: WebhookDependencies,
  compile: CompileMatchConditions,
  manifests?: ConfigurationManifests,
): AdmissionPlugin {
  const source = new WebhookSource(() => deps.reader.informer<WebhookConfiguration>(validatingwebhookconfigurations), compile, manifests);
  return {
    name: "ValidatingAdmissionWebhook",
    handles: (request) => source.mayHaveHooks && (source.ofFiles.length > 0 || !isExempt(request)),
    async validate(request) {
      const hooks = isExempt(request) ? source.ofFiles : await source.hooks(request.signal);
      if (hooks.length > 0) await validate(deps, hooks, request);
    },
  };
}

async function validate(deps: WebhookDependencies, hooks: readonly CompiledWebhook[], request: AdmissionRequest): Promise<void> {
  const invocations: Invocation[] = [];
  for (const hook of hooks) {
    const invocation = await matchWebhook(deps, hook, request, { object: request.object, step: "validating" });
    if (invocation) invocations.push(invocation);
  }
  if (invocations.length === 0) return;
  if (request.signal.aborted) {
    const message = "Timeout: request did not complete within requested timeout";
    throw new StatusError({ code: 504, reason: "Timeout", message, details: {} });
  }
  const problems: unknown[] = [];
  const ask = async (invocation: Invocation, index: number): Promise<void> => {
    try {
      await callOne(deps, invocation, request, index);
    } catch (error) {
      problems.push(error);
    }
  };
  await Promise.all(invocations.map(ask));
  if (problems.length > 0) throw problems[0];
}

async function callOne(deps: WebhookDependencies, invocation: Invocation, request: AdmissionRequest, index: number): Promise<void> {
  const { hook, equivalent } = invocation;
  const onFailedOpen = (): void => request.annotate(`failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`, hook.name);
  await guarded(deps, { hook, step: "validating", request, onFailedOpen }, async () => {
    const objects = { object: await seenAs(equivalent, request.object), oldObject: await seenAs(equivalent, request.oldObject) };
    return askWebhook(deps, invocation, request, { objects, mutating: false });
  });
}
