// Starts the service proxy of a node with everything it serves, from its configuration: as a command and as a part of a node.

import { keyOf } from "../../api/meta/object.ts";
import { registerFeatureMetrics } from "../../api/semantics/feature-gates.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { registerBuildInfo, registerProcessMetrics } from "../../base/process-metrics.ts";
import type { Client } from "../../client/client.ts";
import { createEventSeriesRecorder } from "../../client/event-series-recorder.ts";
import { createConntrack } from "../../linux/conntrack.ts";
import { createNftables } from "../../linux/nftables.ts";
import { hostAddresses } from "../../linux/system-info.ts";
import { detectLocalOf, type ProxyConfiguration, splitAddress } from "../../proxy/configuration/proxy-configuration.ts";
import { nodePortAddresses } from "../../proxy/node-port-addresses.ts";
import { isEligible, viewOfNode } from "../../proxy/node-view.ts";
import { ProxyHealth } from "../../proxy/proxy-health.ts";
import { ProxyMetrics } from "../../proxy/proxy-metrics.ts";
import { ServiceHealth } from "../../proxy/service-health.ts";
import { ServiceProxy, type ServiceProxyOptions } from "../../proxy/service-proxy.ts";
import { type MetricsServerOptions, startHealthServer, startMetricsServer } from "../../proxy/start-proxy-servers.ts";
import { CommandError } from "../command-error.ts";
import { resolveProxyGates } from "./proxy-gates.ts";
import { proxyConfigurationObject } from "./written-proxy-configuration.ts";

export interface ProxyDeps {
  /** Speaks as system:kube-proxy, or whoever may watch services, endpoint slices and the node. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ProxyOptions extends Pick<ServiceProxyOptions, "foreignInterfaces" | "opaqueBridge"> {
  readonly nodeName: string;
  /** Of the packet filter, in each address family. */
  readonly tableName: string;
  readonly configuration: ProxyConfiguration;
  /** The ports of health and metrics are a machine's, of which there may be several clusters. Default false. */
  readonly mayLackPorts?: boolean;
  /** The command's flags, for /flagz. Default there is no such page: a part of a node has none. */
  readonly flags?: Readonly<Record<string, string>>;
  /** Figures to be shown among its own. Default none. */
  readonly moreMetrics?: () => string;
}

export interface RunningProxy extends Running {
  /** Resolves when the rules have been written for the first time. */
  readonly written: Promise<void>;
}

/** Resolves when it has begun; it does not wait for the API server. */
export async function startProxy({ client, clock, logger }: ProxyDeps, options: ProxyOptions): Promise<RunningProxy> {
  const { nodeName, configuration, mayLackPorts = false } = options;
  const { bindAddress, syncPeriodMs } = configuration;
  const stack = new StopStack();
  const registry = new MetricsRegistry();
  registerProcessMetrics(registry, clock);
  registerBuildInfo(registry);
  const gates = resolveProxyGates(configuration.featureGates);
  registerFeatureMetrics(registry, gates);
  if (options.moreMetrics) registry.include(options.moreMetrics);
  const metrics = new ProxyMetrics(registry);
  const recorder = stack.add(
    createEventSeriesRecorder({ client, clock, logger, reportingController: "kube-proxy", reportingInstance: `kube-proxy-${nodeName}` }),
  );
  // A node's events name it where others have their uid.
  const node = { kind: "Node", name: nodeName, uid: nodeName };
  let proxy: ServiceProxy | undefined;
  const health = new ProxyHealth({ clock, metrics }, { timeoutMs: 2 * syncPeriodMs, isNodeEligible: () => isEligible(proxy?.node) });
  const serviceHealth = stack.add(
    new ServiceHealth({
      ...{ clock, logger },
      isProxyHealthy: () => health.isHealthy,
      addresses: () => healthAddresses(configuration, proxy),
      onFailure: ({ service, port }, error) =>
        recorder.record(service, {
          ...{ type: "Warning", reason: "FailedToStartServiceHealthcheck", action: "Listen" },
          note: `node ${nodeName} failed to start healthcheck ${JSON.stringify(keyOf(service))} on port ${port}: ${error.message}`,
        }),
    }),
  );
  try {
    const pages = { flags: gates.enabled("ComponentFlagz") ? options.flags : undefined, hasStatusz: gates.enabled("ComponentStatusz") };
    await startServers({ clock, logger, configuration, health, registry, pages, isOptional: mayLackPorts }, stack);
    const localAddresses = async (): Promise<readonly string[]> => (await hostAddresses()).map(({ address }) => address);
    const kernel = { nftables: createNftables(), conntrack: createConntrack(), localAddresses };
    const settings = { masqueradeAll: configuration.masqueradeAll, masqueradeBit: configuration.masqueradeBit };
    proxy = stack.add(
      new ServiceProxy(
        { client, clock, logger, metrics, health, serviceHealth, ...kernel },
        {
          ...options,
          ...settings,
          ...{ bindAddress, syncPeriodMs, minSyncPeriodMs: configuration.minSyncPeriodMs },
          detectLocal: detectLocalOf(configuration),
          nodePortAddresses: configuration.nodePortAddresses,
        },
      ),
    );
    proxy.start();
  } catch (error) {
    await stack.stop();
    throw error;
  }
  recorder.record(node, { type: "Normal", reason: "Starting", action: "StartKubeProxy", note: "" });
  return { written: proxy.written, stop: () => stack.stop() };
}

/** Load balancers ask where node ports answer. */
function healthAddresses(
  { nodePortAddresses: wanted, bindAddress }: ProxyConfiguration,
  proxy: ServiceProxy | undefined,
): readonly string[] {
  if (wanted[0] !== "primary") return ["::"];
  const node = viewOfNode(proxy?.node, bindAddress);
  const own = (["IPv4", "IPv6"] as const).flatMap((family) => nodePortAddresses({ wanted, node, local: [] }, family));
  return own.length > 0 ? own : ["::"];
}

interface Serving {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly configuration: ProxyConfiguration;
  readonly health: ProxyHealth;
  readonly registry: MetricsRegistry;
  readonly pages: Pick<MetricsServerOptions, "flags" | "hasStatusz">;
  readonly isOptional: boolean;
}

async function startServers({ configuration, health, registry, pages, isOptional, ...deps }: Serving, stack: StopStack): Promise<void> {
  const failures: Error[] = [];
  const onFailure = (error: Error): void => void failures.push(error);
  const healthAt = splitAddress(configuration.healthzBindAddress);
  if (healthAt) stack.add(await startHealthServer(deps, health, { ...healthAt, isOptional, onFailure }));
  const metricsAt = splitAddress(configuration.metricsBindAddress);
  if (metricsAt)
    stack.add(
      await startMetricsServer(deps, registry, {
        ...metricsAt,
        ...pages,
        configuration: proxyConfigurationObject(configuration),
        isOptional,
        onFailure,
      }),
    );
  const [first] = failures;
  if (first && configuration.bindAddressHardFail) throw new CommandError("--bind-address-hard-fail", { cause: first });
}
