// Validation of metav1 conditions in a status: one of each type, with a known status, a reason and a time.
import { duplicate, type FieldError, invalidValue, required, tooLong } from "../meta/field-error.ts";
import { byteLength, formatProblem, isQualifiedName } from "../meta/names.ts";
import type { Condition } from "../types/meta-v1.ts";
import { addProblems, checkSupported } from "./rules.ts";

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
  const types = new Set<string>();
  for (const [i, { type = "", status, reason = "", message = "", lastTransitionTime, observedGeneration = 0 }] of conditions.entries()) {
    const at = `${field}[${i}]`;
    if (types.has(type)) errors.push(duplicate(`${at}.type`, type));
    types.add(type);
    addProblems(errors, `${at}.type`, type, isQualifiedName(type));
    checkSupported(errors, `${at}.status`, status, ["False", "True", "Unknown"]);
    if (observedGeneration < 0)
      errors.push(invalidValue(`${at}.observedGeneration`, observedGeneration, "must be greater than or equal to zero"));
    if (!lastTransitionTime) errors.push(required(`${at}.lastTransitionTime`));
    if (reason === "") errors.push(required(`${at}.reason`));
    else if (!reasonPattern.test(reason)) errors.push(invalidValue(`${at}.reason`, reason, reasonProblem));
    if (byteLength(reason) > maxReason) errors.push(tooLong(`${at}.reason`, maxReason));
    if (byteLength(message) > maxMessage) errors.push(tooLong(`${at}.message`, maxMessage));
  }
}

/** A condition with its fields in the order in which Go writes them. */
export const shownCondition = ({ type, status, observedGeneration, lastTransitionTime, reason, message }: Condition): Condition => ({
  type,
  status,
  ...(observedGeneration ? { observedGeneration } : {}),
  lastTransitionTime,
  reason,
  message,
});
