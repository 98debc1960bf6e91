// Expressions of AuthenticationConfiguration: over the claims of a token, which become a user, and over the user made of them.
import { adaptJson } from "../../cel/adapt.ts";
import type { CelEnvironment } from "../../cel/cel.ts";
import { CelError } from "../../cel/cel.ts";
import { celToJson } from "../../cel/json.ts";
import { boolType, type CelType, dynType, listOf, mapOf, stringType } from "../../cel/types.ts";
import { userInfoType } from "./admission-types.ts";
import { compilationProblem } from "./expression.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";

/** What an expression is about. */
export type IdentityVariable = "claims" | "user";

/** A claim is JSON as Go reads it where it knows no types: all numbers are floating-point ones. */
const claimType: CelType = {
  kind: "dyn",
  adapt(json) {
    if (typeof json === "number") return json;
    if (Array.isArray(json)) return adaptJson(json, claimList);
    return typeof json === "object" && json !== null ? adaptJson(json, claimMap) : adaptJson(json, dynType);
  },
};
const claimList = listOf(claimType);
const claimMap = mapOf(stringType, claimType);

const types: Readonly<Record<IdentityVariable, CelType>> = { claims: claimMap, user: userInfoType };
const known = new Map<IdentityVariable, CelEnvironment>();

function environmentOf(variable: IdentityVariable): CelEnvironment {
  let environment = known.get(variable);
  if (!environment) {
    environment = kubernetesEnvironment().extend({ variables: { [variable]: types[variable] } });
    known.set(variable, environment);
  }
  return environment;
}

export interface IdentityExpression {
  readonly text: string;
  /** The result as JSON. Throws CelError: "expression '…' resulted in error: no such key: x". */
  evaluate(value: unknown): unknown;
  /** Whether it reads a path: `reads("email_verified")` of claims. */
  reads(...path: readonly string[]): boolean;
}

/** `isRule`: it has to give true or false. Gives the expression, or what is wrong with it. */
export function compileIdentityExpression(
  variable: IdentityVariable,
  text: string,
  { isRule = false }: { readonly isRule?: boolean } = {},
): IdentityExpression | { readonly problem: string; readonly isInternal?: boolean } {
  const { program, ...failure } = environmentOf(variable).compile(text);
  const resultType = program ? program.resultType : failure.resultType;
  if (isRule && resultType && resultType.kind !== boolType.kind) return { problem: "must evaluate to bool" };
  if (!program) return { problem: compilationProblem(failure), isInternal: failure.stage === "plan" };
  return {
    text,
    evaluate(value) {
      try {
        return celToJson(program.evaluate({ [variable]: value }).value);
      } catch (error) {
        if (!(error instanceof CelError)) throw error;
        throw new CelError(`expression '${text}' resulted in error: ${error.message}`, { cause: error });
      }
    },
    reads: (...path) => program.reads(variable, ...path),
  };
}
