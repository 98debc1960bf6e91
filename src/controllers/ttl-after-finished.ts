// ttl-after-finished-controller: deletes jobs so long after they have finished, with their pods, which go first.
import { keyOf } from "../api/meta/object.ts";
import { isStatus } from "../api/meta/status-error.ts";
import { parseTime } from "../api/meta/time.ts";
import { jobs } from "../api/resources.generated.ts";
import type { Job } from "../api/types/batch-v1.ts";
import { type Controller, watch } from "./controller.ts";

/** When a job is to go; undefined where it stays, has not finished yet, or is going already. */
export function jobExpiryMs({ metadata, spec, status }: Job): number | undefined {
  const ttlSeconds = spec?.ttlSecondsAfterFinished;
  if (ttlSeconds === undefined || metadata.deletionTimestamp !== undefined) return undefined;
  const finished = status?.conditions?.find(({ type, status }) => (type === "Complete" || type === "Failed") && status === "True");
  const finishedMs = parseTime(finished?.lastTransitionTime ?? "");
  return finishedMs === undefined ? undefined : finishedMs + ttlSeconds * 1000;
}

export const ttlAfterFinishedController: Controller = {
  name: "ttl-after-finished-controller",
  create({ client, clock, informers, metrics }) {
    const jobInformer = informers.informer(jobs);
    const leftMs = (job: Job): number | undefined => {
      const expiryMs = jobExpiryMs(job);
      return expiryMs === undefined ? undefined : expiryMs - clock.now();
    };
    return {
      watches: [watch(jobInformer, (job) => (jobExpiryMs(job) === undefined ? [] : [keyOf(job)]))],
      async reconcile(key, { signal }) {
        const cached = jobInformer.get(key);
        const cachedLeftMs = cached && leftMs(cached);
        if (!cached || cachedLeftMs === undefined) return undefined;
        if (cachedLeftMs > 0) return { requeueAfterMs: cachedLeftMs };
        const { namespace, name } = cached.metadata;
        try {
          // Its time may have been extended just now: the server has the last word.
          const job = await client.get(jobs, { namespace, name }, { signal });
          const jobLeftMs = leftMs(job);
          if (jobLeftMs === undefined) return undefined;
          if (jobLeftMs > 0) return { requeueAfterMs: jobLeftMs };
          const { uid, resourceVersion } = job.metadata;
          const body = { propagationPolicy: "Foreground" as const, preconditions: { uid, resourceVersion } };
          await client.delete(jobs, { namespace, name }, { signal, body });
          metrics?.own.observe("ttl_after_finished_controller_job_deletion_duration_seconds", -jobLeftMs / 1000);
        } catch (error) {
          if (!isStatus(error, "NotFound")) throw error;
        }
        return undefined;
      },
    };
  },
};
