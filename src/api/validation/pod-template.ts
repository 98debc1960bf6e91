// Templates of pods: in workloads and as objects of their own.
import { appendAll } from "../../base/append-all.ts";
import { type FieldError, forbiddenField, invalidValue, notSupported } from "../meta/field-error.ts";
import type { LabelMatcher } from "../meta/selectors.ts";
import type { PodSpec, PodTemplate, PodTemplateSpec } from "../types/core-v1.ts";
import { sortedLabels } from "./label-selector.ts";
import { validateAnnotations, validateLabels } from "./object-meta.ts";
import { allowancesOf } from "./pod-allowances.ts";
import { validatePodAnnotations, validateProfilesMatch } from "./pod-annotations.ts";
import type { PodRules } from "./pod-rules.ts";
import { validatePodSpec } from "./pod-spec.ts";

const noSpec: PodSpec = { containers: [] };

/** `old`: the template before an update; it may keep what it had. */
export function validatePodTemplate(errors: FieldError[], field: string, template: PodTemplateSpec, old?: PodTemplateSpec): void {
  const found: FieldError[] = [];
  validateTemplate(found, field, template, {});
  if (found.length === 0) return;
  if (old) validateTemplate(errors, field, template, { allows: allowancesOf(old.spec ?? noSpec, old.metadata?.annotations) });
  else appendAll(errors, found);
}

function validateTemplate(errors: FieldError[], field: string, { metadata, spec = noSpec }: PodTemplateSpec, rules: PodRules): void {
  validateTemplateMetadata(errors, field, { ...(metadata ? { metadata } : {}), spec }, rules);
  validatePodSpec(errors, `${field}.spec`, spec, rules);
  validateProfilesMatch(errors, `${field}.spec`, metadata?.annotations, spec);
  if ((spec.ephemeralContainers ?? []).length > 0)
    errors.push(forbiddenField(`${field}.spec.ephemeralContainers`, "ephemeral containers not allowed in pod template"));
}

/** Labels and annotations of a template. */
export function validateTemplateMetadata(
  errors: FieldError[],
  field: string,
  { metadata, spec = noSpec }: PodTemplateSpec,
  rules: PodRules = {},
): void {
  if (metadata?.labels) appendAll(errors, validateLabels(metadata.labels, `${field}.labels`));
  if (!metadata?.annotations) return;
  appendAll(errors, validateAnnotations(metadata.annotations, `${field}.annotations`));
  validatePodAnnotations(errors, `${field}.annotations`, metadata.annotations, spec, rules);
}

/** Pods of controllers that keep them running restart always and have no deadline. */
export function validateRunningTemplate(errors: FieldError[], field: string, { spec = noSpec }: PodTemplateSpec, owner: string): void {
  if (spec.restartPolicy !== "Always") errors.push(notSupported(`${field}.spec.restartPolicy`, spec.restartPolicy ?? "", ["Always"]));
  if (spec.activeDeadlineSeconds !== undefined)
    errors.push(forbiddenField(`${field}.spec.activeDeadlineSeconds`, `activeDeadlineSeconds in ${owner} is not Supported`));
}

/** A controller's selector must select the pods of its template. */
export function validateTemplateSelected(errors: FieldError[], field: string, template: PodTemplateSpec, matcher: LabelMatcher): void {
  const labels = template.metadata?.labels;
  if (!matcher.matches(labels))
    errors.push(invalidValue(`${field}.metadata.labels`, sortedLabels(labels), "`selector` does not match template `labels`"));
}

export function validatePodTemplateObject({ template }: PodTemplate, old?: PodTemplate): FieldError[] {
  const errors: FieldError[] = [];
  validatePodTemplate(errors, "template", template ?? {}, old?.template);
  return errors;
}
