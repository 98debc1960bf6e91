// The rules of x-kubernetes-validations of one schema, compiled: what they may cost for a definition that is written, and what
// is evaluated for an object.
import type { CelEnvironment, CelProgram } from "../../cel/cel.ts";
import { boolType, optionalOf } from "../../cel/types.ts";
import type { RuleAnalyzer } from "../structural/rule-analysis.ts";
import { SchemaFieldPathError, schemaFieldPath } from "../structural/schema-field-path.ts";
import type { JSONSchemaProps, ValidationRule } from "../types/apiextensions-v1.ts";
import { compilationProblem } from "./expression.ts";
import { kubernetesEnvironment } from "./kubernetes-environment.ts";
import { maxRequestBytes, type SchemaType, schemaType } from "./schema-type.ts";

export interface CompiledRule {
  readonly rule: ValidationRule;
  /** Absent for a rule that says nothing or does not compile. */
  readonly program?: CelProgram | undefined;
  readonly problem?: string | undefined;
  readonly usesOldSelf: boolean;
  readonly message?: CelProgram | undefined;
  readonly messageProblem?: string | undefined;
  /** Where errors of the rule stand, below the value: "spec.name"; "" for the value itself. */
  readonly fieldPath: string;
}

export interface CompiledRules {
  readonly type: SchemaType;
  readonly rules: readonly CompiledRule[];
}

/** The rules at one place of a schema; undefined where nothing is known of the values there. */
export function compileRulesAt(schema: JSONSchemaProps, isResource: boolean, rules: readonly ValidationRule[]): CompiledRules | undefined {
  const type = schemaType(schema, { name: "selfType", isResource });
  if (!type) return undefined;
  const environments = ruleEnvironments(type);
  return { type, rules: rules.map((rule) => compileRule(schema, rule, environments(rule.optionalOldSelf === true))) };
}

function ruleEnvironments({ type }: SchemaType): (optionalOldSelf: boolean) => CelEnvironment {
  const made = new Map<boolean, CelEnvironment>();
  return (optionalOldSelf) => {
    let environment = made.get(optionalOldSelf);
    if (!environment) {
      const oldSelf = optionalOldSelf ? optionalOf(type) : type;
      environment = kubernetesEnvironment().extend({ variables: { self: type, oldSelf }, estimateRoot: type });
      made.set(optionalOldSelf, environment);
    }
    return environment;
  };
}

function compileRule(schema: JSONSchemaProps, rule: ValidationRule, environment: CelEnvironment): CompiledRule {
  const nothing = { rule, usesOldSelf: false, fieldPath: "" };
  if ((rule.rule ?? "").trim() === "") return nothing;
  const { program, ...failure } = environment.compile(rule.rule);
  if (!program) return { ...nothing, problem: compilationProblem(failure) };
  if (program.resultType.kind !== boolType.kind) return { ...nothing, problem: "cel expression must evaluate to a bool" };
  const compiled = { rule, program, usesOldSelf: program.variables.has("oldSelf"), fieldPath: fieldPathOf(schema, rule) };
  if (!rule.messageExpression) return compiled;
  return { ...compiled, ...compileMessage(environment, rule.messageExpression) };
}

function compileMessage(environment: CelEnvironment, expression: string): Pick<CompiledRule, "message" | "messageProblem"> {
  const { program, ...failure } = environment.compile(expression);
  if (!program) return { messageProblem: `messageExpression ${compilationProblem(failure).replace(/^program /, "")}` };
  if (program.resultType.kind !== "string") return { messageProblem: "messageExpression must evaluate to a string" };
  return { message: program };
}

function fieldPathOf(schema: JSONSchemaProps, { fieldPath = "" }: ValidationRule): string {
  if (fieldPath === "") return "";
  try {
    return schemaFieldPath(fieldPath, schema).path;
  } catch (error) {
    if (error instanceof SchemaFieldPathError) return "";
    throw error;
  }
}

/** What a definition's validation asks of the rules of one schema. */
export const analyzeRules: RuleAnalyzer = (schema, { isResource }) => {
  const compiled = compileRulesAt(schema, isResource, schema["x-kubernetes-validations"] ?? []);
  if (!compiled) return [];
  const maxCardinality = Math.floor(maxRequestBytes / (compiled.type.minBytes + 1));
  return compiled.rules.map(({ program, problem, usesOldSelf, message, messageProblem }) => ({
    problem,
    usesOldSelf,
    cost: program?.cost.max ?? 0,
    maxCardinality,
    messageProblem,
    messageCost: message?.cost.max,
  }));
};
