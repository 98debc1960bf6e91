// Network policies as a part of a node of ours: in the background, once the node is ready or has been given the time for it,
// so that they delay nobody; rules of an earlier run hold until then. The table carries the name of the node's data directory.
import { parseCIDR } from "../../api/meta/ip.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import { podBridgeName, podNetworkName } from "../../cni/network-config.ts";
import type { PodAddressOptions } from "../../cni/pod-addresses.ts";

export interface NodePolicyDeps {
  /** Speaks as the node, which node-access.ts lets read what policies are about. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets the figures. */
  readonly registry: MetricsRegistry;
}

export interface NodePolicyOptions {
  readonly nodeName: string;
  readonly dataDir: string;
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
  /** What pods are told to ask for names. */
  readonly clusterDns?: readonly string[];
  /** How the names of pods' interfaces begin, where each has one of its own. Default the pods are on the bridge. */
  readonly podCables?: string;
  readonly ready: Promise<void>;
}

const patienceMs = 2_000;

/** There may be several clusters on a machine. */
export const policyTableName = (dataDir: string): string => `network-policy-${podNetworkName(dataDir)}`;

export function startNodePolicies(deps: NodePolicyDeps, options: NodePolicyOptions): Running {
  const { clock } = deps;
  const stack = new StopStack();
  const stopped = new AbortController();
  const logger = deps.logger.named("network-policy");
  const starting = (async () => {
    await Promise.race([options.ready.catch(() => undefined), clock.sleep(patienceMs, stopped.signal)]);
    if (!stopped.signal.aborted) stack.add(await start({ ...deps, logger }, options));
  })().catch((error: unknown) => {
    if (!stopped.signal.aborted) logger.error("Network policies cannot be started: they are not enforced", { error });
  });
  return {
    async stop() {
      stopped.abort(new Error("the node was stopped"));
      await starting;
      await stack.stop();
    },
  };
}

async function start(deps: NodePolicyDeps, options: NodePolicyOptions): Promise<Running> {
  const { nodeName, dataDir, clusterCidrs, clusterDns = [], podCables } = options;
  const [{ NetworkPolicyEnforcer }, { createNetworkPolicyMetrics }, { createNftables }, { enableBridgeFilter }, { followPodAddresses }] =
    await Promise.all([
      import("../../network-policy/network-policy-enforcer.ts"),
      import("../../network-policy/network-policy-metrics.ts"),
      import("../../linux/nftables.ts"),
      import("../../linux/bridge-filter.ts"),
      import("../../cni/pod-addresses.ts"),
    ]);
  const failed = (error: Error): void =>
    deps.logger.warn("Addresses of new pods are known later, when the kubelet reports them", { error: errorText(error) });
  const followAddresses = (changed: PodAddressOptions["changed"]): Promise<Running> => followPodAddresses({ dataDir, changed, failed });
  const enforcer = new NetworkPolicyEnforcer(
    // Without a bridge all packets are forwarded, and seen.
    {
      ...deps,
      nftables: createNftables(),
      metrics: createNetworkPolicyMetrics(deps.registry),
      enableBridgeFilter: podCables === undefined ? enableBridgeFilter : async () => true,
      followAddresses,
    },
    {
      nodeName,
      tableName: policyTableName(dataDir),
      bridge: podCables === undefined ? podBridgeName(dataDir) : `${podCables}*`,
      clusterCidrs: clusterCidrs.filter((cidr) => parseCIDR(cidr) !== undefined),
      dnsAddresses: clusterDns,
    },
  );
  enforcer.start();
  return enforcer;
}
