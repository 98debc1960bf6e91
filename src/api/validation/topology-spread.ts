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
  const repeated = repeatedLater(constraints);
  for (const [i, constraint] of constraints.entries()) {
    const path = `${field}[${i}]`;
    const { maxSkew = 0, topologyKey, whenUnsatisfiable: action, minDomains, labelSelector } = constraint;
    if (maxSkew <= 0) errors.push(invalidValue(`${path}.maxSkew`, maxSkew, "must be greater than zero"));
    if (!topologyKey) errors.push(required(`${path}.topologyKey`, "can not be empty"));
    checkSupported(errors, `${path}.whenUnsatisfiable`, action, ["DoNotSchedule", "ScheduleAnyway"]);
    if (repeated.has(i)) errors.push(duplicate(`${path}.{topologyKey, whenUnsatisfiable}`, `{${topologyKey}, ${action}}`));
    if (minDomains !== undefined) validateMinDomains(errors, `${path}.minDomains`, minDomains, action);
    for (const key of ["nodeAffinityPolicy", "nodeTaintsPolicy"] as const)
      if (constraint[key] !== undefined) checkSupported(errors, `${path}.${key}`, constraint[key], ["Honor", "Ignore"]);
    if (!allows?.invalidSpreadLabelKeys) validateMatchLabelKeys(errors, path, constraint.matchLabelKeys, [], labelSelector);
    if (!allows?.invalidSpreadSelectors) validateLabelSelector(errors, `${path}.labelSelector`, labelSelector);
  }
}

/** Where constraints stand that another behind them has the key and the action of. */
function repeatedLater(constraints: readonly TopologySpreadConstraint[]): ReadonlySet<number> {
  const last = new Map<string, number>();
  const repeated = new Set<number>();
  for (const [i, { topologyKey, whenUnsatisfiable }] of constraints.entries()) {
    const key = `${whenUnsatisfiable} ${topologyKey}`;
    const before = last.get(key);
    if (before !== undefined) repeated.add(before);
    last.set(key, i);
  }
  return repeated;
}

function validateMinDomains(errors: FieldError[], field: string, minDomains: number, action: string | undefined): void {
  if (minDomains <= 0) errors.push(invalidValue(field, minDomains, "must be greater than zero"));
  if (action !== "DoNotSchedule")
    errors.push(invalidValue(field, minDomains, `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action ?? ""}`));
}
