// Workloads and the groups of pods that are scheduled together: a name and one scheduling policy for each template of a
// group, and what is behind gates of its own: where the pods of a group must be, its claims for devices, how it is disrupted
// and its priority. Neither's spec changes once it is made; what did not change is not looked at again.
import { equalAsTyped } from "../meta/equality.ts";
import { duplicate, type FieldError, forbiddenField, invalidValue, nullValue, required, tooMany } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain, isPathSegmentName, isQualifiedName } from "../meta/names.ts";
import type {
  PodGroup,
  PodGroupResourceClaim,
  PodGroupResourceClaimStatus,
  PodGroupSchedulingConstraints,
  PodGroupSchedulingPolicy,
  PodGroupSpec,
  PodGroupTemplate,
  PodGroupTemplateReference,
  Workload,
  WorkloadSpec,
} from "../types/scheduling-v1alpha2.ts";
import { validateConditions } from "./conditions.ts";
import { repeats } from "./repeats.ts";
import { addProblems, checkName, checkSupported } from "./rules.ts";

/** Which of the gates within GenericWorkload are on. */
export interface WorkloadGates {
  /** TopologyAwareWorkloadScheduling: schedulingConstraints. */
  readonly constraints: boolean;
  /** DRAWorkloadResourceClaims: resourceClaims. */
  readonly claims: boolean;
  /** WorkloadAwarePreemption: disruptionMode, priorityClassName, priority. */
  readonly preemption: boolean;
}

const policies = ["basic", "gang"] as const;
const claimSources = ["resourceClaimName", "resourceClaimTemplateName"] as const;
const maxTemplates = 8;
const maxClaims = 4;
const maxTopologies = 1;
const maxPriority = 1_000_000_000;

/** Exactly one of the members of a union. */
function checkUnion(errors: FieldError[], field: string, value: object, members: readonly string[]): void {
  // Null is written where there is none.
  const given = members.filter((member) => ((value as Readonly<Record<string, unknown>>)[member] ?? null) !== null);
  const list = members.map((member) => `\`${member}\``).join(", ");
  if (given.length === 0) errors.push(invalidValue(field, "", `must specify one of: ${list}`));
  if (given.length > 1) errors.push(invalidValue(field, `{${given.join(", ")}}`, `must specify exactly one of: ${list}`));
}

function validatePolicy(errors: FieldError[], field: string, policy: PodGroupSchedulingPolicy | undefined): void {
  checkUnion(errors, field, policy ?? {}, policies);
  const { gang } = policy ?? {};
  if (!gang) return;
  if (!gang.minCount) errors.push(required(`${field}.gang.minCount`));
  else if (gang.minCount < 1) errors.push(invalidValue(`${field}.gang.minCount`, gang.minCount, "must be greater than or equal to 1"));
}

/** Lengths are counted in bytes here. */
const inBytes =
  (check: (name: string) => readonly string[]) =>
  (name: string): readonly string[] =>
    check(name).map((problem) => problem.replace(/(must be no more than \d+) characters$/, "$1 bytes"));

const shortName = inBytes(isDNS1123Label);
const longName = inBytes(isDNS1123Subdomain);

function validateConstraints(errors: FieldError[], field: string, constraints: PodGroupSchedulingConstraints): void {
  const topology = constraints.topology ?? [];
  if (topology.length > maxTopologies) errors.push(tooMany(`${field}.topology`, topology.length, maxTopologies));
  else for (const [i, { key }] of topology.entries()) checkName(errors, `${field}.topology[${i}].key`, key, inBytes(isQualifiedName));
}

function validateClaims(errors: FieldError[], field: string, claims: readonly PodGroupResourceClaim[]): void {
  if (claims.length > maxClaims) {
    errors.push(tooMany(field, claims.length, maxClaims));
    return;
  }
  checkUnique(errors, field, claims, ({ name, resourceClaimName, resourceClaimTemplateName }) => ({
    name,
    ...(resourceClaimName === undefined ? {} : { resourceClaimName }),
    ...(resourceClaimTemplateName === undefined ? {} : { resourceClaimTemplateName }),
  }));
  for (const [i, claim] of claims.entries()) {
    const at = `${field}[${i}]`;
    checkUnion(errors, at, claim, claimSources);
    checkName(errors, `${at}.name`, claim.name, shortName);
    for (const source of claimSources) {
      const name = claim[source];
      if (name !== undefined) addProblems(errors, `${at}.${source}`, name, longName(name));
    }
  }
}

/** Items differ by their names; of those that do not the later ones are shown, with their fields in order. */
function checkUnique<T extends { readonly name?: string }>(
  errors: FieldError[],
  field: string,
  items: readonly T[],
  shown: (item: T) => unknown,
): void {
  const isRepeated = repeats<string>();
  for (const [i, item] of items.entries()) if (isRepeated(item.name ?? "")) errors.push(duplicate(`${field}[${i}]`, shown(item)));
}

type Rules = Omit<PodGroupTemplate, "name">;

/** Of a new template or group, which has nothing that is behind a gate that is off. */
function validateRules(errors: FieldError[], field: string, rules: Rules, gates: WorkloadGates): void {
  validatePolicy(errors, `${field}.schedulingPolicy`, rules.schedulingPolicy);
  const { schedulingConstraints: constraints, resourceClaims, priority } = rules;
  if (gates.constraints && constraints) validateConstraints(errors, `${field}.schedulingConstraints`, constraints);
  if (gates.claims && resourceClaims) validateClaims(errors, `${field}.resourceClaims`, resourceClaims);
  if (gates.preemption && rules.disruptionMode !== undefined)
    checkSupported(errors, `${field}.disruptionMode`, rules.disruptionMode, ["Pod", "PodGroup"]);
  if (gates.preemption && rules.priorityClassName)
    addProblems(errors, `${field}.priorityClassName`, rules.priorityClassName, longName(rules.priorityClassName));
  if (gates.preemption && (priority ?? 0) > maxPriority)
    errors.push(invalidValue(`${field}.priority`, priority, `must be less than or equal to ${maxPriority}`));
}

export function validateWorkload({ spec }: Workload, gates: WorkloadGates): FieldError[] {
  const errors: FieldError[] = [];
  const { controllerRef: controller, podGroupTemplates } = spec ?? {};
  const templates = podGroupTemplates ?? []; // null is written where there are none
  if (controller) {
    const { apiGroup, kind, name } = controller;
    if (apiGroup) addProblems(errors, "spec.controllerRef.apiGroup", apiGroup, longName(apiGroup));
    checkName(errors, "spec.controllerRef.kind", kind, isPathSegmentName);
    checkName(errors, "spec.controllerRef.name", name, isPathSegmentName);
  }
  const field = "spec.podGroupTemplates";
  if (templates.length === 0) errors.push(required(field));
  if (templates.length > maxTemplates) return [...errors, tooMany(field, templates.length, maxTemplates)];
  checkUnique(errors, field, templates, inOrder);
  for (const [i, template] of templates.entries()) {
    checkName(errors, `${field}[${i}].name`, template.name, shortName);
    validateRules(errors, `${field}[${i}]`, template, gates);
  }
  return errors;
}

const templateFields = [
  "name",
  "schedulingPolicy",
  "schedulingConstraints",
  "resourceClaims",
  "disruptionMode",
  "priorityClassName",
  "priority",
] as const;

function inOrder(template: PodGroupTemplate): unknown {
  const { basic, gang } = template.schedulingPolicy ?? {};
  const shown = { ...template, schedulingPolicy: { ...(basic ? { basic } : {}), ...(gang ? { gang } : {}) } };
  return Object.fromEntries(templateFields.filter((name) => shown[name] !== undefined).map((name) => [name, shown[name]]));
}

/** Fields that stay what they were, each told of without its value. */
function checkUnchanged<T>(errors: FieldError[], spec: T, old: T, fields: readonly (keyof T & string)[]): void {
  for (const field of fields)
    if (!equalAsTyped(spec[field], old[field])) errors.push(invalidValue(`spec.${field}`, nullValue, "field is immutable"));
}

export function validateWorkloadUpdate({ spec }: Workload, { spec: old }: Workload): FieldError[] {
  const errors: FieldError[] = [];
  checkUnchanged<WorkloadSpec>(errors, spec, old, ["controllerRef", "podGroupTemplates"]);
  const count = spec.podGroupTemplates?.length ?? 0;
  if (count > maxTemplates) errors.push(tooMany("spec.podGroupTemplates", count, maxTemplates));
  if (count === 0) errors.push(required("spec.podGroupTemplates"));
  return errors;
}

function validateTemplateReference(errors: FieldError[], field: string, reference: PodGroupTemplateReference): void {
  checkUnion(errors, field, reference, ["workload"]);
  if (!reference.workload) return;
  checkName(errors, `${field}.workload.workloadName`, reference.workload.workloadName, longName);
  checkName(errors, `${field}.workload.podGroupTemplateName`, reference.workload.podGroupTemplateName, shortName);
}

export function validatePodGroup({ spec }: PodGroup, gates: WorkloadGates): FieldError[] {
  const errors: FieldError[] = [];
  if (spec?.podGroupTemplateRef) validateTemplateReference(errors, "spec.podGroupTemplateRef", spec.podGroupTemplateRef);
  validateRules(errors, "spec", spec ?? ({} as PodGroupSpec), gates);
  return errors;
}

/** Fields behind a gate that is off cannot be set otherwise than they were; they can be taken away. */
export function validatePodGroupUpdate({ spec }: PodGroup, { spec: old }: PodGroup, gates: WorkloadGates): FieldError[] {
  const errors: FieldError[] = [];
  const checkGated = (on: boolean, fields: readonly (keyof PodGroupSpec & string)[]): void => {
    if (on) checkUnchanged(errors, spec, old, fields);
    else
      for (const field of fields)
        if (isGiven(spec[field]) && !equalAsTyped(spec[field], old[field])) errors.push(forbiddenField(`spec.${field}`, ""));
  };
  checkUnchanged(errors, spec, old, ["podGroupTemplateRef", "schedulingPolicy"]);
  checkGated(gates.constraints, ["schedulingConstraints"]);
  checkUnchanged(errors, spec, old, ["resourceClaims"]);
  const claims = spec.resourceClaims?.length ?? 0;
  if (claims > maxClaims) errors.push(tooMany("spec.resourceClaims", claims, maxClaims));
  checkGated(gates.preemption, ["disruptionMode", "priorityClassName", "priority"]);
  return errors;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null && value !== "";

export function validatePodGroupStatus({ spec, status }: PodGroup, { status: old }: PodGroup): FieldError[] {
  const errors: FieldError[] = [];
  const { conditions = [], resourceClaimStatuses: statuses = [] } = status ?? {};
  validateConditions(errors, "status.conditions", conditions);
  const field = "status.resourceClaimStatuses";
  const claims = new Set(spec.resourceClaims?.map((claim) => claim.name));
  for (const [i, { name = "" }] of statuses.entries())
    if (!claims.has(name))
      errors.push(invalidValue(`${field}[${i}].name`, name, "must match the name of an entry in `spec.resourceClaims`"));
  const before = old?.resourceClaimStatuses ?? [];
  if (!equalAsTyped(statuses, before)) validateClaimStatuses(errors, field, statuses, before);
  return errors;
}

function validateClaimStatuses(
  errors: FieldError[],
  field: string,
  statuses: readonly PodGroupResourceClaimStatus[],
  old: readonly PodGroupResourceClaimStatus[],
): void {
  if (statuses.length > maxClaims) {
    errors.push(tooMany(field, statuses.length, maxClaims));
    return;
  }
  checkUnique(errors, field, statuses, ({ name = "", resourceClaimName }) => ({
    name,
    ...(resourceClaimName === undefined ? {} : { resourceClaimName }),
  }));
  for (const [i, { name, resourceClaimName: claim }] of statuses.entries())
    if (claim !== undefined && claim !== old.find((status) => status.name === name)?.resourceClaimName)
      addProblems(errors, `${field}[${i}].resourceClaimName`, claim, longName(claim));
}
