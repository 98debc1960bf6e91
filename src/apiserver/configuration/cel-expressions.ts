// Expressions of configuration files, compiled and evaluated by the expression language. Loaded by servers whose configuration
// may have some.
import { compileIdentityExpression } from "../../api/cel/authentication-expressions.ts";
import { authorizationConditionProblem, compileAuthorizationConditions } from "../../api/cel/authorization-conditions.ts";
import type { SubjectAccessReviewSpec } from "../../api/types/authorization-v1.ts";
import { type Expression, type ExpressionCompiler, ExpressionError } from "./expressions.ts";

export const celExpressions: ExpressionCompiler = {
  compile(text, { variable, result }) {
    if (variable === "request") return condition(text);
    const compiled = compileIdentityExpression(variable, text, { isRule: result === "bool" });
    if ("problem" in compiled) throw new ExpressionError(compiled.problem, compiled);
    return compiled;
  },
};

function condition(text: string): Expression {
  const { problem, isInternal } = authorizationConditionProblem(text);
  if (problem !== undefined) throw new ExpressionError(problem, { isInternal });
  const conditions = compileAuthorizationConditions([text]);
  return {
    text,
    reads: () => false,
    evaluate: (review) => conditions.matches(review as SubjectAccessReviewSpec), // the variable "request" is one
  };
}
