// The pod lifecycle event generator: notices that the runtime's state of a pod has changed. It lists everything once a
// second, or every ten where the runtime streams its container events. It only says that a pod has changed, never how: the
// pod's worker reads for itself.
import type { Clock, Timer } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import { isRpcError } from "../../rpc/rpc-error.ts";
import type { LifeMetrics } from "../stats/life-metrics.ts";
import { label } from "./labels.ts";
import type { ListedPod, RuntimeReader } from "./runtime-reader.ts";

export interface PlegDependencies {
  readonly cri: CriRuntime;
  readonly reader: RuntimeReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange: (podUid: string) => void;
  /** Everything has been listed, which took so long. */
  readonly onRelist?: (durationMs: number) => void;
  /** For metrics. */
  readonly life?: Pick<LifeMetrics, "following" | "eventSeen">;
}

export interface PlegOptions {
  /** Default 1 s. */
  readonly relistMs?: number;
  /** While the event stream works; default 10 s. */
  readonly relistWithEventsMs?: number;
}

/** After so long without a listing the node is not ready. */
const unhealthyAfterMs = 3 * 60_000;
const reconnectMs = 5_000;

export class PodLifecycleEvents implements Running {
  readonly #deps: PlegDependencies;
  readonly #options: Required<PlegOptions>;
  readonly #abort = new AbortController();
  #pods: ReadonlyMap<string, ListedPod> = new Map();
  #lastListMs: number | undefined;
  #streamingSinceMs: number | undefined;
  #timer: Timer | undefined;
  #relisting: Promise<void> | undefined;
  #streamed: Promise<void> = Promise.resolve();

  constructor(deps: PlegDependencies, options: PlegOptions = {}) {
    this.#deps = deps;
    this.#options = { relistMs: options.relistMs ?? 1000, relistWithEventsMs: options.relistWithEventsMs ?? 10_000 };
  }

  /** What the last listing found. */
  get pods(): ReadonlyMap<string, ListedPod> {
    return this.#pods;
  }

  /** Why the node should not be ready, if it should not. */
  problem(): string | undefined {
    const { clock } = this.#deps;
    if (this.#lastListMs === undefined) return "PLEG is not healthy: pleg has yet to be successful";
    const silentMs = clock.monotonic() - this.#lastListMs;
    if (silentMs < unhealthyAfterMs) return undefined;
    const ago = `${Math.floor(silentMs / 60_000)}m${Math.floor((silentMs % 60_000) / 1000)}s`;
    return `PLEG is not healthy: pleg was last seen active ${ago} ago; threshold is 3m0s`;
  }

  /** Lists once, then goes on in the background. Rejects when the runtime does not answer. */
  async start(): Promise<void> {
    await this.#list();
    this.#streamed = this.#stream();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#timer?.cancel();
    await Promise.all([this.#relisting, this.#streamed]);
  }

  #schedule(): void {
    if (this.#abort.signal.aborted) return;
    this.#timer?.cancel();
    const delayMs = this.#isStreaming() ? this.#options.relistWithEventsMs : this.#options.relistMs;
    this.#timer = this.#deps.clock.after(delayMs, () => {
      this.#relisting = this.#list()
        .catch((error: unknown) => this.#deps.logger.warn("Listing the runtime's pods failed", { error: (error as Error).message }))
        .then(() => this.#schedule());
    });
  }

  async #list(): Promise<void> {
    const before = this.#pods;
    const begunMs = this.#deps.clock.monotonic();
    const now = await this.#deps.reader.list();
    this.#pods = now;
    this.#lastListMs = this.#deps.clock.monotonic();
    this.#deps.onRelist?.(this.#lastListMs - begunMs);
    for (const [uid, pod] of now) if (before.get(uid)?.fingerprint !== pod.fingerprint) this.#deps.onChange(uid);
    for (const uid of before.keys()) if (!now.has(uid)) this.#deps.onChange(uid);
  }

  /** A runtime that has no events says so at once: a stream that has been open for a while works, also where nothing happens. */
  #isStreaming(): boolean {
    return this.#streamingSinceMs !== undefined && this.#deps.clock.monotonic() - this.#streamingSinceMs >= this.#options.relistMs;
  }

  async #stream(): Promise<void> {
    const { cri, clock, logger, onChange, life } = this.#deps;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      try {
        let hasSeen = false;
        this.#streamingSinceMs = clock.monotonic();
        for await (const event of cri.getContainerEvents({}, { signal })) {
          if (!hasSeen) life?.following("ok");
          hasSeen = true;
          life?.eventSeen(Number(event.createdAt) / 1e6);
          const uid = event.podSandboxStatus?.metadata?.uid ?? event.podSandboxStatus?.labels[label.podUid];
          if (uid !== undefined) onChange(uid);
        }
      } catch (error) {
        if (isRpcError(error, "UNIMPLEMENTED")) return;
        life?.following("failed");
        if (!signal.aborted) logger.info("The runtime's event stream broke", { error: (error as Error).message }, 2);
      } finally {
        this.#streamingSinceMs = undefined;
        // From now on listing alone has to notice changes.
        this.#schedule();
      }
      await clock.sleep(reconnectMs, signal).catch(() => undefined);
    }
  }
}
