// Attributes: a variable or a computed value, and the fields, keys and indices that are taken of it one after the other. Each of
// them costs 1, and so does the attribute, also where the last one is missing. An optional one (`a.?b`, `a[?b]`), or an optional value to begin with, makes the
// result optional: none where something is missing.

import { CelError } from "../cel-error.ts";
import { goText } from "../go-text.ts";
import { CelList, CelMap, CelObject, CelOptional, CelTypeValue, CelUint, type CelValue, celTypeName } from "../values.ts";
import { absorbable, type Frame, type Step } from "./frame.ts";

export interface Qualifier {
  /** The key of a constant one. */
  readonly constant?: CelValue;
  /** What computes the key of another. */
  readonly step?: Step;
  readonly optional: boolean;
}

export class Attribute {
  readonly #base: Step;
  readonly #ownCost: number;
  readonly #qualifiers: readonly Qualifier[];

  /** `base` without the cost of the attribute itself, which is `ownCost`. */
  constructor(base: Step, ownCost: number, qualifiers: readonly Qualifier[] = []) {
    this.#base = base;
    this.#ownCost = ownCost;
    this.#qualifiers = qualifiers;
  }

  with(qualifier: Qualifier): Attribute {
    return new Attribute(this.#base, this.#ownCost, [...this.#qualifiers, qualifier]);
  }

  /** Evaluates without the attribute's own cost: what branches of `?:` and keys of an index do. */
  get resolve(): Step {
    const base = this.#base;
    const qualifiers = this.#qualifiers;
    if (qualifiers.length === 0) return base;
    if (qualifiers.every(({ optional, constant }) => !optional && typeof constant === "string")) {
      const names = qualifiers.map(({ constant }) => constant as string);
      return (frame) => selectNames(frame, base(frame), names);
    }
    return (frame) => qualify(frame, base(frame), qualifiers);
  }

  /** Evaluates with all costs. */
  get step(): Step {
    const { resolve } = this;
    const cost = this.#ownCost;
    if (cost === 0) return resolve;
    return (frame) => {
      let value: CelValue;
      try {
        value = resolve(frame);
      } catch (error) {
        absorbable(error);
        frame.charge(cost);
        throw error;
      }
      frame.charge(cost);
      return value;
    };
  }

  /** has(): whether the field is there. What it is taken of is evaluated as ever; the test costs 1, the attribute nothing. */
  presence(field: string): Step {
    const { resolve } = this;
    return (frame) => {
      let value = resolve(frame);
      if (value instanceof CelOptional) {
        if (value.value === undefined) return false;
        value = value.value;
      }
      const present = isPresent(value, field);
      frame.charge(1);
      return present;
    };
  }
}

/** The way of most attributes: names only. */
function selectNames(frame: Frame, base: CelValue, names: readonly string[]): CelValue {
  let value = base;
  for (let index = 0; index < names.length; index++) {
    const name = names[index] as string;
    if (value instanceof CelOptional)
      return qualify(
        frame,
        value,
        names.slice(index).map((constant) => ({ constant, optional: false })),
      );
    const found = value instanceof CelMap || value instanceof CelObject ? value.find(name) : take(value, name);
    frame.charge(1);
    if (found === undefined) throw missing(value, name);
    value = found;
  }
  return value;
}

function qualify(frame: Frame, base: CelValue, qualifiers: readonly Qualifier[]): CelValue {
  let value = base;
  let isOptional = false;
  if (value instanceof CelOptional) {
    if (value.value === undefined) return value;
    value = value.value;
    isOptional = true;
  }
  for (const { constant, step, optional } of qualifiers) {
    isOptional ||= optional;
    const key = step ? computedKey(frame, step) : (constant as CelValue);
    const found = take(value, key);
    if (found === undefined && isOptional) return CelOptional.none;
    frame.charge(1);
    if (found === undefined) throw missing(value, key);
    value = found;
  }
  return isOptional ? CelOptional.of(value) : value;
}

/** Also what has no value costs what taking it would. */
function computedKey(frame: Frame, step: Step): CelValue {
  let key: CelValue;
  try {
    key = step(frame);
  } catch (error) {
    absorbable(error);
    frame.charge(1);
    throw error;
  }
  if ((typeof key === "object" && !(key instanceof CelUint)) || key === null)
    throw new CelError(`invalid qualifier type: ${celTypeName(key)}`);
  return key;
}

/** undefined where it is missing. */
function take(value: CelValue, key: CelValue): CelValue | undefined {
  if (value instanceof CelMap) return value.find(key);
  if (value instanceof CelList) {
    const index = indexOf(key);
    return index >= 0 && index < value.size ? value.at(index) : undefined;
  }
  return value instanceof CelObject && typeof key === "string" ? value.find(key) : undefined;
}

function missing(value: CelValue, key: CelValue): CelError {
  return new CelError(`${value instanceof CelList ? "index out of bounds" : "no such key"}: ${goText(key)}`);
}

function isPresent(value: CelValue, field: string): boolean {
  if (value instanceof CelMap || value instanceof CelObject) return value.find(field) !== undefined;
  return value instanceof CelList && indexOf(field) >= 0;
}

/** The index that a key is for a list. Throws CelError. */
function indexOf(key: CelValue): number {
  if (typeof key === "bigint") return Number(key);
  if (key instanceof CelUint) return Number(key.value);
  if (typeof key === "number") {
    if (Number.isInteger(key)) return key;
    throw new CelError(`unsupported index value ${goText(key)} in list`);
  }
  throw new CelError(`unsupported index type '${new CelTypeValue(celTypeName(key)).name}' in list`);
}
