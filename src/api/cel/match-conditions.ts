// Match conditions: expressions that decide whether a webhook or policy is asked about a request at all. They are compiled
// once, and all of them have to be true; one that fails counts only where none is false, and then the failure policy decides.

import { boolType } from "../../cel/types.ts";
import type { FieldError } from "../meta/field-error.ts";
import type { MatchCondition } from "../types/admissionregistration-v1.ts";
import { type AdmissionInput, type AdmissionVariables, admissionEnvironment, admissionValues } from "./admission-environment.ts";
import { Budget, BudgetExceeded, evaluateWithin, matchBudget } from "./budget.ts";
import { type CompiledExpression, compileExpression, expressionErrors } from "./expression.ts";

export type MatchOutcome =
  | { readonly kind: "matches" }
  /** `condition`: the one that is false; absent where failures are ignored. */
  | { readonly kind: "excluded"; readonly condition?: string }
  | { readonly kind: "failed"; readonly message: string };

export interface MatchConditionOptions {
  /** Default Fail. */
  readonly failurePolicy?: "Fail" | "Ignore" | undefined;
  /** Conditions of policies with a paramKind may read params. Default false. */
  readonly params?: boolean;
}

export interface CompiledMatchConditions {
  /** `input.access` has to be there: conditions may ask the authorizer. */
  evaluate(input: AdmissionInput): Promise<MatchOutcome>;
}

const matches: MatchOutcome = { kind: "matches" };

/** undefined where there are none. */
export function compileMatchConditions(
  conditions: readonly MatchCondition[] | undefined,
  { failurePolicy = "Fail", params = false }: MatchConditionOptions = {},
): CompiledMatchConditions | undefined {
  if (!conditions || conditions.length === 0) return undefined;
  const compiled = conditions.map(({ name, expression }) => ({ name, expression: compileCondition(expression, { params }) }));
  const failed = (messages: readonly string[]): MatchOutcome =>
    failurePolicy === "Ignore" ? { kind: "excluded" } : { kind: "failed", message: joined(messages) };
  return {
    async evaluate(input) {
      // Upstream gives conditions no namespace.
      const variables = { values: { ...admissionValues(input), namespaceObject: null } };
      try {
        return await decide(compiled, variables, failed);
      } catch (error) {
        if (error instanceof BudgetExceeded) return failed([error.message]);
        throw error;
      }
    },
  };
}

async function decide(
  conditions: readonly { readonly name: string; readonly expression: CompiledExpression }[],
  variables: { readonly values: Readonly<Record<string, unknown>> },
  failed: (messages: readonly string[]) => MatchOutcome,
): Promise<MatchOutcome> {
  const budget = new Budget(matchBudget);
  const errors: string[] = [];
  let excludedBy: string | undefined;
  // All are evaluated before any counts: a budget that ends is told even behind a condition that is false.
  for (const { name, expression } of conditions) {
    const { value, error } = await evaluateWithin(expression, variables, budget);
    if (error !== undefined) errors.push(error);
    else if (value === false) excludedBy ??= name;
  }
  if (excludedBy !== undefined) return { kind: "excluded", condition: excludedBy };
  return errors.length > 0 ? failed(errors) : matches;
}

function joined(messages: readonly string[]): string {
  const distinct = [...new Set(messages)];
  return distinct.length === 1 ? (distinct[0] ?? "") : `[${distinct.join(", ")}]`;
}

type ConditionVariables = Pick<AdmissionVariables, "params">;

const compileCondition = (expression: string, { params }: ConditionVariables): CompiledExpression =>
  compileExpression(admissionEnvironment({ params, authorizer: true }), expression, [boolType]);

/** What is wrong with the expression of a condition in an object that is written; `field`: "webhooks[0].matchConditions[1].expression". */
export function matchConditionProblems(expression: string, field: string, options: ConditionVariables): readonly FieldError[] {
  const text = expression.trim();
  return expressionErrors(field, text, compileCondition(text, options));
}
