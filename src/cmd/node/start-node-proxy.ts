// The service proxy as a part of a node of ours: in the background, once the node is ready or has been given the time for it,
// so that it delays nobody. Its table carries the name of the node's data directory.
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { podBridgeName } from "../../cni/network-config.ts";
import type { ProxyConfiguration } from "../../proxy/configuration/proxy-configuration.ts";
import { proxyTableName } from "../proxy/remove-proxy-tables.ts";

export interface NodeProxyDeps {
  readonly proxyClient?: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface NodeProxyOptions {
  readonly nodeName: string;
  readonly dataDir: string;
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
  /** Whether the node's pods, and none of others, have addresses of its range. Else they are any of the cluster's. */
  readonly hasOwnRange: boolean;
  /** How the names of pods' interfaces begin, where each has one of its own. Default the pods are on the bridge. */
  readonly podCables?: string;
  readonly ready: Promise<void>;
  /** Figures of what else runs on the node, to be shown among the proxy's. */
  readonly moreMetrics: () => string;
}

const patienceMs = 2_000;

/** What a person who has just changed a service waits at most, in a burst of changes. */
const minSyncPeriodMs = 200;

/** The bridges of all clusters' pods begin so, and the cables of those that have no bridge. */
const bridgePrefix = "cor-";

/** Does nothing without a client for it. */
export function startNodeProxy(deps: NodeProxyDeps, options: NodeProxyOptions): Running {
  const { proxyClient: client, clock } = deps;
  const stack = new StopStack();
  if (!client) return stack;
  const stopped = new AbortController();
  const logger = deps.logger.named("proxy");
  const starting = (async () => {
    await Promise.race([options.ready.catch(() => undefined), clock.sleep(patienceMs, stopped.signal)]);
    if (stopped.signal.aborted) return;
    stack.add(await start({ client, clock, logger }, options));
  })().catch((error: unknown) => {
    if (!stopped.signal.aborted) logger.error("The service proxy cannot be started: services are not reachable", { error });
  });
  return {
    async stop() {
      stopped.abort(new Error("the node was stopped"));
      await starting;
      await stack.stop();
    },
  };
}

async function start(
  deps: { readonly client: Client; readonly clock: Clock; readonly logger: Logger },
  { nodeName, dataDir, clusterCidrs, hasOwnRange, podCables, moreMetrics }: NodeProxyOptions,
): Promise<Running> {
  const [{ startProxy }, { emptyConfiguration, readProxyConfiguration }, { enableBridgeFilter }] = await Promise.all([
    import("../proxy/start-proxy.ts"),
    import("../../proxy/configuration/read-proxy-configuration.ts"),
    import("../../linux/bridge-filter.ts"),
  ]);
  const defaults = await readProxyConfiguration(emptyConfiguration);
  const bridge = podBridgeName(dataDir);
  const seesAll = podCables !== undefined || (await enableBridgeFilter());
  return startProxy(deps, {
    nodeName,
    tableName: proxyTableName(dataDir),
    mayLackPorts: true,
    moreMetrics,
    foreignInterfaces: { prefix: bridgePrefix, except: podCables === undefined ? bridge : `${podCables}*` },
    ...(seesAll ? {} : { opaqueBridge: bridge }),
    configuration: { ...defaults, ...ownPods(hasOwnRange, podCables), clusterCIDR: clusterCidrs.join(","), minSyncPeriodMs },
  });
}

/**
 * Pods of other nodes come under their own addresses here: they are clients from elsewhere, as far as traffic policies go, and only
 * this node's are its own.
 */
function ownPods(hasOwnRange: boolean, podCables: string | undefined): Partial<ProxyConfiguration> {
  if (podCables !== undefined)
    return { detectLocalMode: "InterfaceNamePrefix", detectLocal: { bridgeInterface: "", interfaceNamePrefix: podCables } };
  return hasOwnRange ? { detectLocalMode: "NodeCIDR" } : {};
}
