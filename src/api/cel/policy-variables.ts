// Variables of policies: named expressions that others read as `variables.name`. Each is evaluated when it is first read, once
// for all expressions that are evaluated together, and costs what its evaluation costs.
import { CelError } from "../../cel/cel-error.ts";
import { type CelField, type CelType, celObjectType, dynType, listOf, mapOf, stringType } from "../../cel/types.ts";
import { CelObject, type CelValue } from "../../cel/values.ts";
import type { CompiledExpression } from "./expression.ts";

const typeName = "kubernetes.variables";

/** The type of `variables`, to which one after the other is added: what is compiled meanwhile may read those before it. */
export class VariablesDeclaration {
  readonly #fields = new Map<string, CelField>();
  readonly type: CelType = celObjectType(typeName, () => this.#fields);

  /** `type`: what the variable evaluates to. */
  add(name: string, type: CelType): void {
    this.#fields.set(name, { type: declared(type) });
  }
}

/** Of structures nothing is kept: their fields are looked up when the value is there. */
function declared(type: CelType): CelType {
  switch (type.kind) {
    case "list":
      return listOf(declared(type.items));
    case "map":
      return mapOf(declared(type.keys ?? stringType), declared(type.values));
    case "object":
    case "opaque":
    case "optional":
    case "type":
    case "wrapper":
    case "parameter":
      return dynType;
    default:
      return { kind: type.kind };
  }
}

type Outcome = { readonly value: CelValue } | { readonly error: CelError };

/** The variables of one evaluation. */
export class PolicyVariables extends CelObject {
  readonly typeName = typeName;
  readonly #expressions: ReadonlyMap<string, CompiledExpression>;
  readonly #values: () => Readonly<Record<string, unknown>>;
  readonly #known = new Map<string, Outcome>();
  readonly #running = new Set<string>();
  #cost = 0;

  /** `values`: what the variables themselves may read. */
  constructor(expressions: ReadonlyMap<string, CompiledExpression>, values: () => Readonly<Record<string, unknown>>) {
    super();
    this.#expressions = expressions;
    this.#values = values;
  }

  get size(): number {
    return this.#expressions.size;
  }

  fields(): Iterable<string> {
    return this.#expressions.keys();
  }

  find(name: string): CelValue | undefined {
    const known = this.#known.get(name);
    if (known) return settled(known);
    const expression = this.#expressions.get(name);
    if (!expression) return undefined;
    if (this.#running.has(name)) throw new CelError(`composited variable ${JSON.stringify(name)} refers to itself`);
    this.#running.add(name);
    try {
      const outcome = this.#evaluate(name, expression);
      this.#known.set(name, outcome);
      return settled(outcome);
    } finally {
      this.#running.delete(name);
    }
  }

  #evaluate(name: string, { program, problem }: CompiledExpression): Outcome {
    const failure = (what: string): Outcome => ({ error: new CelError(`composited variable ${JSON.stringify(name)} fails to ${what}`) });
    if (!program) return failure(`compile: ${problem}`);
    try {
      const { value, cost } = program.evaluate(this.#values());
      this.#cost += cost;
      return { value };
    } catch (error) {
      if (!(error instanceof CelError)) throw error;
      this.#cost += error.cost;
      return failure(`evaluate: ${error.message}`);
    }
  }

  /** What evaluating variables has cost since this was last asked. */
  takeCost(): number {
    const cost = this.#cost;
    this.#cost = 0;
    return cost;
  }

  toJson(): never {
    throw new CelError(`disallowed conversion from ${JSON.stringify(typeName)} to JSON`);
  }
}

function settled(outcome: Outcome): CelValue {
  if ("error" in outcome) throw outcome.error;
  return outcome.value;
}
