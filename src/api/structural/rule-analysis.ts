// What a definition's validation has to know of the rules of a schema (x-kubernetes-validations), and the sums of what they
// may cost. Costs are estimates for the largest objects that the schema allows.
import { type FieldError, forbiddenField } from "../meta/field-error.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";

/** One rule, compiled. */
export interface RuleAnalysis {
  /** Why it does not compile: "compilation failed: ERROR: …". */
  readonly problem?: string | undefined;
  readonly usesOldSelf: boolean;
  /** The most that one evaluation may cost. */
  readonly cost: number;
  /** How often the value may stand in an object, where no limit of a list or map says it. */
  readonly maxCardinality: number;
  readonly messageProblem?: string | undefined;
  /** Of the message expression, where there is one that compiles. */
  readonly messageCost?: number | undefined;
}

/** Compiles the rules of one schema, not those inside of it. `isResource`: the schema is that of a whole object. */
export type RuleAnalyzer = (schema: JSONSchemaProps, options: { readonly isResource: boolean }) => readonly RuleAnalysis[];

export const maxRuleCost = 10_000_000;
export const maxTotalCost = 100_000_000;
const mostExpensiveCount = 4;

/** The rules of a whole schema. */
export class TotalCost {
  #total = 0;
  readonly #expensive: { readonly field: string; readonly cost: number }[] = [];

  add(field: string, cost: number): void {
    this.#total += cost;
    if (cost < maxTotalCost / 100) return;
    this.#expensive.push({ field, cost });
    this.#expensive.sort((a, b) => b.cost - a.cost);
    this.#expensive.splice(mostExpensiveCount);
  }

  errors(field: string): FieldError[] {
    if (this.#total <= maxTotalCost) return [];
    const what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    return [
      ...this.#expensive.map((rule) =>
        forbiddenField(rule.field, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"),
      ),
      forbiddenField(field, costProblem(what, this.#total, maxTotalCost)),
    ];
  }
}

/** `estimated rule cost exceeds budget by factor of 1.7x (try …)`. */
export function costProblem(what: string, cost: number, limit: number): string {
  const factor = cost / limit;
  const shown = factor > 100 ? "more than 100x" : factor < 1.5 ? `${factor.toFixed(6)}x` : `${factor.toFixed(1)}x`;
  const advice = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared";
  return `${what} exceeds budget by factor of ${shown} (${advice})`;
}

/** How many values of a schema's children there may be for each of its own; undefined: no limit is known. */
export function maxElements({ type, additionalProperties, maxProperties, maxItems }: JSONSchemaProps): number | undefined {
  if (type === "array") return maxItems === undefined ? undefined : Math.max(0, maxItems);
  if (type !== "object" || additionalProperties === undefined) return 1;
  return maxProperties === undefined ? undefined : Math.max(0, maxProperties);
}
