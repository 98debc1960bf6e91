// The policies of jobs: what a failed pod means, and when the job has succeeded.
import { duplicate, FieldError, invalidValue, required, tooLong, tooMany } from "../meta/field-error.ts";
import { byteLength, isQualifiedName } from "../meta/names.ts";
import type { JobSpec, PodFailurePolicy, PodFailurePolicyRule, SuccessPolicy, SuccessPolicyRule } from "../types/batch-v1.ts";
import { IndexesError, parseIndexes } from "./job-indexes.ts";
import { repeats } from "./repeats.ts";
import { addProblems, checkNonNegative, checkSupported } from "./rules.ts";

const maxRules = 20;
const maxExitCodes = 255;
const maxPatterns = 20;
const maxIndexesBytes = 64 * 1024;

const actions = ["Count", "FailIndex", "FailJob", "Ignore"];

/** A problem of a field whose value the message does not show. */
export const invalidUnshown = (field: string, detail: string): FieldError => new UnshownError("FieldValueInvalid", field, "", detail);

class UnshownError extends FieldError {
  override body(): string {
    return `Invalid value: ${this.detail}`;
  }
}

/** A word that must be one of some; an absent one is required with all of them as Go prints a list. */
function checkListed(errors: FieldError[], field: string, value: string | undefined, supported: readonly string[]): void {
  if (!value) errors.push(required(field, `valid values: [${supported.map((word) => JSON.stringify(word)).join(" ")}]`));
  else checkSupported(errors, field, value, supported);
}

export function validateFailurePolicy(errors: FieldError[], field: string, policy: PodFailurePolicy, spec: JobSpec): void {
  const rules = policy.rules ?? [];
  if (rules.length > maxRules) errors.push(tooMany(field, rules.length, maxRules));
  for (const [i, rule] of rules.entries()) validateFailureRule(errors, `${field}[${i}]`, rule, spec);
}

function validateFailureRule(errors: FieldError[], field: string, rule: PodFailurePolicyRule, spec: JobSpec): void {
  const { action, onExitCodes, onPodConditions: patterns = [] } = rule;
  checkListed(errors, `${field}.action`, action, actions);
  if (action === "FailIndex" && spec.backoffLimitPerIndex === undefined)
    errors.push(invalidValue(`${field}.action`, action, "requires the backoffLimitPerIndex to be set"));
  if (onExitCodes) validateExitCodes(errors, `${field}.onExitCodes`, onExitCodes, spec);
  if (patterns.length > maxPatterns) errors.push(tooMany(`${field}.onPodConditions`, patterns.length, maxPatterns));
  for (const [i, { type = "", status }] of patterns.entries()) {
    addProblems(errors, `${field}.onPodConditions[${i}].type`, type, isQualifiedName(type));
    checkListed(errors, `${field}.onPodConditions[${i}].status`, status, ["False", "True", "Unknown"]);
  }
  if (onExitCodes && patterns.length > 0)
    errors.push(invalidUnshown(field, "specifying both OnExitCodes and OnPodConditions is not supported"));
  if (!onExitCodes && patterns.length === 0)
    errors.push(invalidUnshown(field, "specifying one of OnExitCodes and OnPodConditions is required"));
}

type ExitCodes = NonNullable<PodFailurePolicyRule["onExitCodes"]>;

function validateExitCodes(errors: FieldError[], field: string, codes: ExitCodes, { template }: JobSpec): void {
  const { operator, containerName } = codes;
  const values = codes.values ?? [];
  checkListed(errors, `${field}.operator`, operator, ["In", "NotIn"]);
  const containers = [...(template?.spec?.containers ?? []), ...(template?.spec?.initContainers ?? [])];
  if (containerName !== undefined && !containers.some(({ name }) => name === containerName))
    errors.push(
      invalidValue(`${field}.containerName`, containerName, "must be one of the container or initContainer names in the pod template"),
    );
  const path = `${field}.values`;
  if (values.length === 0) errors.push(invalidValue(path, null, "at least one value is required"));
  if (values.length > maxExitCodes) errors.push(tooMany(path, values.length, maxExitCodes));
  const isRepeated = repeats<number>();
  for (const [i, value] of values.entries()) {
    if (operator === "In" && value === 0) errors.push(invalidValue(`${path}[${i}]`, value, "must not be 0 for the In operator"));
    if (isRepeated(value)) errors.push(duplicate(`${path}[${i}]`, value));
  }
  if (values.some((value, i) => i > 0 && (values[i - 1] ?? 0) > value)) errors.push(invalidValue(path, values, "must be ordered"));
}

export function validateSuccessPolicy(errors: FieldError[], field: string, policy: SuccessPolicy, completions: number): void {
  const rules = policy.rules ?? [];
  if (rules.length === 0) errors.push(required(field, "at least one rules must be specified when the successPolicy is specified"));
  if (rules.length > maxRules) errors.push(tooMany(field, rules.length, maxRules));
  for (const [i, rule] of rules.entries()) validateSuccessRule(errors, `${field}[${i}]`, rule, completions);
}

function validateSuccessRule(errors: FieldError[], field: string, rule: SuccessPolicyRule, completions: number): void {
  const { succeededCount: count, succeededIndexes: indexes } = rule;
  if (count === undefined && indexes === undefined)
    errors.push(required(field, "at least one of succeededCount or succeededIndexes must be specified"));
  const total = indexes === undefined ? undefined : validateIndexes(errors, `${field}.succeededIndexes`, indexes, completions);
  if (count === undefined) return;
  const path = `${field}.succeededCount`;
  checkNonNegative(errors, path, count);
  if (count > completions)
    errors.push(invalidValue(path, count, `must be less than or equal to ${completions} (the number of specified completions)`));
  if (total !== undefined && count > total)
    errors.push(
      invalidValue(path, count, `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`),
    );
}

/** The number of indexes in a text such as "1,3-5"; 0 where it is wrong. */
function validateIndexes(errors: FieldError[], field: string, text: string, completions: number): number {
  if (byteLength(text) > maxIndexesBytes) errors.push(tooLong(field, maxIndexesBytes));
  try {
    return parseIndexes(text, completions).reduce((sum, { first, last }) => sum + last - first + 1, 0);
  } catch (error) {
    if (!(error instanceof IndexesError)) throw error;
    errors.push(invalidValue(field, text, `error parsing succeededIndexes: ${error.message}`));
    return 0;
  }
}
