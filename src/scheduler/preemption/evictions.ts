// Evicts victims in the background: each gets the DisruptionTarget condition and is then deleted with its own grace period.
// Pods of lower priority that waited for the same node lose their nomination. Until all victims are on their way out, the
// pod that preempts is not tried again, so that it does not choose other victims elsewhere.
import { keyOf } from "../../api/meta/object.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { pods } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import { type Clock, formatTime } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { EventSeriesRecorder } from "../../client/event-series-recorder.ts";

export interface EvictionDependencies {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventSeriesRecorder;
}

export interface Eviction {
  readonly preemptor: Pod;
  readonly nodeName: string;
  readonly victims: readonly Pod[];
  /** Pods that lose their nomination. */
  readonly losers: readonly Pod[];
}

/** Victims of one pod that are evicted at a time. */
const parallelEvictions = 16;
const callTimeoutMs = 30_000;

export class Evictions {
  readonly #deps: EvictionDependencies;
  /** By UID of the pod that preempts. */
  readonly #running = new Set<string>();

  constructor(deps: EvictionDependencies) {
    this.#deps = deps;
  }

  isRunning(preemptor: Pod): boolean {
    return this.#running.has(preemptor.metadata.uid);
  }

  /** Resolves with whether all is done; never rejects. */
  async evict(eviction: Eviction): Promise<boolean> {
    const { preemptor, nodeName } = eviction;
    const { uid } = preemptor.metadata;
    const waiting = eviction.victims.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    // All are on their way out, for whoever began it: nothing is taken back from those who wait for the room already.
    if (waiting.length === 0) return true;
    this.#running.add(uid);
    try {
      await Promise.all(eviction.losers.map((pod) => this.#clearNomination(pod)));
      const worker = async (): Promise<void> => {
        for (let victim = waiting.shift(); victim; victim = waiting.shift()) await this.#evictOne(victim, eviction);
      };
      const results = await Promise.allSettled(Array.from({ length: Math.min(parallelEvictions, waiting.length) }, worker));
      const failed = results.find((result) => result.status === "rejected");
      if (failed) this.#deps.logger.error("Preemption failed", { pod: keyOf(preemptor), node: nodeName, error: failed.reason });
      return failed === undefined;
    } finally {
      this.#running.delete(uid);
    }
  }

  async #evictOne(victim: Pod, { preemptor, nodeName }: Eviction): Promise<void> {
    const { client, recorder } = this.#deps;
    const { namespace = "", name, uid } = victim.metadata;
    try {
      await this.#markDisrupted(victim, preemptor);
      await client.delete(pods, { namespace, name }, { body: { preconditions: { uid } }, timeoutMs: callTimeoutMs });
    } catch (error) {
      // It is gone, or another pod has its name: the room is free or will be.
      if (isStatus(error, "NotFound") || isStatus(error, "Conflict")) return;
      throw new Error(`evicting pod ${keyOf(victim)} from node ${nodeName} for pod ${keyOf(preemptor)}`, { cause: error });
    }
    recorder.record(victim, {
      type: "Normal",
      reason: "Preempted",
      action: "Preempting",
      note: `Preempted by pod ${preemptor.metadata.uid} on node ${nodeName}`,
      related: preemptor,
    });
  }

  async #markDisrupted(victim: Pod, preemptor: Pod): Promise<void> {
    const { namespace = "", name, uid, generation } = victim.metadata;
    const condition = {
      type: "DisruptionTarget",
      status: "True",
      reason: "PreemptionByScheduler",
      message: `${preemptor.spec.schedulerName ?? "default-scheduler"}: preempting to accommodate a higher priority pod`,
      lastProbeTime: null,
      lastTransitionTime: formatTime(this.#deps.clock.now()),
      ...(generation ? { observedGeneration: generation } : {}),
    };
    const patch = { metadata: { uid }, status: { conditions: [condition] } };
    await this.#deps.client.patch(pods, { namespace, name }, patch, {
      type: "strategic",
      subresource: "status",
      timeoutMs: callTimeoutMs,
    });
  }

  async #clearNomination(pod: Pod): Promise<void> {
    if (!pod.status?.nominatedNodeName) return;
    const { namespace = "", name } = pod.metadata;
    const patch = { status: { nominatedNodeName: null } };
    try {
      await this.#deps.client.patch(pods, { namespace, name }, patch, { type: "merge", subresource: "status", timeoutMs: callTimeoutMs });
    } catch (error) {
      if (!isStatus(error, "NotFound")) this.#deps.logger.error("Taking back a pod's nomination failed", { pod: keyOf(pod), error });
    }
  }
}
