// ValidatingAdmissionPolicy: its expressions compiled, and what comes of them for one request and one parameter object: a
// decision for each validation, and annotations for the audit event.
import { boolType, nullType, stringType } from "../../cel/types.ts";
import { celTypeName } from "../../cel/values.ts";
import { byteLength } from "../meta/names.ts";
import type { ValidatingAdmissionPolicySpec, Validation } from "../types/admissionregistration-v1.ts";
import type { AdmissionInput } from "./admission-environment.ts";
import { Budget, BudgetExceeded, type Evaluated, evaluateWithin, policyBudget } from "./budget.ts";
import type { CompiledExpression } from "./expression.ts";
import { type CompiledMatchConditions, compileMatchConditions } from "./match-conditions.ts";
import { PolicyExpressions } from "./policy-expressions.ts";

export interface PolicyDecision {
  readonly denies: boolean;
  readonly message: string;
  /** Of the Status; "" for what could not be evaluated. */
  readonly reason: string;
}

export type PolicyAnnotation =
  | { readonly key: string; readonly value: string; readonly error?: undefined }
  | { readonly key: string; readonly value?: undefined; readonly error: string };

export interface PolicyOutcome {
  /** In the order of the validations; none where the policy is not for the request. */
  readonly decisions: readonly PolicyDecision[];
  readonly annotations: readonly PolicyAnnotation[];
}

export interface CompiledValidatingPolicy {
  validate(input: AdmissionInput): Promise<PolicyOutcome>;
}

interface CompiledValidation {
  readonly validation: Validation;
  readonly expression: CompiledExpression;
  readonly message: CompiledExpression | undefined;
}

interface CompiledAnnotation {
  readonly key: string;
  readonly expression: CompiledExpression;
}

interface Compiled {
  readonly expressions: PolicyExpressions;
  readonly conditions: CompiledMatchConditions | undefined;
  readonly validations: readonly CompiledValidation[];
  readonly annotations: readonly CompiledAnnotation[];
  readonly ignoresFailures: boolean;
}

const maxMessageBytes = 5 * 1024;
const admitted: PolicyDecision = { denies: false, message: "", reason: "" };
const nothing: PolicyOutcome = { decisions: [], annotations: [] };

export function compileValidatingPolicy(spec: ValidatingAdmissionPolicySpec): CompiledValidatingPolicy {
  const { failurePolicy, paramKind, variables, matchConditions, validations = [], auditAnnotations = [] } = spec;
  const params = paramKind !== undefined;
  const expressions = new PolicyExpressions({ params, variables });
  const compiled: Compiled = {
    expressions,
    conditions: compileMatchConditions(matchConditions, { failurePolicy, params }),
    validations: validations.map((validation) => ({
      validation,
      expression: expressions.compile(validation.expression, [boolType], { authorizer: true }),
      message: validation.messageExpression
        ? expressions.compile(validation.messageExpression, [stringType], { authorizer: false })
        : undefined,
    })),
    annotations: auditAnnotations.map(({ key, valueExpression }) => ({
      key,
      expression: expressions.compile(valueExpression, [stringType, nullType], { authorizer: true }),
    })),
    ignoresFailures: failurePolicy === "Ignore",
  };
  return { validate: (input) => validate(compiled, input) };
}

async function validate(policy: Compiled, input: AdmissionInput): Promise<PolicyOutcome> {
  const match = await policy.conditions?.evaluate(input);
  if (match?.kind === "excluded") return nothing;
  if (match?.kind === "failed") return { decisions: [failure(policy, match.message)], annotations: [] };
  try {
    const decisions = await decide(policy, input);
    return { decisions, annotations: await annotate(policy, input) };
  } catch (error) {
    if (!(error instanceof BudgetExceeded)) throw error;
    return { decisions: [failure(policy, error.message)], annotations: [] };
  }
}

const failure = ({ ignoresFailures }: Compiled, message: string): PolicyDecision => ({ denies: !ignoresFailures, message, reason: "" });

async function decide(policy: Compiled, input: AdmissionInput): Promise<readonly PolicyDecision[]> {
  const budget = new Budget(policyBudget);
  const variables = policy.expressions.bind(input);
  const results: Evaluated[] = [];
  for (const { expression } of policy.validations) results.push(await evaluateWithin(expression, variables, budget));
  // Messages are evaluated where there is something to tell.
  const refused = results.some(({ value }) => value !== undefined && value !== true);
  const messages = refused ? await evaluateMessages(policy, input, budget) : [];
  return results.map(({ value, error }, i) => {
    if (error !== undefined) return failure(policy, error);
    if (messages instanceof BudgetExceeded) return failure(policy, `failed messageExpression: ${messages.message}`);
    if (value === true) return admitted;
    const { validation } = policy.validations[i] as CompiledValidation; // results are theirs
    return { denies: true, message: messageOf(validation, messages[i]), reason: validation.reason ?? "Invalid" };
  });
}

/** What they say; messages may not ask the authorizer. */
async function evaluateMessages(
  policy: Compiled,
  input: AdmissionInput,
  budget: Budget,
): Promise<readonly (Evaluated | undefined)[] | BudgetExceeded> {
  const variables = policy.expressions.bind({ ...input, access: undefined });
  const messages: (Evaluated | undefined)[] = [];
  try {
    for (const { message } of policy.validations) messages.push(message && (await evaluateWithin(message, variables, budget)));
    return messages;
  } catch (error) {
    if (error instanceof BudgetExceeded) return error;
    throw error;
  }
}

function messageOf({ message = "", expression }: Validation, evaluated: Evaluated | undefined): string {
  const text = typeof evaluated?.value === "string" ? evaluated.value.trim() : "";
  if (text !== "" && byteLength(text) <= maxMessageBytes && !text.includes("\n")) return text;
  return message.trim() || `failed expression: ${expression.trim()}`;
}

async function annotate(policy: Compiled, input: AdmissionInput): Promise<readonly PolicyAnnotation[]> {
  if (policy.annotations.length === 0) return [];
  const budget = new Budget(policyBudget);
  const variables = policy.expressions.bind({ ...input, access: undefined });
  const annotations: PolicyAnnotation[] = [];
  for (const { key, expression } of policy.annotations) {
    const { value, error } = await evaluateWithin(expression, variables, budget);
    if (error !== undefined) {
      if (!policy.ignoresFailures) annotations.push({ key, error });
    } else if (typeof value === "string") {
      if (value.trim() !== "") annotations.push({ key, value: value.trim() });
    } else if (value !== null) {
      const found = `resulted in unsupported return type: ${celTypeName(value)}`;
      annotations.push({ key, error: `valueExpression '${expression.text}' ${found}. Return type must be either string or null.` });
    }
  }
  return annotations;
}
