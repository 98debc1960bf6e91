// Compiles the constraints that a schema puts on values into closures. Which checks apply to which kind of value, their
// order, and how alternatives (anyOf, oneOf) choose the failures that are told, by the number of checks that passed, are
// those of the library that upstream validates with.
import type { JSONSchemaProps } from "../types/apiextensions-v1.ts";
import type { Correlation } from "./correlation.ts";
import { type JsonObject, jsonKey } from "./json.ts";
import { formatTextCheck, kindOf, numberCheck, stringCheck, typeCheck } from "./scalar-checks.ts";
import { Findings, forbiddenProperty, missing, moreThan, notAmong, placeless, unfit } from "./value-problem.ts";

/** Checks a value at a path; `old` is known where it stands in an object that is changed, and what did not change may be wrong. */
export type ValueCheck = (value: unknown, path: string, found: Findings, old: Correlation | undefined) => void;

export interface ValueOptions {
  /** Formats that mean nothing for their type are asked for all the same, as in the defaults of a definition. Default false. */
  readonly keepsFormats?: boolean;
}

export function compileValues(schema: JSONSchemaProps, options: ValueOptions = {}): ValueCheck {
  const type = typeCheck(schema, options);
  const combined = combinedCheck(schema, options);
  const text = stringCheck(schema);
  const format = formatTextCheck(schema);
  const number = numberCheck(schema);
  const items = itemsCheck(schema, options);
  const oneOfValues = enumCheck(schema);
  const fields = fieldsCheck(schema, options);
  // The checks that apply count, whatever they found: of the type, of combinations (twice), of values, and the whole.
  const always = (type ? 1 : 0) + 4;
  return (value, path, found, old) => {
    const kind = kindOf(value);
    found.work.spend(1);
    type?.(kind, path, found);
    if (kind === "null") {
      oneOfValues?.(value, path, found);
      return;
    }
    combined?.(value, path, found, old);
    found.matches += always;
    switch (kind) {
      case "string":
        text?.(value, path, found);
        format?.(value, path, found);
        found.matches += format ? 2 : 1;
        break;
      case "integer":
      case "number":
        number?.(value, path, found);
        found.matches += number ? 1 : 2;
        break;
      case "array":
        items?.(value as readonly unknown[], path, found, old);
        found.matches += 2;
        break;
    }
    oneOfValues?.(value, path, found);
    if (kind !== "object") return;
    fields?.(value as JsonObject, path, found, old);
    found.matches++;
  };
}

/** Checks a field or an item, whose problems count only where it has changed. */
export function checkPart(check: ValueCheck, value: unknown, path: string, found: Findings, old: Correlation | undefined): void {
  if (!old) {
    check(value, path, found, undefined);
    return;
  }
  const before = found.mark();
  check(value, path, found, old);
  if (found.hasProblemsSince(before) && old.unchanged) found.forgiveSince(before);
}

function enumCheck(schema: JSONSchemaProps): ((value: unknown, path: string, found: Findings) => void) | undefined {
  const { enum: values = [] } = schema;
  if (values.length === 0) return undefined;
  const scalars = new Set(values.filter((value) => typeof value !== "object"));
  const composites = new Set(values.filter((value) => typeof value === "object" && value !== null).map(jsonKey));
  let problem: ReturnType<typeof notAmong> | undefined;
  return (value, path, found) => {
    if (scalars.has(value)) return;
    if (typeof value === "number" && (scalars.has(Math.trunc(value)) || scalars.has(characterOf(value)))) return;
    if (composites.size > 0 && typeof value === "object" && value !== null && composites.has(jsonKey(value))) return;
    problem ??= notAmong(values);
    found.add(problem(path, value));
  };
}

/** Go compares a number as what the allowed value is: cut to an integer, or an integer as the character of that code. */
function characterOf(value: number): string | undefined {
  if (!Number.isInteger(value)) return undefined;
  const isCharacter = value >= 0 && value <= 0x10ffff && !(value >= 0xd800 && value <= 0xdfff);
  return isCharacter ? String.fromCodePoint(value) : "\ufffd";
}

/** allOf, anyOf, oneOf and not. */
function combinedCheck({ allOf = [], anyOf = [], oneOf = [], not }: JSONSchemaProps, options: ValueOptions): ValueCheck | undefined {
  const compile = (schema: JSONSchemaProps): ValueCheck => compileValues(schema, options);
  const parts: ValueCheck[] = [];
  if (anyOf.length > 0) parts.push(anyOfCheck(anyOf.map(compile)));
  if (oneOf.length > 0) parts.push(oneOfCheck(oneOf.map(compile)));
  if (allOf.length > 0) parts.push(allOfCheck(allOf.map(compile)));
  if (not) parts.push(notCheck(compile(not)));
  if (parts.length === 0) return undefined;
  return (value, path, found, old) => {
    for (const part of parts) part(value, path, found, old);
  };
}

function run(check: ValueCheck, value: unknown, path: string, old: Correlation | undefined, { work }: Findings): Findings {
  const found = new Findings(work);
  check(value, path, found, old);
  return found;
}

const anyOfCheck =
  (checks: readonly ValueCheck[]): ValueCheck =>
  (value, path, found, old) => {
    let best: Findings | undefined;
    for (const check of checks) {
      const result = run(check, value, path, old, found);
      if (!result.hasProblems) {
        found.matches += result.matches;
        return;
      }
      if (!best || result.matches > best.matches) best = result;
    }
    found.addLater(path, () => placeless(`${JSON.stringify(path)} must validate at least one schema (anyOf)`));
    if (best) found.merge(best);
  };

const oneOfCheck =
  (checks: readonly ValueCheck[]): ValueCheck =>
  (value, path, found, old) => {
    let best: Findings | undefined;
    let passed: Findings | undefined;
    let count = 0;
    for (const check of checks) {
      const result = run(check, value, path, old, found);
      if (!result.hasProblems) {
        count++;
        passed ??= result;
        best = undefined;
      } else if (count === 0 && (!best || result.matches > best.matches)) best = result;
    }
    if (count === 1 && passed) {
      found.merge(passed);
      return;
    }
    const outcome = count === 0 ? "Found none valid" : `Found ${count} valid alternatives`;
    found.addLater(path, () => placeless(`${JSON.stringify(path)} must validate one and only one schema (oneOf). ${outcome}`));
    if (best) found.merge(best);
  };

const allOfCheck =
  (checks: readonly ValueCheck[]): ValueCheck =>
  (value, path, found, old) => {
    let passed = 0;
    for (const check of checks) {
      const result = run(check, value, path, old, found);
      if (!result.hasProblems) passed++;
      found.merge(result);
    }
    if (passed === checks.length) return;
    found.addLater(path, () =>
      placeless(`${JSON.stringify(path)} must validate all the schemas (allOf)${passed === 0 ? ". None validated" : ""}`),
    );
  };

const notCheck =
  (check: ValueCheck): ValueCheck =>
  (value, path, found, old) => {
    if (run(check, value, path, old, found).hasProblems) return;
    found.addLater(path, () => placeless(`${JSON.stringify(path)} must not validate the schema (not)`));
  };

type ItemsCheck = (items: readonly unknown[], path: string, found: Findings, old: Correlation | undefined) => void;

function itemsCheck({ items, minItems, maxItems, uniqueItems }: JSONSchemaProps, options: ValueOptions): ItemsCheck | undefined {
  const each = items && !Array.isArray(items) ? compileValues(items as JSONSchemaProps, options) : undefined;
  if (!each && minItems === undefined && maxItems === undefined && !uniqueItems) return undefined;
  return (list, path, found, old) => {
    if (each) for (const [i, item] of list.entries()) checkPart(each, item, `${path}[${i}]`, found, old?.item(i));
    const size = list.length;
    if (minItems !== undefined && size < minItems) found.add(unfit(path, size, `should have at least ${minItems} items`));
    if (maxItems !== undefined && size > maxItems) found.add(moreThan(path, size, maxItems, "items"));
    if (uniqueItems && new Set(list.map(jsonKey)).size < size) found.add(unfit(path, "", "shouldn't contain duplicates"));
  };
}

type FieldsCheck = (object: JsonObject, path: string, found: Findings, old: Correlation | undefined) => void;

function fieldsCheck(schema: JSONSchemaProps, options: ValueOptions): FieldsCheck | undefined {
  const { minProperties, maxProperties, required = [], additionalProperties } = schema;
  const propertyCheck = propertyChecks(schema.properties, options);
  const additional = typeof additionalProperties === "object" ? compileValues(additionalProperties, options) : undefined;
  const closed = additionalProperties === false;
  const counts = minProperties !== undefined || maxProperties !== undefined;
  if (!counts && required.length === 0 && !propertyCheck && !additional && !closed) return undefined;
  return (object, path, found, old) => {
    if (counts) checkCount(object, path, found, schema);
    for (const field in object) {
      const property = propertyCheck?.(field);
      // Who the object says it is cannot be compared with what it was: both were converted to this version.
      const before = path === "" && (field === "kind" || field === "apiVersion") ? undefined : old?.field(field);
      if (property) checkPart(property, object[field], path === "" ? field : `${path}.${field}`, found, before);
      else if (additional) checkPart(additional, object[field], `${path}.${field}`, found, before);
      else if (closed) found.add(forbiddenProperty(path, field));
    }
    for (const field of required) {
      if (Object.hasOwn(object, field)) continue;
      found.add(missing(`${path}.${field}`));
      if (found.isFull) break;
    }
  };
}

/**
 * The checks of declared fields, each compiled when there is first a value for it: objects have a small part of what large schemas
 * declare.
 */
function propertyChecks(
  declared: Readonly<Record<string, JSONSchemaProps>> = {},
  options: ValueOptions,
): ((field: string) => ValueCheck | undefined) | undefined {
  if (Object.keys(declared).length === 0) return undefined;
  const compiled = new Map<string, ValueCheck>();
  return (field) => {
    const known = compiled.get(field);
    if (known) return known;
    const schema = Object.hasOwn(declared, field) ? declared[field] : undefined;
    if (!schema) return undefined;
    const check = compileValues(schema, options);
    compiled.set(field, check);
    return check;
  };
}

function checkCount(object: JsonObject, path: string, found: Findings, { minProperties, maxProperties }: JSONSchemaProps): void {
  const count = Object.keys(object).length;
  if (minProperties !== undefined && count < minProperties)
    found.add(unfit(path, count, `should have at least ${minProperties} properties`));
  if (maxProperties !== undefined && count > maxProperties) found.add(moreThan(path, count, maxProperties, "properties"));
}
