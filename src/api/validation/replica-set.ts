// Replica sets, and what deployments share with them.
import { type FieldError, invalidValue, required } from "../meta/field-error.ts";
import type { ReplicaSet } from "../types/apps-v1.ts";
import type { PodTemplateSpec } from "../types/core-v1.ts";
import type { LabelSelector } from "../types/meta-v1.ts";
import { compiledSelector, isEmptySelector, shownSelector, validateLabelSelector } from "./label-selector.ts";
import { validatePodTemplate, validateRunningTemplate, validateTemplateSelected } from "./pod-template.ts";
import { checkCounts, checkPartsOfReplicas } from "./replica-status.ts";
import { checkImmutable, checkNonNegative } from "./rules.ts";

export function validateReplicaSet({ spec }: ReplicaSet, old?: ReplicaSet): FieldError[] {
  const errors: FieldError[] = [];
  checkNonNegative(errors, "spec.replicas", spec?.replicas);
  checkNonNegative(errors, "spec.minReadySeconds", spec?.minReadySeconds);
  validateReplicatedTemplate(errors, spec?.selector, spec?.template ?? {}, old?.spec?.template);
  return errors;
}

export function validateReplicaSetUpdate(set: ReplicaSet, old: ReplicaSet): FieldError[] {
  const errors = validateReplicaSet(set, old);
  checkImmutable(errors, "spec.selector", set.spec?.selector, old.spec?.selector, shownSelector(set.spec?.selector));
  return errors;
}

/** The selector and the template of a set of equal pods. */
export function validateReplicatedTemplate(
  errors: FieldError[],
  selector: LabelSelector | undefined,
  template: PodTemplateSpec,
  old: PodTemplateSpec | undefined,
): void {
  validateRequiredSelector(errors, selector, "deployment");
  const matcher = compiledSelector(selector);
  if (!matcher) {
    errors.push(invalidValue("spec.selector", shownSelector(selector), "invalid label selector"));
    return;
  }
  if (!matcher.everything) validateTemplateSelected(errors, "spec.template", template, matcher);
  validatePodTemplate(errors, "spec.template", template, old);
  validateRunningTemplate(errors, "spec.template", template, "ReplicaSet");
}

/** A selector that must be there and ask for something; `kind` as messages name it. */
export function validateRequiredSelector(errors: FieldError[], selector: LabelSelector | undefined, kind: string): void {
  if (!selector) {
    errors.push(required("spec.selector"));
    return;
  }
  validateLabelSelector(errors, "spec.selector", selector);
  if (isEmptySelector(selector))
    errors.push(invalidValue("spec.selector", shownSelector(selector), `empty selector is invalid for ${kind}`));
}

export function validateReplicaSetStatus({ status }: ReplicaSet): FieldError[] {
  const errors: FieldError[] = [];
  const counts = status ?? { replicas: 0 };
  checkCounts(errors, counts, [
    "replicas",
    "fullyLabeledReplicas",
    "readyReplicas",
    "availableReplicas",
    "observedGeneration",
    "terminatingReplicas",
  ]);
  checkPartsOfReplicas(errors, counts, ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]);
  return errors;
}
