// Checks that an applied configuration has the types its shape asks for, before it is merged. The texts are upstream's; an
// applied value of the wrong type is, as upstream, an error 500.
import { StatusError } from "../../meta/status-error.ts";
import { goText as goTextOfJson } from "../strategic-merge-patch.ts";
import { elementText, fieldElement } from "./field-set.ts";
import { GoValue } from "./go-value.ts";
import { isObject, itemElement, type JsonObject, resolveShape, type Shape, shapeAt } from "./shape.ts";

/** Throws when the configuration cannot be of its type. `subject` is how upstream names it: "ns/name; group/version, Kind=kind". */
export function validateApplied(applied: JsonObject, shape: Shape, subject: string): void {
  const problem = appliedProblem(applied, shape);
  if (problem === undefined) return;
  throw new StatusError({ code: 500, message: `failed to create typed patch object (${subject}): ${problem}` });
}

export interface TypeCheckOptions {
  /** Repeated items of sets and lists with keys are no problem, as in what is stored. Default false. */
  readonly allowRepeated?: boolean;
}

/** What is wrong with the types of an object; undefined where nothing is. */
export function appliedProblem(applied: JsonObject, shape: Shape, { allowRepeated = false }: TypeCheckOptions = {}): string | undefined {
  const found = new Problems(allowRepeated);
  visit(applied, shape, found);
  const problems = found.texts;
  if (problems.length <= 1) return problems[0];
  return ["errors:", ...problems.map((p) => `  ${p}`)].join("\n");
}

/** Paths are put together on the way up, and only where there is a problem: most objects have none. */
class Problems {
  readonly allowRepeated: boolean;
  readonly #found: { path: string; readonly text: string }[] = [];

  constructor(allowRepeated: boolean) {
    this.allowRepeated = allowRepeated;
  }

  get count(): number {
    return this.#found.length;
  }

  get texts(): readonly string[] {
    return this.#found.map(({ path, text }) => `${path}: ${text}`);
  }

  add(text: string, path = ""): void {
    this.#found.push({ path, text });
  }

  /** Puts a step before the paths of the problems that were found after the first `from`. */
  lieBelow(step: string, from: number): void {
    for (const problem of this.#found.slice(from)) problem.path = step + problem.path;
  }
}

function visit(value: unknown, shape: Shape, problems: Problems): void {
  if (value === null || value === undefined) return;
  const resolved = resolveShape(shape, value);
  switch (resolved.kind) {
    case "leaf":
      if (resolved.expects && !isExpected(value, resolved.expects)) problems.add(mismatch(resolved.expects, value));
      else if (resolved.inside) visitInside(value, resolved.inside(), problems);
      return;
    case "map":
      if (!isObject(value) || value instanceof GoValue) problems.add(mismatch("map", value));
      else visitFields(value, resolved, problems);
      return;
    default:
      if (!Array.isArray(value)) problems.add(mismatch("list", value));
      else visitItems(value, resolved, problems);
  }
}

/** What is owned as a whole is of its type all the same. */
function visitInside(value: unknown, inside: Shape, problems: Problems): void {
  if (!Array.isArray(value)) visit(value, inside, problems);
  else
    for (let i = 0; i < value.length; i++) {
      const { count } = problems;
      visit(value[i], inside, problems);
      if (problems.count > count) problems.lieBelow(`[${i}]`, count);
    }
}

/** Nothing is looked at after a field that there is not. */
function visitFields(object: JsonObject, shape: Extract<Shape, { kind: "map" }>, problems: Problems): void {
  for (const key in object) {
    const declared = shape.values !== undefined || shape.fields === undefined || shape.fields.has(key);
    if (!declared) {
      problems.add("field not declared in schema", elementText(fieldElement(key)));
      return;
    }
    const { count } = problems;
    visit(object[key], shapeAt(shape, key), problems);
    if (problems.count > count) problems.lieBelow(elementText(fieldElement(key)), count);
  }
}

function visitItems(list: readonly unknown[], shape: Extract<Shape, { kind: "keyedList" | "set" }>, problems: Problems): void {
  const seen = new Set<string>();
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    const element = shape.kind === "set" && typeof item === "object" ? undefined : itemElement(shape, item);
    if (element === undefined) {
      // Nothing is looked at after an item without a key.
      problems.add(`element ${i}: ${withoutKey(item, shape)}`);
      return;
    }
    if (!problems.allowRepeated) {
      if (seen.has(element)) problems.add(`duplicate entries for key ${elementText(element)}`);
      seen.add(element);
    }
    if (!shape.items) continue;
    const { count } = problems;
    visit(item, shape.items, problems);
    if (problems.count > count) problems.lieBelow(elementText(element), count);
  }
}

function withoutKey(item: unknown, shape: Extract<Shape, { kind: "keyedList" | "set" }>): string {
  if (shape.kind === "set") {
    if (Array.isArray(item)) return "not supported: associative list with lists as elements";
    return `associative list without keys has an element that's ${item === null ? "an explicit null" : "a map type"}`;
  }
  if (item === null) return "associative list with keys may not have a null element";
  if (!isObject(item)) return "associative list with keys may not have non-map elements";
  const keys = shape.keys.map((key) => JSON.stringify(key)).join(" ");
  return `associative list with keys has an element that omits all key fields [${keys}] (and doesn't have default values for any key fields)`;
}

function isExpected(value: unknown, expected: string): boolean {
  if (value instanceof GoValue) return false;
  switch (expected) {
    case "numeric":
      return typeof value === "number";
    case "list":
      return Array.isArray(value);
    case "map":
      return isObject(value);
    case "scalar":
      return typeof value !== "object";
    default:
      return typeof value === expected;
  }
}

function mismatch(expected: string, value: unknown): string {
  if (expected === "numeric") return `expected numeric (int or float), got ${goTypeOf(value)}`;
  if (expected === "boolean") return `expected boolean, got &{${goText(value)}}`;
  if (expected === "scalar") return `expected any scalar, got &{${goText(value)}}`;
  const container = expected === "map" || expected === "list";
  return `expected ${expected}, got ${container ? `&{${goText(value)}}` : `&value.valueUnstructured{Value:${goLiteral(value)}}`}`;
}

const goText = (value: unknown): string => (value instanceof GoValue ? value.text : goTextOfJson(value));

const goTypeOf = (value: unknown): string =>
  value instanceof GoValue
    ? value.type
    : typeof value === "boolean"
      ? "bool"
      : Array.isArray(value)
        ? "[]interface {}"
        : isObject(value)
          ? "map[string]interface {}"
          : typeof value;

function goLiteral(value: unknown): string {
  if (value instanceof GoValue) return value.literal;
  if (typeof value === "string") return JSON.stringify(value);
  if (isObject(value))
    return `map[string]interface {}{${Object.entries(value)
      .map(([k, v]) => `${JSON.stringify(k)}:${goLiteral(v)}`)
      .join(", ")}}`;
  if (Array.isArray(value)) return `[]interface {}{${value.map(goLiteral).join(", ")}}`;
  return value === null ? "interface {}(nil)" : String(value);
}
