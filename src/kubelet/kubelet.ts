// The kubelet: registers the node, runs the pods that are bound to it (and those of its static manifests) through the
// container runtime, and reports what became of them. What it needs and what it is; kubelet-node.ts puts its parts together.
//   PodRegistry ──> PodWorker (one per pod) ──> PodStarter, PodKiller, VolumeManager ──> CRI
//                    ^ wakes: API watch, static files, PodLifecycleEvents, ProbeManager, ReferencedObjectCache, the clock
//                    └──> StatusManager ──> API
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { FileCalls } from "../base/file-calls.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { Tracer } from "../base/tracing.ts";
import type { Turns } from "../base/turns.ts";
import type { Client } from "../client/client.ts";
import type { EventRecorder } from "../client/event-recorder.ts";
import type { InformerFactory } from "../client/informer.ts";
import type { CriRuntime } from "../cri/cri.ts";
import type { SystemInfo } from "../linux/system-info.ts";
import type { Dial } from "../rpc/dial.ts";
import type { PodCgroups } from "./cgroups/pod-cgroups.ts";
import type { PluginHandler } from "./devices/plugin-watcher.ts";
import { KubeletNode } from "./kubelet-node.ts";
import type { MachineGuards } from "./node/node-protection.ts";
import { type KubeletOptions, resolveOptions } from "./options.ts";
import type { HttpGet } from "./probes/http.ts";
import type { RunProbe } from "./probes/prober.ts";
import type { InfeasibleResize } from "./resize/pod-resizes.ts";
import type { MachineTopology } from "./resource-managers/cpu-topology.ts";
import type { KubeletServerHost } from "./server/host.ts";
import type { MachineReader } from "./stats/machine.ts";
import type { KubeletStats } from "./stats/stats-provider.ts";
import type { StatsProvider } from "./stats/summary.ts";
import type { HostMounts, VolumePlugin } from "./volumes/volume-manager.ts";

export interface KubeletDependencies {
  readonly client: Client;
  /** Of the API server, for metrics. Default "": it is in the same process. */
  readonly apiServerHost?: string;
  /** What the kubelet's server has counted: part of /metrics. */
  readonly serverMetrics?: MetricsRegistry;
  /** Shared with others in the process; default its own. */
  readonly informers?: InformerFactory;
  readonly cri: CriRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly mounts: HostMounts;
  /** What pods' small files are written with. Default pooledFiles. */
  readonly files?: FileCalls;
  /** How many pods are begun at a time, where nodes share a process. Default all at once. */
  readonly podStarts?: Turns;
  /** Default: none, the runtime places containers where it likes. */
  readonly cgroups?: PodCgroups;
  /** Of what is done for pods. Default none. */
  readonly tracer?: Tracer;
  /** Sets up the node's pod network once its range of addresses is known. Default: only the runtime is told. */
  readonly configureNetwork?: (podCidrs: readonly string[]) => Promise<void>;
  readonly volumePlugins?: readonly VolumePlugin[];
  /** What the machine and its pods' control groups use. Default: only what the runtime tells. */
  readonly machine?: MachineReader;
  /** Of the machine, where the node is one. */
  readonly guards?: MachineGuards;
  /** For tests: what eviction and the removal of images go by. Default what the kubelet measures itself. */
  readonly summaries?: StatsProvider;
  /** For tests: why this node can never resize a running pod so. Default what the managers of resources say. */
  readonly infeasibleResize?: (pod: Pod, allocated: Pod) => InfeasibleResize | undefined;
  /** The machine's CPUs and memory: with it they and devices are handed out. Default: nothing is, and no plugin can register. */
  readonly readTopology?: () => Promise<MachineTopology>;
  /** Of CSI and DRA drivers, by the type they register with. Default none, and they are refused. */
  readonly pluginHandlers?: ReadonlyMap<string, PluginHandler>;
  /** What the node says of its machine. Default what this machine is. */
  readonly readSystem?: () => Promise<SystemInfo>;
  /** Reaches pods that are simulated in this process. Default: all pods are reached by sockets. */
  readonly dial?: Dial;
  /** For tests; default real requests. */
  readonly httpGet?: HttpGet;
  readonly runProbe?: RunProbe;
}

export interface Kubelet extends Running {
  /** Resolves when the runtime has answered and everything runs. Rejects when the runtime is not there. */
  start(): Promise<void>;
  /** Pods, exec, attach, port-forward and logs: what the kubelet's server serves. */
  readonly access: KubeletServerHost;
  /** What the node and its pods use; once the kubelet has started. */
  readonly stats: KubeletStats | undefined;
  /** As the API server has it; undefined until the node is registered. */
  readonly node: Node | undefined;
  /** Why the node is not ready; empty when it is. */
  problems(): readonly string[];
  /** Why the loop over pods does not turn; undefined when it does. */
  stalled(): string | undefined;
  /**
   * Ends the pods as before a shutdown of the machine, by priority; the node is not ready from then on. Resolves when they
   * have ended or have had their time; at once when no shutdown grace periods are configured.
   */
  shutdown(): Promise<void>;
}

export function createKubelet(deps: KubeletDependencies, options: KubeletOptions): Kubelet {
  return new KubeletNode(deps, resolveOptions(options));
}
