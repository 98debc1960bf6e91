// A compiled expression: runs its plan, and knows what it reads and what it may cost.

import type { CelCostEstimate, CelEvaluateOptions, CelProgram, CelResult } from "./cel.ts";
import { CelError, exceededBudget } from "./cel-error.ts";
import type { Checked } from "./check/check.ts";
import { estimateCost } from "./cost/estimate.ts";
import { Frame } from "./evaluate/frame.ts";
import type { Plan } from "./evaluate/plan.ts";
import { defaultCostLimit } from "./limits.ts";
import { pathsRead } from "./paths.ts";
import type { CelType } from "./types.ts";

export class Program implements CelProgram {
  readonly expression: string;
  readonly resultType: CelType;
  readonly variables: ReadonlySet<string>;
  readonly #checked: Checked;
  readonly #plan: Plan;
  readonly #estimateRoot: CelType | undefined;
  #cost: CelCostEstimate | undefined;
  #paths: readonly (readonly string[])[] | undefined;

  constructor(expression: string, parts: { readonly checked: Checked; readonly plan: Plan; readonly estimateRoot: CelType | undefined }) {
    const { checked, plan } = parts;
    this.expression = expression;
    this.#estimateRoot = parts.estimateRoot;
    this.resultType = checked.typeOf(checked.expr);
    this.variables = new Set(plan.variables.map(({ name }) => name));
    this.#checked = checked;
    this.#plan = plan;
  }

  get cost(): CelCostEstimate {
    this.#cost ??= estimateCost(this.#checked, this.#estimateRoot);
    return this.#cost;
  }

  reads(variable: string, ...path: readonly string[]): boolean {
    this.#paths ??= pathsRead(this.#checked);
    return this.#paths.some(
      ([name, ...read]) => name === variable && read.every((field, index) => index >= path.length || field === path[index]),
    );
  }

  evaluate(variables: Readonly<Record<string, unknown>>, options: CelEvaluateOptions = {}): CelResult {
    const frame = new Frame(variables, this.#plan, options.costLimit ?? defaultCostLimit);
    try {
      return { value: this.#plan.step(frame), cost: frame.cost };
    } catch (thrown) {
      // JavaScript makes no text, list or stack of that size.
      const error = thrown instanceof RangeError ? exceededBudget(thrown) : thrown;
      if (error instanceof CelError) error.cost = frame.cost;
      throw error;
    }
  }
}
