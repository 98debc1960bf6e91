// cronjob-controller: makes a job for each time of a schedule, by the concurrency policy and not after the starting deadline,
// and keeps so many ended jobs. timetable.ts knows the times, due-run.ts which of them is due; this file observes and acts.
// Between two times it sleeps: a month under a virtual clock is as many steps as there are runs.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerOf, isControlledBy, keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { cronjobs, jobs } from "../../api/resources.generated.ts";
import { CronError } from "../../api/semantics/cron-schedule.ts";
import type { CronJob, CronJobStatus, Job } from "../../api/types/batch-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type TimeZone, timeZone, utc } from "../../base/time-zone.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { addOwnerIndex, ownedBy } from "../owner-index.ts";
import { isNamespaceGoing } from "../service-account.ts";
import { endOf, isActive, jobName, jobOf, referenceToJob, surplusJobs, withEnds, withoutActive } from "./children.ts";
import { type DueRuns, dueRuns, isTooMany, NeverDueError, nextWakeUpMs } from "./due-run.ts";
import { type Timetable, timetable } from "./timetable.ts";

interface Work {
  readonly key: string;
  readonly cronJob: CronJob;
  readonly recentJobs: RecentWrites<Job>;
  readonly signal: AbortSignal;
}

/** The status that a step leaves, and when to come again. */
interface Progress {
  readonly status: CronJobStatus;
  readonly nextMs?: number | undefined;
  /** What went wrong, to be tried again after the status has been written. */
  readonly failure?: unknown;
}

export const cronJobController: Controller = {
  name: "cronjob-controller",
  create(context) {
    const cronJobInformer = context.informers.informer(cronjobs);
    const jobInformer = context.informers.informer(jobs);
    addOwnerIndex(jobInformer);
    const recentCronJobs = new RecentWrites<CronJob>(cronJobInformer);
    const recentJobs = new RecentWrites<Job>(jobInformer);
    const cronJobWatch: Watched = {
      start: (enqueue) =>
        cronJobInformer.addHandler({
          onAdd: (cronJob) => enqueue(keyOf(cronJob)),
          // A new schedule holds from now on: what it would have run in the past is not made up for.
          onUpdate: (cronJob, previous) =>
            context.enqueue(keyOf(cronJob), hasNewSchedule(cronJob, previous) ? wakeUpFor(context, cronJob) : 0),
          onDelete: (cronJob) => enqueue(keyOf(cronJob)),
        }),
    };
    return {
      watches: [cronJobWatch, watch(jobInformer, keysOfJob)],
      async reconcile(key, { signal }) {
        const cached = cronJobInformer.get(key);
        if (!cached) {
          recentCronJobs.forget(key);
          recentJobs.forget(key);
          return undefined;
        }
        const cronJob = recentCronJobs.correct(key, [cached])[0] ?? cached;
        const children = recentJobs.correct(key, ownedBy(jobInformer, cronJob.metadata.uid));
        const { status, nextMs, failure } = await runDue(context, { key, cronJob, recentJobs, signal }, children);
        if (!semanticallyEqual(status, cronJob.status))
          recentCronJobs.written(key, await context.client.updateStatus(cronjobs, { ...cronJob, status }, { signal }));
        if (failure !== undefined) throw failure;
        return nextMs === undefined ? undefined : { requeueAfterMs: nextMs };
      },
    };
  },
};

const keysOfJob = (job: Job): readonly string[] => {
  const owner = controllerOf(job);
  return owner?.kind === cronjobs.kind ? [`${job.metadata.namespace}/${owner.name}`] : [];
};

const hasNewSchedule = ({ spec }: CronJob, previous: CronJob): boolean =>
  spec.schedule !== previous.spec.schedule || spec.timeZone !== previous.spec.timeZone;

function wakeUpFor(context: ControllerContext, cronJob: CronJob): number {
  const table = readTimetable(context, cronJob);
  const nowMs = context.clock.now();
  return (table && nextWakeUpMs(cronJob, table, nowMs)) ?? 0;
}

async function runDue(context: ControllerContext, work: Work, children: readonly Job[]): Promise<Progress> {
  const { cronJob } = work;
  let status = cronJob.status ?? {};
  try {
    for (const job of surplusJobs(cronJob, children)) status = await removeJob(context, work, { status, job });
    status = await followChildren(context, work, { status, children });
  } catch (failure) {
    return { status, failure };
  }
  if (cronJob.metadata.deletionTimestamp !== undefined) return { status };
  const zone = zoneOf(cronJob);
  if (!zone) {
    const name = cronJob.spec.timeZone ?? "";
    warn(context, cronJob, "UnknownTimeZone", `invalid timeZone: ${JSON.stringify(name)}: unknown time zone ${name}`);
    return { status };
  }
  if (cronJob.spec.suspend) return { status };
  const table = readTimetable(context, cronJob);
  if (!table) return { status };
  const due = findDue(context, cronJob, table);
  if (!due) return { status };
  const nextMs = nextWakeUpMs(cronJob, table, context.clock.now());
  if (due.dueMs === undefined) return { status, nextMs };
  return { nextMs, ...(await run(context, work, { status, dueMs: due.dueMs, zone })) };
}

/** The cron job's zone; UTC where it names none. */
const zoneOf = ({ spec }: CronJob): TimeZone | undefined => (spec.timeZone === undefined ? utc : timeZone(spec.timeZone));

/** The times of the schedule; undefined, with an event that tells of it, where it cannot be read. */
function readTimetable(context: ControllerContext, cronJob: CronJob): Timetable | undefined {
  const { schedule } = cronJob.spec;
  const named = /^(?:CRON_)?TZ=(\S*)/.exec(schedule)?.[1];
  if (schedule.includes("TZ")) {
    const help = "see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
    const message = `CRON_TZ or TZ used in schedule ${JSON.stringify(schedule)} is not officially supported, ${help}`;
    warn(context, cronJob, "UnsupportedSchedule", message);
  }
  try {
    const zone = named === undefined ? zoneOf(cronJob) : timeZone(named);
    if (!zone) throw new CronError(`provided bad location ${named}: unknown time zone ${named}`);
    return timetable(schedule, zone);
  } catch (error) {
    if (!(error instanceof CronError)) throw error;
    warn(context, cronJob, "UnparseableSchedule", `unparseable schedule: ${JSON.stringify(schedule)} : ${error.message}`);
    return undefined;
  }
}

function findDue(context: ControllerContext, cronJob: CronJob, table: Timetable): DueRuns | undefined {
  try {
    const due = dueRuns(cronJob, table, { nowMs: context.clock.now(), heedDeadline: true });
    if (due.dueMs !== undefined && isTooMany(due)) {
      const message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
      warn(context, cronJob, "TooManyMissedTimes", message);
    }
    return due;
  } catch (error) {
    if (!(error instanceof NeverDueError)) throw error;
    warn(context, cronJob, "InvalidSchedule", `invalid schedule: ${cronJob.spec.schedule} : ${error.message}`);
    return undefined;
  }
}

/** Starts the run of this time, where the deadline and the concurrency policy let it. */
async function run(
  context: ControllerContext,
  work: Work,
  { status, dueMs, zone }: { readonly status: CronJobStatus; readonly dueMs: number; readonly zone: TimeZone },
): Promise<Omit<Progress, "nextMs">> {
  const { cronJob } = work;
  const { startingDeadlineSeconds = Number.POSITIVE_INFINITY, concurrencyPolicy } = cronJob.spec;
  if (dueMs + startingDeadlineSeconds * 1000 < context.clock.now()) {
    const at = new Date(dueMs).toUTCString().replace("GMT", "+0000");
    warn(context, cronJob, "MissSchedule", `Missed scheduled time to start a job: ${at}`);
    return { status };
  }
  const active = status.active ?? [];
  const name = jobName(cronJob, dueMs);
  if (active.some((reference) => reference.name === name) || status.lastScheduleTime === formatTime(dueMs)) return { status };
  if (concurrencyPolicy === "Forbid" && active.length > 0) {
    const message = "Not starting job because prior execution is running and concurrency policy is Forbid";
    context.recorder.record(cronJob, { type: "Normal", reason: "JobAlreadyActive", message });
    return { status };
  }
  let left = status;
  try {
    if (concurrencyPolicy === "Replace") for (const { name = "" } of active) left = await replaceJob(context, work, { status: left, name });
    const job = await startJob(context, work, { dueMs, zone });
    if (!job || isActive(left, job.metadata.uid)) return { status: left };
    return { status: { ...left, active: [...(left.active ?? []), referenceToJob(job)], lastScheduleTime: formatTime(dueMs) } };
  } catch (failure) {
    return { status: left, failure };
  }
}

/** The job of this run; undefined where another controller has one of that name. */
async function startJob(
  context: ControllerContext,
  { key, cronJob, recentJobs, signal }: Work,
  { dueMs, zone }: { readonly dueMs: number; readonly zone: TimeZone },
): Promise<Job | undefined> {
  const { client } = context;
  const wanted = jobOf(cronJob, dueMs, zone);
  try {
    const job = recentJobs.written(key, await client.create(jobs, wanted, { signal }));
    context.metrics?.own.observe("cronjob_controller_job_creation_skew_duration_seconds", (context.clock.now() - dueMs) / 1000);
    context.recorder.record(cronJob, { type: "Normal", reason: "SuccessfulCreate", message: `Created job ${job.metadata.name}` });
    return job;
  } catch (error) {
    if (isStatus(error, "AlreadyExists")) {
      // Made by an earlier run that could not write the status any more, or by someone else.
      const { namespace } = cronJob.metadata;
      const existing = await client.get(jobs, { namespace, name: jobName(cronJob, dueMs) }, { signal });
      return isControlledBy(existing, cronJob) ? existing : undefined;
    }
    if (!isNamespaceGoing(error)) warn(context, cronJob, "FailedCreate", `Error creating job: ${textOf(error)}`);
    throw error;
  }
}

async function replaceJob(
  context: ControllerContext,
  work: Work,
  { status, name }: { readonly status: CronJobStatus; readonly name: string },
): Promise<CronJobStatus> {
  const { namespace } = work.cronJob.metadata;
  let job: Job;
  try {
    job = await context.client.get(jobs, { namespace, name }, { signal: work.signal });
  } catch (error) {
    warn(context, work.cronJob, "FailedGet", `Get job: ${textOf(error)}`);
    throw error;
  }
  const left = await removeJob(context, work, { status, job });
  if (isActive(left, job.metadata.uid)) throw new Error(`could not replace job ${namespace}/${name}`);
  return left;
}

/** Deletes a job and its pods. What cannot be deleted is told in an event and stays for the next time. */
async function removeJob(
  context: ControllerContext,
  { key, cronJob, recentJobs, signal }: Work,
  { status, job }: { readonly status: CronJobStatus; readonly job: Job },
): Promise<CronJobStatus> {
  const { namespace, name, uid } = job.metadata;
  try {
    await context.client.delete(jobs, { namespace, name }, { signal, body: { propagationPolicy: "Background", preconditions: { uid } } });
  } catch (error) {
    if (!isStatus(error, "NotFound", "Conflict")) {
      warn(context, cronJob, "FailedDelete", `Deleted job: ${textOf(error)}`);
      return status;
    }
  }
  recentJobs.deleted(key, job);
  context.recorder.record(cronJob, { type: "Normal", reason: "SuccessfulDelete", message: `Deleted job ${name}` });
  return withoutActive(status, uid);
}

/** Takes notice of jobs that have ended, have gone, or are there unexpectedly. */
async function followChildren(
  { client, recorder }: ControllerContext,
  { cronJob, signal }: Work,
  { status, children }: { readonly status: CronJobStatus; readonly children: readonly Job[] },
): Promise<CronJobStatus> {
  const { status: followed, events } = withEnds(status, children);
  for (const event of events) recorder.record(cronJob, event);
  for (const job of children) {
    if (endOf(job) || isActive(followed, job.metadata.uid)) continue;
    const message = `Saw a job that the controller did not create or forgot: ${job.metadata.name}`;
    recorder.record(cronJob, { type: "Warning", reason: "UnexpectedJob", message });
  }
  let left = followed;
  for (const { namespace = "", name = "", uid } of followed.active ?? []) {
    if (children.some((job) => job.metadata.uid === uid)) continue;
    try {
      await client.get(jobs, { namespace, name }, { signal });
    } catch (error) {
      if (!isStatus(error, "NotFound")) throw error;
      recorder.record(cronJob, { type: "Normal", reason: "MissingJob", message: `Active job went missing: ${name}` });
      left = withoutActive(left, uid);
    }
  }
  return left;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function warn({ recorder }: ControllerContext, cronJob: CronJob, reason: string, message: string): void {
  recorder.record(cronJob, { type: "Warning", reason, message });
}
