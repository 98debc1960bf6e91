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

/** What is wrong with the types of a configuration; undefined where nothing is. */
export function appliedProblem(applied: JsonObject, shape: Shape): string | undefined {
  const problems: string[] = [];
  visit(applied, shape, "", problems);
  if (problems.length <= 1) return problems[0];
  return ["errors:", ...problems.map((p) => `  ${p}`)].join("\n");
}

function visit(value: unknown, shape: Shape, path: string, problems: string[]): void {
  if (value === null) return;
  const resolved = resolveShape(shape, value);
  switch (resolved.kind) {
    case "leaf":
      if (resolved.expects && !isExpected(value, resolved.expects)) problems.push(mismatch(path, resolved.expects, value));
      else if (resolved.inside) visitInside(value, resolved.inside(), path, problems);
      return;
    case "map":
      if (!isObject(value) || value instanceof GoValue) problems.push(mismatch(path, "map", value));
      else visitFields(value, resolved, path, problems);
      return;
    default:
      if (!Array.isArray(value)) problems.push(mismatch(path, "list", value));
      else visitItems(value, resolved, path, problems);
  }
}

/** What is owned as a whole is of its type all the same. */
function visitInside(value: unknown, inside: Shape, path: string, problems: string[]): void {
  if (Array.isArray(value)) for (const [i, item] of value.entries()) visit(item, inside, `${path}[${i}]`, problems);
  else visit(value, inside, path, problems);
}

/** Nothing is looked at after a field that there is not. */
function visitFields(object: JsonObject, shape: Extract<Shape, { kind: "map" }>, path: string, problems: string[]): void {
  for (const [key, value] of Object.entries(object)) {
    const here = path + elementText(fieldElement(key));
    const declared = shape.values !== undefined || shape.fields === undefined || shape.fields.has(key);
    if (!declared) {
      problems.push(`${here}: field not declared in schema`);
      return;
    }
    visit(value, shapeAt(shape, key), here, problems);
  }
}

function visitItems(
  list: readonly unknown[],
  shape: Extract<Shape, { kind: "keyedList" | "set" }>,
  path: string,
  problems: string[],
): void {
  const seen = new Set<string>();
  for (const [i, item] of list.entries()) {
    const element = itemElement(shape, item);
    if (element === undefined) {
      // Nothing is looked at after an item without a key.
      problems.push(`${path}: element ${i}: ${withoutKey(item, shape)}`);
      return;
    }
    if (seen.has(element)) problems.push(`${path}: duplicate entries for key ${elementText(element)}`);
    seen.add(element);
    if (shape.items) visit(item, shape.items, path + elementText(element), problems);
  }
}

function withoutKey(item: unknown, shape: Extract<Shape, { kind: "keyedList" | "set" }>): string {
  if (item === null && shape.kind === "keyedList") return "associative list with keys may not have a null element";
  if (!isObject(item) || shape.kind === "set") return "associative list with keys may not have non-map elements";
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

function mismatch(path: string, expected: string, value: unknown): string {
  if (expected === "numeric") return `${path}: expected numeric (int or float), got ${goTypeOf(value)}`;
  if (expected === "boolean") return `${path}: expected boolean, got &{${goText(value)}}`;
  if (expected === "scalar") return `${path}: expected any scalar, got &{${goText(value)}}`;
  const container = expected === "map" || expected === "list";
  return `${path}: expected ${expected}, got ${container ? `&{${goText(value)}}` : `&value.valueUnstructured{Value:${goLiteral(value)}}`}`;
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
  return String(value);
}
