// The cluster's DNS as `coracle up` starts it: listening on the machine's own address, published as the Service kube-dns,
// with the machine's resolvers for names outside. Follows the machine where its address or its resolvers change.
import { parseCIDR } from "../../api/meta/ip.ts";
import { nodes } from "../../api/resources.generated.ts";
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { createDnsServer, type DnsServer } from "../../dns/dns-server.ts";
import { type DnsService, publishDnsService } from "../../dns/dns-service.ts";
import type { ServerAddress } from "../../dns/exchange.ts";
import { type HostAddress, hostAddresses } from "../../linux/system-info.ts";
import { followUpstreams, readUpstreams } from "./dns-upstreams.ts";

export interface StartDnsDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface StartDnsOptions {
  /** The address of the DNS service, one of `serviceRange`. */
  readonly clusterIP: string;
  readonly domain: string;
  readonly serviceRange: string;
  readonly clusterCidrs: readonly string[];
  /** Resolvers for names outside; default those of /etc/resolv.conf. */
  readonly upstreams?: readonly ServerAddress[];
  readonly stubDomains?: ReadonlyMap<string, readonly ServerAddress[]>;
  /** The machine's addresses, best first; default as they are. */
  readonly addresses?: () => Promise<readonly HostAddress[]>;
}

/** Where it listens unless that is taken. */
const usualPort = 10_053;
const usualMetricsPort = 9153;
const lookMs = 30_000;
const resolvConf = "/etc/resolv.conf";

export async function startDns({ client, clock, logger }: StartDnsDeps, options: StartDnsOptions): Promise<Running> {
  const stack = new StopStack();
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const { clusterIP, domain, serviceRange, clusterCidrs, stubDomains } = options;
  const upstreams = options.upstreams ?? (await readUpstreams(resolvConf));
  const ownRanges = [serviceRange, ...clusterCidrs].filter((range) => parseCIDR(range) !== undefined);
  // Pods' questions may come in the name of their node, whose address may be a public one.
  const nodeInformer = informers.informer(nodes);
  nodeInformer.addIndex("dns-client", ({ status }) => (status?.addresses ?? []).map(({ address }) => address));
  const server = stack.add(
    createDnsServer(
      { informers, clock, logger },
      {
        domain,
        serverAddresses: [clusterIP],
        ownRanges,
        isClient: (address) => nodeInformer.byIndex("dns-client", address).length > 0,
        upstreams: withoutSelf(upstreams, clusterIP),
        ...(stubDomains ? { stubDomains } : {}),
      },
    ),
  );
  const service = stack.add(publishDnsService({ client, informers, clock, logger }, { clusterIP }));
  const place = stack.add(
    new Place({ server, service, clock, logger, addresses: options.addresses ?? hostAddresses }, clusterIP.includes(":") ? 6 : 4),
  );
  await place.look();
  if (options.upstreams === undefined)
    stack.add(followUpstreams(resolvConf, { clock, logger, changed: (found) => server.useUpstreams(withoutSelf(found, clusterIP)) }));
  void server.findLoops();
  return stack;
}

/** A machine that uses the cluster's DNS itself has to have another one for what the cluster does not know. */
function withoutSelf(upstreams: readonly ServerAddress[], clusterIP: string): readonly ServerAddress[] {
  return upstreams.filter(({ address }) => address !== clusterIP);
}

interface PlaceDeps {
  readonly server: DnsServer;
  readonly service: DnsService;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly addresses: () => Promise<readonly HostAddress[]>;
}

/** Keeps the server listening on the machine's present address. */
class Place implements Running {
  readonly #deps: PlaceDeps;
  readonly #family: 4 | 6;
  readonly #timer: { cancel(): void };
  #address: string | undefined;
  /** The machine has none, and that has been said. */
  #isMissing = false;
  #listening = new StopStack();
  #looking: Promise<void> | undefined;

  constructor(deps: PlaceDeps, family: 4 | 6) {
    this.#deps = deps;
    this.#family = family;
    this.#timer = deps.clock.every(lookMs, () => void this.look());
  }

  /** Never rejects: what does not work now is tried again. */
  look(): Promise<void> {
    this.#looking ??= this.#follow()
      .catch((error: unknown) => this.#deps.logger.error("The cluster's DNS cannot listen", { error: errorText(error) }))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async stop(): Promise<void> {
    this.#timer.cancel();
    await this.#looking;
    await this.#listening.stop();
  }

  async #follow(): Promise<void> {
    const { server, service, logger, addresses } = this.#deps;
    const own = (await addresses()).filter(({ family }) => family === this.#family).map(({ address }) => address);
    if (this.#address !== undefined && own.includes(this.#address)) return;
    const [address] = own;
    if (address === undefined && !this.#isMissing)
      logger.warn("This machine has no address that pods could reach: the cluster has no DNS for now");
    this.#isMissing = address === undefined;
    const before = this.#listening;
    this.#listening = new StopStack();
    this.#address = undefined;
    await before.stop();
    if (address === undefined) return service.moved(undefined);
    const { port } = this.#listening.add(await elsewhereIfTaken((p) => server.listen({ address, port: p }), usualPort));
    const status = this.#listening.add(await elsewhereIfTaken((p) => server.serveStatus({ address, port: p }), usualMetricsPort));
    this.#address = address;
    service.moved({ address, port, metricsPort: status.port });
  }
}

async function elsewhereIfTaken<T>(listen: (port: number) => Promise<T>, usual: number): Promise<T> {
  try {
    return await listen(usual);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    return listen(0);
  }
}
