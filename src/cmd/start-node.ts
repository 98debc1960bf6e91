// A node of the cluster, whole: its container runtime, its kubelet, and whatever else runs on every node. `coracle up` starts
// it in its own process; a node that is a process of its own is started by the same function.

import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { podNetworkName } from "../cni/network-config.ts";
import type { KubeletOptions } from "../kubelet/options.ts";
import type { KubeletServerOptions } from "../kubelet/server/server.ts";
import type { AddressPool } from "../load-balancer/address-pool.ts";
import { startKubelet } from "./kubelet.ts";
import { type RuntimeChoice, startNodeRuntime } from "./node-runtime.ts";
import { startNodePolicies } from "./start-network-policy.ts";
import { startNodeAnnouncer } from "./start-node-announcer.ts";
import { startNodeProxy } from "./start-node-proxy.ts";

export interface NodeDeps {
  /** Speaks as the node: system:node:<name>. */
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
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
  readonly serving: KubeletServerOptions;
  /** Addresses of load balancers that this node may announce on its network. Default none. */
  readonly loadBalancerPool?: AddressPool;
}

export interface RunningNode extends Running {
  /** Of the runtime, for a person. */
  readonly description: string;
  /** Resolves when the node is Ready. */
  readonly ready: Promise<void>;
}

/** Resolves when everything of the node runs, Ready or not. Pods stay for the next start when it is stopped. */
export async function startNode(deps: NodeDeps, options: NodeOptions): Promise<RunningNode> {
  const { clock, logger } = deps;
  const { dataDir, choice, clusterCidrs, serving, loadBalancerPool: pool, ...kubelet } = options;
  const stack = new StopStack();
  try {
    const runtime = await startNodeRuntime({ dataDir, choice, clusterCidrs, clock, logger });
    stack.defer(() => runtime.stop());
    const { ready } = stack.add(
      await startKubelet(
        { ...deps, runtime, logger: logger.named("kubelet") },
        { ...kubelet, serving, cgroupRoot: podNetworkName(dataDir) },
      ),
    );
    if (!runtime.simulated) stack.add(startNodeProxy(deps, { nodeName: kubelet.nodeName, dataDir, clusterCidrs, ready }));
    // Where the pod network is somebody else's, so are its policies.
    if (runtime.configureNetwork) stack.add(startNodePolicies(deps, { ...kubelet, dataDir, clusterCidrs, ready }));
    if (!runtime.simulated) stack.add(await startNodeAnnouncer(deps, { nodeName: kubelet.nodeName, dataDir, pool }));
    return { description: runtime.description, ready, stop: () => stack.stop() };
  } catch (error) {
    await stack.stop();
    throw error;
  }
}
