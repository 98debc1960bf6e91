// ValidatingAdmissionPolicy: policies of expressions that may refuse what is about to be stored, warn about it, or note it in
// the audit log, as their bindings say. All that match are evaluated; the first refusal is the answer.

import type { AccessAnswers } from "../../../api/cel/library/authorizer.ts";
import { type CompiledValidatingPolicy, compileValidatingPolicy, type PolicyDecision } from "../../../api/cel/validating-policy.ts";
import { escapeMarkup } from "../../../api/meta/field-error.ts";
import { StatusError } from "../../../api/meta/status-error.ts";
import { validatingadmissionpolicies, validatingadmissionpolicybindings } from "../../../api/resources.generated.ts";
import type { ValidatingAdmissionPolicySpec } from "../../../api/types/admissionregistration-v1.ts";
import type { AdmissionPlugin, AdmissionRequest } from "../admission.ts";
import type { MatchedResource } from "../match-request.ts";
import { refuse } from "../refusal.ts";
import { seenAs } from "../webhooks/served-kinds.ts";
import { matchResources } from "./match-resources.ts";
import { isConfiguration, mayBeSeen, namespaceSeen, type PolicyDependencies } from "./policy-dependencies.ts";
import { accessOf, admissionInput } from "./policy-input.ts";
import { type ObservedPolicy, validationMetrics } from "./policy-metrics.ts";
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

type Bound = BoundPolicy<CompiledValidatingPolicy>;

export function createValidatingPolicies(deps: PolicyDependencies, manifests?: PoliciesOfFiles): AdmissionPlugin {
  const source = new PolicySource(
    {
      policies: () => deps.reader.informer<Policy>(validatingadmissionpolicies as never),
      bindings: () => deps.reader.informer<PolicyBinding>(validatingadmissionpolicybindings as never),
    },
    ({ spec }) => compileValidatingPolicy((spec ?? {}) as ValidatingAdmissionPolicySpec),
    manifests,
  );
  const observe = validationMetrics(deps.metrics);
  return {
    name: "ValidatingAdmissionPolicy",
    handles: (request) => source.mayHavePolicies && mayBeSeen(request, source.ofFiles.length > 0),
    async validate(request) {
      const policies = isConfiguration(request) ? source.ofFiles : await source.policies(request.signal);
      if (policies.length === 0) return;
      const run: Run = { deps, observe, request, access: accessOf(deps.authorizer), denials: [] };
      for (const bound of policies) await validateOne(run, bound);
      const [first] = run.denials;
      if (first) throw denial(request, first);
    },
  };
}

interface Denial {
  readonly policy: string;
  /** Absent where the policy itself is at fault. */
  readonly binding?: string;
  readonly message: string;
  readonly reason: string;
}

interface Run {
  readonly deps: PolicyDependencies;
  readonly observe: ReturnType<typeof validationMetrics>;
  readonly request: AdmissionRequest;
  readonly access: AccessAnswers;
  readonly denials: Denial[];
}

async function validateOne(run: Run, bound: Bound): Promise<void> {
  const { request, deps } = run;
  const { name: policy } = bound;
  const fail = (problem: ConfigurationProblem, binding?: string): void => {
    if (bound.ignoresFailures) return;
    const what = binding === undefined ? "policy" : "binding";
    run.denials.push({
      policy,
      ...(binding === undefined ? {} : { binding }),
      message: `failed to configure ${what}: ${problem.message}`,
      reason: "",
    });
  };
  await orProblem(fail, async () => {
    const matched = await matches(run, bound.match);
    if (!matched) return;
    const params = paramType(deps, bound.policy.spec?.paramKind);
    const annotations = new Map<string, string[]>();
    for (const binding of bound.bindings)
      await orProblem(
        (problem) => fail(problem, binding.name),
        async () => {
          if (binding.match && !(await matches(run, binding.match))) return;
          await validateBinding(run, { bound, binding, matched, params }, annotations);
        },
      );
    for (const [key, values] of annotations) request.annotate(`${policy}/${key}`, values.join(", "));
  });
}

async function orProblem(report: (problem: ConfigurationProblem) => void, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ConfigurationProblem)) throw error;
    report(error);
  }
}

/** What the selectors and rules say; what goes wrong with them is a problem of whoever has them. */
async function matches({ deps, request }: Run, match: Match): Promise<MatchedResource | undefined> {
  if (match.problem !== undefined) throw new ConfigurationProblem(match.problem);
  try {
    return await matchResources(deps, match.rules, request, request.object);
  } catch (error) {
    if (error instanceof StatusError) throw new ConfigurationProblem(error.message);
    throw error;
  }
}

interface Invocation {
  readonly bound: Bound;
  readonly binding: CompiledBinding;
  readonly matched: MatchedResource;
  readonly params: ReturnType<typeof paramType>;
}

async function validateBinding(
  run: Run,
  { bound, binding, matched, params }: Invocation,
  annotations: Map<string, string[]>,
): Promise<void> {
  const { deps, request, access, observe } = run;
  const { paramRef, validationActions = [] } = binding.binding.spec ?? {};
  const found = await findParams(deps, { type: params, paramRef, namespace: request.namespace, signal: request.signal });
  if (found.length === 0) return;
  const namespace = await namespaceSeen(deps, request);
  const { equivalent } = matched;
  const seen = {
    object: await seenAs(equivalent, request.object),
    oldObject: await seenAs(equivalent, request.oldObject),
  };
  for (const param of found) {
    const startMs = deps.clock.monotonic();
    const outcome = await bound.compiled.validate(admissionInput({ request, matched, ...seen, namespace, params: param, access }));
    const durationMs = deps.clock.monotonic() - startMs;
    const observed = (message: string): ObservedPolicy => ({ policy: bound.name, binding: binding.name, message, durationMs });
    for (const [index, decision] of outcome.decisions.entries()) {
      if (decision.denies) enforce(run, { binding, actions: validationActions, observed: observed(decision.message) }, decision, index);
      else if (decision.message !== "") observe(observed(decision.message), "allow");
    }
    for (const { key, value, error } of outcome.annotations) {
      if (error === undefined) {
        addAnnotation(annotations, key, value);
        continue;
      }
      run.denials.push({ policy: bound.name, binding: binding.name, message: error, reason: "" });
      observe(observed(error), "deny");
    }
  }
}

const maxAnnotationBytes = 10 * 1024;

function addAnnotation(annotations: Map<string, string[]>, key: string, value: string): void {
  const text = value.slice(0, maxAnnotationBytes);
  const known = annotations.get(key);
  if (!known) annotations.set(key, [text]);
  else if (!known.includes(text)) known.push(text);
}

interface Enforcement {
  readonly observed: ObservedPolicy;
  readonly binding: CompiledBinding;
  readonly actions: readonly string[];
}

function enforce(
  { request, denials, observe }: Run,
  { observed, binding: { name }, actions }: Enforcement,
  decision: PolicyDecision,
  index: number,
): void {
  const { policy } = observed;
  const { message, reason } = decision;
  for (const action of actions) {
    if (action === "Deny") {
      denials.push({ policy, binding: name, message, reason });
      observe(observed, "deny");
    } else if (action === "Warn") {
      request.warn(`Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${name}': ${message}`);
      observe(observed, "warn");
    } else if (action === "Audit") {
      const failure = { message, policy, binding: name, expressionIndex: index, validationActions: actions };
      request.annotate("validation.policy.admission.k8s.io/validation_failure", escapeMarkup(JSON.stringify([failure])));
      observe(observed, "audit");
    }
  }
}

const codes: Readonly<Record<string, number>> = { Forbidden: 403, Unauthorized: 401, RequestEntityTooLarge: 413 };

function denial(request: AdmissionRequest, { policy, binding, message, reason }: Denial): StatusError {
  const by = binding === undefined ? `'${policy}'` : `'${policy}' with binding '${binding}'`;
  const text = `ValidatingAdmissionPolicy ${by} denied request: ${message}`;
  const { status } = refuse(request, text);
  const { details } = status;
  return new StatusError({
    ...status,
    reason: reason || "Invalid",
    code: codes[reason] ?? 422,
    details: { ...details, causes: [{ message: text }] },
  });
}
