// job-controller: runs pods until enough of them have succeeded, or too many have failed. job-state.ts says what a job has
// come to, plan-pods.ts which pods it needs, plan-tracking.ts how ended pods are counted; this file observes, acts, and
// writes the status. A pod's end is counted in two writes with the removal of its finalizer between them, so that none is
// lost or counted twice.
import { semanticallyEqual } from "../../api/meta/equality.ts";
import { controllerOf, keyOf } from "../../api/meta/object.ts";
import { type LabelMatcher, labelMatcher } from "../../api/meta/selectors.ts";
import { jobs, pods } from "../../api/resources.generated.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { Job, JobStatus } from "../../api/types/batch-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Informer } from "../../client/informer.ts";
import { RecentWrites } from "../../client/recent-writes.ts";
import type { RequeueAfter } from "../../client/work-queue.ts";
import { claim } from "../claim.ts";
import { type Controller, type ControllerContext, type Watched, watch } from "../controller.ts";
import { addOwnerIndex, orphansIn, ownedBy } from "../owner-index.ts";
import { createPod, deletePod } from "../pod-control.ts";
import { slowStartEach } from "../slow-start.ts";
import { isJobFinished, isManagedElsewhere, isSuspended, isTracked, trackingFinalizer } from "./job-facts.ts";
import { completionMode, countCreations, countFinished, countPolicyActions, countsEnds, countsStrangers } from "./job-figures.ts";
import { indexedJobPod, jobPod } from "./job-pod.ts";
import { assessJob, deadlineLeftMs, type JobState, type Verdict } from "./job-state.ts";
import {
  completionsReached,
  endEvents,
  type PodCounts,
  withAnnouncement,
  withCounts,
  withEnd,
  withIndexes,
  withoutZeros,
  withSuspension,
} from "./job-status.ts";
import { type PodPlan, planPods } from "./plan-pods.ts";
import { countReleased, hasUncounted, planTracking } from "./plan-tracking.ts";
import { type FailureRecord, noFailures } from "./pod-backoff.ts";
import { releasePod } from "./release-pod.ts";

/** Pods of a job tend to change together: their changes are answered together. */
const podBatchMs = 100;
/** Key of a pod that has the finalizer and no job that would take it off: no namespace has a colon in its name. */
const strayPrefix = "pod:";

interface Observed {
  readonly jobs: Informer<Job>;
  readonly pods: Informer<Pod>;
  readonly recentJobs: RecentWrites<Job>;
  readonly recentPods: RecentWrites<Pod>;
  /** By key. A record lives as long as its job runs. */
  readonly backoffs: Map<string, { readonly uid: string; readonly record: FailureRecord }>;
}

interface Work extends Observed {
  readonly key: string;
  readonly signal: AbortSignal;
}

export const jobController: Controller = {
  name: "job-controller",
  create(context) {
    const jobInformer = context.informers.informer(jobs);
    const podInformer = context.informers.informer(pods);
    addOwnerIndex(podInformer);
    const observed: Observed = {
      jobs: jobInformer,
      pods: podInformer,
      recentJobs: new RecentWrites<Job>(jobInformer),
      recentPods: new RecentWrites<Pod>(podInformer),
      backoffs: new Map(),
    };
    const podWatch = watch(podInformer, (pod) => keysOfPod(pod, jobInformer));
    const batched: Watched = { start: () => podWatch.start((key) => context.enqueue(key, podBatchMs)) };
    const figures: Watched = { start: () => podInformer.addHandler(countsEnds(context)) };
    const strangers: Watched = { start: () => jobInformer.addHandler(countsStrangers(context)) };
    return {
      watches: [watch(jobInformer, (job) => [keyOf(job)]), batched, figures, strangers],
      async reconcile(key, { signal }) {
        const work: Work = { ...observed, key, signal };
        if (key.startsWith(strayPrefix)) return releaseStray(context, work);
        const cached = jobInformer.get(key);
        if (!cached || isJobFinished(cached)) return windUp(context, work, cached);
        if (isManagedElsewhere(cached)) return undefined;
        const job = observed.recentJobs.correct(key, [cached])[0] ?? cached;
        return isJobFinished(job) ? undefined : reconcileJob(context, work, job);
      },
    };
  },
};

async function reconcileJob(context: ControllerContext, work: Work, job: Job): Promise<RequeueAfter | undefined> {
  const { key, backoffs } = work;
  const nowMs = context.clock.now();
  const begunMs = context.clock.monotonic();
  const known = backoffs.get(key);
  const backoff = known?.uid === job.metadata.uid ? known.record : noFailures;
  const state = assessJob({ job, pods: await podsOf(context, work, job), backoff, nowMs });
  const plan = planPods(state, nowMs);
  const { counts, failure } = await act(context, work, state, plan);
  measure(context, job, { plan, hasFailed: failure !== undefined, begunMs });
  const verdict = finalVerdict(state, counts, failure !== undefined);
  const status = await track(context, work, { state, counts, verdict, onCounted: (record) => backoffs.set(key, record) });
  if (failure) throw failure.error;
  const waits = [deadlineLeftMs({ ...job, status }, nowMs), plan.kind === "wait" ? Math.max(1000, plan.leftMs) : undefined];
  const nextMs = Math.min(...waits.filter((ms) => ms !== undefined && ms > 0).map(Number));
  return Number.isFinite(nextMs) ? { requeueAfterMs: nextMs } : undefined;
}

function measure(
  { clock, metrics }: ControllerContext,
  job: Job,
  { plan, hasFailed, begunMs }: { readonly plan: PodPlan; readonly hasFailed: boolean; readonly begunMs: number },
): void {
  const action = { create: "pods_created", end: "pods_deleted", remove: "pods_deleted", keep: "reconciling", wait: "reconciling" }[
    plan.kind
  ];
  const labels = [completionMode(job), hasFailed ? "error" : "success", action];
  metrics?.own.count("job_controller_job_syncs_total", ...labels);
  metrics?.own.observe("job_controller_job_sync_duration_seconds", (clock.monotonic() - begunMs) / 1000, ...labels);
}

async function podsOf({ client }: ControllerContext, work: Work, job: Job): Promise<readonly Pod[]> {
  const { key, recentPods, signal } = work;
  const selector: LabelMatcher = labelMatcher(job.spec.selector);
  const orphans = orphansIn(work.pods, job.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
  const candidates = recentPods.correct(key, [...ownedBy(work.pods, job.metadata.uid), ...orphans]);
  return claim(candidates, {
    client,
    signal,
    ownerType: jobs,
    owner: job,
    type: pods,
    selector,
    finalizer: trackingFinalizer,
    onWrite: (pod) => recentPods.written(key, pod),
  });
}

interface Outcome {
  readonly counts: PodCounts;
  readonly failure?: { readonly error: unknown };
}

/** Does what is planned with pods; what failed is returned, for the status tells of the rest before it is tried again. */
async function act(context: ControllerContext, work: Work, state: JobState, plan: PodPlan): Promise<Outcome> {
  const counts: PodCounts = {
    active: state.active.length,
    ready: state.active.filter(isPodReady).length,
    terminating: state.terminating.length,
  };
  switch (plan.kind) {
    case "keep":
      return { counts };
    case "wait":
      // During a back-off the status tells of no active pod, as upstream's does, whatever still runs; but of those that are ready,
      // without which it would not be accepted.
      return { counts: counts.ready > 0 ? counts : { ...counts, active: 0 } };
    case "create":
      return createPods(context, work, { state, counts, indexes: plan.pods });
    case "end":
    case "remove":
      return removePods(context, work, { state, counts, pods: plan.pods, isCounted: plan.kind === "end" });
  }
}

async function createPods(
  context: ControllerContext,
  { key, recentPods, signal }: Work,
  { state, counts, indexes }: { readonly state: JobState; readonly counts: PodCounts; readonly indexes: readonly (number | undefined)[] },
): Promise<Outcome> {
  const { job } = state;
  const plain = jobPod(job);
  let created = 0;
  const createNext = async (index: number | undefined): Promise<void> => {
    const pod = index === undefined ? plain : indexedJobPod(job, index, state.indexes?.waiting.get(index));
    const made = await createPod(context, { owner: job, pod, signal });
    if (made) recentPods.written(key, made);
    created++;
  };
  try {
    await slowStartEach(indexes, createNext);
    countCreations(context, state, { created, hasFailed: false });
    return { counts: { ...counts, active: counts.active + created } };
  } catch (error) {
    countCreations(context, state, { created, hasFailed: true });
    return { counts: { ...counts, active: counts.active + created }, failure: { error } };
  }
}

/** Deletes pods; those that are not to be counted lose their finalizer first. */
async function removePods(
  context: ControllerContext,
  { key, recentPods, signal }: Work,
  { state, counts, pods: surplus, isCounted }: { state: JobState; counts: PodCounts; pods: readonly Pod[]; isCounted: boolean },
): Promise<Outcome> {
  const remove = async (pod: Pod): Promise<void> => {
    if (!isCounted) {
      const released = await releasePod(context.client, pod, signal);
      if (released) recentPods.written(key, released);
    }
    const marked = await deletePod(context, { owner: state.job, pod, signal });
    if (marked) recentPods.written(key, marked);
    else recentPods.deleted(key, pod);
  };
  const results = await Promise.allSettled(surplus.map(remove));
  const removed = surplus.filter((_, i) => results[i]?.status === "fulfilled");
  const failed = results.find((result) => result.status === "rejected");
  return {
    counts: {
      active: counts.active - removed.length,
      ready: counts.ready - removed.filter(isPodReady).length,
      terminating: counts.terminating + removed.length,
    },
    ...(failed ? { failure: { error: failed.reason } } : {}),
  };
}

/** How the job ends after this run's work on its pods; it cannot end while pods remain that could not be deleted. */
function finalVerdict({ job, succeeded, verdict }: JobState, { active }: PodCounts, hasFailed: boolean): Verdict | undefined {
  if (verdict) return hasFailed ? undefined : verdict;
  const isComplete = active === 0 && (job.spec.completions === undefined ? succeeded > 0 : succeeded >= job.spec.completions);
  return isComplete ? completionsReached : undefined;
}

interface Tracking {
  readonly state: JobState;
  readonly counts: PodCounts;
  readonly verdict: Verdict | undefined;
  readonly onCounted: (record: { readonly uid: string; readonly record: FailureRecord }) => void;
}

/** Brings the ends of pods into the status and the job to its end, as far as that goes in this run. */
async function track(context: ControllerContext, work: Work, tracking: Tracking): Promise<JobStatus> {
  const { state, counts, verdict } = tracking;
  const { job } = state;
  const nowMs = context.clock.now();
  const mayChangeSuspension = !verdict && !state.verdict && job.metadata.deletionTimestamp === undefined;
  const counted = withCounts(job, counts, nowMs);
  const { status, event } = mayChangeSuspension ? withSuspension(counted, isSuspended(job), nowMs) : { status: counted };

  const stillTracked = new Set(state.pods.filter(isTracked).map((pod) => pod.metadata.uid));
  const settled = countReleased(status, stillTracked);
  const plan = planTracking(state, settled, verdict);
  let next: JobStatus = { ...settled, uncountedTerminatedPods: plan.uncounted };
  if (state.indexes) next = withIndexes(next, state.indexes);
  if (verdict) next = withAnnouncement(next, verdict, nowMs);
  const announced = await writeStatus(context, work, job, next);
  if (event) context.recorder.record(job, event);
  tracking.onCounted({ uid: job.metadata.uid, record: state.backoff });

  const failure = await releaseAll(context, work, plan.release, stillTracked);
  countPolicyActions(
    context,
    job,
    plan.release.filter((pod) => !stillTracked.has(pod.metadata.uid)),
  );
  let last = countReleased(announced.status ?? next, stillTracked);
  const ends = verdict !== undefined && !failure && !plan.isPartial && !hasUncounted(last) && counts.terminating === 0;
  if (ends) last = withEnd(last, verdict, nowMs);
  await writeStatus(context, work, announced, last);
  countFinished(context, job, last);
  if (ends) {
    context.metrics?.own.count("job_controller_jobs_finished_total", completionMode(job), verdict.outcome, verdict.reason);
    for (const each of endEvents(job, last, verdict)) context.recorder.record(job, each);
  }
  if (failure) throw failure.error;
  return last;
}

/** Takes the finalizer off; the uids of pods that have lost it leave `stillTracked`. */
async function releaseAll(
  { client }: ControllerContext,
  { key, recentPods, signal }: Work,
  ended: readonly Pod[],
  stillTracked: Set<string>,
): Promise<{ readonly error: unknown } | undefined> {
  const release = async (pod: Pod): Promise<void> => {
    const released = await releasePod(client, pod, signal);
    // A pod that is gone is counted when the cache shows it gone: until then it would be counted again.
    if (!released) return;
    recentPods.written(key, released);
    stillTracked.delete(pod.metadata.uid);
  };
  const failed = (await Promise.allSettled(ended.map(release))).find((result) => result.status === "rejected");
  return failed ? { error: failed.reason } : undefined;
}

async function writeStatus({ client }: ControllerContext, { key, recentJobs, signal }: Work, job: Job, status: JobStatus): Promise<Job> {
  const wire = withoutZeros(status);
  if (semanticallyEqual(wire, job.status)) return job;
  return recentJobs.written(key, await client.updateStatus(jobs, { ...job, status: wire }, { signal }));
}

/** Nothing more is done for a job that has ended or is gone but to free what is left of its pods. */
async function windUp({ client }: ControllerContext, work: Work, job: Job | undefined): Promise<undefined> {
  const { key, signal, backoffs } = work;
  backoffs.delete(key);
  work.recentPods.forget(key);
  if (!job) work.recentJobs.forget(key);
  const left = job ? ownedBy(work.pods, job.metadata.uid) : podsNaming(key, work.pods);
  if (job && isManagedElsewhere(job)) return undefined;
  await Promise.all(left.filter(isTracked).map((pod) => releasePod(client, pod, signal)));
  return undefined;
}

/** Pods whose owner reference names the job of this key, which is gone. */
function podsNaming(key: string, podInformer: Informer<Pod>): readonly Pod[] {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  return podInformer.inNamespace(key.slice(0, slash)).filter((pod) => {
    const owner = controllerOf(pod);
    return owner?.kind === jobs.kind && owner.name === name;
  });
}

/** Frees a pod that no running job counts. */
async function releaseStray(
  { client }: ControllerContext,
  { key, signal, pods: podInformer, jobs: jobInformer }: Work,
): Promise<undefined> {
  const pod = podInformer.get(key.slice(strayPrefix.length));
  if (pod && isStray(pod, jobInformer)) await releasePod(client, pod, signal);
  return undefined;
}

function isStray(pod: Pod, jobInformer: Informer<Job>): boolean {
  if (!isTracked(pod)) return false;
  const owner = controllerOf(pod);
  if (!owner) return true;
  return owner.kind === jobs.kind && jobInformer.get(`${pod.metadata.namespace}/${owner.name}`)?.metadata.uid !== owner.uid;
}

/** The job that controls a pod; for a pod without a job those that might take it over, and the pod itself where it is held. */
function keysOfPod(pod: Pod, jobInformer: Informer<Job>): readonly string[] {
  const owner = controllerOf(pod);
  const strays = isStray(pod, jobInformer) ? [`${strayPrefix}${keyOf(pod)}`] : [];
  if (owner) return owner.kind === jobs.kind ? [`${pod.metadata.namespace}/${owner.name}`, ...strays] : [];
  if (!pod.metadata.labels || pod.metadata.deletionTimestamp !== undefined) return strays;
  const adopters = jobInformer
    .inNamespace(pod.metadata.namespace)
    .filter((job) => !isJobFinished(job) && labelMatcher(job.spec.selector).matches(pod.metadata.labels));
  return [...adopters.map(keyOf), ...strays];
}
