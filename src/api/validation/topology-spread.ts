// Constraints on how pods spread over the domains of a topology.
import { duplicate, type FieldError, invalidValue, required } from "../meta/field-error.ts";
import type { TopologySpreadConstraint } from "../types/core-v1.ts";
import { validateMatchLabelKeys } from "./affinity.ts";
import { validateLabelSelector } from "./label-selector.ts";
import type { PodAllowances } from "./pod-rules.ts";
import { checkSupported } from "./rules.ts";

export function validateTopologySpread(
  errors: FieldError[],
  field: string,
  constraints: readonly TopologySpreadConstraint[],
  allows: PodAllowances | undefined,
): void {
  for (const [i, constraint] of constraints.entries()) {
    const path = `${field}[${i}]`;
    const { maxSkew = 0, topologyKey, whenUnsatisfiable: action, minDomains, labelSelector } = constraint;
    if (maxSkew <= 0) errors.push(invalidValue(`${path}.maxSkew`, maxSkew, "must be greater than zero"));
    if (!topologyKey) errors.push(required(`${path}.topologyKey`, "can not be empty"));
    checkSupported(errors, `${path}.whenUnsatisfiable`, action, ["DoNotSchedule", "ScheduleAnyway"]);
    if (constraints.slice(i + 1).some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === action))
      errors.push(duplicate(`${path}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${action}}`));
    if (minDomains !== undefined) validateMinDomains(errors, `${path}.minDomains`, minDomains, action);
    for (const key of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const)
      if (constraint[key] !== undefined) checkSupported(errors, `${path}.${key}`, constraint[key], ["Honor", "Ignore"]);
    if (!allows?.invalidSpreadLabelKeys) validateMatchLabelKeys(errors, path, constraint.matchLabelKeys, [], labelSelector);
    if (!allows?.invalidSpreadSelectors) validateLabelSelector(errors, `${path}.labelSelector`, labelSelector);
  }
}

function validateMinDomains(errors: FieldError[], field: string, minDomains: number, action: string | undefined): void {
  if (minDomains <= 0) errors.push(invalidValue(field, minDomains, "must be greater than zero"));
  if (action !== "DoNotSchedule")
    errors.push(invalidValue(field, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action ?? ""}`));
}
