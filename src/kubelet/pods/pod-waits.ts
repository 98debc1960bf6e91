// What keeps containers of one pod from being started, and what is told of it: a start that failed and is tried again later, and
// the back-off after crashes, of which each has its event once.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { containerReference } from "../references.ts";
import type { WaitingReason } from "../status/container-statuses.ts";
import type { ContainerInBackOff, PodActions } from "./pod-actions.ts";
import { podText } from "./pod-spec.ts";
import type { ApplyResult } from "./pod-starter.ts";
import { StartHolds } from "./start-holds.ts";

export class PodWaits {
  readonly #recorder: EventRecorder;
  readonly #reasons = new Map<string, WaitingReason>();
  readonly #holds: StartHolds;
  /** Ends of back-offs that have had their event. */
  readonly #announced = new Map<string, number>();

  constructor({ clock, recorder }: { readonly clock: Clock; readonly recorder: EventRecorder }) {
    this.#recorder = recorder;
    this.#holds = new StartHolds(clock);
  }

  /** By container name: what statuses show. */
  get reasons(): ReadonlyMap<string, WaitingReason> {
    return this.#reasons;
  }

  /** Something has changed: what has failed is tried again at once. */
  retry(): void {
    this.#holds.clear();
  }

  /** Containers have been started, or not. */
  tried({ started, failed }: Pick<ApplyResult, "started" | "failed">): void {
    for (const name of started) this.#reasons.delete(name);
    for (const [name, { reason, message, retryAtMs }] of failed) {
      this.#reasons.set(name, { reason, message });
      this.#holds.add(name, retryAtMs);
    }
  }

  /** These wait for their back-off to end. Says whether that is news. */
  backOff(pod: Pod, waiting: readonly ContainerInBackOff[]): boolean {
    let news = false;
    for (const { container, delayMs, untilMs } of waiting) {
      const message = `back-off ${durationText(delayMs)} restarting failed container=${container.name} pod=${podText(pod)}`;
      this.#reasons.set(container.name, { reason: "CrashLoopBackOff", message });
      if (this.#announced.get(container.name) === untilMs) continue;
      news = true;
      this.#announced.set(container.name, untilMs);
      const text = `Back-off restarting failed container ${container.name} in pod ${podText(pod)}`;
      this.#recorder.record(containerReference(pod, container.name), { type: "Warning", reason: "BackOff", message: text });
    }
    return news;
  }

  /** The actions without the starts that are not to be tried yet. */
  without(actions: PodActions): PodActions {
    return this.#holds.without(actions);
  }

  /** When starts are to be tried again. */
  ends(): ReturnType<StartHolds["ends"]> {
    return this.#holds.ends();
  }
}

/** As Go prints whole seconds: "10s", "1m20s", "5m0s". */
function durationText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
