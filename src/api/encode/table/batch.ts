// Tables of jobs and cron jobs.
import { parseTime } from "../../meta/time.ts";
import { isConditionTrue } from "../../semantics/conditions.ts";
import type { CronJob, Job } from "../../types/batch-v1.ts";
import {
  age,
  ageColumn,
  column,
  containerCells,
  containersColumn,
  imagesColumn,
  nameColumn,
  selectorText,
  since,
  wideColumn,
} from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import { humanDuration } from "./human-duration.ts";
import type { TableConvertor } from "./table.ts";

/** What a job's conditions mean for its status, the first that holds. */
function jobStatusText({ metadata, status }: Job): string {
  const holds = (type: string): boolean => isConditionTrue(status?.conditions, type);
  if (holds("Complete")) return "Complete";
  if (holds("Failed")) return "Failed";
  if (metadata.deletionTimestamp !== undefined) return "Terminating";
  return ["Suspended", "FailureTarget", "SuccessCriteriaMet"].find(holds) ?? "Running";
}

function completionsText({ spec, status }: Job): string {
  const done = status?.succeeded ?? 0;
  if (spec?.completions !== undefined) return `${done}/${spec.completions}`;
  const parallelism = spec?.parallelism ?? 0;
  return parallelism > 1 ? `${done}/1 of ${parallelism}` : `${done}/1`;
}

function durationText({ status }: Job, nowMs: number): string {
  const start = status?.startTime && parseTime(status.startTime);
  if (!start) return "";
  const end = status?.completionTime && parseTime(status.completionTime);
  return humanDuration((end || nowMs) - start);
}

export const jobTable: TableConvertor<Job> = {
  columns: [
    nameColumn,
    column("Status", "Status of the job."),
    column("Completions", texts.JobStatus.succeeded),
    column("Duration", "Time required to complete the job."),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.JobSpec.selector),
  ],
  cells: (job, nowMs) => [
    job.metadata.name,
    jobStatusText(job),
    completionsText(job),
    durationText(job, nowMs),
    age(job, nowMs),
    ...containerCells(job.spec?.template.spec?.containers),
    selectorText(job.spec?.selector),
  ],
};

export const cronJobTable: TableConvertor<CronJob> = {
  columns: [
    nameColumn,
    column("Schedule", texts.CronJobSpec.schedule),
    column("Timezone", texts.CronJobSpec.timeZone),
    column("Suspend", texts.CronJobSpec.suspend, "boolean"),
    column("Active", texts.CronJobStatus.active, "integer"),
    column("Last Schedule", texts.CronJobStatus.lastScheduleTime),
    ageColumn,
    containersColumn,
    imagesColumn,
    wideColumn("Selector", texts.JobSpec.selector),
  ],
  cells: (cronJob, nowMs) => {
    const { metadata, spec, status } = cronJob;
    const suspended = spec?.suspend;
    const jobSpec = spec?.jobTemplate.spec;
    return [
      metadata.name,
      spec?.schedule ?? "",
      spec?.timeZone ?? "<none>",
      suspended === undefined ? "<unset>" : suspended ? "True" : "False",
      status?.active?.length ?? 0,
      status?.lastScheduleTime ? since(status.lastScheduleTime, nowMs) : "<none>",
      age(cronJob, nowMs),
      ...containerCells(jobSpec?.template.spec?.containers),
      selectorText(jobSpec?.selector),
    ];
  },
};
