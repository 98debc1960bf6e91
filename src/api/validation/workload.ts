// Workloads and the groups of pods that are scheduled together: a name and one scheduling policy for each template of a
// group. Neither's spec changes once it is made.
import { duplicate, type FieldError, invalidValue, required, tooMany } from "../meta/field-error.ts";
import { isDNS1123Label, isDNS1123Subdomain, isPathSegmentName } from "../meta/names.ts";
import type { PodGroup, PodGroupSchedulingPolicy, PodGroupTemplate, Workload } from "../types/scheduling-v1alpha2.ts";
import { addProblems, checkImmutable, checkName, checkSupported } from "./rules.ts";

const policies = ["basic", "gang"] as const;
const maxTemplates = 8;

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
    check(name).map((problem) => problem.replace(/^(must be no more than \d+) characters$/, "$1 bytes"));

type Rules = Pick<PodGroupTemplate, "schedulingPolicy" | "disruptionMode" | "priorityClassName">;

function validateRules(errors: FieldError[], field: string, { schedulingPolicy, disruptionMode, priorityClassName }: Rules): void {
  validatePolicy(errors, `${field}.schedulingPolicy`, schedulingPolicy);
  checkSupported(errors, `${field}.disruptionMode`, disruptionMode, ["Pod", "PodGroup"], "allowed");
  if (priorityClassName) addProblems(errors, `${field}.priorityClassName`, priorityClassName, isDNS1123Subdomain(priorityClassName));
}

export function validateWorkload({ spec }: Workload): FieldError[] {
  const errors: FieldError[] = [];
  const { controllerRef: controller, podGroupTemplates } = spec ?? {};
  const templates = podGroupTemplates ?? []; // null is written where there are none
  if (controller) {
    const { apiGroup, kind, name } = controller;
    if (apiGroup) addProblems(errors, "spec.controllerRef.apiGroup", apiGroup, isDNS1123Subdomain(apiGroup));
    checkName(errors, "spec.controllerRef.kind", kind, isPathSegmentName);
    checkName(errors, "spec.controllerRef.name", name, isPathSegmentName);
  }
  const field = "spec.podGroupTemplates";
  if (templates.length === 0) errors.push(required(field));
  if (templates.length > maxTemplates) errors.push(tooMany(field, templates.length, maxTemplates));
  const names = templates.map(({ name }) => name);
  for (const [i, template] of templates.entries()) if (names.indexOf(template.name) < i) errors.push(duplicate(`${field}[${i}]`, template));
  for (const [i, template] of templates.entries()) {
    checkName(errors, `${field}[${i}].name`, template.name, inBytes(isDNS1123Label));
    validateRules(errors, `${field}[${i}]`, template);
  }
  return errors;
}

export function validateWorkloadUpdate(workload: Workload, old: Workload): FieldError[] {
  const errors: FieldError[] = [];
  checkImmutable(errors, "spec.podGroupTemplates", workload.spec.podGroupTemplates, old.spec.podGroupTemplates);
  if (old.spec.controllerRef) checkImmutable(errors, "spec.controllerRef", workload.spec.controllerRef, old.spec.controllerRef);
  return errors;
}

export function validatePodGroup({ spec }: PodGroup): FieldError[] {
  const errors: FieldError[] = [];
  const { podGroupTemplateRef: reference } = spec ?? {};
  if (reference) {
    checkUnion(errors, "spec.podGroupTemplateRef", reference, ["workload"]);
    const at = "spec.podGroupTemplateRef.workload";
    if (reference.workload) {
      checkName(errors, `${at}.workloadName`, reference.workload.workloadName, inBytes(isDNS1123Subdomain));
      checkName(errors, `${at}.podGroupTemplateName`, reference.workload.podGroupTemplateName, inBytes(isDNS1123Label));
    }
  }
  validateRules(errors, "spec", spec ?? ({} as PodGroup["spec"]));
  return errors;
}

export function validatePodGroupUpdate(group: PodGroup, old: PodGroup): FieldError[] {
  const errors: FieldError[] = [];
  checkImmutable(errors, "spec", group.spec, old.spec);
  return errors;
}
