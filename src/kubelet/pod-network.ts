// The node's pod network, set up once its range of addresses is known, and again when it becomes another: one range after the
// other, tried again until it works.
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import type { CriRuntime } from "../cri/cri.ts";

export interface PodNetworkDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default: only the runtime is told. */
  readonly configureNetwork?: (podCidrs: readonly string[]) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onConfigured: () => void;
}

const firstRetryMs = 500;
const maxRetryMs = 30_000;

export class PodNetwork {
  readonly #deps: PodNetworkDependencies;
  #configuring: Promise<void> = Promise.resolve();

  constructor(deps: PodNetworkDependencies) {
    this.#deps = deps;
  }

  configure(podCidrs: readonly string[]): void {
    this.#configuring = this.#configuring.then(() => this.#configure(podCidrs));
  }

  /** Resolves when nothing is being set up. */
  settled(): Promise<void> {
    return this.#configuring;
  }

  async #configure(podCidrs: readonly string[]): Promise<void> {
    const { configureNetwork, cri, logger, clock, signal, onConfigured } = this.#deps;
    for (let delayMs = firstRetryMs; !signal.aborted; delayMs = Math.min(delayMs * 2, maxRetryMs)) {
      try {
        await configureNetwork?.(podCidrs);
        await cri.updateRuntimeConfig({ runtimeConfig: { networkConfig: { podCidr: podCidrs.join(",") } } });
        return onConfigured();
      } catch (error) {
        logger.error("Setting up the pod network failed", { podCIDRs: podCidrs.join(), error });
        await clock.sleep(delayMs, signal).catch(() => undefined);
      }
    }
  }
}
