// Removes ResourceSlices of the node whose driver does not answer: pods would be sent here and wait for it. At the start of a
// kubelet no driver has registered yet, so all are removed, and drivers publish theirs again; a driver that goes has half a
// minute to come back.
import { isStatus } from "../../api/meta/status-error.ts";
import { nodes, resourceslices } from "../../api/resources.generated.ts";
import { Backoff } from "../../base/backoff.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";

export interface SliceRemovalDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

const graceMs = 30_000;
const retries = { baseMs: 1_000, maxMs: 5 * 60_000, jitter: 0.2 };

export class SliceRemoval implements Running {
  readonly #deps: SliceRemovalDependencies;
  readonly #nodeName: string;
  readonly #abort = new AbortController();
  /** By driver. */
  readonly #timers = new Map<string, Timer>();
  readonly #removals = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();

  constructor(deps: SliceRemovalDependencies, nodeName: string) {
    this.#deps = deps;
    this.#nodeName = nodeName;
  }

  /** Removes those of all drivers, in the background. */
  start(): void {
    this.#remove("");
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("the kubelet is stopping"));
    for (const timer of this.#timers.values()) timer.cancel();
    for (const removal of this.#removals.values()) removal.abort(this.#abort.signal.reason);
    await Promise.all(this.#running);
  }

  /** Called with every change: a driver that is usable keeps its slices. */
  driverIs(driver: string, isUsable: boolean): void {
    if (this.#abort.signal.aborted) return;
    if (isUsable) {
      this.#timers.get(driver)?.cancel();
      this.#timers.delete(driver);
      this.#removals.get(driver)?.abort(new Error("the driver is back"));
    } else if (!this.#timers.has(driver) && !this.#removals.has(driver)) {
      const timer = this.#deps.clock.after(graceMs, () => {
        this.#timers.delete(driver);
        this.#remove(driver);
      });
      this.#timers.set(driver, timer);
    }
  }

  #remove(driver: string): void {
    const removal = new AbortController();
    this.#removals.set(driver, removal);
    const running = this.#untilRemoved(driver, removal.signal).finally(() => {
      this.#running.delete(running);
      this.#removals.delete(driver);
    });
    this.#running.add(running);
  }

  async #untilRemoved(driver: string, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    const backoff = new Backoff(retries, () => clock.random());
    while (!signal.aborted) {
      try {
        return await this.#removeOnce(driver, signal);
      } catch (error) {
        if (!signal.aborted && !isStatus(error, "NotFound"))
          logger.info("Removing ResourceSlices failed, retrying", { driver, error: errorText(error) }, 3);
      }
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }

  /** Throws NotFound while the node is not registered. */
  async #removeOnce(driver: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    await client.get(nodes, { name: this.#nodeName }, { signal });
    const ofDriver = driver === "" ? "" : `,spec.driver=${driver}`;
    await client.deleteCollection(resourceslices, { fieldSelector: `spec.nodeName=${this.#nodeName}${ofDriver}`, signal });
  }
}
