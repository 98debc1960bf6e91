// What list, map and message literals make.

import { CelError } from "../cel-error.ts";
import { listCost, mapCost, structCost } from "../cost/actual.ts";
import { goText } from "../go-text.ts";
import { CelRecord } from "../record.ts";
import type { CelObjectType } from "../types.ts";
import { CelArray, CelMap, CelOptional, CelUint, type CelValue } from "../values.ts";
import { absorbable, type Frame, type Step } from "./frame.ts";

/** A key that equal keys have in common: ints, uints and whole doubles are equal. */
function identity(key: CelValue): unknown {
  if (key instanceof CelUint) return key.value;
  return typeof key === "number" && Number.isInteger(key) ? BigInt(key) : key;
}

/** A map whose keys and values are values already. */
export class CelEntries extends CelMap {
  readonly #entries: Map<unknown, readonly [CelValue, CelValue]>;

  private constructor(entries: Map<unknown, readonly [CelValue, CelValue]>) {
    super();
    this.#entries = entries;
  }

  static empty(): CelEntries {
    return new CelEntries(new Map());
  }

  get size(): number {
    return this.#entries.size;
  }

  find(key: CelValue): CelValue | undefined {
    return this.#entries.get(identity(key))?.[1];
  }

  *keys(): Iterable<CelValue> {
    for (const [key] of this.#entries.values()) yield key;
  }

  /** Before it is handed out only. */
  set(key: CelValue, value: CelValue): void {
    this.#entries.set(identity(key), [key, value]);
  }

  delete(key: CelValue): void {
    this.#entries.delete(identity(key));
  }
}

function unwrap(value: CelValue, problem: () => string): CelValue | undefined {
  if (!(value instanceof CelOptional)) throw new CelError(`${problem()} from non-optional value ${goText(value)}`);
  return value.value;
}

/** Charges for what is made, also where a part of it has no value. */
function charged(step: Step, cost: number): Step {
  return (frame: Frame) => {
    let value: CelValue;
    try {
      value = step(frame);
    } catch (error) {
      absorbable(error);
      frame.charge(cost);
      throw error;
    }
    frame.charge(cost);
    return value;
  };
}

export function listStep(elements: readonly Step[], optional: readonly number[]): Step {
  return charged((frame) => {
    const items: CelValue[] = [];
    for (let index = 0; index < elements.length; index++) {
      let value: CelValue | undefined = (elements[index] as Step)(frame);
      if (optional.includes(index)) value = unwrap(value, () => "cannot initialize optional list element");
      if (value !== undefined) items.push(value);
    }
    return new CelArray(items);
  }, listCost);
}

export interface EntryStep {
  readonly key: Step;
  readonly value: Step;
  readonly optional: boolean;
}

export function mapStep(entries: readonly EntryStep[]): Step {
  return charged((frame) => {
    const map = CelEntries.empty();
    for (const { key, value, optional } of entries) {
      const name = key(frame);
      let made: CelValue | undefined = value(frame);
      if (optional) made = unwrap(made, () => `cannot initialize optional entry '${goText(name)}'`);
      if (made === undefined) map.delete(name);
      else map.set(name, made);
    }
    return map;
  }, mapCost);
}

export interface FieldStep {
  readonly name: string;
  readonly value: Step;
  readonly optional: boolean;
}

export function structStep(type: CelObjectType, fields: readonly FieldStep[]): Step {
  return charged((frame) => {
    const values = new Map<string, CelValue>();
    for (const { name, value, optional } of fields) {
      let made: CelValue | undefined = value(frame);
      if (optional) made = unwrap(made, () => `cannot initialize optional entry '${name}'`);
      if (made === undefined) values.delete(name);
      else values.set(name, made);
    }
    return type.create ? type.create(values) : new CelRecord(type, values);
  }, structCost);
}
