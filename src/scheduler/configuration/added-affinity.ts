// The node affinity that a profile adds to every pod, checked as upstream checks it: by what its matching can work with, which
// says other things than the validation of pods. Terms that are empty match nothing and are allowed.
import { type FieldError, invalidValue, notSupported } from "../../api/meta/field-error.ts";
import { isLabelValue, isQualifiedName } from "../../api/meta/names.ts";
import type { NodeAffinity, NodeSelectorRequirement, NodeSelectorTerm } from "../../api/types/core-v1.ts";
import { addProblems } from "../../api/validation/rules.ts";

export function validateAddedAffinity(errors: FieldError[], path: string, affinity: NodeAffinity): void {
  const { requiredDuringSchedulingIgnoredDuringExecution: required, preferredDuringSchedulingIgnoredDuringExecution: preferred = [] } =
    affinity;
  for (const [i, term] of (required?.nodeSelectorTerms ?? []).entries())
    checkTerm(errors, `${path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`, term);
  for (const [i, { weight, preference }] of preferred.entries())
    if (weight !== 0) checkTerm(errors, `${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}]`, preference);
}

function checkTerm(errors: FieldError[], path: string, { matchExpressions = [], matchFields = [] }: NodeSelectorTerm): void {
  for (const [i, requirement] of matchExpressions.entries()) checkExpression(errors, `${path}.matchExpressions[${i}]`, requirement);
  for (const [i, requirement] of matchFields.entries()) checkField(errors, `${path}.matchFields[${i}]`, requirement);
}

const operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

function checkExpression(errors: FieldError[], path: string, { key, operator, values = [] }: NodeSelectorRequirement): void {
  if (!operators.includes(operator)) {
    errors.push(notSupported(`${path}.operator`, operator, operators));
    return;
  }
  addProblems(errors, `${path}.key`, key, isQualifiedName(key));
  const bad = (detail: string): void => {
    errors.push(invalidValue(`${path}.values`, values.length > 0 ? values : null, detail));
  };
  if (operator === "In" || operator === "NotIn") {
    if (values.length === 0) bad("for 'in', 'notin' operators, values set can't be empty");
  } else if (operator === "Exists" || operator === "DoesNotExist") {
    if (values.length > 0) bad("values set must be empty for exists and does not exist");
  } else {
    if (values.length !== 1) bad("for 'Gt', 'Lt' operators, exactly one value is required");
    for (const [i, value] of values.entries())
      if (!/^[+-]?\d+$/.test(value))
        errors.push(invalidValue(`${path}.values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer"));
  }
  for (const [i, value] of values.entries()) addProblems(errors, `${path}.values[${i}][${key}]`, value, isLabelValue(value));
}

function checkField(errors: FieldError[], path: string, { operator, values = [] }: NodeSelectorRequirement): void {
  if (operator !== "In" && operator !== "NotIn") {
    errors.push(notSupported(`${path}.operator`, operator, ["In", "NotIn"]));
    return;
  }
  if (values.length !== 1) errors.push(invalidValue(`${path}.values`, values.length > 0 ? values : null, "must have one element"));
}
