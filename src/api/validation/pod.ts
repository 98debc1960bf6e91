// A pod as it is created, and what all updates of pods check besides their own rules.
import { type FieldError, forbiddenField } from "../meta/field-error.ts";
import { isShared, oncePerPart } from "../meta/shared-parts.ts";
import type { Pod, PodSpec } from "../types/core-v1.ts";
import { validateImageSpace } from "./container.ts";
import { allowancesOf } from "./pod-allowances.ts";
import { mirrorAnnotation, validatePodAnnotations, validateProfilesMatch } from "./pod-annotations.ts";
import type { PodAllowances, PodRules } from "./pod-rules.ts";
import { validatePodSpec } from "./pod-spec.ts";

const noSpec: PodSpec = { containers: [] };

/** The problems of a new pod, apart from its metadata. */
export function validatePod(pod: Pod): FieldError[] {
  const errors: FieldError[] = [];
  validateMetadataAndSpec(errors, pod, undefined);
  const { spec = noSpec, metadata } = pod;
  if ((spec.ephemeralContainers ?? []).length > 0) errors.push(forbiddenField("spec.ephemeralContainers", "cannot be set on create"));
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0)
    errors.push(forbiddenField("spec.nodeName", "cannot be set until all schedulingGates have been cleared"));
  validateProfilesMatch(errors, "spec", metadata.annotations, spec);
  return errors;
}

/** The problems of a changed pod as such; it may keep what the old one had. */
export function validateChangedPod(errors: FieldError[], pod: Pod, old: Pod): void {
  const found: FieldError[] = [];
  validateMetadataAndSpec(found, pod, undefined);
  if (found.length > 0) validateMetadataAndSpec(errors, pod, allowancesOf(old.spec, old.metadata.annotations));
}

function validateMetadataAndSpec(errors: FieldError[], { metadata, spec = noSpec }: Pod, allows: PodAllowances | undefined): void {
  const mirror = metadata.annotations?.[mirrorAnnotation] !== undefined;
  const rules = { isPod: true, mirror, podName: metadata.name, ...(allows ? { allows } : {}) };
  validatePodAnnotations(errors, "metadata.annotations", metadata.annotations, spec, rules);
  if (mirror || !isShared(spec) || !isValidShared(spec)) validateSpec(errors, spec, rules);
}

/** Whether a specification that pods share is valid whatever they are named: claims of theirs have names that are made of the pods'. */
const isValidShared = oncePerPart((spec: PodSpec): boolean => {
  if (spec.volumes?.some((volume) => volume.ephemeral)) return false;
  const errors: FieldError[] = [];
  validateSpec(errors, spec, { isPod: true, mirror: false, podName: "pod" });
  return errors.length === 0;
});

function validateSpec(errors: FieldError[], spec: PodSpec, rules: PodRules): void {
  validatePodSpec(errors, "spec", spec, rules);
  if (!spec.serviceAccountName) validateNoTokens(errors, spec);
  for (const list of ["containers", "initContainers"] as const)
    for (const [i, container] of (spec[list] ?? []).entries()) validateImageSpace(errors, `spec.${list}[${i}]`, container);
}

/** Without a service account there are no tokens of one. */
function validateNoTokens(errors: FieldError[], { volumes = [] }: PodSpec): void {
  for (const [i, { projected }] of volumes.entries())
    for (const [j, { serviceAccountToken }] of (projected?.sources ?? []).entries())
      if (serviceAccountToken)
        errors.push(
          forbiddenField(
            `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`,
            "must not be specified when serviceAccountName is not set",
          ),
        );
}
