// Turns a checked expression into steps: closures that call each other. Constant parts are worked out here, once, and cost nothing
// when the expression runs, as upstream has it: literals, lists and maps of constants, conversions of constants.

import { accumulatorName, type CelCall, type CelComprehension, type CelExpr, type CelSelect } from "../ast.ts";
import type { Checked } from "../check/check.ts";
import { contains } from "../standard/collections.ts";
import { conversionNames } from "../standard/conversions.ts";
import { typeValueOf } from "../standard/type-names.ts";
import type { CelType } from "../types.ts";
import { CelList, CelUint, type CelValue } from "../values.ts";
import { Attribute, type Qualifier } from "./attributes.ts";
import { callStep } from "./calls.ts";
import { Frame, type PlannedVariable, type Step } from "./frame.ts";
import { listStep, mapStep, structStep } from "./literals.ts";
import { growingInit, loopStep, slotStep } from "./loops.ts";
import { conditionalStep, logicalStep, notStrictlyFalseStep, optionalOrStep } from "./operators.ts";

export interface Plan {
  readonly step: Step;
  readonly variables: readonly PlannedVariable[];
  readonly slotCount: number;
}

/** A planned part: with its value where it is constant, as an attribute where more can be taken of it. */
interface Part {
  readonly step: Step;
  readonly constant?: CelValue;
  readonly attribute?: Attribute;
}

/** Throws CelError where a constant part has no value. */
export function plan(checked: Checked): Plan {
  const planner = new Planner(checked);
  const { step } = planner.part(checked.expr);
  return { step, variables: planner.variables, slotCount: planner.slotCount };
}

const nothingGiven = { variables: [], slotCount: 0 };

class Planner {
  readonly variables: PlannedVariable[] = [];
  slotCount = 0;
  readonly #checked: Checked;
  readonly #slots: { readonly name: string; readonly slot: number; readonly init?: Step }[] = [];

  constructor(checked: Checked) {
    this.#checked = checked;
  }

  part(expr: CelExpr): Part {
    switch (expr.kind) {
      case "literal":
        return constant(expr.value);
      case "ident":
        return this.#name(expr);
      case "select":
        return this.#select(expr);
      case "call":
        return this.#call(expr);
      case "list": {
        const elements = expr.elements.map((element) => this.part(element));
        return this.#folded(listStep(steps(elements), expr.optional), elements);
      }
      case "map": {
        const entries = expr.entries.map(({ key, value, optional }) => ({ key: this.part(key), value: this.part(value), optional }));
        const made = entries.map(({ key, value, optional }) => ({ key: key.step, value: value.step, optional }));
        return this.#folded(
          mapStep(made),
          entries.flatMap(({ key, value }) => [key, value]),
        );
      }
      case "struct": {
        const reference = this.#checked.names.get(expr.id);
        if (reference?.kind !== "type" || reference.type.kind !== "object") throw new Error(`${expr.name} is no type`);
        const fields = expr.fields.map(({ name, value, optional }) => ({ name, value: this.part(value).step, optional }));
        return { step: structStep(reference.type, fields) };
      }
      case "comprehension":
        return { step: this.#loop(expr) };
    }
  }

  /** A constant where all of its parts are. */
  #folded(step: Step, parts: readonly Part[]): Part {
    if (parts.some((part) => part.constant === undefined)) return { step };
    return constant(step(new Frame({}, nothingGiven, Number.POSITIVE_INFINITY)));
  }

  #name(expr: CelExpr): Part {
    const reference = this.#checked.names.get(expr.id);
    switch (reference?.kind) {
      case "value":
        return constant(reference.value);
      case "type":
        return constant(typeValueOf(reference.type));
      case "variable":
        return attribute(new Attribute(this.#variable(reference.name, reference.type), 1));
      case "local": {
        const slot = this.#slots.findLast(({ name }) => name === reference.name);
        if (slot) return attribute(new Attribute(slotStep(slot.slot, slot.init), 1));
      }
    }
    throw new Error("a name was not checked");
  }

  #variable(name: string, type: CelType): Step {
    let index = this.variables.findIndex((variable) => variable.name === name);
    if (index < 0) index = this.variables.push({ name, type }) - 1;
    return (frame) => frame.variable(index);
  }

  #attributeOf(part: Part): Attribute {
    return part.attribute ?? new Attribute(part.step, 1);
  }

  #select(expr: CelSelect): Part {
    if (this.#checked.names.has(expr.id)) return this.#name(expr);
    const operand = this.#attributeOf(this.part(expr.operand));
    if (expr.testOnly) return { step: operand.presence(expr.field) };
    return attribute(operand.with({ constant: expr.field, optional: false }));
  }

  #call(expr: CelCall): Part {
    const reference = this.#checked.calls.get(expr.id);
    if (!reference) throw new Error(`the call of ${expr.name} was not checked`);
    const { declared, target } = reference;
    const args = (target ? [target, ...expr.args] : expr.args).map((arg) => this.part(arg));
    const [first, second, third] = args as [Part, Part, Part];
    switch (declared.name) {
      case "_&&_":
      case "_||_":
        return { step: logicalStep(first.step, second.step, declared.name === "_||_") };
      case "_?_:_": {
        const branches = [second, third].map((branch) => branch.attribute?.resolve ?? branch.step) as [Step, Step];
        return attribute(new Attribute(conditionalStep(first.step, ...branches), 0));
      }
      case "_[_]":
      case "_[?_]":
      case "_?._":
        return attribute(this.#attributeOf(first).with(qualifier(second, declared.name !== "_[_]")));
      case "@not_strictly_false":
        return { step: notStrictlyFalseStep(first.step) };
      case "or":
      case "orValue":
        if (reference.overloads.every(({ id }) => id.startsWith("optional_")))
          return { step: optionalOrStep(first.step, second.step, declared.name === "orValue") };
        break;
      case "@in":
        if (reference.overloads.length === 1 && reference.overloads[0]?.id === "in_list") {
          const member = membership(first.step, second.constant);
          if (member) return { step: member };
        }
    }
    const step = callStep(reference, steps(args));
    return conversionNames.has(declared.name) && first.constant !== undefined && args.length === 1 ? this.#folded(step, args) : { step };
  }

  #loop(expr: CelComprehension): Step {
    const isHidden = expr.accumulator === accumulatorName;
    const init = this.part(expr.init).step;
    const range = this.part(expr.range).step;
    const accumulator = this.slotCount++;
    this.#slots.push({ name: expr.accumulator, slot: accumulator, init: isHidden ? growingInit(init) : init });
    const outside = this.#slots.length;
    const first = this.#local(expr.variable);
    const second = expr.variable2 === undefined ? undefined : this.#local(expr.variable2);
    const condition = this.part(expr.condition).step;
    const step = this.part(expr.step).step;
    this.#slots.length = outside;
    const result = this.part(expr.result).step;
    this.#slots.pop();
    return loopStep({ range, init, condition, step, result }, { accumulator, first, second, isHidden });
  }

  #local(name: string): number {
    const slot = this.slotCount++;
    this.#slots.push({ name, slot });
    return slot;
  }
}

const constant = (value: CelValue): Part => ({ step: () => value, constant: value });
const attribute = (value: Attribute): Part => ({ step: value.step, attribute: value });
const steps = (parts: readonly Part[]): Step[] => parts.map(({ step }) => step);

function qualifier(key: Part, optional: boolean): Qualifier {
  if (key.constant !== undefined) return { constant: key.constant, optional };
  return { step: key.attribute?.resolve ?? key.step, optional };
}

/** `x in [constants]`: costs what x costs. Only where the constants are scalars. */
function membership(wanted: Step, list: CelValue | undefined): Step | undefined {
  if (!(list instanceof CelList)) return undefined;
  const items = [...list];
  if (items.some((item) => (typeof item === "object" && !(item instanceof CelUint)) || item === null)) return undefined;
  if (items.length === 0) return () => false;
  if (items.every((item) => typeof item === "string")) {
    const texts = new Set<CelValue>(items);
    return (frame) => texts.has(wanted(frame));
  }
  return (frame) => contains(list, wanted(frame));
}
