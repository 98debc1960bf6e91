// What becomes of a pod that found no place, or lost the one that was assumed: its room is given back, plugins are asked whether
// they can make room, the pod goes back into the queue, and its condition and an event say why.
import { keyOf } from "../api/meta/object.ts";
import { pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { errorText } from "../base/log.ts";
import type { Attempt, Failure, SchedulerState } from "./attempt.ts";
import type { PostFilterContext, Profile } from "./framework.ts";
import { reportUnscheduled } from "./pod-status.ts";
import type { Unschedulable } from "./schedule.ts";

export class FailureHandling {
  readonly #state: SchedulerState;

  constructor(state: SchedulerState) {
    this.#state = state;
  }

  /** No node was feasible: asks the plugins for room, and puts the pod back. Never rejects. */
  unschedulable(attempt: Attempt, result: Unschedulable): Promise<void> {
    return this.#postFilter(attempt, result).then(
      (failure) => this.failed(attempt, failure),
      (error: unknown) => this.broken(attempt, error),
    );
  }

  /** Something threw. */
  broken(attempt: Attempt, error: unknown): void {
    const { deps, signal } = this.#state;
    if (!signal.aborted) deps.logger.error("Scheduling a pod failed", { pod: keyOf(attempt.cycle.pod), error });
    this.failed(attempt, { rejectedBy: new Set(), message: errorText(error) });
  }

  /** Undoes an assumed placement. `gone`: the pod no longer exists, so there is nothing to try again. */
  giveBack(attempt: Attempt, why: Failure & { readonly nodeName: string; readonly gone?: boolean }): void {
    const { cache, queue } = this.#state;
    const { cycle, profile } = attempt;
    for (const plugin of [...profile.plugins].reverse()) plugin.unreserve?.(cycle, why.nodeName);
    cache.forget(cycle.pod);
    if (why.gone) queue.done(cycle.pod);
    else this.failed(attempt, { ...why, nomination: "" });
    queue.onEvent("AssignedPodDelete", cycle.pod, undefined);
  }

  failed({ info, cycle, profile, startedMs }: Attempt, failure: Failure): void {
    const { deps, cache, queue, recorderOf, signal, track } = this.#state;
    if (signal.aborted) return;
    const reason = failure.reason ?? (failure.rejectedBy.size > 0 ? "Unschedulable" : "SchedulerError");
    const { clock, metrics, informers, logger } = deps;
    const result = reason === "Unschedulable" ? "unschedulable" : "error";
    metrics?.attempted(result, profile.schedulerName, clock.monotonic() - startedMs);
    // The pod may have changed or gone while it was being tried.
    const key = keyOf(cycle.pod);
    const current = informers.informer(pods).get(key);
    if (!current || current.metadata.uid !== cycle.pod.metadata.uid || current.spec.nodeName || current.metadata.deletionTimestamp)
      return queue.done(cycle.pod);
    const { rejectedBy, message, nomination } = failure;
    queue.failed(info, current, rejectedBy);
    if (nomination) cache.nominations.set(current, nomination);
    else if (nomination === "") cache.nominations.delete(current);
    logger.info("Unable to schedule pod", { pod: key, message }, 2);
    recorderOf(profile).record(current, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note: message });
    track(reportUnscheduled({ ...deps, signal }, current, { reason, message, nomination }));
  }

  /** A pod that is being deleted, but not gone: something has to be done about it first. */
  tellSkipped(pod: Pod, profile: Profile): void {
    const note = `skip schedule deleting pod: ${keyOf(pod)}`;
    this.#state.recorderOf(profile).record(pod, { type: "Warning", reason: "FailedScheduling", action: "Scheduling", note });
  }

  /** Asks the plugins in turn whether they can make room. */
  async #postFilter({ cycle, profile }: Attempt, { message, rejectedBy, rejections, signature }: Unschedulable): Promise<Failure> {
    if (rejections.size === 0) return { message, rejectedBy, nomination: "", reason: "Unschedulable" };
    const { deps, queue, signal } = this.#state;
    const context: PostFilterContext = {
      ...{ profile, rejections, signal },
      ...(signature === undefined ? {} : { signature }),
      random: () => deps.clock.random(),
      released: (pod, how) => (how === "done" ? queue.release(pod) : queue.activate(pod)),
    };
    const reasons: string[] = [];
    let hopeless = false;
    for (const plugin of profile.plugins) {
      const outcome = await plugin.postFilter?.(cycle, context);
      if (!outcome) continue;
      if (outcome.kind === "nominated") return { message, rejectedBy, nomination: outcome.nodeName };
      reasons.push(outcome.message);
      if (outcome.kind === "failed") break;
      hopeless ||= outcome.hopeless ?? false;
    }
    const added = reasons.length > 0 ? ` ${reasons.join(", ")}` : "";
    return { message: message + added, rejectedBy, ...(hopeless ? { nomination: "" } : {}) };
  }
}
