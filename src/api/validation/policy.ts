// Validation of disruption budgets, priority classes and runtime classes.
import { appendAll } from "../../base/append-all.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue } from "../meta/field-error.ts";
import { isDNS1123Label } from "../meta/names.ts";
import type { RuntimeClass } from "../types/node-v1.ts";
import type { PodDisruptionBudget } from "../types/policy-v1.ts";
import type { PriorityClass } from "../types/scheduling-v1.ts";
import { validateConditions } from "./conditions.ts";
import { internalForm } from "./internal-form.ts";
import { validateLabelSelector } from "./label-selector.ts";
import { validateLabels } from "./object-meta.ts";
import { checkAtMost100Percent, validateCountOrPercent } from "./percentages.ts";
import { validateContainerResources } from "./resources.ts";
import { checkImmutable, checkName, checkNonNegative, checkSupported } from "./rules.ts";
import { validateTolerations } from "./tolerations.ts";

export function validateDisruptionBudget({ spec }: PodDisruptionBudget, old?: PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy } = spec ?? {};
  if (minAvailable !== undefined && maxUnavailable !== undefined)
    errors.push(invalidValue("spec", internalForm("PodDisruptionBudgetSpec", spec), "minAvailable and maxUnavailable cannot be both set"));
  for (const [field, value] of Object.entries({ minAvailable, maxUnavailable })) {
    if (value === undefined) continue;
    validateCountOrPercent(errors, `spec.${field}`, value);
    checkAtMost100Percent(errors, `spec.${field}`, value);
  }
  const before: FieldError[] = [];
  validateLabelSelector(before, "", old?.spec?.selector);
  validateLabelSelector(errors, "spec.selector", selector, { allowInvalidValues: before.length > 0 });
  if (unhealthyPodEvictionPolicy !== undefined)
    checkSupported(errors, "spec.unhealthyPodEvictionPolicy", unhealthyPodEvictionPolicy, ["AlwaysAllow", "IfHealthyBudget"]);
  return errors;
}

export function validateDisruptionBudgetStatus({ status }: PodDisruptionBudget): FieldError[] {
  const errors: FieldError[] = [];
  validateConditions(errors, "status.conditions", status?.conditions ?? []);
  for (const field of ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] as const)
    checkNonNegative(errors, `status.${field}`, status?.[field]);
  return errors;
}

const systemPrefix = "system-";
const highestUserPriority = 1_000_000_000;
const systemClasses: ReadonlyMap<string, number> = new Map([
  ["system-node-critical", 2_000_001_000],
  ["system-cluster-critical", 2_000_000_000],
]);

export function validatePriorityClass(priorityClass: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  const { metadata, value = 0, preemptionPolicy } = priorityClass;
  if (metadata.name?.startsWith(systemPrefix)) {
    const problem = systemClassProblem(priorityClass);
    const reserved = `priority class names with '${systemPrefix}' prefix are reserved for system use only. error: ${problem}`;
    if (problem !== undefined) errors.push(forbiddenField("metadata.name", reserved));
  } else if (value > highestUserPriority)
    errors.push(forbiddenField("value", `maximum allowed value of a user defined priority is ${highestUserPriority}`));
  if (preemptionPolicy !== undefined)
    checkSupported(errors, "preemptionPolicy", preemptionPolicy, ["PreemptLowerPriority", "Never"], "required");
  return errors;
}

/** Why this is none of the classes that every cluster has. */
function systemClassProblem({ metadata: { name }, value, globalDefault }: PriorityClass): string | undefined {
  const known = systemClasses.get(name);
  if (known === undefined) return `${name} is not a known system priority class`;
  if (known !== value) return `value of ${name} PriorityClass must be ${known}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}

export function validatePriorityClassUpdate(priorityClass: PriorityClass, old: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  if (priorityClass.value !== old.value) errors.push(forbiddenField("value", "may not be changed in an update."));
  checkImmutable(errors, "preemptionPolicy", priorityClass.preemptionPolicy, old.preemptionPolicy);
  return errors;
}

export function validateRuntimeClass(runtimeClass: RuntimeClass, old?: RuntimeClass): FieldError[] {
  const errors: FieldError[] = [];
  const { handler, overhead, scheduling } = runtimeClass;
  checkName(errors, "handler", handler, isDNS1123Label);
  if (overhead) validateContainerResources(errors, "overhead", overhead.podFixed ? { limits: overhead.podFixed } : {}, {});
  if (scheduling) {
    if (scheduling.nodeSelector) appendAll(errors, validateLabels(scheduling.nodeSelector, "scheduling.nodeSelector"));
    const tolerations = scheduling.tolerations ?? [];
    validateTolerations(errors, "scheduling.tolerations", tolerations, undefined);
    const seen = new Set<string>();
    for (const [i, toleration] of tolerations.entries()) {
      const { key = "", operator = "", value = "", effect = "", tolerationSeconds } = toleration;
      const identity = JSON.stringify([key, operator, value, effect]);
      const shown = { Key: key, Operator: operator, Value: value, Effect: effect, TolerationSeconds: tolerationSeconds ?? null };
      if (seen.has(identity)) errors.push(duplicate(`scheduling.tolerations[${i}]`, shown));
      seen.add(identity);
    }
  }
  if (old) checkImmutable(errors, "handler", handler, old.handler);
  return errors;
}
