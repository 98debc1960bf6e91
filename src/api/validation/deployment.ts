// Deployments.
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import type { Deployment, DeploymentStrategy, RollingUpdateDeployment } from "../types/apps-v1.ts";
import { internalForm } from "./internal-form.ts";
import { shownSelector } from "./label-selector.ts";
import { checkAtMost100Percent, countOrPercent, validateCountOrPercent } from "./percentages.ts";
import { validateReplicatedTemplate } from "./replica-set.ts";
import { checkCounts, checkPartsOfReplicas } from "./replica-status.ts";
import { checkImmutable, checkNonNegative, checkNotDecremented } from "./rules.ts";

export function validateDeployment({ spec }: Deployment, old?: Deployment): FieldError[] {
  const errors: FieldError[] = [];
  checkNonNegative(errors, "spec.replicas", spec?.replicas);
  validateReplicatedTemplate(errors, spec?.selector, spec?.template ?? {}, old?.spec?.template);
  validateStrategy(errors, "spec.strategy", spec?.strategy ?? {});
  const { minReadySeconds = 0, progressDeadlineSeconds: deadline } = spec ?? {};
  checkNonNegative(errors, "spec.minReadySeconds", minReadySeconds);
  checkNonNegative(errors, "spec.revisionHistoryLimit", spec?.revisionHistoryLimit);
  checkNonNegative(errors, "spec.progressDeadlineSeconds", deadline);
  if (deadline !== undefined && deadline <= minReadySeconds)
    errors.push(invalidValue("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"));
  return errors;
}

export function validateDeploymentUpdate(deployment: Deployment, old: Deployment): FieldError[] {
  const errors = validateDeployment(deployment, old);
  const selector = deployment.spec?.selector;
  checkImmutable(errors, "spec.selector", selector, old.spec?.selector, shownSelector(selector));
  return errors;
}

function validateStrategy(errors: FieldError[], field: string, strategy: DeploymentStrategy): void {
  const { type, rollingUpdate } = strategy;
  if (type === "Recreate") {
    if (rollingUpdate) errors.push(forbiddenField(`${field}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"));
  } else if (type === "RollingUpdate") {
    if (rollingUpdate) validateRollingUpdate(errors, `${field}.rollingUpdate`, rollingUpdate);
    else errors.push(required(`${field}.rollingUpdate`, "this should be defaulted and never be nil"));
  } else errors.push(notSupported(field, internalForm("DeploymentStrategy", strategy), ["Recreate", "RollingUpdate"]));
}

function validateRollingUpdate(errors: FieldError[], field: string, { maxUnavailable = 0, maxSurge = 0 }: RollingUpdateDeployment): void {
  validateCountOrPercent(errors, `${field}.maxUnavailable`, maxUnavailable);
  validateCountOrPercent(errors, `${field}.maxSurge`, maxSurge);
  if (countOrPercent(maxUnavailable) === 0 && countOrPercent(maxSurge) === 0)
    errors.push(invalidValue(`${field}.maxUnavailable`, maxUnavailable, "may not be 0 when `maxSurge` is 0"));
  checkAtMost100Percent(errors, `${field}.maxUnavailable`, maxUnavailable);
}

export function validateDeploymentStatus({ status = {} }: Deployment, old: Deployment): FieldError[] {
  const errors: FieldError[] = [];
  checkCounts(errors, status, [
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "readyReplicas",
    "availableReplicas",
    "unavailableReplicas",
    "terminatingReplicas",
    "collisionCount",
  ]);
  checkPartsOfReplicas(errors, status, ["updatedReplicas", "readyReplicas", "availableReplicas"]);
  checkNotDecremented(errors, "status.collisionCount", status.collisionCount, old.status?.collisionCount);
  return errors;
}
