// What the job controller counts for its figures: pods made, ended and freed of their finalizer, indexes that are done, and jobs
// that are somebody else's.

import { isPodTerminal } from "../../api/semantics/pod-status.ts";
import type { Job, JobStatus } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { InformerHandler } from "../../client/informer.ts";
import type { ControllerContext } from "../controller.ts";
import { IndexSet } from "./index-set.ts";
import { isManagedElsewhere, isTracked } from "./job-facts.ts";
import type { JobState } from "./job-state.ts";

export const completionMode = ({ spec }: Job): string => spec.completionMode ?? "NonIndexed";

/** Pods that have ended and still have the finalizer, and those that have lost it. */
export function countsEnds({ metrics }: ControllerContext): InformerHandler<Pod> {
  const awaitsCounting = (pod: Pod): boolean => isTracked(pod) && isPodTerminal(pod);
  const count = (event: "add" | "delete"): void => metrics?.own.count("job_controller_terminated_pods_tracking_finalizer_total", event);
  return {
    onAdd: (pod) => awaitsCounting(pod) && count("add"),
    onUpdate(pod, previous) {
      const [before, after] = [awaitsCounting(previous), awaitsCounting(pod)];
      if (before !== after) count(after ? "add" : "delete");
    },
    onDelete: (pod) => awaitsCounting(pod) && count("delete"),
  };
}

/** Jobs that another controller manages. */
export function countsStrangers({ metrics }: ControllerContext): InformerHandler<Job> {
  return {
    onAdd(job) {
      if (isManagedElsewhere(job)) metrics?.own.count("job_controller_jobs_by_external_controller_total", job.spec.managedBy ?? "");
    },
  };
}

export function countCreations(
  { metrics }: ControllerContext,
  { job, terminating }: JobState,
  { created, hasFailed }: { readonly created: number; readonly hasFailed: boolean },
): void {
  const replacesFailed = job.spec.podReplacementPolicy === "Failed";
  const replaces = (job.status?.failed ?? 0) > 0 || (!replacesFailed && terminating.length > 0);
  const reason = !replaces ? "new" : replacesFailed ? "recreate_failed" : "recreate_terminating_or_failed";
  if (created > 0) metrics?.own.add("job_controller_job_pods_creation_total", created, reason, "succeeded");
  // Of a batch that fails the first failure ends it.
  if (hasFailed) metrics?.own.count("job_controller_job_pods_creation_total", reason, "failed");
}

/** What the status has come to tell of that it did not tell before. */
export function countFinished({ metrics }: ControllerContext, job: Job, after: JobStatus): void {
  const before: JobStatus = job.status ?? {};
  const mode = completionMode(job);
  const completions = job.spec.completions ?? 0;
  const indexes = (text: string | undefined): number => IndexSet.parse(text, completions).size;
  let succeeded = Math.max(0, (after.succeeded ?? 0) - (before.succeeded ?? 0));
  if (mode === "Indexed") {
    const limit = job.spec.backoffLimitPerIndex === undefined ? "global" : "perIndex";
    succeeded = Math.max(0, indexes(after.completedIndexes) - indexes(before.completedIndexes));
    metrics?.own.add("job_controller_job_finished_indexes_total", succeeded, "succeeded", limit);
    const failed = indexes(after.failedIndexes) - indexes(before.failedIndexes);
    if (failed > 0) metrics?.own.add("job_controller_job_finished_indexes_total", failed, "failed", limit);
  }
  metrics?.own.add("job_controller_job_pods_finished_total", succeeded, mode, "succeeded");
  metrics?.own.add("job_controller_job_pods_finished_total", Math.max(0, (after.failed ?? 0) - (before.failed ?? 0)), mode, "failed");
}
