// Validation of metav1 conditions in a status: one of each type, with a known status, a reason and a time.
import { type FieldError, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { byteLength, formatProblem, isQualifiedName } from "../meta/names.ts";
import type { Condition } from "../types/meta-v1.ts";
import { addProblems, checkNonNegative, checkSupported } from "./rules.ts";

const reasonFormat = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";
const reasonPattern = new RegExp(`^${reasonFormat}$`);
const reasonProblem = formatProblem(
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  reasonFormat,
  "my_name",
  "MY_NAME",
  "MyName",
  "ReasonA,ReasonB",
  "ReasonA:ReasonB",
);
const maxReason = 1024;
const maxMessage = 32_768;

export function validateConditions(errors: FieldError[], field: string, conditions: readonly Condition[]): void {
  const first = new Map<string, number>();
  for (const [i, condition] of conditions.entries()) {
    const at = `${field}[${i}]`;
    const { type = "", status, reason = "", message = "", lastTransitionTime, observedGeneration } = condition;
    if (first.has(type)) errors.push(invalidValue(`${at}.type`, type, "must be unique"));
    else first.set(type, i);
    validateType(errors, `${at}.type`, type);
    checkSupported(errors, `${at}.status`, status, ["False", "True", "Unknown"]);
    checkNonNegative(errors, `${at}.observedGeneration`, observedGeneration);
    if (!lastTransitionTime) errors.push(required(`${at}.lastTransitionTime`, "must be set"));
    if (reason === "") errors.push(required(`${at}.reason`, "must be set"));
    else if (byteLength(reason) > maxReason) errors.push(tooLong(`${at}.reason`, maxReason));
    else if (!reasonPattern.test(reason)) errors.push(invalidValue(`${at}.reason`, reason, reasonProblem));
    if (byteLength(message) > maxMessage) errors.push(tooLong(`${at}.message`, maxMessage));
  }
}

function validateType(errors: FieldError[], field: string, type: string): void {
  if (type === "") errors.push(required(field, "must be set"));
  else addProblems(errors, field, type, isQualifiedName(type));
}
