// && and || set an error aside where the other side decides; ?: evaluates one branch; or() and orValue() of optionals evaluate
// the other only where the first is none.

import type { CelError } from "../cel-error.ts";
import { CelOptional, type CelValue } from "../values.ts";
import { absorbable, noSuchOverload, type Step } from "./frame.ts";

/** `decides`: true for ||, false for &&. */
export function logicalStep(left: Step, right: Step, decides: boolean): Step {
  return (frame) => {
    let failure: CelError | undefined;
    try {
      const value = left(frame);
      if (value === decides) return decides;
      if (value !== !decides) failure = noSuchOverload();
    } catch (error) {
      failure = absorbable(error);
    }
    if (failure) {
      try {
        if (right(frame) === decides) return decides;
      } catch (error) {
        absorbable(error);
      }
      throw failure;
    }
    const value = right(frame);
    if (typeof value !== "boolean") throw noSuchOverload();
    return value;
  };
}

export function conditionalStep(condition: Step, whenTrue: Step, whenFalse: Step): Step {
  return (frame) => {
    const value = condition(frame);
    if (value === true) return whenTrue(frame);
    if (value === false) return whenFalse(frame);
    throw noSuchOverload();
  };
}

/** @not_strictly_false: an error is not false. */
export function notStrictlyFalseStep(operand: Step): Step {
  return (frame) => {
    let value: CelValue;
    try {
      value = operand(frame);
    } catch (error) {
      absorbable(error);
      value = true;
    }
    frame.charge(1);
    return value !== false;
  };
}

export function optionalOrStep(first: Step, second: Step, unwraps: boolean): Step {
  return (frame) => {
    const value = first(frame);
    if (!(value instanceof CelOptional)) return value;
    if (value.value === undefined) return second(frame);
    return unwraps ? value.value : value;
  };
}
