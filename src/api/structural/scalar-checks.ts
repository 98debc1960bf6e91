// Checks of values without parts: their type, the range and form of numbers and texts. Oddities are upstream's: a text of a
// format is not asked for its type, whole numbers pass as integers however they are written, and the bounds of an integer
// are cut to integers.

import { compilePattern, type Pattern, PatternError } from "../../base/regex/pattern.ts";
import { invalidValue } from "../meta/field-error.ts";
import { showFloat, showInteger } from "../meta/go-number.ts";
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import { formatCheck, isKnownFormat } from "./formats.ts";
import { type Findings, longerThan, placeless, shortKey, unfit, wrongType } from "./value-problem.ts";

export type ScalarCheck = (value: unknown, path: string, found: Findings) => void;

const maxInteger = 2 ** 63;

/** Whether Go has the number as an integer. */
const isInteger = (value: number): boolean => Number.isInteger(value) && Math.abs(value) < maxInteger;

export type ValueKind = "null" | "boolean" | "string" | "integer" | "number" | "array" | "object";

export function kindOf(value: unknown): ValueKind {
  switch (typeof value) {
    case "string":
    case "boolean":
      return typeof value as ValueKind;
    case "number":
      return isInteger(value) ? "integer" : "number";
    default:
      if (value === null || value === undefined) return "null";
      return Array.isArray(value) ? "array" : "object";
  }
}

/** The types that a schema allows: none, one, or both of an integer or a text. */
export function typesOf(schema: JSONSchemaProps): readonly string[] {
  if (schema["x-kubernetes-int-or-string"]) return ["integer", "string"];
  return schema.type ? [schema.type] : [];
}

/** The format where it has a meaning. */
export function formatOf(schema: JSONSchemaProps): string {
  const { format = "" } = schema;
  return format !== "" && isKnownFormat(typesOf(schema), format) ? format : "";
}

export type TypeCheck = (kind: ValueKind, path: string, found: Findings) => void;

/** There are few that differ, and every value of a schema has one. */
const typeChecks = new Map<string, TypeCheck>();

/** The check of the type; undefined where any will do. */
export function typeCheck(
  schema: JSONSchemaProps,
  { keepsFormats = false }: { readonly keepsFormats?: boolean } = {},
): TypeCheck | undefined {
  const types = typesOf(schema);
  const nullable = schema.nullable === true;
  if (keepsFormats) return makeTypeCheck(types, schema.format ?? "", nullable);
  const format = formatOf(schema);
  if (types.length === 0 && format === "") return undefined;
  const key = `${types.join()} ${format} ${nullable}`;
  let check = typeChecks.get(key);
  if (!check) {
    check = makeTypeCheck(types, format, nullable);
    if (check) typeChecks.set(key, check);
  }
  return check;
}

function makeTypeCheck(types: readonly string[], format: string, nullable: boolean): TypeCheck | undefined {
  if (types.length === 0 && format === "") return undefined;
  const expected = types.join();
  const numeric = types.includes("number") || types.includes("integer");
  const fits = (kind: ValueKind): boolean => types.includes(kind) || (kind === "integer" && types.includes("number"));
  return (kind, path, found) => {
    if (kind === "null") {
      if (types.length === 0 || nullable) found.matches++;
      else found.add(wrongType(path, expected, "null"));
      return;
    }
    const hasText = kind === "string" || kind === "array";
    if (!hasText && format !== "" && !fits(kind) && formatOfKind(kind) !== format) found.add(wrongType(path, format, formatOfKind(kind)));
    else if ((!numeric && format !== "" && hasText) || fits(kind)) found.matches++;
    else found.add(wrongType(path, expected, kind));
  };
}

const formatOfKind = (kind: ValueKind): string => (kind === "integer" ? "int64" : kind === "number" ? "float64" : "");

/** Length and pattern of texts; the first that fails is told. */
export function stringCheck({ maxLength, minLength, pattern = "" }: JSONSchemaProps): ScalarCheck | undefined {
  if (maxLength === undefined && minLength === undefined && pattern === "") return undefined;
  const matches = pattern === "" ? undefined : patternCheck(pattern);
  return (value, path, found) => {
    const text = value as string;
    const length = maxLength === undefined && minLength === undefined ? 0 : characters(text);
    if (maxLength !== undefined && length > maxLength) found.add(longerThan(path, maxLength));
    else if (minLength !== undefined && length < minLength) found.add(unfit(path, text, `should be at least ${minLength} chars long`));
    else matches?.(text, path, found);
  };
}

function patternCheck(pattern: string): (text: string, path: string, found: Findings) => void {
  let problem = "";
  let expression: Pattern | undefined;
  try {
    expression = compilePattern(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    problem = `, but pattern is invalid: ${error.message}`;
  }
  const asked = `should match '${pattern}${problem}'`;
  const key = shortKey(asked);
  return (text, path, found) => {
    if (expression?.test(text, found.work.patternSteps) !== true) found.add(unfit(path, text, asked, key));
  };
}

/** The number of characters, where one beyond the basic plane is one. */
function characters(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) === 0xdc00) count--;
  return count;
}

export function formatTextCheck(schema: JSONSchemaProps): ScalarCheck | undefined {
  const format = formatOf(schema);
  const check = formatCheck(format);
  return (
    check &&
    ((value, path, found) => {
      if (!check(value as string)) found.add(wrongType(path, format, value as string));
    })
  );
}

/** Range and divisibility of numbers. */
export function numberCheck(schema: JSONSchemaProps): ScalarCheck | undefined {
  const types = typesOf(schema);
  const type = types.length === 1 && (types[0] === "integer" || types[0] === "number") ? types[0] : "";
  const format = type === "" ? "" : formatOf(schema);
  const { multipleOf, maximum, minimum, exclusiveMaximum = false, exclusiveMinimum = false } = schema;
  const fits = (value: number): boolean => fitsType(value, type, format);
  const checksRange = type === "integer" || format === "float";
  if (!checksRange && multipleOf === undefined && maximum === undefined && minimum === undefined) return undefined;
  const suffix = format === "" ? "(default format)" : `with format ${format}`;
  const checkFits = (value: number, what: string, path: string, found: Findings): boolean => {
    if (fits(value)) return true;
    found.add(placeless(`${what} value must be of type ${type} ${suffix} in ${path}`));
    return false;
  };
  return (given, path, found) => {
    const value = given as number;
    if (checksRange) checkFits(value, "Checked", path, found);
    const whole = isInteger(value);
    /** Integers are compared with bounds that were cut to integers. */
    const bound = (limit: number, what: string): { readonly limit: number; readonly text: string } => {
      const asInteger = checkFits(limit, what, path, found) && whole;
      return asInteger ? { limit: Math.trunc(limit), text: showInteger(Math.trunc(limit)) } : { limit, text: showFloat(limit) };
    };
    if (multipleOf !== undefined) checkMultiple(value, bound(multipleOf, "MultipleOf"), path, found);
    if (minimum !== undefined) {
      const { limit, text } = bound(minimum, "Minimum boundary");
      if (exclusiveMinimum ? value <= limit : value < limit)
        found.add(unfit(path, value, `should be greater than ${exclusiveMinimum ? "" : "or equal to "}${text}`));
    }
    if (maximum !== undefined) {
      const { limit, text } = bound(maximum, "Maximum boundary");
      if (exclusiveMaximum ? value >= limit : value > limit)
        found.add(unfit(path, value, `should be less than ${exclusiveMaximum ? "" : "or equal to "}${text}`));
    }
    found.matches++;
  };
}

function fitsType(value: number, type: string, format: string): boolean {
  if (type === "integer") {
    if (!Number.isInteger(value)) return false;
    return format === "int32" ? value < 2 ** 31 && value >= -(2 ** 31) : value < maxInteger && value >= -maxInteger;
  }
  return format !== "float" || Math.abs(value) <= 3.4028235677973366e38;
}

function checkMultiple(
  value: number,
  { limit, text }: { readonly limit: number; readonly text: string },
  path: string,
  found: Findings,
): void {
  if (limit <= 0) {
    const message = `factor MultipleOf declared for ${path} must be positive: ${text}`;
    found.add({ path, message, toError: (field) => invalidValue(field, limit, message) });
    return;
  }
  const quotient = limit < 1 ? (1 / limit) * value : value / limit;
  const whole = isInteger(value) && Number.isInteger(limit) ? value % limit === 0 : isNearlyInteger(quotient);
  if (!whole) found.add(unfit(path, value, `should be a multiple of ${text}`));
}

function isNearlyInteger(value: number): boolean {
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
  const whole = Math.trunc(value);
  return value === whole || Math.abs(value - whole) / (Math.abs(value) + Math.abs(whole)) < 1e-9;
}
