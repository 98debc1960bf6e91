// Keeps the node alive when it runs short of memory, disk or process ids: looks every ten seconds, gives up what belongs to
// no pod first (dead containers, unused images), then evicts one pod at a time and waits until it is gone before it looks
// again. The decisions are in decide.ts; this is the loop around them.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import { podText } from "../pods/pod-spec.ts";
import { nodeReference, podReference } from "../references.ts";
import type { StatsProvider, Summary } from "../stats/summary.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import { blankMemory, choosePod, type Eviction, judge, type NodeReclaim, nodeReclaims, overStorageLimits, undercut } from "./decide.ts";
import { hasStorageLimit } from "./local-storage.ts";
import { type Observations, observe } from "./observations.ts";
import type { StatsByPod } from "./pod-usage.ts";
import { type DiskLayout, type PressureCondition, resourceOfSignal, type Threshold, withContainerFs } from "./thresholds.ts";

export interface EvictionManagerDependencies {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly stats: StatsProvider;
  /** Asked until it answers, then never again. */
  readonly layout: () => Promise<DiskLayout>;
  /** Pods of which something may run. */
  readonly pods: () => readonly Pod[];
  /** The kubelet ends the pod already, whatever for. */
  readonly isEnding: (podUid: string) => boolean;
  /** Resolves when the pod's containers have ended, or should have. */
  readonly end: (podUid: string, verdict: PodVerdict, graceSeconds: number) => Promise<unknown>;
  /** Nothing of the pod is mounted or runs any more. */
  readonly isCleanedUp: (podUid: string) => boolean;
  readonly reclaim: Readonly<Record<NodeReclaim, (signal: AbortSignal) => Promise<void>>>;
  /** The node's conditions have changed. */
  readonly onConditions: () => void;
  /** For metrics: by signal. */
  readonly onEvicted?: (signal: string) => void;
  /** Pods are evicted for a signal by figures of this age. */
  readonly onActed?: (signal: string, ageMs: number) => void;
}

export interface EvictionManagerOptions {
  readonly nodeName: string;
  readonly thresholds: readonly Threshold[];
  readonly pressureTransitionMs: number;
  readonly maxPodGraceSeconds: number;
  readonly enforceLocalStorage: boolean;
}

const periodMs = 10_000;
/** The start of the node comes first. */
const firstLookMs = 1_000;
const cleanUpLimitMs = 30_000;
const cleanUpPollMs = 1_000;

export class EvictionManager implements Running {
  readonly #deps: EvictionManagerDependencies;
  readonly #options: EvictionManagerOptions;
  readonly #abort = new AbortController();
  #conditions: readonly PressureCondition[] = [];
  #memory = blankMemory;
  #layout: DiskLayout | undefined;
  #thresholds: readonly Threshold[];
  #running: Promise<void> = Promise.resolve();

  constructor(deps: EvictionManagerDependencies, options: EvictionManagerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#thresholds = options.thresholds;
  }

  /** Of what the node runs short. */
  get conditions(): readonly PressureCondition[] {
    return this.#conditions;
  }

  start(): void {
    const { thresholds, enforceLocalStorage } = this.#options;
    if (thresholds.length > 0 || enforceLocalStorage) this.#running = this.#run(this.#abort.signal);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    const never = (): undefined => undefined;
    await clock.sleep(firstLookMs, signal).catch(never);
    while (!signal.aborted) {
      const evicted = await this.#look(signal).catch((error: unknown) => {
        if (!signal.aborted) logger.info("Eviction manager: failed to synchronize", { error }, 1);
        return [];
      });
      if (evicted.length === 0) await clock.sleep(periodMs, signal).catch(never);
      else await this.#untilCleanedUp(evicted, signal).catch(never);
    }
  }

  /** Looks once, and acts once. Returns the pods that were evicted. */
  async #look(signal: AbortSignal): Promise<readonly Pod[]> {
    const { clock, pods, stats, logger } = this.#deps;
    const { pressureTransitionMs, enforceLocalStorage, maxPodGraceSeconds } = this.#options;
    const layout = await this.#diskLayout();
    const candidates = pods();
    // Nearly always there is room on the node: its other pods are measured when there is not.
    const limited = enforceLocalStorage ? candidates.filter(hasStorageLimit) : [];
    const { node, pods: measured } = await stats.summary({ maxAgeMs: 0, signal, pods: uidsOf(limited) });
    const observations = observe(node);
    const verdict = judge({
      ...{ memory: this.#memory, thresholds: this.#thresholds, observations, pressureTransitionMs },
      nowMs: clock.now(),
    });
    this.#memory = verdict.memory;
    this.#setConditions(verdict.conditions);
    const over = overStorageLimits(limited, statsByPod(measured), layout);
    if (over.length > 0) return await this.#evict(over);
    const [threshold] = verdict.urgent;
    if (!threshold) return [];
    if (await this.#reclaimFromNode(threshold, layout, signal)) return [];
    for (const { signal: about } of verdict.urgent) {
      const atMs = observations.get(about)?.atMs;
      if (atMs !== undefined) this.#deps.onActed?.(about, clock.now() - atMs);
    }
    const byPod = statsByPod((await stats.summary({ maxAgeMs: 0, signal })).pods);
    const chosen = choosePod({ urgent: verdict.urgent, observations, pods: candidates, stats: byPod, layout, maxPodGraceSeconds });
    if (chosen) return await this.#evict([chosen]);
    logger.info("Eviction manager: unable to evict any pods from the node", { resource: resourceOfSignal(threshold.signal) });
    return [];
  }

  async #diskLayout(): Promise<DiskLayout> {
    if (this.#layout) return this.#layout;
    this.#layout = await this.#deps.layout();
    this.#thresholds = withContainerFs(this.#options.thresholds, this.#layout);
    return this.#layout;
  }

  #setConditions(conditions: readonly PressureCondition[]): void {
    const before = this.#conditions;
    this.#conditions = conditions;
    if (before.length !== conditions.length || conditions.some((c) => !before.includes(c))) this.#deps.onConditions();
  }

  /** Whether that was enough, so that no pod has to go. */
  async #reclaimFromNode({ signal: about }: Threshold, layout: DiskLayout, signal: AbortSignal): Promise<boolean> {
    const { recorder, reclaim, stats, logger } = this.#deps;
    const resource = resourceOfSignal(about);
    logger.info("Eviction manager: attempting to reclaim", { resource });
    const message = `Attempting to reclaim ${resource}`;
    recorder.record(nodeReference(this.#options.nodeName), { type: "Warning", reason: "EvictionThresholdMet", message });
    const ways = nodeReclaims(about, layout);
    for (const way of ways) {
      await reclaim[way](signal).catch((error: unknown) => {
        if (signal.aborted) throw error;
        logger.info("Eviction manager: unexpected error when attempting to reduce resource pressure", { resource, error });
      });
    }
    if (ways.length === 0) return false;
    const after: Observations = observe((await stats.summary({ maxAgeMs: 0, signal, pods: new Set() })).node);
    return undercut(this.#thresholds, after, { withMinReclaim: true }).length === 0;
  }

  async #evict(evictions: readonly Eviction[]): Promise<readonly Pod[]> {
    await Promise.all(evictions.map((eviction) => this.#evictOne(eviction)));
    return evictions.map(({ pod }) => pod);
  }

  async #evictOne({ pod, message, annotations, graceSeconds, signal }: Eviction): Promise<void> {
    const { recorder, end, isEnding, logger, onEvicted } = this.#deps;
    const { uid } = pod.metadata;
    // It takes its time to end: that it is waited for is all there is to do.
    if (isEnding(uid)) return;
    logger.info("Evicting pod", { pod: podText(pod), message });
    const event = { type: "Warning", reason: "Evicted", message, ...(annotations ? { annotations } : {}) } as const;
    recorder.record(podReference(pod), event);
    onEvicted?.(signal);
    // Limits of its own are the pod's doing; that the node is short of something disrupts it.
    const verdict: PodVerdict = { phase: "Failed", reason: "Evicted", message, ...(annotations ? { disruption: message } : {}) };
    await end(uid, verdict, graceSeconds);
  }

  async #untilCleanedUp(pods: readonly Pod[], signal: AbortSignal): Promise<void> {
    const { clock, isCleanedUp } = this.#deps;
    const endMs = clock.monotonic() + cleanUpLimitMs;
    do await clock.sleep(cleanUpPollMs, signal);
    while (clock.monotonic() < endMs && !pods.every((pod) => isCleanedUp(pod.metadata.uid)));
  }
}

function statsByPod(pods: Summary["pods"]): StatsByPod {
  return new Map(pods.map((p) => [p.podRef.uid, p]));
}

const uidsOf = (pods: readonly Pod[]): ReadonlySet<string> => new Set(pods.map(({ metadata }) => metadata.uid));
