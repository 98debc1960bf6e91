// Validation of label selectors: matchLabels, and matchExpressions with their operators.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isLabelValue, isQualifiedName } from "../meta/names.ts";
import { type LabelMatcher, labelMatcher, SelectorError } from "../meta/selectors.ts";
import type { LabelSelector, LabelSelectorRequirement } from "../types/meta-v1.ts";
import { validateLabels } from "./object-meta.ts";
import { addProblems } from "./rules.ts";

export interface LabelSelectorOptions {
  /** Values that are no label values are let pass: objects that had such ones before they were checked. Default false. */
  readonly allowInvalidValues?: boolean | undefined;
}

export function validateLabelSelector(
  errors: FieldError[],
  field: string,
  selector: LabelSelector | undefined,
  options: LabelSelectorOptions = {},
): void {
  if (!selector) return;
  if (selector.matchLabels) appendAll(errors, validateLabels(selector.matchLabels, `${field}.matchLabels`));
  for (const [i, requirement] of (selector.matchExpressions ?? []).entries())
    validateRequirement(errors, `${field}.matchExpressions[${i}]`, requirement, options);
}

function validateRequirement(
  errors: FieldError[],
  field: string,
  { key = "", operator, values = [] }: LabelSelectorRequirement,
  { allowInvalidValues }: LabelSelectorOptions,
): void {
  switch (operator) {
    case "In":
    case "NotIn":
      if (values.length === 0) errors.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case "Exists":
    case "DoesNotExist":
      if (values.length > 0)
        errors.push(forbiddenField(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      break;
    default:
      errors.push(invalidValue(`${field}.operator`, operator ?? "", "not a valid selector operator"));
  }
  addProblems(errors, `${field}.key`, key, isQualifiedName(key));
  if (allowInvalidValues) return;
  for (const [i, value] of values.entries()) addProblems(errors, `${field}.values[${i}]`, value, isLabelValue(value));
}

/** A selector compiled; undefined when it is malformed. */
export function compiledSelector(selector: LabelSelector | undefined): LabelMatcher | undefined {
  try {
    return labelMatcher(selector);
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
}

/** A selector as messages show it: fields in upstream's order, labels sorted. */
export function shownSelector(selector: LabelSelector | undefined): unknown {
  if (!selector) return null;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return {
    ...(Object.keys(matchLabels).length > 0 ? { matchLabels: sortedLabels(matchLabels) } : {}),
    ...(matchExpressions.length > 0
      ? {
          matchExpressions: matchExpressions.map(({ key, operator, values }) => ({ key, operator, ...(values?.length ? { values } : {}) })),
        }
      : {}),
  };
}

/** Labels as messages show them; null without any. */
export function sortedLabels(labels: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> | null {
  return labels ? Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))) : null;
}

/** Whether a selector asks for nothing at all. */
export const isEmptySelector = (selector: LabelSelector): boolean =>
  Object.keys(selector.matchLabels ?? {}).length === 0 && (selector.matchExpressions ?? []).length === 0;
