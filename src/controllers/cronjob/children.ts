// What the jobs of a cron job mean to it: which have ended since the last look, which are beyond its history limits, and the
// job that a run makes. Pure.
import { controllerRef, type New } from "../../api/meta/object.ts";
import { cronjobs } from "../../api/resources.generated.ts";
import { isConditionTrue } from "../../api/semantics/conditions.ts";
import type { CronJob, CronJobStatus, Job } from "../../api/types/batch-v1.ts";
import type { ObjectReference } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import type { TimeZone } from "../../base/time-zone.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";

const scheduledTimeAnnotation = "batch.kubernetes.io/cronjob-scheduled-timestamp";

export type JobEnd = "Complete" | "Failed";

/** How a job has ended; undefined while it has not. */
export function endOf(job: Job): JobEnd | undefined {
  if (isConditionTrue(job.status?.conditions, "Complete")) return "Complete";
  return isConditionTrue(job.status?.conditions, "Failed") ? "Failed" : undefined;
}

/** Jobs beyond the history limits, those that started first. */
export function surplusJobs({ spec }: CronJob, jobs: readonly Job[]): readonly Job[] {
  const beyond = (end: JobEnd, limit: number | undefined): readonly Job[] => {
    const ended = jobs.filter((job) => endOf(job) === end);
    return limit === undefined ? [] : ended.sort(byStart).slice(0, Math.max(0, ended.length - limit));
  };
  return [...beyond("Complete", spec.successfulJobsHistoryLimit), ...beyond("Failed", spec.failedJobsHistoryLimit)];
}

/** Jobs that have not started come last. */
function byStart(a: Job, b: Job): number {
  const [startA = "~", startB = "~"] = [a.status?.startTime, b.status?.startTime];
  if (startA !== startB) return startA < startB ? -1 : 1;
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

export function isActive(status: CronJobStatus, uid: string): boolean {
  return status.active?.some((reference) => reference.uid === uid) ?? false;
}

export function withoutActive(status: CronJobStatus, uid: string | undefined): CronJobStatus {
  const { active = [], ...rest } = status;
  const left = active.filter((reference) => reference.uid !== uid);
  return left.length === 0 ? rest : { ...rest, active: left };
}

/** The status in which the jobs that have ended are no longer active, with events that tell of them. */
export function withEnds(
  status: CronJobStatus,
  jobs: readonly Job[],
): { readonly status: CronJobStatus; readonly events: readonly EventToRecord[] } {
  const events: EventToRecord[] = [];
  let next = status;
  for (const job of jobs) {
    const end = endOf(job);
    const { uid, name } = job.metadata;
    if (end && isActive(next, uid)) {
      next = withoutActive(next, uid);
      events.push({ type: "Normal", reason: "SawCompletedJob", message: `Saw completed job: ${name}, condition: ${end}` });
    }
    const completed = end === "Complete" ? job.status?.completionTime : undefined;
    // Both are whole seconds in UTC, which compare as texts.
    if (completed !== undefined && completed > (next.lastSuccessfulTime ?? "")) next = { ...next, lastSuccessfulTime: completed };
  }
  return { status: next, events };
}

/** One job for each scheduled time: its name is what keeps a second one from being made. */
export function jobName(cronJob: CronJob, scheduledMs: number): string {
  return `${cronJob.metadata.name}-${Math.floor(scheduledMs / 60_000)}`;
}

export function jobOf(cronJob: CronJob, scheduledMs: number, zone: TimeZone): New<Job> {
  const { metadata, spec } = cronJob.spec.jobTemplate;
  return {
    metadata: {
      name: jobName(cronJob, scheduledMs),
      namespace: cronJob.metadata.namespace,
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [scheduledTimeAnnotation]: localTime(scheduledMs, zone) },
      ownerReferences: [controllerRef(cronJob, cronjobs)],
    },
    spec: spec ?? { template: {} },
  };
}

/** RFC 3339 with the zone's offset. */
function localTime(atMs: number, zone: TimeZone): string {
  const offsetMinutes = Math.trunc(zone.offsetMs(atMs) / 60_000);
  if (offsetMinutes === 0) return formatTime(atMs);
  const digits = (value: number): string => String(value).padStart(2, "0");
  const size = Math.abs(offsetMinutes);
  const offset = `${offsetMinutes < 0 ? "-" : "+"}${digits(Math.floor(size / 60))}:${digits(size % 60)}`;
  return `${new Date(atMs + offsetMinutes * 60_000).toISOString().slice(0, 19)}${offset}`;
}

export function referenceToJob({ apiVersion, kind, metadata }: Job): ObjectReference {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion, kind, namespace, name, uid, resourceVersion };
}
