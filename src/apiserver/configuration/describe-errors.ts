// Errors of the fields of a configuration file, in one line.
import type { FieldError } from "../../api/meta/field-error.ts";

/** All of them, without repetition, as upstream puts them together; the lines of an expression's error in one. */
export function describeErrors(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map((error) => error.message.replace(/\s*\n\s*/g, " ")))];
  return texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
}
