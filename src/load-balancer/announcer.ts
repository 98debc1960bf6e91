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
import type { InformerFactory } from "../client/informer.ts";
import { createWorkQueue } from "../client/work-queue.ts";
import type { InterfaceAddress } from "../linux/interface-addresses.ts";
import { defaultRoute } from "../linux/system-info.ts";
import type { AddressPool } from "./address-pool.ts";
import { type AddressHost, AnnouncedAddresses, addressHost, type PlacedAddress } from "./announced-addresses.ts";
import { addressesOf, isLocal, wantsBalancer } from "./balanced-service.ts";
import { balancingFacts, balancingNodes, nodesWithEndpoints } from "./balancing-nodes.ts";
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

export function startAnnouncer(deps: AnnouncerDeps, { nodeName, pool, dataDir }: AnnouncerOptions): Running {
  const { informers, clock } = deps;
  const logger = deps.logger.named("announcer");
  const host = deps.host ?? addressHost;
  const outerInterface = deps.outerInterface ?? (async () => (await defaultRoute())?.interface);
  const serviceInformer = informers.informer(services);
  const nodeInformer = informers.informer(nodes);
  const sliceInformer = informers.informer(endpointslices);
  sliceInformer.addIndex("announced-service", serviceOfSlice);
  const placed = new AnnouncedAddresses(dataDir, logger, host);
  const queue = createWorkQueue({
    name: "announcer",
    clock,
    logger,
    workers: 1,
    deadlineMs,
    backoff: { baseMs: 200, maxMs: 30_000 },
    async process(_key, signal) {
      const mine = ourAddresses();
      const [present, outer] = await Promise.all([host.addresses(), outerInterface()]);
      await placed.apply(placeAddresses(mine, present, outer), signal);
      return { requeueAfterMs: resyncMs };
    },
  });
  const ourAddresses = (): readonly string[] => {
    const eligible = balancingNodes(nodeInformer.list()).map(({ metadata }) => metadata.name);
    const found: string[] = [];
    for (const service of serviceInformer.list()) {
      if (!wantsBalancer(service)) continue;
      const local = isLocal(service) ? nodesWithEndpoints(sliceInformer.byIndex("announced-service", keyOf(service))) : undefined;
      const candidates = local ? eligible.filter((name) => local.has(name)) : eligible;
      for (const address of addressesOf(service))
        if (pool.contains(address) && electAnnouncer(address, candidates) === nodeName) found.push(address);
    }
    return found;
  };
  const tell = (): void => queue.add("addresses");
  const tellOfService = (service: Service): void => void (addressesOf(service).length > 0 && tell());
  const tellOfSlice = (slice: EndpointSlice): void => {
    const service = serviceInformer.get(serviceOfSlice(slice)[0] ?? "");
    if (service && isLocal(service)) tellOfService(service);
  };
  const handlers = [
    serviceInformer.addHandler({
      onAdd: tellOfService,
      onUpdate(now, before) {
        tellOfService(now);
        tellOfService(before);
      },
      onDelete: tellOfService,
    }),
    nodeInformer.addHandler({
      onAdd: tell,
      onUpdate: (now: Node, before: Node) => void (balancingFacts(now) !== balancingFacts(before) && tell()),
      onDelete: tell,
    }),
    sliceInformer.addHandler({ onAdd: tellOfSlice, onUpdate: tellOfSlice, onDelete: tellOfSlice }),
  ];
  informers.start();
  const stopping = new AbortController();
  const all = [serviceInformer, nodeInformer, sliceInformer];
  const begun = Promise.all(all.map((informer) => informer.synced(stopping.signal))).then(
    () => {
      // Also where there is nothing to announce: an earlier run may have left something.
      tell();
      queue.start();
    },
    () => undefined, // stopped before
  );
  return {
    async stop() {
      stopping.abort(new Error("the announcer is stopped"));
      await begun;
      for (const handler of handlers) handler.remove();
      await queue.stop();
    },
  };
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

function serviceOfSlice({ metadata }: EndpointSlice): readonly string[] {
  const name = metadata.labels?.["kubernetes.io/service-name"];
  return name ? [`${metadata.namespace}/${name}`] : [];
}
