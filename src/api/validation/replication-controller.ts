// Replication controllers. Their selector is a plain set of labels.
import { type FieldError, required } from "../meta/field-error.ts";
import { labelsMatcher } from "../meta/selectors.ts";
import type { ReplicationController } from "../types/core-v1.ts";
import { validatePodTemplate, validateRunningTemplate, validateTemplateSelected } from "./pod-template.ts";
import { checkCounts, checkPartsOfReplicas } from "./replica-status.ts";
import { checkNonNegative } from "./rules.ts";

export function validateReplicationController({ spec = {} }: ReplicationController, old?: ReplicationController): FieldError[] {
  const errors: FieldError[] = [];
  const { selector, template } = spec;
  checkNonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
  if (Object.keys(selector ?? {}).length === 0) errors.push(required("spec.selector"));
  if (spec.replicas === undefined) errors.push(required("spec.replicas"));
  checkNonNegative(errors, "spec.replicas", spec.replicas);
  if (!template) {
    errors.push(required("spec.template"));
    return errors;
  }
  validateTemplateSelected(errors, "spec.template", template, labelsMatcher(selector));
  validatePodTemplate(errors, "spec.template", template, old?.spec?.template);
  validateRunningTemplate(errors, "spec.template", template, "ReplicationController");
  return errors;
}

export function validateReplicationControllerStatus({ status }: ReplicationController): FieldError[] {
  const errors: FieldError[] = [];
  const counts = status ?? { replicas: 0 };
  checkCounts(errors, counts, ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"]);
  checkPartsOfReplicas(errors, counts, ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"]);
  return errors;
}
