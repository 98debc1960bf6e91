// Keeps the control groups of the classes of service as the pods on the node want them: burstable pods together have the CPU
// shares that they request together, so that each guaranteed pod, which is beside them all, has its part. Looked at when pods
// come and go, and once a minute.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { PodCgroups } from "./pod-cgroups.ts";

export interface QosCgroupsDependencies {
  readonly cgroups: PodCgroups;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Those of which something may run. */
  readonly pods: () => readonly Pod[];
  /** The groups are there, with the limits of all pods together: once after the start. */
  readonly onEnforced?: () => void;
}

const periodMs = 60_000;
/** Pods that come together are looked at together. */
const gatherMs = 100;

export class QosCgroups implements Running {
  readonly #deps: QosCgroupsDependencies;
  #timer: Timer | undefined;
  #soon = false;
  #updating: Promise<void> = Promise.resolve();
  #stopped = false;
  #enforced = false;

  constructor(deps: QosCgroupsDependencies) {
    this.#deps = deps;
  }

  start(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#updating;
  }

  /** A pod has come, gone, or been given something else. */
  touch(): void {
    if (this.#soon) return;
    this.#soon = true;
    this.#schedule(gatherMs);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#soon = false;
      this.#updating = this.#update().finally(() => {
        if (!this.#soon) this.#schedule(periodMs);
      });
    });
  }

  async #update(): Promise<void> {
    const { cgroups, pods, logger } = this.#deps;
    try {
      await cgroups.updateClasses(pods());
      if (!this.#enforced) this.#deps.onEnforced?.();
      this.#enforced = true;
    } catch (error) {
      logger.error("Failed to update QoS cgroup configuration", { error: errorText(error) });
    }
  }
}
