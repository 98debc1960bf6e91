// Errors of the fields of a configuration file, in one line.
import type { FieldError } from "../../api/meta/field-error.ts";

/** All of them, without repetition, as upstream puts them together. */
export function describeErrors(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map((error) => error.message))];
  return texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
}
