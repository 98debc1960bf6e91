// What one evaluation knows: the variables it was given, made values when first read; the variables of loops in slots; what was
// spent of the budget.

import { adaptJson } from "../adapt.ts";
import { CelError, exceededBudget } from "../cel-error.ts";
import type { CelType } from "../types.ts";
import type { CelValue } from "../values.ts";

/** A step of a plan. */
export type Step = (frame: Frame) => CelValue;

/** A declared variable that an expression reads, at its place in Frame's list. */
export interface PlannedVariable {
  readonly name: string;
  readonly type: CelType;
}

/** What a loop's variable has: a value, or the error that making it ended with, which reading it throws. */
export type Slot = CelValue | CelError | undefined;

export class Frame {
  cost = 0;
  readonly #limit: number;
  readonly #given: Readonly<Record<string, unknown>>;
  readonly #variables: readonly PlannedVariable[];
  readonly #values: (CelValue | undefined)[];
  readonly slots: Slot[];

  constructor(
    given: Readonly<Record<string, unknown>>,
    plan: { readonly variables: readonly PlannedVariable[]; readonly slotCount: number },
    limit: number,
  ) {
    this.#given = given;
    this.#variables = plan.variables;
    this.#values = new Array(plan.variables.length);
    this.slots = plan.slotCount === 0 ? noSlots : new Array(plan.slotCount);
    this.#limit = limit;
  }

  /** Throws CelError once the budget is spent. */
  charge(cost: number): void {
    this.cost += cost;
    if (this.cost > this.#limit) throw exceededBudget();
  }

  variable(index: number): CelValue {
    const known = this.#values[index];
    if (known !== undefined) return known;
    const { name, type } = this.#variables[index] as PlannedVariable;
    let given = this.#given[name];
    if (typeof given === "function") given = given();
    if (given === undefined) throw new CelError(`no such attribute(s): ${name}`);
    const value = adaptJson(given, type);
    this.#values[index] = value;
    return value;
  }
}

const noSlots: Slot[] = [];

/** The error, where it is one that && and || may set aside. Throws all others. */
export function absorbable(error: unknown): CelError {
  if (!(error instanceof CelError) || error.exceededBudget) throw error;
  return error;
}

export const noSuchOverload = (): CelError => new CelError("no such overload");
