// The expressions of one policy, compiled once: with its variables, and its parameters where it has a kind of them.
import type { CelEnvironment } from "../../cel/cel.ts";
import type { CelType } from "../../cel/types.ts";
import { dynType } from "../../cel/types.ts";
import type { Variable } from "../types/admissionregistration-v1.ts";
import { type AdmissionInput, type AdmissionVariables, admissionEnvironment, admissionValues } from "./admission-environment.ts";
import type { Variables } from "./budget.ts";
import { type CompiledExpression, compileExpression } from "./expression.ts";
import { PolicyVariables, VariablesDeclaration } from "./policy-variables.ts";

export interface PolicyExpressionsOptions {
  /** The policy has a paramKind. */
  readonly params: boolean;
  readonly variables?: readonly Variable[] | undefined;
}

export class PolicyExpressions {
  readonly #params: boolean;
  readonly #variables = new Map<string, CompiledExpression>();
  readonly #declaration = new VariablesDeclaration();

  constructor({ params, variables = [] }: PolicyExpressionsOptions) {
    this.#params = params;
    for (const { name, expression } of variables) {
      const compiled = this.compile(expression, [], { authorizer: true });
      this.#variables.set(name, compiled);
      this.#declaration.add(name, compiled.program?.resultType ?? dynType);
    }
  }

  compile(expression: string, results: readonly CelType[], use: Pick<AdmissionVariables, "authorizer" | "patches">): CompiledExpression {
    return compileExpression(this.#environment(use), expression, results);
  }

  #environment(use: Pick<AdmissionVariables, "authorizer" | "patches">): CelEnvironment {
    const base = admissionEnvironment({ ...use, params: this.#params });
    return base.extend({ variables: { variables: this.#declaration.type } });
  }

  /** The variables of an input, for expressions that are evaluated together. */
  bind(input: AdmissionInput): Variables {
    const values: Record<string, unknown> = { ...admissionValues(input) };
    const variables = new PolicyVariables(this.#variables, () => values);
    values["variables"] = variables;
    return { values, takeCost: () => variables.takeCost() };
  }
}
