// The mixed-version proxy (UnknownVersionInteroperabilityProxy): a request for a resource that this server does not serve, and
// another API server of the same store does, is passed on to that one, and discovery shows what all of them serve. Puts the parts
// together; docs/api-settings.md says how it is used.
import { serviceUnavailable } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Tracer } from "../../base/tracing.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import type { Tunnel } from "../../rpc/tunnel.ts";
import { createForwarder, type Forwarder } from "../aggregation/forward-request.ts";
import { type ClientPair, RemoteServer } from "../aggregation/remote-server.ts";
import type { PeerGroups } from "../discovery/kept-documents.ts";
import { readPeerEndpoints } from "../peers/peer-endpoints.ts";
import type { ResourceStores } from "../registry/stores.ts";
import type { ApiResponse, Handler, RequestContext } from "../request.ts";
import { mergeDiscovery } from "./merge-discovery.ts";
import { isPassedOn, markedAsPassedOn } from "./passed-on.ts";
import { PeerDiscovery } from "./peer-discovery.ts";
import { createPeerMetrics, type PeerMetrics } from "./peer-metrics.ts";

export interface PeerProxyDeps {
  readonly stores: Pick<ResourceStores, "reader" | "store" | "prefix" | "find">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly queues?: QueueFigures | undefined;
  /** PEM of the authority that vouches for the peers' certificates; asked for every connection. */
  readonly authority: () => string;
  /** The certificate by which peers know this server as a front proxy. */
  readonly clientCertificate: () => ClientPair | undefined;
  /** Makes the connections, where they are not made directly. */
  readonly tunnel?: Tunnel | undefined;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

export interface PeerProxyOptions {
  /** This server's own, "apiserver-fl6obw4ijfryx25ur4ugqryswq". */
  readonly identity: string;
  /** Default 60 s. */
  readonly requestTimeoutMs?: number;
}

export interface PeerProxy extends Running {
  /** Passes on what peers serve and this server does not, and hands on the rest. */
  routed(local: Handler): Handler;
  readonly groups: PeerGroups;
  /** Whether it is known who the peers are. */
  readonly isSynced: boolean;
  /** Resolves when it is. */
  start(): Promise<void>;
  /** Ends the watches that are passed on, before the server waits for open requests. */
  endWatches(): void;
}

/** The name that every API server's certificate is for. */
const servername = "kubernetes.default.svc";

export function createPeerProxy(deps: PeerProxyDeps, options: PeerProxyOptions): PeerProxy {
  return new MixedVersionProxy(deps, options);
}

class MixedVersionProxy implements PeerProxy {
  readonly groups: PeerGroups;
  readonly #deps: PeerProxyDeps;
  readonly #server: RemoteServer;
  readonly #forwarder: Forwarder;
  readonly #metrics: PeerMetrics;
  readonly #discovery: PeerDiscovery;

  constructor(deps: PeerProxyDeps, { identity, requestTimeoutMs }: PeerProxyOptions) {
    const { stores, authority, metrics } = deps;
    this.#deps = deps;
    this.#metrics = createPeerMetrics(metrics);
    this.#server = new RemoteServer(deps, () => ({ ca: authority(), servername, rejectUnauthorized: true }));
    const limits = requestTimeoutMs === undefined ? {} : { requestTimeoutMs };
    this.#forwarder = createForwarder(deps, { ...limits, forwardsRedirects: true });
    const discovery = new PeerDiscovery({ ...deps, ...stores, target: this.#server, metrics: this.#metrics }, identity);
    this.#discovery = discovery;
    this.groups = {
      get generation() {
        return discovery.generation;
      },
      merge: (own) => mergeDiscovery({ identity, own, peers: discovery.groups() }),
    };
  }

  get isSynced(): boolean {
    return this.#discovery.isSynced;
  }

  start(): Promise<void> {
    return this.#discovery.start();
  }

  routed(local: Handler): Handler {
    const { stores } = this.#deps;
    return (context) => {
      const { info, request } = context;
      const isOwn = !info.isResourceRequest || stores.find(info.apiGroup, info.apiVersion, info.resource) !== undefined;
      if (isOwn || isPassedOn(request)) return local(context);
      const servers = this.#discovery.servers(info);
      return servers.length === 0 ? local(context) : this.#passOn(context, servers);
    };
  }

  endWatches(): void {
    this.#forwarder.endWatches();
  }

  async stop(): Promise<void> {
    await this.#discovery.stop();
    this.#server.close();
  }

  async #passOn(context: RequestContext, servers: readonly string[]): Promise<ApiResponse> {
    const { stores, clock } = this.#deps;
    // Asked for each time: servers come and go, and nobody is sent to where one has been.
    const endpoints = await readPeerEndpoints(stores.store, stores.prefix);
    const addresses = servers.flatMap((identity) => endpoints.get(identity) ?? []);
    const address = addresses[Math.floor(clock.random() * addresses.length)];
    if (!address) {
      this.#metrics.unresolved(context.info);
      throw serviceUnavailable("Error getting ip and port info of the remote server while proxying");
    }
    const response = await this.#forwarder.forward({ target: this.#server, address, context, more: markedAsPassedOn });
    this.#metrics.rerouted("status" in response ? response.status : 0, context.info);
    return response;
  }
}
