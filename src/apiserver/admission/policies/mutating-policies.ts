// MutatingAdmissionPolicy: policies of expressions that change the object, one after the other, each about what the one before
// has left. When one has changed something, all plugins run once more, and with them those policies that want to see what has
// become of the object since (reinvocationPolicy IfNeeded).

import { BudgetExceeded } from "../../../api/cel/budget.ts";
import type { AccessAnswers } from "../../../api/cel/library/authorizer.ts";
import {
  type CompiledMutatingPolicy,
  type CompiledMutation,
  compileMutatingPolicy,
  MutationError,
} from "../../../api/cel/mutating-policy.ts";
import { semanticallyEqual } from "../../../api/meta/equality.ts";
import type { KubernetesObject } from "../../../api/meta/object.ts";
import { internalError, StatusError } from "../../../api/meta/status-error.ts";
import type { JsonObject } from "../../../api/patch/managed-fields/shape.ts";
import { apiVersionOf } from "../../../api/resource-type.ts";
import { mutatingadmissionpolicies, mutatingadmissionpolicybindings } from "../../../api/resources.generated.ts";
import type { MutatingAdmissionPolicySpec } from "../../../api/types/admissionregistration-v1.ts";
import type { Namespace } from "../../../api/types/core-v1.ts";
import { appendAll } from "../../../base/append-all.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission.ts";
import type { MatchedResource } from "../match-request.ts";
import { refuse } from "../refusal.ts";
import { seenAs } from "../webhooks/served-kinds.ts";
import { matchResources } from "./match-resources.ts";
import { isConfiguration, mayBeSeen, namespaceSeen, type PolicyDependencies } from "./policy-dependencies.ts";
import { accessOf, admissionInput, type SeenRequest } from "./policy-input.ts";
import { mutationMetrics } from "./policy-metrics.ts";
import { ConfigurationProblem, findParams, paramType } from "./policy-params.ts";
import {
  type BoundPolicy,
  type CompiledBinding,
  type Match,
  type PoliciesOfFiles,
  type Policy,
  type PolicyBinding,
  PolicySource,
} from "./policy-source.ts";

const pluginName = "MutatingAdmissionPolicy";

type Bound = BoundPolicy<CompiledMutatingPolicy>;

export function createMutatingPolicies(deps: PolicyDependencies, manifests?: PoliciesOfFiles): AdmissionPlugin {
  const source = new PolicySource(
    {
      policies: () => deps.reader.informer<Policy>(mutatingadmissionpolicies as never),
      bindings: () => deps.reader.informer<PolicyBinding>(mutatingadmissionpolicybindings as never),
    },
    ({ spec }) => compileMutatingPolicy((spec ?? {}) as MutatingAdmissionPolicySpec),
    manifests,
  );
  const observe = mutationMetrics(deps.metrics);
  return {
    name: pluginName,
    handles: (request) => source.mayHavePolicies && request.operation !== "DELETE" && mayBeSeen(request, source.ofFiles.length > 0),
    async admit(request) {
      const policies = isConfiguration(request) ? source.ofFiles : await source.policies(request.signal);
      return policies.length === 0 ? request.object : mutate({ deps, observe }, policies, request);
    },
  };
}

/** What is remembered of a request between its two rounds. */
class Memory {
  lastOutput: KubernetesObject | undefined = undefined;
  #invoked = new Set<string>();
  readonly #again = new Set<string>();

  remember(key: string): void {
    this.#invoked.add(key);
  }

  /** Something has changed since those were invoked. */
  requireAgain(): void {
    for (const key of this.#invoked) this.#again.add(key);
    this.#invoked = new Set();
  }

  isWantedAgain(key: string): boolean {
    return this.#again.has(key);
  }
}

interface Failure {
  readonly policy: string;
  readonly binding?: string;
  readonly message: string;
  readonly reason: string;
}

interface Run {
  readonly deps: PolicyDependencies;
  readonly observe: ReturnType<typeof mutationMetrics>;
  readonly request: AdmissionRequest;
  readonly access: AccessAnswers;
  readonly failures: Failure[];
}

interface Invocation {
  readonly bound: Bound;
  readonly binding: CompiledBinding;
  readonly matched: MatchedResource;
  readonly params: KubernetesObject | undefined;
}

async function mutate(
  { deps, observe }: Pick<Run, "deps" | "observe">,
  policies: readonly Bound[],
  request: AdmissionRequest,
): Promise<KubernetesObject | undefined> {
  const run: Run = { deps, observe, request, access: accessOf(deps.authorizer), failures: [] };
  const invocations: Invocation[] = [];
  for (const bound of policies) appendAll(invocations, await invocationsOf(run, bound));
  const object = invocations.length === 0 ? request.object : await invokeAll(run, invocations);
  const [first] = run.failures;
  if (first) throw refusal(request, first, run.failures);
  return object;
}

async function invocationsOf(run: Run, bound: Bound): Promise<readonly Invocation[]> {
  const { deps, request } = run;
  const invocations: Invocation[] = [];
  await orFailure(run, bound, undefined, async () => {
    const matched = await matches(run, bound.match);
    if (!matched) return;
    const type = paramType(deps, bound.policy.spec?.paramKind);
    for (const binding of bound.bindings)
      await orFailure(run, bound, binding, async () => {
        if (binding.match && !(await matches(run, binding.match))) return;
        const { paramRef } = binding.binding.spec ?? {};
        const found = await findParams(deps, { type, paramRef, namespace: request.namespace, signal: request.signal });
        for (const params of found) invocations.push({ bound, binding, matched, params });
      });
  });
  return invocations;
}

async function orFailure(run: Run, bound: Bound, binding: CompiledBinding | undefined, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ConfigurationProblem)) throw error;
    fail(run, bound, binding, { message: `failed to configure ${binding ? "binding" : "policy"}: ${error.message}`, reason: "" });
  }
}

function fail(run: Run, bound: Bound, binding: CompiledBinding | undefined, what: Pick<Failure, "message" | "reason">): void {
  if (!bound.ignoresFailures) run.failures.push({ policy: bound.name, ...(binding ? { binding: binding.name } : {}), ...what });
}

async function matches({ deps, request }: Run, match: Match): Promise<MatchedResource | undefined> {
  if (match.problem !== undefined) throw new ConfigurationProblem(match.problem);
  try {
    return await matchResources(deps, match.rules, request, request.object);
  } catch (error) {
    if (error instanceof StatusError) throw new ConfigurationProblem(error.message);
    throw error;
  }
}

async function invokeAll(run: Run, invocations: readonly Invocation[]): Promise<KubernetesObject | undefined> {
  const { request, deps } = run;
  const { reinvocation } = request;
  const memory = reinvocation.memoryOf(pluginName, () => new Memory());
  if (reinvocation.isSecond && !semanticallyEqual(memory.lastOutput, request.object)) memory.requireAgain();
  const namespace = await namespaceSeen(deps, request);
  let { object } = request;
  let isPatched = false;
  for (const invocation of invocations) {
    const { bound, binding, params } = invocation;
    const { namespace: paramNamespace = "", name: paramName = "" } = params?.metadata ?? {};
    const key = [bound.name, binding.name, paramNamespace, paramName].join("/");
    const turned = await invoke(run, invocation, {
      object,
      namespace,
      isWanted: () => !reinvocation.isSecond || memory.isWantedAgain(key),
    });
    if (!turned) continue;
    isPatched ||= turned.isPatched;
    if (!semanticallyEqual(turned.object, object)) memory.requireAgain();
    object = turned.object;
    if (bound.compiled.isReinvocable) memory.remember(key);
  }
  // Once something was patched, all are asked again that want to be, also the one that did it, whether it changed anything or not.
  if (isPatched) {
    memory.requireAgain();
    reinvocation.need();
  }
  memory.lastOutput = object;
  return object;
}

interface Turn {
  readonly object: KubernetesObject | undefined;
  readonly namespace: Namespace | undefined;
  readonly isWanted: () => boolean;
}

interface Turned {
  readonly object: KubernetesObject | undefined;
  /** A mutation was made, whether it changed anything or not. */
  readonly isPatched: boolean;
}

/** What a policy's mutations make of the object; undefined where the policy is not for it. */
async function invoke(run: Run, { bound, binding, matched, params }: Invocation, turn: Turn): Promise<Turned | undefined> {
  const { request, access, deps, observe } = run;
  const { equivalent } = matched;
  const oldObject = await seenAs(equivalent, request.oldObject);
  let object = await seenAs(equivalent, turn.object);
  let isPatched = false;
  const seen = (): SeenRequest => ({ request, matched, object, oldObject, namespace: turn.namespace, params, access });
  const match = await bound.compiled.conditions?.evaluate(admissionInput(seen()));
  if (match?.kind === "failed") fail(run, bound, binding, { message: match.message, reason: "Invalid" });
  if ((match && match.kind !== "matches") || !turn.isWanted()) return undefined;
  for (const mutation of bound.compiled.mutations) {
    if (!object) continue;
    const startMs = deps.clock.monotonic();
    const observed = (message?: string): void =>
      observe({ policy: bound.name, binding: binding.name, message, durationMs: deps.clock.monotonic() - startMs });
    try {
      const made = await mutation.apply(object as unknown as JsonObject, admissionInput(seen()), () =>
        deps.kinds.shapeOf(matched.resource, matched.kind),
      );
      object = readBack(deps, matched, made, mutation.patchType);
      isPatched = true;
      observed();
    } catch (error) {
      observed(error instanceof Error ? error.message : "");
      if (!(error instanceof MutationError || error instanceof BudgetExceeded)) throw error;
      fail(run, bound, binding, { message: error.message, reason: "Invalid" });
    }
  }
  if (!isPatched) return { object: turn.object, isPatched };
  return { object: equivalent && object ? await equivalent.convertBack(object) : object, isPatched };
}

function readBack(
  { kinds }: PolicyDependencies,
  { resource, kind }: MatchedResource,
  made: JsonObject,
  patchType: CompiledMutation["patchType"],
): KubernetesObject {
  // A patch may take away what the object is: it is of its kind all the same.
  const typed = made["kind"] ? made : { ...made, apiVersion: made["apiVersion"] ?? apiVersionOf(kind), kind: kind.kind };
  try {
    return kinds.read(resource, kind, typed, { strict: true });
  } catch (error) {
    if (patchType === "JSONPatch") throw error instanceof StatusError ? error : internalError(error);
    const { message } = error as Error; // decoding throws nothing else
    const what = message.startsWith("illegal base64") ? `error decoding from json: ${message}` : message;
    throw new MutationError(`unable to convert unstructured object to ${kind.group}/${kind.version}, Kind=${kind.kind}: ${what}`);
  }
}

function refusal(request: AdmissionRequest, first: Failure, all: readonly Failure[]): StatusError {
  const { status } = refuse(request, "admission request denied by policy");
  const causes = all.map((failure) => ({ message: failureText(failure) }));
  const reason = first.reason || status.reason || "";
  return new StatusError({ ...status, reason, message: failureText(first), details: { ...status.details, causes } });
}

const failureText = ({ policy, binding, message }: Failure): string =>
  binding === undefined
    ? `policy ${JSON.stringify(policy)} denied request: ${message}`
    : `policy '${policy}' with binding '${binding}' denied request: ${message}`;
