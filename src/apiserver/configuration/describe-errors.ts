// Errors of the fields of a configuration file, in one line.
import type { FieldError } from "../../api/meta/field-error.ts";

/** All of them, without repetition, as upstream puts them together; the lines of an expression's error in one. */
export function describeErrors(errors: readonly FieldError[]): string {
  const texts = [...new Set(errors.map((error) => oneLine(error.message)))];
  return texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
}

/** Each break, with the spaces and further breaks around it, as one space. */
function oneLine(text: string): string {
  const lines = text.split("\n");
  const last = lines.length - 1;
  if (last === 0) return text;
  const between = lines.slice(1, last).flatMap((line) => line.trim() || []);
  return [lines[0]?.trimEnd(), ...between, lines[last]?.trimStart()].join(" ");
}
