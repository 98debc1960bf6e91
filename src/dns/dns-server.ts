// The DNS server of a cluster, whole: the cluster's names from informers, all others from resolvers outside, over UDP and
// TCP on the same port of each address, with its figures on a port beside it.
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { InformerFactory } from "../client/informer.ts";
import { createClientFilter, privateRanges } from "./client-filter.ts";
import { type ClusterZone, createClusterZone } from "./cluster-zone.ts";
import { DnsMetrics } from "./dns-metrics.ts";
import { createExchange, type ServerAddress } from "./exchange.ts";
import { Forwarder } from "./forwarder.ts";
import { createResolver } from "./resolver.ts";
import { createResponder, type Responder } from "./responder.ts";
import { startStatusServer } from "./status-server.ts";
import { listenTcp } from "./tcp-listener.ts";
import { type ListenerAddress, type ListenerDeps, listenUdp } from "./udp-listener.ts";

export interface DnsServerDeps {
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface DnsServerOptions {
  /** Default "cluster.local". */
  readonly domain?: string;
  /** Of the cluster's records. Default 30. */
  readonly ttlSeconds?: number;
  /** Addresses of the DNS service in the cluster. Default none. */
  readonly serverAddresses?: readonly string[];
  /** Ranges of pods and services, whose reverse names are answered here alone. */
  readonly ownRanges?: readonly string[];
  /** Resolvers for all other names. */
  readonly upstreams: readonly ServerAddress[];
  readonly stubDomains?: ReadonlyMap<string, readonly ServerAddress[]>;
  /** Default 30. */
  readonly maxCacheSeconds?: number;
  /** Clients beside those with private addresses. */
  readonly moreClients?: readonly string[];
  /** Clients beside these, asked for each question. */
  readonly isClient?: (address: string) => boolean;
  /** Whether clients must be one of these. Default true. */
  readonly privateOnly?: boolean;
}

export interface DnsServer extends Running {
  readonly zone: ClusterZone;
  readonly metrics: DnsMetrics;
  readonly respond: Responder;
  /** Listens on one more address, UDP and TCP; resolves with what stops it. */
  listen(address: ListenerAddress): Promise<Running & { readonly port: number }>;
  serveStatus(address: ListenerAddress): Promise<Running & { readonly port: number }>;
  useUpstreams(servers: readonly ServerAddress[]): void;
  /** Asks the resolvers whether they ask this server in turn; it should be listening. */
  findLoops(): Promise<void>;
}

/** Ports that are tried where any will do: one that is free for UDP may be taken for TCP. */
const maxPortTries = 20;

export function createDnsServer(deps: DnsServerDeps, options: DnsServerOptions): DnsServer {
  const { clock, logger, informers } = deps;
  const { domain = "cluster.local", ttlSeconds = 30, maxCacheSeconds = 30, serverAddresses = [], ownRanges = [] } = options;
  const stack = new StopStack();
  const metrics = new DnsMetrics(`${domain}.`);
  const zone = stack.add(createClusterZone(informers, { domain, ttlSeconds, serverAddresses, ownRanges }));
  const forwarder = new Forwarder(
    { clock, logger, metrics, exchange: createExchange(clock) },
    { servers: options.upstreams, maxCacheSeconds, ...(options.stubDomains ? { stubDomains: options.stubDomains } : {}) },
  );
  const respond = createResponder({ resolver: createResolver(zone, forwarder), metrics, clock, logger });
  const isPrivate = createClientFilter([...privateRanges, ...ownRanges, ...(options.moreClients ?? [])]);
  const { isClient = () => false, privateOnly = true } = options;
  const allows = privateOnly ? (address: string) => isPrivate(address) || isClient(address) : () => true;
  return {
    zone,
    metrics,
    respond,
    listen: async (address) => stack.add(await listenBoth({ respond, allows, logger, clock }, address)),
    serveStatus: async (address) =>
      stack.add(
        await startStatusServer(
          { metrics: metrics.registry, logger, allows, unready: () => (zone.hasSynced ? [] : ["kubernetes"]) },
          address,
        ),
      ),
    useUpstreams: (servers) => forwarder.useServers(servers),
    findLoops: () => forwarder.findLoops(),
    stop: () => stack.stop(),
  };
}

async function listenBoth(
  deps: ListenerDeps & { readonly clock: Clock },
  { address, port }: ListenerAddress,
): Promise<Running & { readonly port: number }> {
  for (let tries = 1; ; tries++) {
    const udp = await listenUdp(deps, { address, port });
    try {
      const tcp = await listenTcp(deps, { address, port: udp.port });
      return { port: udp.port, stop: async () => void (await Promise.all([udp.stop(), tcp.stop()])) };
    } catch (error) {
      await udp.stop();
      if (port !== 0 || tries >= maxPortTries) throw error;
    }
  }
}
