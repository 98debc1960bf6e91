// What keeps a node alive and its end orderly, put together: eviction under pressure, removal of dead containers and unused
// images, events of the kernel's out-of-memory killer, and the end of pods before the machine shuts down.
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { CriRuntime } from "../../cri/cri.ts";
import type { LogindDependencies, LogindOptions } from "../../linux/logind.ts";
import type { OomKills } from "../../linux/oom-kills.ts";
import { readDiskLayout } from "../eviction/disk-layout.ts";
import { EvictionManager } from "../eviction/eviction-manager.ts";
import type { PressureCondition } from "../eviction/thresholds.ts";
import { ContainerCollector } from "../garbage/container-collector.ts";
import type { PodPresence } from "../garbage/container-garbage.ts";
import { ImageCollector } from "../garbage/image-collector.ts";
import type { ResolvedOptions } from "../options.ts";
import { endPod } from "../pods/pod-ending.ts";
import type { PodRegistry } from "../pods/pod-registry.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import type { PullRecords } from "../pulls/pull-records.ts";
import { NodeShutdown } from "../shutdown/node-shutdown.ts";
import { shutdownSeconds } from "../shutdown/shutdown-groups.ts";
import type { StatsProvider } from "../stats/summary.ts";
import type { PodVerdict } from "../status/pod-status.ts";
import { OomWatcher } from "./oom-watcher.ts";
import type { ProtectionMetrics } from "./protection-metrics.ts";

/** What of the machine the kubelet is to protect; each part absent where there is none. */
export interface MachineGuards {
  /** Names of images that no pod names and that are kept: the sandbox's. */
  readonly keptImages?: readonly string[];
  readonly oomKills?: OomKills;
  /** How the machine announces that it shuts down. */
  readonly followShutdowns?: (deps: LogindDependencies, options: LogindOptions) => Promise<Running | undefined>;
}

export interface NodeProtectionDependencies {
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  /** Without it nothing is known of pressure, and nothing is evicted. */
  readonly stats?: StatsProvider;
  readonly guards: MachineGuards;
  readonly registry: PodRegistry;
  readonly metrics: ProtectionMetrics;
  readonly pullRecords: PullRecords;
  /** All pods of the API server have been seen once. */
  readonly sourcesReady: () => boolean;
  /** The node's conditions have changed. */
  readonly onChange: () => void;
}

export class NodeProtection implements Running {
  readonly #deps: NodeProtectionDependencies;
  readonly #options: ResolvedOptions;
  readonly #stops = new StopStack();
  readonly #abort = new AbortController();
  readonly #shutdown: NodeShutdown;
  #eviction: EvictionManager | undefined;

  constructor(deps: NodeProtectionDependencies, options: ResolvedOptions) {
    this.#deps = deps;
    this.#options = options;
    const { clock, logger, recorder, registry, metrics, onChange } = deps;
    this.#shutdown = new NodeShutdown(
      {
        ...{ clock, logger, recorder, metrics, onChange, nodeName: options.nodeName, pods: () => registry.endable().map((w) => w.pod) },
        end: (uid, verdict, graceSeconds) => this.#end(uid, verdict, graceSeconds),
        isCleanedUp: (uid) => isCleanedUp(registry.worker(uid)),
      },
      options.protection.shutdownGracePeriods,
    );
  }

  /** Of what the node runs short. */
  get pressure(): readonly PressureCondition[] {
    return this.#eviction?.conditions ?? [];
  }

  /** Why the node is not ready, if it shuts down. */
  shutdownProblem(): string | undefined {
    return this.#shutdown.problem();
  }

  /** Ends the pods as before a shutdown of the machine. Resolves when they have ended or have had their time. */
  beginShutdown(): Promise<void> {
    return this.#shutdown.begin(this.#abort.signal);
  }

  async start(): Promise<void> {
    this.#stops.defer(() => this.#abort.abort());
    const { clock, logger, recorder, guards } = this.#deps;
    const { nodeName, protection } = this.#options;
    const containers = this.#startContainerCollector();
    this.#startEviction(containers);
    if (guards.oomKills) this.#stops.add(new OomWatcher({ clock, logger, recorder, nodeName, kills: guards.oomKills })).start();
    if (!this.#shutdown.enabled || !guards.followShutdowns) return;
    const following = await guards.followShutdowns(
      { clock, logger, onShutdown: () => this.beginShutdown(), onCancel: () => this.#shutdown.cancel() },
      { delaySeconds: shutdownSeconds(protection.shutdownGracePeriods) },
    );
    if (following) this.#stops.add(following);
  }

  stop(): Promise<void> {
    return this.#stops.stop();
  }

  #startContainerCollector(): ContainerCollector {
    const { cri, clock, logger, recorder } = this.#deps;
    const { nodeName } = this.#options;
    const presence = (uid: string): PodPresence => this.#presence(uid);
    const collector = this.#stops.add(new ContainerCollector({ cri, clock, logger, recorder, nodeName, presence }));
    collector.start();
    return collector;
  }

  #startEviction(containers: ContainerCollector): void {
    const { cri, clock, logger, recorder, stats, registry, guards, metrics, onChange } = this.#deps;
    const { nodeName, rootDirectory, protection } = this.#options;
    if (!stats) return;
    const keptImages = (): readonly string[] => [...(guards.keptImages ?? []), ...registry.imageVolumes()];
    const onRemoved = (why: string): void => metrics.imagesCollected.series(why).add();
    const onCollected = (left: ReadonlySet<string>, begunMs: number): Promise<void> => this.#deps.pullRecords.prune(left, begunMs);
    const images = this.#stops.add(
      new ImageCollector({ cri, clock, logger, recorder, nodeName, stats, keptImages, onRemoved, onCollected }, protection.imageGC),
    );
    images.start();
    this.#eviction = this.#stops.add(
      new EvictionManager(
        {
          ...{ clock, logger, recorder, stats, layout: () => readDiskLayout(cri, rootDirectory), onConditions: onChange },
          pods: () => registry.endable().map((w) => w.pod),
          isEnding: (uid) => registry.worker(uid)?.ending ?? true,
          end: (uid, verdict, graceSeconds) => this.#end(uid, verdict, graceSeconds),
          isCleanedUp: (uid) => isCleanedUp(registry.worker(uid)),
          onEvicted: (signal) => metrics.evictions.series(signal).add(),
          onActed: (signal, ageMs) => metrics.evictionStatsAge.series(signal).observe(ageMs / 1000),
          reclaim: {
            containers: (signal) => containers.collect({ evenOfEnded: true }, signal),
            images: (signal) => images.removeUnused(signal),
          },
        },
        {
          nodeName,
          thresholds: protection.thresholds,
          pressureTransitionMs: protection.pressureTransitionMs,
          maxPodGraceSeconds: protection.evictionMaxPodGraceSeconds,
          enforceLocalStorage: protection.enforceLocalStorage,
        },
      ),
    );
    this.#eviction.start();
  }

  async #end(podUid: string, verdict: PodVerdict, graceSeconds: number): Promise<void> {
    const worker = this.#deps.registry.worker(podUid);
    if (worker) await endPod(this.#deps, worker, { verdict, graceSeconds });
  }

  #presence(podUid: string): PodPresence {
    const worker = this.#deps.registry.worker(podUid);
    if (!worker) return this.#deps.sourcesReady() ? "gone" : "live";
    return worker.cleanedUp ? "ended" : "live";
  }
}

function isCleanedUp(worker: PodWorker | undefined): boolean {
  return worker?.cleanedUp ?? true;
}
