// Ends pods in order when the machine shuts down: from then on the node is not ready and admits nothing, and its pods end
// group by group, each within its time, volumes unmounted. Started by logind's announcement where there is one (logind.ts),
// or by whoever calls begin(). Without configured periods a shutdown ends nothing in advance.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { ProtectionMetrics } from "../node/protection-metrics.ts";
import { nodeReference } from "../references.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import { type ShutdownGroup, type ShutdownPeriod, shutdownGroups } from "./shutdown-groups.ts";

export interface NodeShutdownDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly metrics: Pick<ProtectionMetrics, "shutdownStarted" | "shutdownEnded">;
  readonly nodeName: string;
  readonly pods: () => readonly Pod[];
  readonly end: (podUid: string, verdict: PodVerdict, graceSeconds: number) => Promise<unknown>;
  readonly isCleanedUp: (podUid: string) => boolean;
  /** The node's readiness has changed. */
  readonly onChange: () => void;
}

const message = "Pod was terminated in response to imminent node shutdown.";
const verdict: PodVerdict = { phase: "Failed", reason: "Terminated", message, disruption: message };
const unmountPollMs = 200;

export class NodeShutdown {
  readonly #deps: NodeShutdownDependencies;
  readonly #periods: readonly ShutdownPeriod[];
  #underWay: Promise<void> | undefined;

  constructor(deps: NodeShutdownDependencies, periods: readonly ShutdownPeriod[]) {
    this.#deps = deps;
    this.#periods = periods;
  }

  /** Whether anything is configured for a shutdown. */
  get enabled(): boolean {
    return this.#periods.length > 0;
  }

  /** Why the node is not ready, if it shuts down. */
  problem(): string | undefined {
    return this.#underWay ? "node is shutting down" : undefined;
  }

  /** The machine is about to shut down. Resolves when the pods have ended, or have had their time. */
  begin(signal?: AbortSignal): Promise<void> {
    if (!this.enabled) return Promise.resolve();
    if (this.#underWay) return this.#underWay;
    this.#event("Shutdown manager detected shutdown event");
    this.#underWay = this.#endPods(signal);
    this.#deps.onChange();
    return this.#underWay;
  }

  /** It does not after all. Pods that have been ended stay so. */
  cancel(): void {
    if (!this.#underWay) return;
    this.#event("Shutdown manager detected shutdown cancellation");
    this.#underWay = undefined;
    this.#deps.onChange();
  }

  async #endPods(signal: AbortSignal | undefined): Promise<void> {
    const { clock, metrics, pods } = this.#deps;
    metrics.shutdownStarted.set(clock.now() / 1000);
    metrics.shutdownEnded.set(0);
    for (const group of shutdownGroups(this.#periods, pods())) await this.#endGroup(group, signal);
    metrics.shutdownEnded.set(clock.now() / 1000);
  }

  async #endGroup({ seconds, pods }: ShutdownGroup, signal: AbortSignal | undefined): Promise<void> {
    const { clock, logger, end } = this.#deps;
    const enough = new AbortController();
    const limit = signal ? AbortSignal.any([enough.signal, signal]) : enough.signal;
    const ended = Promise.allSettled(pods.map(({ pod, graceSeconds }) => end(pod.metadata.uid, verdict, graceSeconds)))
      .then(() => this.#untilUnmounted(pods, limit))
      .catch(() => undefined);
    const timeout = clock.sleep(seconds * 1000, limit).then(
      () => logger.info("Shutdown manager pod killing time out", { gracePeriod: seconds }),
      () => undefined,
    );
    await Promise.race([ended, timeout]);
    enough.abort();
    signal?.throwIfAborted();
  }

  async #untilUnmounted(pods: ShutdownGroup["pods"], signal: AbortSignal): Promise<void> {
    const { clock, isCleanedUp } = this.#deps;
    while (!pods.every(({ pod }) => isCleanedUp(pod.metadata.uid))) await clock.sleep(unmountPollMs, signal);
  }

  #event(text: string): void {
    this.#deps.recorder.record(nodeReference(this.#deps.nodeName), { type: "Normal", reason: "Shutdown", message: text });
  }
}
