// Keeps container logs bounded: a log that has grown beyond its size is moved aside and the runtime told to open a new one;
// of those moved aside so many are kept. Names are upstream's: "0.log.20261122-134508".
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock, Timer } from "../../base/clock.ts";
import type { QueueMetrics } from "../../base/keyed-queue.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";

export interface LogRotationOptions {
  /** Default 10 MiB. */
  readonly maxBytes?: number;
  /** Files of one container, the current one included. Default 5. */
  readonly maxFiles?: number;
  /** Default 10 s. */
  readonly periodMs?: number;
}

export interface RotatableLog {
  readonly containerId: string;
  readonly path: string;
}

export interface LogRotationDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logs: () => Iterable<RotatableLog>;
  /** Told of every log that is looked at, as of the items of a queue. */
  readonly figures?: QueueMetrics;
}

export class LogRotation implements Running {
  readonly #deps: LogRotationDependencies;
  readonly #options: Required<LogRotationOptions>;
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;

  constructor(deps: LogRotationDependencies, { maxBytes = 10 * 2 ** 20, maxFiles = 5, periodMs = 10_000 }: LogRotationOptions = {}) {
    this.#deps = deps;
    this.#options = { maxBytes, maxFiles, periodMs };
  }

  start(): void {
    this.#timer = this.#deps.clock.every(this.#options.periodMs, () => {
      this.#working ??= this.rotate().finally(() => {
        this.#working = undefined;
      });
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#working;
  }

  /** Looks at every log once. */
  async rotate(): Promise<void> {
    const { clock, figures } = this.#deps;
    const addedMs = clock.monotonic();
    for (const { containerId, path } of this.#deps.logs()) {
      const startedMs = clock.monotonic();
      figures?.added?.();
      figures?.started?.(startedMs - addedMs);
      try {
        const info = await stat(path).catch(() => undefined);
        if (info && info.size > this.#options.maxBytes) await this.#rotateOne(containerId, path);
      } catch (error) {
        this.#deps.logger.warn("Rotating a container's log failed", { path, error });
      }
      figures?.finished?.(clock.monotonic() - startedMs);
    }
  }

  async #rotateOne(containerId: string, path: string): Promise<void> {
    const { cri, clock } = this.#deps;
    const stamp = new Date(clock.now()).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
    const aside = `${path}.${stamp}`;
    await rename(path, aside);
    try {
      await cri.reopenContainerLog({ containerId });
    } catch (error) {
      // Without a new file the runtime still writes to the old one: it keeps its name.
      await rename(aside, path);
      throw error;
    }
    const rotated = (await readdir(dirname(path))).filter((name) => name.startsWith(`${basename(path)}.`)).sort();
    for (const name of rotated.slice(0, Math.max(0, rotated.length - (this.#options.maxFiles - 1))))
      await rm(join(dirname(path), name), { force: true });
  }
}
