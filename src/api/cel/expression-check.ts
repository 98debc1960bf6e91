// Says of the expressions in policies, webhooks and device classes that are written whether they compile, and to what they
// have to evaluate: the check that validation hands them to.
import { appendAll } from "../../base/append-all.ts";
import type { CelEnvironment } from "../../cel/cel.ts";
import { boolType, type CelType, listOf, nullType, stringType } from "../../cel/types.ts";
import { forbiddenField } from "../meta/field-error.ts";
import type { Variable } from "../types/admissionregistration-v1.ts";
import type { ExpressionCheck, ExpressionPurpose, ExpressionUse } from "../validation/expression-check.ts";
import { admissionEnvironment } from "./admission-environment.ts";
import { deviceSelectorProblem, maxSelectorCost } from "./device-selector.ts";
import { compileExpression, expressionErrors } from "./expression.ts";
import { configurationType, jsonPatchType } from "./mutation-types.ts";
import { VariablesDeclaration } from "./policy-variables.ts";

type PolicyPurpose = Exclude<ExpressionPurpose, "deviceSelector">;

/** What each may evaluate to; anything where there is nothing. */
const results: Readonly<Record<PolicyPurpose, readonly CelType[]>> = {
  matchCondition: [boolType],
  validation: [boolType],
  messageExpression: [stringType],
  auditAnnotation: [stringType, nullType],
  variable: [],
  applyConfiguration: [configurationType],
  jsonPatch: [listOf(jsonPatchType)],
};

/** Upstream compiles these, and shows them, without the blanks around them. */
const trimmed: ReadonlySet<ExpressionPurpose> = new Set(["matchCondition", "applyConfiguration", "jsonPatch"]);

export const checkExpression: ExpressionCheck = (errors, use) => {
  const { purpose, field } = use;
  const text = trimmed.has(purpose) ? use.expression.trim() : use.expression;
  if (purpose === "deviceSelector") {
    const { cost, ...compiled } = deviceSelectorProblem(text);
    if (compiled.problem !== undefined) appendAll(errors, expressionErrors(field, text, compiled));
    else if (cost > maxSelectorCost) errors.push(forbiddenField(field, "too complex, exceeds cost limit"));
    return;
  }
  // Columns of audit annotations count without the blanks before them, but the whole is shown.
  const compiled = purpose === "auditAnnotation" ? text.trim() : text;
  appendAll(errors, expressionErrors(field, text, compileExpression(environmentOf(use, purpose), compiled, results[purpose])));
};

function environmentOf({ hasParams, variables }: ExpressionUse, purpose: PolicyPurpose): CelEnvironment {
  const patches = purpose === "applyConfiguration" || purpose === "jsonPatch";
  const base = admissionEnvironment({ params: hasParams, authorizer: purpose !== "messageExpression", patches });
  // Validating policies without variables know no `variables`.
  if (variables.length === 0 && purpose !== "variable" && !patches) return base;
  return base.extend({ variables: { variables: declaredVariables(variables, hasParams) } });
}

/** How many of a policy's variables have been declared. Its list of them grows from expression to expression. */
interface Declared {
  readonly declaration: VariablesDeclaration;
  count: number;
}

const declaredBefore = new WeakMap<readonly Variable[], Declared>();

/** Variables may read those before them. Each is compiled once for all expressions of the policy. */
function declaredVariables(variables: readonly Variable[], params: boolean): CelType {
  const known = declaredBefore.get(variables) ?? { declaration: new VariablesDeclaration(), count: 0 };
  declaredBefore.set(variables, known);
  const { declaration } = known;
  const environment = admissionEnvironment({ params, authorizer: true }).extend({ variables: { variables: declaration.type } });
  for (const { name, expression } of variables.slice(known.count)) {
    const { program } = compileExpression(environment, expression);
    declaration.add(name, program?.resultType ?? { kind: "dyn" });
  }
  known.count = variables.length;
  return declaration.type;
}
