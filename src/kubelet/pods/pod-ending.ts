// The kubelet ends a pod for reasons of its own: eviction, preemption, a shutdown of the node. What waits for that does not
// wait for ever: a pod that has not ended half its grace period too late (at least ten seconds) gets an event and is left to
// its worker.
import type { Clock } from "../../base/clock.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { podReference } from "../references.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import type { PodWorker } from "./pod-worker.ts";

export interface EndPodOptions {
  readonly verdict: PodVerdict;
  /** Default the pod's own grace period. */
  readonly graceSeconds?: number;
}

const leastWaitMs = 10_000;

/** Resolves with whether it ended in time. */
export async function endPod(
  { clock, recorder }: { readonly clock: Clock; readonly recorder: EventRecorder },
  worker: PodWorker,
  { verdict, graceSeconds }: EndPodOptions,
): Promise<boolean> {
  const { pod } = worker;
  const waitMs = Math.max(leastWaitMs, 1500 * (graceSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 0));
  const enough = new AbortController();
  const tooLate = clock.sleep(waitMs, enough.signal).then(
    () => false,
    () => true,
  );
  const inTime = await Promise.race([worker.end(verdict, graceSeconds).then(() => true), tooLate]);
  enough.abort();
  if (inTime) return true;
  const message = "Container runtime did not kill the pod within specified grace period.";
  recorder.record(podReference(pod), { type: "Warning", reason: "ExceededGracePeriod", message });
  return false;
}
