// A node of the cluster, whole: its container runtime, its kubelet, and whatever else runs on every node. `coracle up` starts
// the first node in its own process; nodes that are processes of their own are started by the same function.

import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { InformerFactory } from "../../client/informer.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { podNetworkName } from "../../cni/network-config.ts";
import type { KubeletOptions } from "../../kubelet/options.ts";
import type { KubeletServerOptions } from "../../kubelet/server/server.ts";
import type { AddressPool } from "../../load-balancer/address-pool.ts";
import { defaultPodNetwork, type PodNetwork } from "../../node-network/cluster-network.ts";
import type { NodeNetwork } from "../../node-network/node-network.ts";
import { startKubelet } from "../kubelet/kubelet.ts";
import { type NodeRuntime, type NodeRuntimeOptions, type RuntimeChoice, startNodeRuntime } from "../kubelet/node-runtime.ts";
import type { Simulation } from "../simulation/simulation.ts";
import type { CniPluginChoice } from "./cni-plugin-choice.ts";
import { expectRoutedNetwork, removeRoutedLeftovers } from "./routed-node.ts";
import { startNodePolicies } from "./start-network-policy.ts";
import { startNodeAnnouncer } from "./start-node-announcer.ts";
import { startNodeProxy } from "./start-node-proxy.ts";

export interface NodeDeps {
  /**
   * Speaks as the node: system:node:<name>. What is on every node besides the kubelet uses it too: node-access.ts lets
   * nodes read what that needs.
   */
  readonly client: Client;
  /** Speaks as system:kube-proxy. Without it services are somebody else's: a kube-proxy that runs as a pod. */
  readonly proxyClient?: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface NodeOptions extends KubeletOptions {
  /** Of the runtime and the pod network. */
  readonly dataDir: string;
  readonly choice: RuntimeChoice;
  /** What makes the containers. Default "auto". */
  readonly ociRuntime?: NodeRuntimeOptions["ociRuntime"];
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
  /** Whose CNI plugins attach pods. Default ours. */
  readonly cniPlugins?: CniPluginChoice;
  /** Ranges of services, of which no pod can have an address. Default none are known. */
  readonly reservedCidrs?: readonly string[];
  /** How the pods of other nodes are reached. Default by itself, as the place of each node allows. */
  readonly podNetwork?: PodNetwork;
  /** An interface that only some of the nodes share, such as the bridge between the nodes of one machine. */
  readonly linkInterface?: string;
  /** The node of the machine this one is a part of, by which nodes of other machines reach it. */
  readonly behind?: string;
  readonly serving: KubeletServerOptions;
  /** Below which the control groups of pods lie; default one that belongs to the data directory. */
  readonly cgroupRoot?: string;
  /** With a simulated runtime: what it shares with others. Default its own. */
  readonly simulation?: Simulation;
  /** Addresses of load balancers that this node may announce on its network. Default none. */
  readonly loadBalancerPool?: AddressPool;
}

export interface RunningNode extends Running {
  /** Of the runtime, for a person. */
  readonly description: string;
  /** Resolves when the node is Ready. */
  readonly ready: Promise<void>;
  /** Says that interfaces of the machine have changed. */
  refreshNetwork(): void;
}

/** Resolves when everything of the node runs, Ready or not. Pods stay for the next start when it is stopped. */
export async function startNode(deps: NodeDeps, options: NodeOptions): Promise<RunningNode> {
  const { client, clock, logger } = deps;
  const {
    dataDir,
    choice,
    clusterCidrs,
    cniPlugins = "coracle",
    podNetwork = defaultPodNetwork,
    linkInterface,
    behind,
    reservedCidrs: _pools,
    serving,
    ...others
  } = options;
  const { loadBalancerPool: pool, ociRuntime = "auto", simulation, ...kubelet } = others;
  const stack = new StopStack();
  try {
    const routed = podNetwork.mode === "routed" ? expectRoutedNetwork({ dataDir, choice, cniPlugins }) : undefined;
    const runtime = await startNodeRuntime({
      ...{ dataDir, choice, ociRuntime, clusterCidrs, cniPlugins, clock, logger, ...routed?.forRuntime },
      ...(simulation ? { simulation } : {}),
    });
    stack.defer(() => runtime.stop());
    // Of the whole cluster, for what is on every node; the kubelet has its own, of what belongs to it.
    const informers = stack.add(createInformerFactory(client, { clock, logger }));
    const network = await (routed ?? { start: startNetwork }).start({ ...deps, informers, runtime }, options);
    if (network) stack.add(network);
    informers.start();
    const { ready } = stack.add(
      await startKubelet(
        { ...deps, runtime: withNodeNetwork(runtime, network, podNetwork), logger: logger.named("kubelet") },
        { cgroupRoot: podNetworkName(dataDir), ...kubelet, serving },
      ),
    );
    const cables = routed ? { podCables: routed.podCables } : {};
    const registry = new MetricsRegistry();
    const own = { nodeName: kubelet.nodeName, dataDir, clusterCidrs, hasOwnRange: network !== undefined && !routed };
    const proxied = { ...own, ready, moreMetrics: () => registry.text(), ...cables };
    if (!runtime.simulated) stack.add(startNodeProxy(deps, proxied));
    // Where the pod network is somebody else's, so are its policies.
    if (network) stack.add(startNodePolicies({ ...deps, registry }, { ...kubelet, dataDir, clusterCidrs, ready, ...cables }));
    if (!runtime.simulated) stack.add(await startNodeAnnouncer(deps, { nodeName: kubelet.nodeName, dataDir, pool }));
    return { description: runtime.description, ready, refreshNetwork: () => network?.refresh(), stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

export interface NetworkDeps extends NodeDeps {
  readonly informers: InformerFactory;
  readonly runtime: NodeRuntime;
}

export interface StartedNetwork extends NodeNetwork {
  /** Writes a CNI configuration of its own. Default that of pods on a bridge. */
  readonly writeConfig?: (podCidrs: readonly string[]) => Promise<void>;
}

/** Undefined where pods have no network of ours: simulated ones, and those of a runtime or a network that others set up. */
async function startNetwork({ runtime, ...deps }: NetworkDeps, options: NodeOptions): Promise<StartedNetwork | undefined> {
  const { nodeName, dataDir, clusterCidrs, podNetwork: network = defaultPodNetwork, linkInterface, behind } = options;
  if (!runtime.configureNetwork || network.mode === "none") return undefined;
  const [{ startNodeNetwork }, { rememberNodeNetwork }] = await Promise.all([
    import("../../node-network/node-network.ts"),
    import("../../node-network/teardown.ts"),
  ]);
  await removeRoutedLeftovers(dataDir);
  await rememberNodeNetwork(dataDir, { clusterCidrs: [...clusterCidrs, ...(network.nodeCidrs ?? [])] });
  return startNodeNetwork(
    { ...deps, logger: deps.logger.named("node-network") },
    { nodeName, dataDir, clusterCidrs, network, behind, ...(linkInterface === undefined ? {} : { linkInterface }) },
  );
}

/** The runtime, with a pod network that fits the one between the nodes. */
function withNodeNetwork(runtime: NodeRuntime, network: StartedNetwork | undefined, { mode }: PodNetwork): NodeRuntime {
  const { configureNetwork, ...rest } = runtime;
  if (!configureNetwork || mode === "none") return rest;
  if (!network) return runtime;
  if (network.writeConfig) return { ...rest, configureNetwork: network.writeConfig };
  return {
    ...rest,
    configureNetwork: async (podCidrs) => configureNetwork(podCidrs, { mtu: await network.podMtu(), masqueraded: true }),
  };
}
