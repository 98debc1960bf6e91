// JSONPath as the printer columns of custom resources use it, in the dialect of kubectl's templates: fields, quoted fields,
// indexes, slices, unions, wildcards, recursive descent, and filters that compare
// (`.status.conditions[?(@.type=="Ready")].status`). What is missing is no error, it gives no values.

import { isJsonObject } from "../../api/structural/json.ts";
import { appendAll } from "../../base/append-all.ts";
import { JsonPathReader } from "./json-path-reader.ts";

/** One step: from the values found so far to those one level further. */
export type Step = (values: readonly unknown[], visits: Visits) => unknown[];

/** Values beyond these are left out: a path of many `..` would find the same ones again and again. */
const maxValues = 10_000;

/** How many values the paths of one object may still look at; what they would find after that is left out. */
export interface Visits {
  left: number;
}

/** For all columns of one object: a filter looks at each item, and paths and columns can be thousands. */
export const maxVisits = 1_000_000;

/** Reads a path once. Gives all values found; none for a path that cannot be read. */
export function compileJsonPath(path: string): (object: unknown, visits?: Visits) => readonly unknown[] {
  const steps = new JsonPathReader(path.trim().replace(/^\{(.*)\}$/s, "$1"), builders).steps();
  if (!steps) return () => [];
  return (object, visits = { left: maxVisits }) => {
    let values: readonly unknown[] = [object];
    for (const step of steps) {
      values = step(values, visits);
      if (values.length > maxValues) values = values.slice(0, maxValues);
      if (values.length === 0) break;
    }
    return values;
  };
}

/** The field names of a path that is nothing but fields: ".spec.replicas". */
export function fieldsOfPath(path: string): readonly string[] {
  return path.split(".").filter((field) => field !== "");
}

export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=";

/** One side of a comparison: a path from the item, or a constant. */
export type Operand = { readonly path: readonly Step[] } | { readonly constant: unknown };

const childrenOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value)
    ? value
    : isJsonObject(value)
      ? Object.keys(value)
          .sort()
          .map((key) => value[key])
      : [];

const lengthOf = (value: unknown): number => (Array.isArray(value) ? value.length : isJsonObject(value) ? Object.keys(value).length : 0);

const run = (steps: readonly Step[], value: unknown, visits: Visits): readonly unknown[] =>
  steps.reduce<readonly unknown[]>((values, step) => step(values, visits), [value]);

const operandValue = (operand: Operand, item: unknown, visits: Visits): unknown =>
  "path" in operand ? run(operand.path, item, visits)[0] : operand.constant;

/** What is found in each of the values, as far as there may be more of it. `width`: how many parts of a value are looked at. */
function gather(
  values: readonly unknown[],
  visits: Visits,
  width: (value: unknown) => number,
  found: (value: unknown) => readonly unknown[],
): unknown[] {
  const gathered: unknown[] = [];
  for (const value of values) {
    if (visits.left <= 0 || gathered.length > maxValues) break;
    visits.left -= 1 + width(value);
    appendAll(gathered, found(value));
  }
  return gathered;
}

/** What the steps of a path do. */
const builders = {
  fields:
    (names: readonly string[]): Step =>
    (values, visits) =>
      gather(
        values,
        visits,
        () => names.length,
        (value) => (isJsonObject(value) ? names.filter((name) => Object.hasOwn(value, name)).map((name) => value[name]) : []),
      ),

  indexes:
    (indexes: readonly number[]): Step =>
    (values, visits) =>
      gather(
        values,
        visits,
        () => indexes.length,
        (value) => (Array.isArray(value) ? indexes.map((index) => value.at(index) as unknown).filter((v) => v !== undefined) : []),
      ),

  slice:
    (from: number | undefined, to: number | undefined, step: number): Step =>
    (values, visits) =>
      gather(values, visits, lengthOf, (value) =>
        Array.isArray(value) ? (value.slice(from ?? 0, to) as unknown[]).filter((_, i) => i % step === 0) : [],
      ),

  every: ((values, visits) => gather(values, visits, lengthOf, childrenOf)) as Step,

  /** The values and everything below them. */
  descend: ((values, visits) => {
    const found: unknown[] = [...values];
    for (let i = 0; i < found.length && found.length < maxValues && visits.left > 0; i++) {
      visits.left -= 1 + lengthOf(found[i]);
      appendAll(found, childrenOf(found[i]));
    }
    return found;
  }) as Step,

  filter:
    (left: Operand, comparison: Comparison | undefined, right: Operand): Step =>
    (values, visits) =>
      gather(
        values,
        visits,
        () => 0,
        (value) =>
          Array.isArray(value) ? value.filter((item) => visits.left-- > 0 && holds(item, { left, comparison, right }, visits)) : [],
      ),
};

export type StepBuilders = typeof builders;

interface Condition {
  readonly left: Operand;
  readonly comparison: Comparison | undefined;
  readonly right: Operand;
}

function holds(item: unknown, { left, comparison, right }: Condition, visits: Visits): boolean {
  const a = operandValue(left, item, visits);
  if (a === undefined) return false;
  if (comparison === undefined) return true;
  const b = operandValue(right, item, visits);
  // Values of different types are neither equal nor ordered.
  if (typeof a !== typeof b) return false;
  if (comparison === "==") return a === b;
  if (comparison === "!=") return a !== b;
  if (typeof a !== "number" && typeof a !== "string") return false;
  const other = b as typeof a;
  if (comparison === "<") return a < other;
  if (comparison === "<=") return a <= other;
  return comparison === ">" ? a > other : a >= other;
}
