// On every node: has the addresses of the pool that this node announces on its interfaces, so that it answers for them
// (ARP, neighbour discovery), and takes them away when they are another's, or nobody's.
import { cidrContains, parseCIDR, parseIP } from "../api/meta/ip.ts";
import { keyOf } from "../api/meta/object.ts";
import { endpointslices, nodes, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Informer, InformerFactory } from "../client/informer.ts";
import { createWorkQueue, type RequeueAfter, type WorkQueue } from "../client/work-queue.ts";
import type { InterfaceAddress } from "../linux/interface-addresses.ts";
import { defaultRoute } from "../linux/system-info.ts";
import type { AddressPool } from "./address-pool.ts";
import { type AddressHost, AnnouncedAddresses, addressHost, type PlacedAddress } from "./announced-addresses.ts";
import { addressesOf, isLocal, wantsBalancer } from "./balanced-service.ts";
import { balancingFacts, balancingNodes, nodesWithEndpoints, serviceOfSlice } from "./balancing-nodes.ts";
import { electAnnouncer } from "./elect-announcer.ts";

export interface AnnouncerDeps {
  readonly informers: InformerFactory;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default this machine. */
  readonly host?: AddressHost;
  /** Interface for addresses that are in no network of the machine. Default that of the default route. */
  readonly outerInterface?: () => Promise<string | undefined>;
}

export interface AnnouncerOptions {
  readonly nodeName: string;
  /** Addresses outside of it are never put on an interface, whatever a service's status says. */
  readonly pool: AddressPool;
  readonly dataDir: string;
}

/** How often what others may have changed on the machine is put right. */
const resyncMs = 60_000;
const deadlineMs = 60_000;

export function startAnnouncer(deps: AnnouncerDeps, options: AnnouncerOptions): Running {
  const announcer = new Announcer(deps, options);
  announcer.start();
  return announcer;
}

class Announcer implements Running {
  readonly #deps: AnnouncerDeps;
  readonly #options: AnnouncerOptions;
  readonly #services: Informer<Service>;
  readonly #nodes: Informer<Node>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #host: AddressHost;
  readonly #placed: AnnouncedAddresses;
  readonly #queue: WorkQueue;
  readonly #stopping = new AbortController();
  readonly #handlers: { remove(): void }[] = [];
  #begun: Promise<void> | undefined;

  constructor(deps: AnnouncerDeps, options: AnnouncerOptions) {
    const { informers, clock } = deps;
    const logger = deps.logger.named("announcer");
    this.#deps = deps;
    this.#options = options;
    this.#services = informers.informer(services);
    this.#nodes = informers.informer(nodes);
    this.#slices = informers.informer(endpointslices);
    this.#slices.addIndex("announced-service", serviceOfSlice);
    this.#host = deps.host ?? addressHost;
    this.#placed = new AnnouncedAddresses(options.dataDir, logger, this.#host);
    const backoff = { baseMs: 200, maxMs: 30_000 };
    const process = (_key: string, signal: AbortSignal) => this.#reconcile(signal);
    this.#queue = createWorkQueue({ name: "announcer", clock, logger, workers: 1, deadlineMs, backoff, process });
  }

  start(): void {
    const tell = (): void => this.#queue.add("addresses");
    const ofService = (service: Service): void => void (addressesOf(service).length > 0 && tell());
    const ofSlice = (slice: EndpointSlice): void => {
      const service = this.#services.get(serviceOfSlice(slice)[0] ?? "");
      if (service && isLocal(service)) ofService(service);
    };
    const onUpdate = (now: Service, before: Service): void => {
      ofService(now);
      ofService(before);
    };
    const ofNode = (now: Node, before: Node): void => void (balancingFacts(now) !== balancingFacts(before) && tell());
    this.#handlers.push(
      this.#services.addHandler({ onAdd: ofService, onUpdate, onDelete: ofService }),
      this.#nodes.addHandler({ onAdd: tell, onUpdate: ofNode, onDelete: tell }),
      this.#slices.addHandler({ onAdd: ofSlice, onUpdate: ofSlice, onDelete: ofSlice }),
    );
    this.#deps.informers.start();
    const { signal } = this.#stopping;
    this.#begun = Promise.all([this.#services.synced(signal), this.#nodes.synced(signal), this.#slices.synced(signal)]).then(
      () => {
        // Also where there is nothing to announce: an earlier run may have left something.
        tell();
        this.#queue.start();
      },
      () => undefined, // stopped before
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the announcer is stopped"));
    await this.#begun;
    for (const handler of this.#handlers) handler.remove();
    await this.#queue.stop();
  }

  async #reconcile(signal: AbortSignal): Promise<RequeueAfter> {
    const outerInterface = this.#deps.outerInterface ?? (async () => (await defaultRoute())?.interface);
    const mine = this.#ourAddresses();
    const [present, outer] = await Promise.all([this.#host.addresses(), outerInterface()]);
    await this.#placed.apply(placeAddresses(mine, present, outer), signal);
    return { requeueAfterMs: resyncMs };
  }

  /** Addresses of services that this node is to announce. */
  #ourAddresses(): readonly string[] {
    const { nodeName, pool } = this.#options;
    const eligible = balancingNodes(this.#nodes.list()).map(({ metadata }) => metadata.name);
    const found: string[] = [];
    for (const service of this.#services.list()) {
      if (!wantsBalancer(service)) continue;
      const local = isLocal(service) ? nodesWithEndpoints(this.#slices.byIndex("announced-service", keyOf(service))) : undefined;
      const candidates = local ? eligible.filter((name) => local.has(name)) : eligible;
      for (const address of addressesOf(service))
        if (pool.contains(address) && electAnnouncer(address, candidates) === nodeName) found.push(address);
    }
    return found;
  }
}

/** On the interface whose network they are in, or the outer one. Addresses without an interface are left out. */
export function placeAddresses(
  addresses: readonly string[],
  present: readonly InterfaceAddress[],
  outer: string | undefined,
): readonly PlacedAddress[] {
  return addresses.flatMap((address) => {
    const ip = parseIP(address);
    const network = present.find((own) => {
      const block = parseCIDR(`${own.address}/${own.prefixLength}`);
      const isNetwork = own.prefixLength < (own.family === 4 ? 32 : 128);
      return isNetwork && ip !== undefined && block !== undefined && cidrContains(block, ip);
    });
    const name = network?.interface ?? outer;
    return name === undefined ? [] : [{ address, interface: name }];
  });
}
