// Comprehensions. The accumulator is made when it is first read; while an error is in it the loop goes on, as the condition is
// not false. Where a loop grows a list or map from an empty one, it grows in place: nobody else sees it until the end.

import { CelError } from "../cel-error.ts";
import { CelArray, CelList, CelMap, type CelValue, celTypeName } from "../values.ts";
import { absorbable, type Frame, type Step } from "./frame.ts";
import { CelEntries } from "./literals.ts";

/** A list that a loop is making. */
class GrowingList extends CelArray {
  readonly growing: CelValue[];
  constructor(growing: CelValue[] = []) {
    super(growing);
    this.growing = growing;
  }
  override concat(other: CelList): CelList {
    for (const item of other) this.growing.push(item);
    return this;
  }
}

export interface LoopSteps {
  readonly range: Step;
  readonly init: Step;
  readonly condition: Step;
  readonly step: Step;
  readonly result: Step;
}

export interface LoopSlots {
  readonly accumulator: number;
  readonly first: number;
  /** Where the loop has two variables. */
  readonly second: number | undefined;
  /** The accumulator cannot be named by the expression: it may grow in place. */
  readonly isHidden: boolean;
}

/** Reads a slot of a loop around; an accumulator that was not read yet is made. */
export function slotStep(slot: number, init: Step | undefined): Step {
  return (frame) => {
    let value = frame.slots[slot];
    if (value === undefined) {
      if (!init) throw new Error("a variable of a loop was read outside of it");
      value = init(frame);
      frame.slots[slot] = value;
    }
    if (value instanceof CelError) throw value;
    return value;
  };
}

/** The init of a hidden accumulator: an empty list or map becomes one that grows. */
export function growingInit(init: Step): Step {
  return (frame) => {
    const value = init(frame);
    if (value instanceof CelList && value.size === 0) return new GrowingList();
    return value instanceof CelMap && value.size === 0 ? CelEntries.empty() : value;
  };
}

export function loopStep(steps: LoopSteps, slots: LoopSlots): Step {
  const { range, condition, step, result } = steps;
  const { accumulator, first, second, isHidden } = slots;
  /** Whether to go on. */
  const once = (frame: Frame, key: CelValue, value: CelValue): boolean => {
    frame.slots[first] = key;
    if (second !== undefined) frame.slots[second] = value;
    if (!holds(condition, frame)) return false;
    try {
      frame.slots[accumulator] = step(frame);
    } catch (error) {
      frame.slots[accumulator] = absorbable(error);
    }
    return true;
  };
  return (frame) => {
    const elements = range(frame);
    frame.slots[accumulator] = undefined;
    if (elements instanceof CelList) {
      for (let index = 0; index < elements.size; index++) {
        const item = elements.at(index);
        if (!(second === undefined ? once(frame, item, null) : once(frame, BigInt(index), item))) break;
      }
    } else if (elements instanceof CelMap) {
      for (const key of elements.keys()) if (!once(frame, key, second === undefined ? null : (elements.find(key) ?? null))) break;
    } else throw notARange(elements, second !== undefined);
    const value = result(frame);
    return isHidden && value instanceof GrowingList ? new CelArray(value.growing) : value;
  };
}

/** An error goes on: the step may turn it into a value. */
function holds(condition: Step, frame: Frame): boolean {
  try {
    return condition(frame) !== false;
  } catch (error) {
    absorbable(error);
    return true;
  }
}

function notARange(value: CelValue, hasTwoVariables: boolean): CelError {
  const type = celTypeName(value);
  return new CelError(hasTwoVariables ? `unsupported comprehension range type: ${type}` : `got '${type}', expected iterable type`);
}
