// JSONPath as the printer columns of custom resources use it, in the dialect of kubectl's templates: fields, quoted fields,
// indexes, slices, unions, wildcards, recursive descent, and filters that compare
// (`.status.conditions[?(@.type=="Ready")].status`). What is missing is no error, it gives no values.
import { isJsonObject } from "../../api/structural/json.ts";
import { JsonPathReader } from "./json-path-reader.ts";

/** One step: from the values found so far to those one level further. */
export type Step = (values: readonly unknown[]) => unknown[];

/** Values beyond these are left out: a path of many `..` would find the same ones again and again. */
const maxValues = 10_000;

/** Reads a path once. Gives all values found; none for a path that cannot be read. */
export function compileJsonPath(path: string): (object: unknown) => readonly unknown[] {
  const steps = new JsonPathReader(path.trim().replace(/^\{(.*)\}$/s, "$1"), builders).steps();
  if (!steps) return () => [];
  return (object) => {
    let values: readonly unknown[] = [object];
    for (const step of steps) {
      values = step(values);
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

const run = (steps: readonly Step[], value: unknown): readonly unknown[] =>
  steps.reduce<readonly unknown[]>((values, step) => step(values), [value]);

const operandValue = (operand: Operand, item: unknown): unknown => ("path" in operand ? run(operand.path, item)[0] : operand.constant);

/** What the steps of a path do. */
const builders = {
  fields:
    (names: readonly string[]): Step =>
    (values) =>
      values.flatMap((value) => (isJsonObject(value) ? names.filter((name) => Object.hasOwn(value, name)).map((name) => value[name]) : [])),

  indexes:
    (indexes: readonly number[]): Step =>
    (values) =>
      values.flatMap((value) =>
        Array.isArray(value) ? indexes.map((index) => value.at(index) as unknown).filter((v) => v !== undefined) : [],
      ),

  slice:
    (from: number | undefined, to: number | undefined, step: number): Step =>
    (values) =>
      values.flatMap((value) => (Array.isArray(value) ? (value.slice(from ?? 0, to) as unknown[]).filter((_, i) => i % step === 0) : [])),

  every: ((values) => values.flatMap(childrenOf)) as Step,

  /** The values and everything below them. */
  descend: ((values) => {
    const found: unknown[] = [...values];
    for (let i = 0; i < found.length && found.length < maxValues; i++) found.push(...childrenOf(found[i]));
    return found;
  }) as Step,

  filter:
    (left: Operand, comparison: Comparison | undefined, right: Operand): Step =>
    (values) =>
      values.flatMap((value) => (Array.isArray(value) ? value.filter((item) => holds(item, left, comparison, right)) : [])),
};

export type StepBuilders = typeof builders;

function holds(item: unknown, left: Operand, comparison: Comparison | undefined, right: Operand): boolean {
  const a = operandValue(left, item);
  if (a === undefined) return false;
  if (comparison === undefined) return true;
  const b = operandValue(right, item);
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
