// Checks that validators of many kinds share. Each adds what it finds to a list of errors, under the path of the field.
import { equalAsTyped } from "../meta/equality.ts";
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";

/** Each problem that a check of meta/names.ts found with a value. */
export function addProblems(errors: FieldError[], field: string, value: unknown, problems: readonly string[]): void {
  for (const problem of problems) errors.push(invalidValue(field, value, problem));
}

/** A text that must be there and pass a check. */
export function checkName(
  errors: FieldError[],
  field: string,
  value: string | undefined,
  check: (value: string) => readonly string[],
): void {
  if (!value) errors.push(required(field));
  else addProblems(errors, field, value, check(value));
}

/** A text that must be there. */
export function checkPresent(errors: FieldError[], field: string, value: string | undefined): void {
  if (!value) errors.push(required(field));
}

export function checkNonNegative(errors: FieldError[], field: string, value: number | undefined): void {
  if (value !== undefined && value < 0) errors.push(invalidValue(field, value, "must be greater than or equal to 0"));
}

/** One of some words, which are listed in upstream's order; `missing` decides about an empty one. */
export function checkSupported(
  errors: FieldError[],
  field: string,
  value: string | undefined,
  supported: readonly string[],
  missing: "required" | "unsupported" | "allowed" = "unsupported",
): void {
  if (value !== undefined && supported.includes(value)) return;
  if (!value && missing === "allowed") return;
  errors.push(!value && missing === "required" ? required(field) : notSupported(field, value ?? "", supported));
}

/** A field that stays what it was; `shown` is how messages show the new value. */
export function checkImmutable(errors: FieldError[], field: string, value: unknown, old: unknown, shown: unknown = value): void {
  if (!equalAsTyped(value, old)) errors.push(invalidValue(field, shown ?? null, "field is immutable"));
}

/** Cannot fall below what it was. */
export function checkNotDecremented(errors: FieldError[], field: string, value: number | undefined, old: number | undefined): void {
  if (old !== undefined && (value ?? 0) < old) errors.push(invalidValue(field, value ?? 0, "cannot be decremented"));
}

/** A check of full names, without the rule for generateName. */
export const asName =
  (check: (name: string, prefix: boolean) => readonly string[]) =>
  (value: string): readonly string[] =>
    check(value, false);
