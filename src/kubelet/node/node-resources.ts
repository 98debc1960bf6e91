// What a node hands out to single containers: CPUs, memory, devices of plugins, and the claims that drivers of dynamic resources
// prepare. Where there is no machine (a simulated node) nothing is handed out, and nothing of this is loaded.
import type { StopStack } from "../../base/lifecycle.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { ClaimManager } from "../dra/claim-manager.ts";
import type { KubeletDependencies } from "../kubelet.ts";
import type { ResolvedOptions } from "../options.ts";
import type { PodRegistry } from "../pods/pod-registry.ts";
import type { RunningContainer } from "../resource-managers/cpu-manager.ts";
import type { NodeManagers } from "../resource-managers/node-managers.ts";

export interface NodeResources {
  readonly managers: NodeManagers;
  readonly claims: ClaimManager;
}

export interface NodeResourcesContext {
  readonly registry: PodRegistry;
  readonly metrics: MetricsRegistry;
  readonly memoryBytes: number;
  /** All pods of the API server have been seen once. */
  readonly sourcesReady: () => boolean;
  /** The runtime has something of the pod. */
  readonly inRuntime: (podUid: string) => boolean;
  /** What the node's status says of devices has changed. */
  readonly onNodeChange: () => void;
  /** Ends what is started, also when the start fails. */
  readonly stops: StopStack;
}

/** Undefined where nothing is handed out. */
export async function startNodeResources(
  deps: KubeletDependencies,
  options: ResolvedOptions,
  context: NodeResourcesContext,
): Promise<NodeResources | undefined> {
  const { readTopology, cri, clock, logger, pluginHandlers } = deps;
  const { rootDirectory, managers: wanted, protection, gates } = options;
  const { registry, metrics, memoryBytes, sourcesReady, onNodeChange, stops } = context;
  if (!readTopology) {
    if (wanted.cpu.policy === "none" && wanted.memory.policy === "None") return undefined;
    throw new Error("kubelet options: static policies of CPUs and memory need a real machine: a simulated node has neither");
  }
  const [{ NodeManagers: Managers }, claims] = await Promise.all([
    import("../resource-managers/node-managers.ts"),
    startClaims(deps, options, context),
  ]);
  const managers = stops.add(
    new Managers(
      {
        ...{ cri, clock, logger, metrics, topology: await readTopology() },
        pluginHandlers: new Map([...(pluginHandlers ?? []), ["DRAPlugin", claims.pluginHandler] as const]),
        claimsOf: (pod, container) => claims.dynamicResources(pod, container),
        isActive: (uid) => (sourcesReady() ? registry.mayRun(uid) : undefined),
        activePods: () => registry.endable().map((w) => w.pod),
        containers: () => runningContainers(registry),
        onNodeChange,
        onPodChange: (uid) => registry.worker(uid)?.wake(),
      },
      { rootDirectory, managers: wanted, gates, reservations: protection, memoryBytes },
    ),
  );
  await managers.start();
  return { managers, claims };
}

/** Claims of pods, and the drivers that prepare them. */
async function startClaims(
  { client, clock, logger }: KubeletDependencies,
  options: ResolvedOptions,
  { registry, metrics, sourcesReady, inRuntime, stops }: NodeResourcesContext,
): Promise<ClaimManager> {
  const { ClaimManager: Manager } = await import("../dra/claim-manager.ts");
  const deps = {
    ...{ client, clock, logger, metrics },
    isActive: (uid: string) => (sourcesReady() ? registry.mayRun(uid) || inRuntime(uid) : undefined),
    onPodChange: (uid: string) => registry.worker(uid)?.wake(),
  };
  const claims = stops.add(new Manager(deps, options));
  await claims.start();
  return claims;
}

function* runningContainers(registry: PodRegistry): Iterable<RunningContainer> {
  for (const { pod, runtime } of registry.workers())
    for (const { id, name, state } of runtime.containers) if (state === "running") yield { podUid: pod.metadata.uid, name, id };
}
