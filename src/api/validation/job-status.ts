// Updates of a job's status. Rules that came later than the API apply where an update changes what they are about, so that
// jobs that broke them before can still be updated.
import { semanticallyEqual } from "../meta/equality.ts";
import { duplicate, type FieldError, invalidValue, required } from "../meta/field-error.ts";
import type { Job, JobStatus } from "../types/batch-v1.ts";
import { internalForm } from "./internal-form.ts";
import { isConditionFalse, isConditionTrue, isJobFinished } from "./job-conditions.ts";
import { firstCommonIndex, IndexesError, parseIndexes } from "./job-indexes.ts";
import { invalidUnshown } from "./job-policies.ts";
import { checkCounts } from "./replica-status.ts";

export function validateJobStatus(job: Job, old: Job): FieldError[] {
  const errors: FieldError[] = [];
  const status = job.status ?? {};
  checkCounts(errors, status, ["active", "succeeded", "failed", "ready", "terminating"]);
  validateUncounted(errors, status);
  validateConditions(errors, job, old);
  validateFinished(errors, job, old);
  validateIndexSets(errors, job, old);
  validateLastRules(errors, job, old);
  validateProgress(errors, job, old);
  return errors;
}

function validateUncounted(errors: FieldError[], { uncountedTerminatedPods: uncounted }: JobStatus): void {
  const seen = new Set<string>();
  for (const list of ["succeeded", "failed"] as const)
    for (const [i, uid] of (uncounted?.[list] ?? []).entries()) {
      const path = `status.uncountedTerminatedPods.${list}[${i}]`;
      if (uid === "") errors.push(invalidValue(path, uid, "must not be empty"));
      else if (seen.has(uid)) errors.push(duplicate(path, uid));
      seen.add(uid);
    }
}

/** Which conditions an update turned on or off, and which other fields it changed. */
function changesOf({ status = {} }: Job, { status: old = {} }: Job) {
  const turned = (type: string): boolean => isConditionTrue(status, type) !== isConditionTrue(old, type);
  return {
    complete: turned("Complete"),
    failed: turned("Failed"),
    failureTarget: turned("FailureTarget"),
    successCriteria: turned("SuccessCriteriaMet"),
    finished: isJobFinished(status) !== isJobFinished(old),
    startTime: status.startTime !== old.startTime,
    completionTime: status.completionTime !== old.completionTime,
    completedIndexes: (status.completedIndexes ?? "") !== (old.completedIndexes ?? ""),
    failedIndexes: status.failedIndexes !== old.failedIndexes,
    active: (status.active ?? 0) !== (old.active ?? 0),
    ready: status.ready !== old.ready,
    terminating: status.terminating !== old.terminating,
    uncounted: !semanticallyEqual(status.uncountedTerminatedPods, old.uncountedTerminatedPods),
  };
}

const field = "status.conditions";

function validateConditions(errors: FieldError[], job: Job, old: Job): void {
  const status = job.status ?? {};
  const changed = changesOf(job, old);
  const { startTime, completionTime } = status;
  const is = (type: string): boolean => isConditionTrue(status, type);
  const complete = is("Complete");
  if ((changed.complete || changed.failed) && complete && is("Failed"))
    errors.push(invalidUnshown(field, "cannot set Complete=True and Failed=true conditions"));
  if ((changed.complete || changed.failureTarget) && complete && is("FailureTarget"))
    errors.push(invalidUnshown(field, "cannot set Complete=True and FailureTarget=true conditions"));
  if (changed.complete || changed.completionTime) {
    if (completionTime !== undefined && !complete)
      errors.push(
        invalidValue("status.completionTime", completionTime, "cannot set completionTime when there is no Complete=True condition"),
      );
    if (completionTime === undefined && complete)
      errors.push(required("status.completionTime", "completionTime is required for Complete jobs"));
  }
  const reversed = startTime !== undefined && completionTime !== undefined && Date.parse(completionTime) < Date.parse(startTime);
  if ((changed.startTime || changed.completionTime) && reversed)
    errors.push(invalidValue("status.completionTime", completionTime, "must be equal to or after `startTime`"));
  if ((changed.failed || changed.failedIndexes) && is("Failed") && !is("FailureTarget"))
    errors.push(invalidUnshown(field, "cannot set Failed=True condition without the FailureTarget=true condition"));
  if ((changed.complete || changed.successCriteria) && complete && !is("SuccessCriteriaMet"))
    errors.push(invalidUnshown(field, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"));
}

function validateFinished(errors: FieldError[], job: Job, old: Job): void {
  const { spec, status = {} } = job;
  const changed = changesOf(job, old);
  if (!isJobFinished(status)) return;
  const { active = 0, startTime, uncountedTerminatedPods: uncounted } = status;
  if ((changed.finished || changed.active) && active > 0)
    errors.push(invalidValue("status.active", active, "active>0 is invalid for finished job"));
  const nothingToDo = spec.suspend === true && spec.completions === 0;
  if ((changed.finished || changed.startTime) && !nothingToDo && startTime === undefined)
    errors.push(required("status.startTime", "startTime is required for finished job"));
  const left = (uncounted?.failed ?? []).length + (uncounted?.succeeded ?? []).length;
  if ((changed.finished || changed.uncounted) && left > 0)
    errors.push(
      invalidValue("status.uncountedTerminatedPods", internalForm("UncountedTerminatedPods", uncounted), "must be empty for finished job"),
    );
}

function indexesProblem(text: string, completions: number): string | undefined {
  try {
    parseIndexes(text, completions);
    return undefined;
  } catch (error) {
    if (error instanceof IndexesError) return error.message;
    throw error;
  }
}

function validateIndexSets(errors: FieldError[], job: Job, old: Job): void {
  const { spec, status = {} } = job;
  const changed = changesOf(job, old);
  const { completions, backoffLimitPerIndex: limit } = spec;
  const { completedIndexes: completed = "", failedIndexes: failed } = status;
  const refuse = (name: "completedIndexes" | "failedIndexes", detail: string): unknown =>
    errors.push(invalidValue(`status.${name}`, status[name] ?? "", detail));
  if (completions !== undefined) {
    const problem = changed.completedIndexes ? indexesProblem(completed, completions) : undefined;
    if (problem !== undefined) refuse("completedIndexes", `error parsing completedIndexes: ${problem}`);
    const failedProblem =
      changed.failedIndexes && limit !== undefined && failed !== undefined ? indexesProblem(failed, completions) : undefined;
    if (failedProblem !== undefined) refuse("failedIndexes", `error parsing failedIndexes: ${failedProblem}`);
  }
  if (changed.completedIndexes && completed !== "" && spec.completionMode !== "Indexed")
    refuse("completedIndexes", "cannot set non-empty completedIndexes when non-indexed completion mode");
  if (failed === undefined) return;
  if (changed.failedIndexes && limit === undefined)
    refuse("failedIndexes", "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  if (completions === undefined || (!changed.failedIndexes && !changed.completedIndexes)) return;
  const common = firstCommonIndex(completed, failed, completions);
  if (common !== undefined) refuse("failedIndexes", `failedIndexes and completedIndexes overlap at index: ${common}`);
}

function validateLastRules(errors: FieldError[], job: Job, old: Job): void {
  const { spec, status = {} } = job;
  const changed = changesOf(job, old);
  const { active = 0, ready = 0, terminating = 0 } = status;
  if ((changed.finished || changed.terminating) && terminating > 0 && isJobFinished(status))
    errors.push(invalidValue("status.terminating", terminating, "terminating>0 is invalid for finished job"));
  if ((changed.ready || changed.active) && status.ready !== undefined && ready > active)
    errors.push(invalidValue("status.ready", ready, "cannot set more ready pods than active"));
  const met = isConditionTrue(status, "SuccessCriteriaMet");
  if (met && isConditionTrue(status, "Failed"))
    errors.push(invalidUnshown(field, "cannot set SuccessCriteriaMet=True and Failed=true conditions"));
  if (met && isConditionTrue(status, "FailureTarget"))
    errors.push(invalidUnshown(field, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"));
  if (spec.successPolicy && !met && isConditionTrue(status, "Complete"))
    errors.push(invalidUnshown(field, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"));
}

/** What does not go back: finished jobs stay finished, counters do not fall. */
function validateProgress(errors: FieldError[], { spec, status = {} }: Job, { status: old = {} }: Job): void {
  for (const type of ["Failed", "Complete", "FailureTarget"])
    if (isConditionTrue(old, type) && !isConditionTrue(status, type))
      errors.push(invalidUnshown(field, `cannot disable the terminal ${type}=True condition`));
  const elastic = spec.completionMode === "Indexed" && spec.completions === spec.parallelism;
  if ((status.failed ?? 0) < (old.failed ?? 0))
    errors.push(invalidValue("status.failed", status.failed ?? 0, "cannot decrease the failed counter"));
  if (!elastic && (status.succeeded ?? 0) < (old.succeeded ?? 0))
    errors.push(invalidValue("status.succeeded", status.succeeded ?? 0, "cannot decrease the succeeded counter"));
  const { startTime, completionTime } = status;
  if (completionTime !== undefined && old.completionTime !== undefined && completionTime !== old.completionTime)
    errors.push(invalidValue("status.completionTime", completionTime, "field is immutable"));
  const resuming = isConditionTrue(old, "Suspended") && isConditionFalse(status, "Suspended");
  if (old.startTime !== undefined && startTime !== old.startTime && !spec.suspend && !resuming)
    errors.push(invalidValue("status.startTime", startTime ?? null, "field is immutable for unsuspended job once set"));
  const [met, wasMet] = [isConditionTrue(status, "SuccessCriteriaMet"), isConditionTrue(old, "SuccessCriteriaMet")];
  if (wasMet && !met) errors.push(invalidUnshown(field, "cannot disable the SuccessCriteriaMet=True condition"));
  if (!wasMet && met && isConditionTrue(old, "Complete"))
    errors.push(invalidUnshown(field, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"));
}
