// MutatingAdmissionWebhook: webhooks that may change the object, asked one after the other, each about what the one before
// has left. When one has changed something, all plugins run once more, and with them those webhooks that want to see what
// has become of the object since (reinvocationPolicy IfNeeded).
import { JsonSyntaxError, parseJson, withPlainNumbers } from "../../../api/encode/json-text.ts";
import { goKind } from "../../../api/encode/type-meta.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { internalError, StatusError } from "../../../api/meta/status-error.ts";
import { applyJsonPatch, type JsonPatchOperation } from "../../../api/patch/json-patch.ts";
import { mutatingwebhookconfigurations } from "../../../api/resources.generated.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission.ts";
import type { AdmissionAnswer } from "./admission-review.ts";
import { askWebhook, FailedCall, guarded, type WebhookDependencies } from "./call-webhook.ts";
import type { CompileMatchConditions } from "./match-conditions.ts";
import { type Invocation, isExempt, matchWebhook } from "./match-webhook.ts";
import { seenAs } from "./served-kinds.ts";
import { type CompiledWebhook, type ConfigurationManifests, type WebhookConfiguration, WebhookSource } from "./webhook-source.ts";

const pluginName = "MutatingAdmissionWebhook";

export function createMutatingWebhooks(
  deps: WebhookDependencies,
  compile: CompileMatchConditions,
  manifests?: ConfigurationManifests,
): AdmissionPlugin {
  const source = new WebhookSource(() => deps.reader.informer<WebhookConfiguration>(mutatingwebhookconfigurations), compile, manifests);
  return {
    name: pluginName,
    handles: (request) => source.mayHaveHooks && (source.ofFiles.length > 0 || !isExempt(request)),
    async admit(request) {
      const hooks = isExempt(request) ? source.ofFiles : await source.hooks(request.signal);
      return hooks.length === 0 ? request.object : mutate(deps, hooks, request);
    },
  };
}

/** What is remembered of a request between its two rounds. */
class Memory {
  /** The object as the webhooks have left it. */
  lastOutput: KubernetesObject | undefined = undefined;
  #called = new Set<string>();
  readonly #again = new Set<string>();

  /** A webhook that wants to be asked again when something changes. */
  remember(hook: CompiledWebhook): void {
    this.#called.add(hook.id);
  }

  /** Something has changed since those were called. */
  requireAgain(): void {
    for (const id of this.#called) this.#again.add(id);
    this.#called = new Set();
  }

  isWantedAgain(hook: CompiledWebhook): boolean {
    return this.#again.has(hook.id);
  }
}

async function mutate(
  deps: WebhookDependencies,
  hooks: readonly CompiledWebhook[],
  request: AdmissionRequest,
): Promise<KubernetesObject | undefined> {
  const { reinvocation } = request;
  const memory = reinvocation.memoryOf(pluginName, () => new Memory());
  if (reinvocation.isSecond && !semanticallyEqual(memory.lastOutput, request.object)) memory.requireAgain();
  let { object } = request;
  for (const [index, hook] of hooks.entries()) {
    const invocation = await matchWebhook(deps, hook, request, { object, step: "admit" });
    // What did not match in the first round is not asked for the first time in the second.
    if (!invocation || (reinvocation.isSecond && !memory.isWantedAgain(hook))) continue;
    const changed = await callOne(deps, invocation, request, { object, index });
    if (changed && !semanticallyEqual(changed, object)) {
      memory.requireAgain();
      reinvocation.need();
    }
    if (changed) object = changed;
    if (hook.isReinvocable) memory.remember(hook);
  }
  memory.lastOutput = object;
  return object;
}

interface Turn {
  readonly object: KubernetesObject | undefined;
  /** Of the webhook among all. */
  readonly index: number;
}

/** The object with the webhook's patch; undefined where it asks for no change. */
async function callOne(
  deps: WebhookDependencies,
  invocation: Invocation,
  request: AdmissionRequest,
  { object, index }: Turn,
): Promise<KubernetesObject | undefined> {
  const { hook, equivalent } = invocation;
  const { configuration, name: webhook } = hook;
  const round = `round_${request.reinvocation.isSecond ? 1 : 0}_index_${index}`;
  const own = await seenAs(equivalent, object);
  let mutated = false;
  try {
    return await guarded(
      deps,
      {
        hook,
        step: "admit",
        request,
        onFailedOpen: () => request.annotate(`failed-open.mutation.webhook.admission.k8s.io/${round}`, webhook),
      },
      async () => {
        const objects = { object: own, oldObject: await seenAs(equivalent, request.oldObject) };
        const answer = await askWebhook(deps, invocation, request, { objects, mutating: true });
        const patched = withPatch(deps, invocation, own, answer);
        if (!patched || !own) return undefined;
        mutated = !semanticallyEqual(patched, own);
        const told = { configuration, webhook, patch: JSON.parse(answer.patch) as unknown, patchType: "JSONPatch" };
        request.annotate(`patch.webhook.admission.k8s.io/${round}`, JSON.stringify(told), { tellsContent: true });
        return equivalent ? equivalent.convertBack(patched) : patched;
      },
    );
  } finally {
    request.annotate(`mutation.webhook.admission.k8s.io/${round}`, JSON.stringify({ configuration, webhook, mutated }));
  }
}

function withPatch(
  { kinds }: WebhookDependencies,
  { hook, resource, kind }: Invocation,
  object: KubernetesObject | undefined,
  { patch: text, patchType }: AdmissionAnswer,
): KubernetesObject | undefined {
  const patch = text === "" ? [] : parsePatch(hook, text);
  if (patch.length === 0) return undefined;
  if (!object) {
    const why = "attempted to modify the object, which is not supported for this operation";
    throw internalError(new Error(`admission webhook ${JSON.stringify(hook.name)} ${why}`));
  }
  if (patchType !== "JSONPatch") throw new FailedCall(hook.name, `unsupported patch type ${JSON.stringify(patchType)}`, { code: 400 });
  try {
    return kinds.read(resource, kind, applyJsonPatch(object, patch));
  } catch (error) {
    throw internalError(error instanceof StatusError && error.cause instanceof Error ? error.cause : error);
  }
}

function parsePatch(hook: CompiledWebhook, text: string): readonly JsonPatchOperation[] {
  const refuse = (why: string): FailedCall => new FailedCall(hook.name, `received undecodable patch in webhook response: ${why}`);
  let value: unknown;
  try {
    value = withPlainNumbers(parseJson(text).value);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw refuse(error.message);
    throw error;
  }
  const wrong = (found: unknown, type: string): FailedCall =>
    refuse(`json: cannot unmarshal ${goKind(found)} into Go value of type ${type}`);
  if (value !== null && !Array.isArray(value)) throw wrong(value, "jsonpatch.Patch");
  const other = (value as readonly unknown[] | null)?.find((o) => typeof o !== "object" || Array.isArray(o));
  if (other !== undefined) throw wrong(other, "jsonpatch.Operation");
  return (value ?? []) as readonly JsonPatchOperation[];
}
