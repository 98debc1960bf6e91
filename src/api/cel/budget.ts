// Evaluating several expressions for one request within one budget, as upstream bounds what a policy or a webhook's conditions
// may cost: an expression that fails is one of many; where the budget ends, everything does.
import { CelError } from "../../cel/cel.ts";
import type { CelValue } from "../../cel/values.ts";
import { evaluateWithAccess } from "./access.ts";
import type { CompiledExpression } from "./expression.ts";

/** Of all expressions of one policy, for one parameter. */
export const policyBudget = 10_000_000;
/** Of all match conditions of one webhook or policy. */
export const matchBudget = 2_500_000;

/** Nothing more is evaluated. */
export class BudgetExceeded extends Error {
  constructor() {
    super("validation failed due to running out of cost budget, no further validation rules will be run");
    this.name = "BudgetExceeded";
  }
}

/** What an expression gave, or why it gave nothing. */
export type Evaluated = { readonly value: CelValue; readonly error?: undefined } | { readonly value?: undefined; readonly error: string };

/** What is left of a budget. */
export class Budget {
  #left: number;

  constructor(budget: number) {
    this.#left = budget;
  }

  get left(): number {
    return this.#left;
  }

  /** Throws BudgetExceeded. */
  spend(cost: number): void {
    if (cost > this.#left) throw new BudgetExceeded();
    this.#left -= cost;
  }
}

/** Variables of an input, some of which cost something when they are read. */
export interface Variables {
  readonly values: Readonly<Record<string, unknown>>;
  /** What reading them has cost since this was last asked. */
  readonly takeCost?: (() => number) | undefined;
}

/** Throws BudgetExceeded. */
export async function evaluateWithin(expression: CompiledExpression, { values, takeCost }: Variables, budget: Budget): Promise<Evaluated> {
  const { program, problem, text } = expression;
  if (!program) return { error: `compilation error: ${problem}` };
  const spend = (cost: number): void => {
    budget.spend(takeCost?.() ?? 0);
    budget.spend(cost);
  };
  try {
    const { value, cost } = await evaluateWithAccess(program, values);
    spend(cost);
    return { value };
  } catch (error) {
    if (!(error instanceof CelError)) throw error;
    spend(error.cost);
    return { error: `expression '${text}' resulted in error: ${error.message}` };
  }
}
