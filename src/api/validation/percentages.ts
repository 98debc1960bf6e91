// Numbers or percentages: how many pods may be unavailable or surplus during an update, or must be available.
import { type FieldError, invalidValue } from "../meta/field-error.ts";
import type { IntOrString } from "../meta/int-or-string.ts";
import { isPercent } from "../meta/names.ts";
import { addProblems, checkNonNegative } from "./rules.ts";

export function validateCountOrPercent(errors: FieldError[], field: string, value: IntOrString): void {
  if (typeof value === "string") addProblems(errors, field, value, isPercent(value));
  else checkNonNegative(errors, field, value);
}

const percentOf = (value: IntOrString): number | undefined =>
  typeof value === "string" && isPercent(value).length === 0 ? Number(value.slice(0, -1)) : undefined;

/** The number, or that before the percent sign; 0 for other texts that are no number. */
export function countOrPercent(value: IntOrString = 0): number {
  return percentOf(value) ?? (/^[+-]?\d+$/.test(String(value)) ? Number(value) : 0);
}

export function checkAtMost100Percent(errors: FieldError[], field: string, value: IntOrString): void {
  if ((percentOf(value) ?? 0) > 100) errors.push(invalidValue(field, value, "must not be greater than 100%"));
}
