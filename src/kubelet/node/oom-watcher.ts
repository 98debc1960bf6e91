// Tells of the machine running out of memory: an event SystemOOM for each process the kernel killed for that. Kills inside a
// container's control group are the container's own affair: they show as its reason OOMKilled.
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { OomKills } from "../../linux/oom-kills.ts";
import { nodeReference } from "../references.ts";

export interface OomWatcherDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
  readonly kills: OomKills;
}

const periodMs = 10_000;

export class OomWatcher implements Running {
  readonly #deps: OomWatcherDependencies;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;

  constructor(deps: OomWatcherDependencies) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = this.#deps.clock.every(periodMs, () => {
      this.#looking ??= this.look().finally(() => {
        this.#looking = undefined;
      });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#looking;
  }

  async look(): Promise<void> {
    const { recorder, nodeName, kills, logger } = this.#deps;
    try {
      for (const { pid, process, inControlGroup } of await kills.next()) {
        if (inControlGroup) continue;
        const message = `System OOM encountered, victim process: ${process}, pid: ${pid}`;
        recorder.record(nodeReference(nodeName), { type: "Warning", reason: "SystemOOM", message });
      }
    } catch (error) {
      logger.info("Reading the kernel's log failed", { error }, 1);
    }
  }
}
