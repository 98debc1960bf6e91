// Stateful sets.

import { equalAsTyped } from "../meta/equality.ts";
import { type FieldError, forbiddenField, invalidValue, required } from "../meta/field-error.ts";
import { isDNS1123Label } from "../meta/names.ts";
import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from "../types/apps-v1.ts";
import type { PodTemplateSpec, Volume } from "../types/core-v1.ts";
import { internalForm } from "./internal-form.ts";
import { compiledSelector, shownSelector } from "./label-selector.ts";
import { checkAtMost100Percent, countOrPercent, validateCountOrPercent } from "./percentages.ts";
import { claimSpecWarnings, validateClaimSpec } from "./persistent-volume-claim-spec.ts";
import { validatePodTemplate, validateRunningTemplate, validateTemplateMetadata, validateTemplateSelected } from "./pod-template.ts";
import { validateRequiredSelector } from "./replica-set.ts";
import { checkCounts, checkPartsOfReplicas } from "./replica-status.ts";
import { addProblems, checkNonNegative, checkNotDecremented, checkSupported } from "./rules.ts";

export function validateStatefulSet({ spec }: StatefulSet): FieldError[] {
  return validateSpec(spec ?? noSpec, "create");
}

const noSpec = { selector: {}, template: {} } as StatefulSetSpec;

/** "keep": the template is older than the rules it breaks. */
function validateSpec(spec: StatefulSetSpec, rules: "create" | "update" | "keep"): FieldError[] {
  const errors: FieldError[] = [];
  const policy: string = spec.podManagementPolicy ?? "";
  if (policy === "") errors.push(required("spec.podManagementPolicy"));
  else if (policy !== "OrderedReady" && policy !== "Parallel")
    errors.push(invalidValue("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
  validateUpdateStrategy(errors, "spec.updateStrategy", spec.updateStrategy ?? {});
  if (spec.persistentVolumeClaimRetentionPolicy)
    for (const key of ["whenDeleted", "whenScaled"] as const)
      checkSupported(errors, `spec.persistentVolumeClaimRetentionPolicy.${key}`, spec.persistentVolumeClaimRetentionPolicy[key], [
        "Retain",
        "Delete",
      ]);
  if (rules === "create")
    for (const [i, claim] of (spec.volumeClaimTemplates ?? []).entries())
      validateClaimSpec(errors, `spec.volumeClaimTemplates[${i}].spec`, claim.spec ?? {});
  checkNonNegative(errors, "spec.replicas", spec.replicas);
  checkNonNegative(errors, "spec.minReadySeconds", spec.minReadySeconds);
  checkNonNegative(errors, "spec.ordinals.start", spec.ordinals?.start);
  if (rules === "create" && spec.serviceName) addProblems(errors, "spec.serviceName", spec.serviceName, isDNS1123Label(spec.serviceName));
  validateRequiredSelector(errors, spec.selector, "statefulset");
  const matcher = compiledSelector(spec.selector);
  const template = withClaimVolumes(spec);
  if (!matcher) errors.push(invalidValue("spec.selector", shownSelector(spec.selector), ""));
  else {
    if (!matcher.everything) validateTemplateSelected(errors, "spec.template", template, matcher);
    if (rules !== "keep") validatePodTemplate(errors, "spec.template", template);
    // Upstream checks the template's metadata with the template, and again with the selector.
    validateTemplateMetadata(errors, "spec.template", template);
  }
  validateRunningTemplate(errors, "spec.template", template, "StatefulSet");
  return errors;
}

/** The template as its pods will be: named by the set, with volumes for the claims. */
function withClaimVolumes({ template = {}, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec {
  if (!template.spec) return template;
  const { hostname: _1, subdomain: _2, ...spec } = template.spec;
  if (volumeClaimTemplates.length === 0) return { ...template, spec };
  const names = new Set(volumeClaimTemplates.map((claim) => claim.metadata.name));
  const volumes: Volume[] = [
    ...[...names].map((name) => ({ name, persistentVolumeClaim: { claimName: name } })),
    ...(spec.volumes ?? []).filter((volume) => !names.has(volume.name)),
  ];
  return { ...template, spec: { ...spec, volumes } };
}

function validateUpdateStrategy(errors: FieldError[], field: string, strategy: StatefulSetUpdateStrategy): void {
  const { rollingUpdate } = strategy;
  const type: string = strategy.type ?? "";
  const shown = (name: string, value: unknown): unknown => internalForm(name, value);
  if (type === "") errors.push(required(field));
  else if (type === "OnDelete") {
    if (rollingUpdate)
      errors.push(
        invalidValue(
          `${field}.rollingUpdate`,
          shown("RollingUpdateStatefulSetStrategy", rollingUpdate),
          "only allowed for updateStrategy 'RollingUpdate'",
        ),
      );
  } else if (type !== "RollingUpdate")
    errors.push(invalidValue(field, shown("StatefulSetUpdateStrategy", strategy), "must be 'RollingUpdate' or 'OnDelete'"));
  else if (rollingUpdate) {
    const { partition, maxUnavailable } = rollingUpdate;
    const path = `${field}.rollingUpdate.maxUnavailable`;
    checkNonNegative(errors, `${field}.rollingUpdate.partition`, partition);
    if (maxUnavailable === undefined) return;
    validateCountOrPercent(errors, path, maxUnavailable);
    if (countOrPercent(maxUnavailable) === 0) errors.push(invalidValue(path, maxUnavailable, "cannot be 0"));
    checkAtMost100Percent(errors, path, maxUnavailable);
  }
}

const updatable =
  "'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds'";

export function validateStatefulSetUpdate({ spec = noSpec }: StatefulSet, { spec: old = noSpec }: StatefulSet): FieldError[] {
  let errors = validateSpec(spec, "update");
  if (errors.length > 0 && validateSpec(old, "update").length > 0) errors = validateSpec(spec, "keep");
  if (!equalAsTyped(withoutUpdatable(spec), withoutUpdatable(old)))
    errors.push(forbiddenField("spec", `updates to statefulset spec for fields other than ${updatable} are forbidden`));
  return errors;
}

function withoutUpdatable(spec: StatefulSetSpec): Partial<StatefulSetSpec> {
  const {
    replicas: _1,
    template: _2,
    updateStrategy: _3,
    minReadySeconds: _4,
    ordinals: _5,
    revisionHistoryLimit: _6,
    persistentVolumeClaimRetentionPolicy: _7,
    ...rest
  } = spec;
  return rest;
}

export function validateStatefulSetStatus({ status }: StatefulSet, old: StatefulSet): FieldError[] {
  const errors: FieldError[] = [];
  const counts = status ?? { replicas: 0 };
  checkCounts(errors, counts, [
    "replicas",
    "readyReplicas",
    "currentReplicas",
    "updatedReplicas",
    "availableReplicas",
    "observedGeneration",
    "collisionCount",
  ]);
  checkPartsOfReplicas(
    errors,
    counts,
    ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
    "status.readyReplicas",
  );
  checkNotDecremented(errors, "status.collisionCount", counts.collisionCount, old.status?.collisionCount);
  return errors;
}

/** What is warned of besides the template; upstream names the claims' field otherwise when a set is updated. */
export function statefulSetWarnings({ spec }: StatefulSet, operation: "create" | "update"): string[] {
  const warnings = (spec?.volumeClaimTemplates ?? []).flatMap((claim, i) =>
    claimSpecWarnings(`spec.volumeClaimTemplates[${i}]${operation === "update" ? ".Spec" : ""}`, claim.spec ?? {}),
  );
  if ((spec?.revisionHistoryLimit ?? 0) < 0)
    warnings.push("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended");
  return warnings;
}
