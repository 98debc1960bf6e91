// Daemon sets.
import { type FieldError, invalidValue, notSupported, required } from "../meta/field-error.ts";
import type { DaemonSet, DaemonSetUpdateStrategy } from "../types/apps-v1.ts";
import { internalForm } from "./internal-form.ts";
import { compiledSelector, isEmptySelector, shownSelector, validateLabelSelector } from "./label-selector.ts";
import { checkAtMost100Percent, countOrPercent, validateCountOrPercent } from "./percentages.ts";
import { hasInvalidValue } from "./pod-allowances.ts";
import { validatePodTemplate, validateRunningTemplate, validateTemplateSelected } from "./pod-template.ts";
import { checkCounts } from "./replica-status.ts";
import { checkImmutable, checkNonNegative, checkNotDecremented } from "./rules.ts";

export function validateDaemonSet({ spec }: DaemonSet, old?: DaemonSet): FieldError[] {
  const errors: FieldError[] = [];
  const { selector, template = {} } = spec ?? {};
  validateLabelSelector(errors, "spec.selector", selector, { allowInvalidValues: hasInvalidValue(old?.spec?.selector) });
  const matcher = compiledSelector(selector);
  if (matcher) validateTemplateSelected(errors, "spec.template", template, matcher);
  if (selector && isEmptySelector(selector))
    errors.push(invalidValue("spec.selector", shownSelector(selector), "empty selector is invalid for daemonset"));
  validatePodTemplate(errors, "spec.template", template, old?.spec?.template);
  validateRunningTemplate(errors, "spec.template", template, "DaemonSet");
  checkNonNegative(errors, "spec.minReadySeconds", spec?.minReadySeconds);
  validateUpdateStrategy(errors, "spec.updateStrategy", spec?.updateStrategy ?? {});
  checkNonNegative(errors, "spec.revisionHistoryLimit", spec?.revisionHistoryLimit);
  return errors;
}

export function validateDaemonSetUpdate(set: DaemonSet, old: DaemonSet): FieldError[] {
  const errors: FieldError[] = [];
  checkImmutable(errors, "spec.selector", set.spec?.selector, old.spec?.selector, shownSelector(set.spec?.selector));
  return [...errors, ...validateDaemonSet(set, old)];
}

function validateUpdateStrategy(errors: FieldError[], field: string, strategy: DaemonSetUpdateStrategy): void {
  const { type, rollingUpdate } = strategy;
  if (type === "OnDelete") return;
  if (type !== "RollingUpdate") {
    errors.push(notSupported(field, internalForm("DaemonSetUpdateStrategy", strategy), ["RollingUpdate", "OnDelete"]));
    return;
  }
  const path = `${field}.rollingUpdate`;
  if (!rollingUpdate) {
    errors.push(required(path));
    return;
  }
  const { maxUnavailable = 0, maxSurge = 0 } = rollingUpdate;
  validateCountOrPercent(errors, `${path}.maxUnavailable`, maxUnavailable);
  validateCountOrPercent(errors, `${path}.maxSurge`, maxSurge);
  checkAtMost100Percent(errors, `${path}.maxUnavailable`, maxUnavailable);
  checkAtMost100Percent(errors, `${path}.maxSurge`, maxSurge);
  const [unavailable, surge] = [countOrPercent(maxUnavailable) !== 0, countOrPercent(maxSurge) !== 0];
  if (unavailable && surge) errors.push(invalidValue(`${path}.maxSurge`, maxSurge, "may not be set when maxUnavailable is non-zero"));
  if (!unavailable && !surge) errors.push(required(`${path}.maxUnavailable`, "cannot be 0 when maxSurge is 0"));
}

export function validateDaemonSetStatus({ status }: DaemonSet, old: DaemonSet): FieldError[] {
  const errors: FieldError[] = [];
  if (!status) return errors;
  checkCounts(errors, status, [
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
  ]);
  checkNotDecremented(errors, "status.collisionCount", status.collisionCount, old.status?.collisionCount);
  return errors;
}
