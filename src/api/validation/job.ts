// Jobs: their specification, what an update may change, and the template inside cron jobs.
import { semanticallyEqual } from "../meta/equality.ts";
import { type FieldError, invalidValue, notSupported, required, tooLong } from "../meta/field-error.ts";
import { byteLength, isDNS1123Label, isDNS1123Subdomain, isHTTPPath } from "../meta/names.ts";
import type { Job, JobSpec } from "../types/batch-v1.ts";
import type { PodSpec, PodTemplateSpec } from "../types/core-v1.ts";
import { internalForm } from "./internal-form.ts";
import { isConditionTrue } from "./job-conditions.ts";
import { validateFailurePolicy, validateSuccessPolicy } from "./job-policies.ts";
import { compiledSelector, shownSelector, sortedLabels, validateLabelSelector } from "./label-selector.ts";
import { hasInvalidValue } from "./pod-allowances.ts";
import { validatePodTemplate, validateTemplateSelected } from "./pod-template.ts";
import { podTemplateWarnings } from "./pod-warnings.ts";
import { checkImmutable, checkNonNegative, checkSupported } from "./rules.ts";

const noSpec: JobSpec = { template: {} };

export function validateJob(job: Job, old?: Job): FieldError[] {
  const errors: FieldError[] = [];
  const { metadata, spec = noSpec } = job;
  validateGeneratedSelector(errors, job, old);
  validateJobSpec(errors, spec, old?.spec);
  const { completions = 0 } = spec;
  const host = `${metadata.name ?? ""}-${completions - 1}`;
  if (spec.completionMode === "Indexed" && completions > 0 && isDNS1123Label(host).length > 0)
    errors.push(invalidValue("metadata.name", metadata.name ?? "", `will not able to create pod with invalid DNS label: ${host}`));
  return errors;
}

const legacyLabels = ["controller-uid", "job-name"];
const prefixedLabels = ["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"];

/** A job that does not choose its pods by hand labels them with its name and uid, and selects by these. */
function validateGeneratedSelector(errors: FieldError[], { metadata, spec = noSpec }: Job, old: Job | undefined): void {
  if (spec.manualSelector || !spec.selector) return;
  if (!metadata.uid) errors.push(required("metadata.uid"));
  const labels = spec.template.metadata?.labels ?? {};
  const oldLabels = old?.spec.template.metadata?.labels;
  const prefixed = !old || prefixedLabels.every((key) => oldLabels?.[key] !== undefined);
  const expected: Record<string, string> = {};
  for (const key of prefixed ? [...legacyLabels, ...prefixedLabels] : legacyLabels) {
    const value = key.endsWith("uid") ? metadata.uid : (metadata.name ?? "");
    expected[key] = value;
    const field = "spec.template.metadata.labels";
    if (labels[key] === undefined) errors.push(required(`${field}[${key}]`, `must be '${value}'`));
    else if (labels[key] !== value) errors.push(invalidValue(`${field}[${key}]`, sortedLabels(labels), `must be '${value}'`));
  }
  if (compiledSelector(spec.selector)?.matches(expected) === false)
    errors.push(invalidValue("spec.selector", shownSelector(spec.selector), "`selector` not auto-generated"));
}

function validateJobSpec(errors: FieldError[], spec: JobSpec, old: JobSpec | undefined): void {
  validateUnselected(errors, "spec", spec, old?.template);
  if (!spec.selector) errors.push(required("spec.selector"));
  else validateLabelSelector(errors, "spec.selector", spec.selector, { allowInvalidValues: hasInvalidValue(old?.selector) });
  const matcher = compiledSelector(spec.selector);
  if (matcher) validateTemplateSelected(errors, "spec.template", spec.template ?? {}, matcher);
}

const counts = [
  "parallelism",
  "completions",
  "activeDeadlineSeconds",
  "backoffLimit",
  "ttlSecondsAfterFinished",
  "backoffLimitPerIndex",
  "maxFailedIndexes",
] as const;

const maxManagedBy = 63;

/** All of a job's specification but its selector: what cron jobs have in their templates. */
function validateUnselected(errors: FieldError[], field: string, spec: JobSpec, oldTemplate?: PodTemplateSpec): void {
  const { completionMode, managedBy, podFailurePolicy, successPolicy, podReplacementPolicy, template = {} } = spec;
  for (const name of counts) checkNonNegative(errors, `${field}.${name}`, spec[name]);
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined)
    errors.push(required(`${field}.backoffLimitPerIndex`, "when maxFailedIndexes is specified"));
  if (managedBy !== undefined) validateDomainPath(errors, `${field}.managedBy`, managedBy);
  if (completionMode !== undefined) checkSupported(errors, `${field}.completionMode`, completionMode, ["NonIndexed", "Indexed"]);
  if (completionMode === "Indexed") validateIndexed(errors, field, spec);
  else if (completionMode === undefined || completionMode === "NonIndexed")
    for (const name of ["backoffLimitPerIndex", "maxFailedIndexes"] as const)
      if (spec[name] !== undefined) errors.push(invalidValue(`${field}.${name}`, spec[name], "requires indexed completion mode"));
  if (podFailurePolicy) validateFailurePolicy(errors, `${field}.podFailurePolicy.rules`, podFailurePolicy, spec);
  if (successPolicy && completionMode === "Indexed")
    validateSuccessPolicy(errors, `${field}.successPolicy.rules`, successPolicy, spec.completions ?? 0);
  else if (successPolicy)
    errors.push(invalidValue(`${field}.successPolicy`, internalForm("SuccessPolicy", successPolicy), "requires indexed completion mode"));
  if (podReplacementPolicy !== undefined)
    checkSupported(
      errors,
      `${field}.podReplacementPolicy`,
      podReplacementPolicy,
      podFailurePolicy ? ["Failed"] : ["Failed", "TerminatingOrFailed"],
    );
  validatePodTemplate(errors, `${field}.template`, template, oldTemplate);
  validateRestartPolicy(errors, `${field}.template.spec.restartPolicy`, spec);
}

function validateRestartPolicy(errors: FieldError[], field: string, { template, podFailurePolicy }: JobSpec): void {
  const policy: string = template?.spec?.restartPolicy ?? "";
  if (policy === "Always" || policy === "") errors.push(required(field, 'valid values: "OnFailure", "Never"'));
  else if (policy !== "OnFailure" && policy !== "Never") errors.push(notSupported(field, policy, ["OnFailure", "Never"]));
  else if (podFailurePolicy && policy !== "Never")
    errors.push(invalidValue(field, policy, 'only "Never" is supported when podFailurePolicy is specified'));
}

/** "acme.io/foo". */
function validateDomainPath(errors: FieldError[], field: string, path: string): void {
  const slash = path.indexOf("/");
  const [domain, rest] = [path.slice(0, slash), path.slice(slash + 1)];
  if (path === "") errors.push(required(field));
  else if (slash <= 0 || rest === "") errors.push(invalidValue(field, path, 'must be a domain-prefixed path (such as "acme.io/foo")'));
  else {
    for (const problem of isDNS1123Subdomain(domain)) errors.push(invalidValue(field, domain, problem));
    for (const problem of isHTTPPath(rest)) errors.push(invalidValue(field, rest, problem));
  }
  if (byteLength(path) > maxManagedBy) errors.push(tooLong(field, maxManagedBy));
}

const manyCompletions = 100_000;
const maxParallelism = 100_000;
const maxFailedIndexesLimit = 100_000;
const limitForMany = 10_000;

function validateIndexed(errors: FieldError[], field: string, spec: JobSpec): void {
  const { completions, parallelism = 0, maxFailedIndexes: maxFailed } = spec;
  const forMany = `must be less than or equal to ${limitForMany} when completions are above ${manyCompletions} and used with backoff limit per index`;
  if (completions === undefined) errors.push(required(`${field}.completions`, "when completion mode is Indexed"));
  if (parallelism > maxParallelism)
    errors.push(
      invalidValue(`${field}.parallelism`, parallelism, `must be less than or equal to ${maxParallelism} when completion mode is Indexed`),
    );
  if (maxFailed !== undefined && completions !== undefined && maxFailed > completions)
    errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailed, "must be less than or equal to completions"));
  if (maxFailed !== undefined && maxFailed > maxFailedIndexesLimit)
    errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailed, `must be less than or equal to ${maxFailedIndexesLimit}`));
  if ((completions ?? 0) <= manyCompletions || spec.backoffLimitPerIndex === undefined) return;
  if (maxFailed === undefined)
    errors.push(required(`${field}.maxFailedIndexes`, `must be specified when completions is above ${manyCompletions}`));
  if (parallelism > limitForMany) errors.push(invalidValue(`${field}.parallelism`, parallelism, forMany));
  if (maxFailed !== undefined && maxFailed > limitForMany) errors.push(invalidValue(`${field}.maxFailedIndexes`, maxFailed, forMany));
}

/** The template of a cron job's jobs: their selectors are made later. */
export function validateJobTemplate(errors: FieldError[], field: string, spec: JobSpec, oldTemplate?: PodTemplateSpec): void {
  validateUnselected(errors, field, spec, oldTemplate);
  if (spec.selector) errors.push(invalidValue(`${field}.selector`, shownSelector(spec.selector), "`selector` will be auto-generated"));
  if (spec.manualSelector) errors.push(notSupported(`${field}.manualSelector`, true, ["nil", "false"]));
}

/** An update is checked as a new job is, and then once more for what may not change. */
export function validateJobUpdate(job: Job, old: Job): FieldError[] {
  const errors = validateJob(job, old);
  const [spec, oldSpec] = [job.spec ?? noSpec, old.spec ?? noSpec];
  validateJobSpec(errors, spec, oldSpec);
  validateCompletionsUpdate(errors, spec, oldSpec);
  checkImmutable(errors, "spec.selector", spec.selector, oldSpec.selector, shownSelector(spec.selector));
  validateTemplateUpdate(errors, spec, old);
  checkImmutable(errors, "spec.completionMode", spec.completionMode, oldSpec.completionMode);
  const policy = (type: string, value: unknown): unknown => (value === undefined ? null : internalForm(type, value));
  checkImmutable(
    errors,
    "spec.podFailurePolicy",
    spec.podFailurePolicy,
    oldSpec.podFailurePolicy,
    policy("PodFailurePolicy", spec.podFailurePolicy),
  );
  checkImmutable(errors, "spec.backoffLimitPerIndex", spec.backoffLimitPerIndex, oldSpec.backoffLimitPerIndex);
  checkImmutable(errors, "spec.managedBy", spec.managedBy, oldSpec.managedBy);
  checkImmutable(errors, "spec.successPolicy", spec.successPolicy, oldSpec.successPolicy, policy("SuccessPolicy", spec.successPolicy));
  return errors;
}

function validateCompletionsUpdate(errors: FieldError[], spec: JobSpec, old: JobSpec): void {
  const { completions } = spec;
  if (completions === old.completions) return;
  if (spec.completionMode !== "Indexed") checkImmutable(errors, "spec.completions", completions, old.completions);
  else if (completions !== undefined && completions !== spec.parallelism)
    errors.push(invalidValue("spec.completions", completions, "can only be modified in tandem with spec.parallelism"));
}

/** While a job is suspended, and nothing of it runs, where its pods may run and what they get can change. */
function validateTemplateUpdate(errors: FieldError[], spec: JobSpec, { spec: oldSpec = noSpec, status = {} }: Job): void {
  const suspended = oldSpec.suspend === true;
  const idle = status.startTime === undefined || isConditionTrue(status, "Suspended");
  const mutable = suspended && idle && (status.active ?? 0) === 0;
  const template = spec.template ?? {};
  const before = mutable ? withSchedulingOf(oldSpec.template ?? {}, template) : (oldSpec.template ?? {});
  const [podSpec, oldPodSpec] = [template.spec ?? { containers: [] }, before.spec ?? { containers: [] }];
  if (mutable)
    checkImmutable(errors, "spec.template.spec", podSpec, withResourcesOf(oldPodSpec, podSpec), internalForm("PodSpec", podSpec));
  else checkImmutable(errors, "spec.template", template, before, internalForm("PodTemplateSpec", template));
}

function withSchedulingOf(old: PodTemplateSpec, template: PodTemplateSpec): PodTemplateSpec {
  const { affinity: _1, nodeSelector: _2, tolerations: _3, schedulingGates: _4, ...rest } = old.spec ?? { containers: [] };
  const { nodeSelector, tolerations, schedulingGates, affinity } = template.spec ?? { containers: [] };
  const { nodeAffinity: _5, ...oldAffinity } = old.spec?.affinity ?? {};
  const nodeAffinity = affinity?.nodeAffinity;
  const merged = { ...oldAffinity, ...(nodeAffinity ? { nodeAffinity } : {}) };
  return {
    ...(template.metadata ? { metadata: template.metadata } : {}),
    spec: {
      ...rest,
      ...(semanticallyEqual(merged, {}) ? {} : { affinity: merged }),
      ...(nodeSelector ? { nodeSelector } : {}),
      ...(tolerations ? { tolerations } : {}),
      ...(schedulingGates ? { schedulingGates } : {}),
    },
  };
}

function withResourcesOf(old: PodSpec, spec: PodSpec): PodSpec {
  let same = old;
  for (const list of ["containers", "initContainers"] as const) {
    const [containers, before] = [spec[list] ?? [], old[list]];
    if (before?.length !== containers.length) continue;
    const merged = before.map((container, i) => {
      const { resources: _, ...rest } = container;
      const resources = containers[i]?.resources;
      if (containers[i]?.name !== container.name) return container;
      return resources ? { ...rest, resources } : rest;
    });
    same = { ...same, [list]: merged };
  }
  return same;
}

/** Warnings for a job, or for the template of jobs at `field`. */
export function jobSpecWarnings(field: string, spec: JobSpec): string[] {
  const { completionMode, completions = 0, parallelism = 0, template } = spec;
  const warnings = podTemplateWarnings(`${field}.template`, template ?? {});
  if (completionMode === "Indexed" && completions > manyCompletions && parallelism > limitForMany)
    warnings.unshift(
      `${field}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail`,
    );
  return warnings;
}
