// Tolerations of taints.
import { type FieldError, invalidValue, notSupported } from "../meta/field-error.ts";
import { isLabelValue, isQualifiedName } from "../meta/names.ts";
import type { Toleration } from "../types/core-v1.ts";
import type { PodAllowances } from "./pod-rules.ts";
import { addProblems, checkSupported } from "./rules.ts";

export const taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export function validateTolerations(
  errors: FieldError[],
  field: string,
  tolerations: readonly Toleration[],
  allows: PodAllowances | undefined,
): void {
  for (let i = 0; i < tolerations.length; i++) {
    const toleration = tolerations[i];
    if (!toleration) continue;
    const path = `${field}[${i}]`;
    const { key, operator = "", effect = "", tolerationSeconds } = toleration;
    if (key) addProblems(errors, `${path}.key`, key, isQualifiedName(key));
    else if (operator !== "Exists")
      errors.push(
        invalidValue(
          `${path}.operator`,
          operator,
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    if (tolerationSeconds !== undefined && effect !== "NoExecute")
      errors.push(invalidValue(`${path}.effect`, effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"));
    validateOperator(errors, path, toleration, allows);
    checkSupported(errors, `${path}.effect`, effect, taintEffects, "allowed");
  }
}

function validateOperator(
  errors: FieldError[],
  path: string,
  { operator, value = "" }: Toleration,
  allows: PodAllowances | undefined,
): void {
  const known: string = operator ?? "";
  switch (known) {
    case "":
    case "Equal": {
      const problems = isLabelValue(value);
      if (problems.length > 0) errors.push(invalidValue(`${path}.operator`, value, problems.join(";")));
      return;
    }
    case "Exists":
      if (value !== "") errors.push(invalidValue(`${path}.operator`, value, "value must be empty when `operator` is 'Exists'"));
      return;
    case "Lt":
    case "Gt":
      if (!allows?.comparingTolerations) errors.push(notSupported(`${path}.operator`, known, ["Equal", "Exists", "Lt", "Gt"]));
      else if (!/^-?(0|[1-9]\d*)$/.test(value))
        errors.push(invalidValue(`${path}.value`, value, "must be a valid decimal integer in canonical form"));
      return;
    default:
      errors.push(notSupported(`${path}.operator`, known, ["Equal", "Exists"]));
  }
}
