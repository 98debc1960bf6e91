// Sets right what the allocators' keys say of services: an address without its IPAddress object gets one, an object of the
// allocator that no service stands behind goes, and the same for the keys of node ports. The allocators write both in one
// transaction, so there is only work where another program wrote them, or an earlier version. Upstream's events and delays.
import { cidrContains, parseCIDR, parseIP } from "../../api/meta/ip.ts";
import { isStatus } from "../../api/meta/status-error.ts";
import { parseTime } from "../../api/meta/time.ts";
import { ipaddresses, servicecidrs, services } from "../../api/resources.generated.ts";
import type { Service } from "../../api/types/core-v1.ts";
import type { IPAddress } from "../../api/types/networking-v1.ts";
import type { Running } from "../../base/lifecycle.ts";
import { StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Series } from "../../base/metrics.ts";
import type { Client } from "../../client/client.ts";
import type { EventRecorder } from "../../client/event-recorder.ts";
import type { QueueFigures } from "../../client/queue-figures.ts";
import { createWorkQueue, type RequeueAfter } from "../../client/work-queue.ts";
import { prefixEnd } from "../../storage/store.ts";
import {
  addressesOf,
  allocatorName,
  familyLabel,
  ipAddressFor,
  ipAddressName,
  isHeldBy,
  managedByLabel,
  nodePortHolder,
  nodePortsOf,
  nodePortsPath,
} from "./service-holdings.ts";
import type { ResourceStores } from "./stores.ts";

export interface ServiceRepairDeps {
  /** Where its work queue is counted. */
  readonly queues?: QueueFigures | undefined;
  /** Counts the times that node ports could not be looked through. */
  readonly portErrors?: Series | undefined;
  readonly stores: ResourceStores;
  readonly client: Client;
  readonly recorder: EventRecorder;
  readonly logger: Logger;
}

/** A service may still be on its way to the store that its address is held for. */
const newServiceMs = 60_000;
const portPeriodMs = 180_000;
/** Looks at a port nobody holds, before its key goes. */
const looksBeforeLeak = 3;

/** Looks through everything once, then at what changes; at node ports every three minutes. */
export function startServiceRepair(deps: ServiceRepairDeps): Running {
  const { stores, logger, queues } = deps;
  const metrics = queues?.hooks("services");
  const { clock, reader } = stores;
  const repair = new ServiceRepair(deps);
  const queue = createWorkQueue({
    name: "service-repair",
    clock,
    logger,
    maxFailures: 15,
    ...(metrics ? { metrics } : {}),
    process: (key) => (key.includes("/") ? repair.service(key) : repair.address(key)),
  });
  const stack = new StopStack();
  queues?.measure("services", queue);
  stack.add(queue);
  const add = ({ metadata }: Service | IPAddress): void =>
    queue.add(metadata.namespace ? `${metadata.namespace}/${metadata.name}` : metadata.name);
  for (const type of [services, ipaddresses]) {
    const informer = reader.informer<Service | IPAddress>(type as never);
    const added = informer.addHandler({ onAdd: add, onUpdate: add, onDelete: () => undefined });
    stack.defer(() => added.remove());
    informer.start();
  }
  queue.start();
  let running = Promise.resolve();
  const ports = (): void => {
    running = running
      .then(() => repair.nodePorts())
      .catch((error: unknown) => {
        deps.portErrors?.add();
        logger.warn("Node ports not looked through", { error });
      });
  };
  ports();
  const timer = clock.every(portPeriodMs, ports);
  stack.defer(async () => {
    timer.cancel();
    await running;
  });
  return stack;
}

class ServiceRepair {
  readonly #deps: ServiceRepairDeps;
  /** How many more times a port without a service is left alone. */
  readonly #leaks = new Map<string, number>();

  constructor(deps: ServiceRepairDeps) {
    this.#deps = deps;
  }

  async service(key: string): Promise<undefined> {
    const service = this.#deps.stores.reader.informer(services).get(key);
    if (!service) return;
    await this.#reached(ipaddresses, service);
    for (const address of addressesOf(service)) await this.#addressOf(service, address);
  }

  async #addressOf(service: Service, address: string): Promise<void> {
    const { reader } = this.#deps.stores;
    const ip = parseIP(address);
    if (!ip) return this.#warn(service, "ClusterIPNotValid", `Cluster IP ${address} is not a valid IP; please recreate Service`);
    const subject = `Cluster IP [${ip.family === 6 ? "IPv6" : "IPv4"}]: ${address}`;
    if (!this.#isInRange(address))
      return this.#warn(service, "ClusterIPOutOfRange", `${subject} is not within any configured Service CIDR; please recreate service`);
    const held = reader.informer(ipaddresses).get(ipAddressName(address));
    if (!held) {
      this.#warn(service, "ClusterIPNotAllocated", `${subject} is not allocated; repairing`);
      await this.#deps.client.create(ipaddresses, ipAddressFor(service, address));
      return;
    }
    if (isHeldBy(held, service)) {
      const { labels } = held.metadata;
      const wanted = ipAddressFor(service, address).metadata.labels;
      if (labels?.[familyLabel] !== wanted?.[familyLabel] || labels?.[managedByLabel] !== allocatorName)
        await this.#recreate(service, held);
      return;
    }
    const { namespace = "", name = "" } = held.spec?.parentRef ?? {};
    const other = isOfService(held) ? reader.informer(services).get(`${namespace}/${name}`) : undefined;
    if (other && addressesOf(other).includes(address))
      return this.#warn(service, "ClusterIPAlreadyAllocated", `${subject} was assigned to multiple services; please recreate service`);
    this.#warn(
      service,
      "ClusterIPNotAllocated",
      `the ${subject} for Service ${service.metadata.namespace}/${service.metadata.name} has a wrong reference; repairing`,
    );
    await this.#recreate(service, held);
  }

  async address(name: string): Promise<RequeueAfter | undefined> {
    const { stores, client, recorder } = this.#deps;
    const { clock, reader } = stores;
    const held = reader.informer(ipaddresses).get(name);
    if (!held || held.metadata.labels?.[managedByLabel] !== allocatorName) return undefined;
    await this.#reached(services, held);
    const { namespace = "", name: of = "" } = held.spec?.parentRef ?? {};
    const service = isOfService(held) ? reader.informer(services).get(`${namespace}/${of}`) : undefined;
    if (service && addressesOf(service).map(ipAddressName).includes(name)) return undefined;
    const ageMs = clock.now() - (parseTime(held.metadata.creationTimestamp) ?? 0);
    if (isOfService(held) && ageMs < newServiceMs) return { requeueAfterMs: newServiceMs - ageMs };
    const [reason, message] = !isOfService(held)
      ? ["IPAddressNotAllocated", `IPAddress ${name} appears to have been modified, not referencing a Service: cleaning up`]
      : service
        ? ["IPAddressWrongReference", `IPAddress: ${name} for Service ${namespace}/${of} has a wrong reference; cleaning up`]
        : ["IPAddressNotAllocated", `IPAddress: ${name} for Service ${namespace}/${of} appears to have leaked: cleaning up`];
    recorder.record(held, { type: "Warning", reason, message });
    await removed(client.delete(ipaddresses, { name }));
    return undefined;
  }

  async nodePorts(): Promise<void> {
    const { stores, logger } = this.#deps;
    const { store, prefix, reader } = stores;
    await reader.informer(services).synced();
    const start = `${prefix}${nodePortsPath}`;
    const { items, revision } = await store.range({ start, end: prefixEnd(start) });
    await stores.forType(services).cache.reach(revision);
    const unclaimed = new Map(items.map((kv) => [kv.key.slice(start.length), kv]));
    for (const service of reader.informer(services).list()) {
      for (const port of new Set(nodePortsOf(service))) {
        if (unclaimed.delete(String(port)) || items.some(({ key }) => key === start + port)) continue;
        this.#warn(service, "PortNotAllocated", `Port ${port} is not allocated; repairing`);
        await store.transact({
          conditions: [{ key: start + port, modRevision: 0 }],
          operations: [{ type: "put", key: start + port, value: nodePortHolder(service) }],
        });
      }
    }
    for (const port of this.#leaks.keys()) if (!unclaimed.has(port)) this.#leaks.delete(port);
    for (const [port, { key, modRevision }] of unclaimed) {
      const left = this.#leaks.get(port) ?? looksBeforeLeak;
      this.#leaks.set(port, left - 1);
      if (left > 0) continue;
      this.#leaks.delete(port);
      logger.warn("A node port was held for no service and is free again", { port });
      await store.transact({ conditions: [{ key, modRevision }], operations: [{ type: "delete", key }] });
    }
  }

  /** What is looked up has seen all that led to this object. */
  async #reached(type: typeof services | typeof ipaddresses, { metadata }: Service | IPAddress): Promise<void> {
    await this.#deps.stores.forType(type).cache.reach(Number(metadata.resourceVersion));
  }

  #isInRange(address: string): boolean {
    const ip = parseIP(address);
    for (const { spec } of this.#deps.stores.reader.informer(servicecidrs).list())
      for (const text of spec?.cidrs ?? []) {
        const cidr = parseCIDR(text);
        if (ip && cidr && cidrContains(cidr, ip)) return true;
      }
    return false;
  }

  async #recreate(service: Service, { metadata }: IPAddress): Promise<void> {
    const { client } = this.#deps;
    await removed(client.delete(ipaddresses, { name: metadata.name }));
    await client.create(ipaddresses, ipAddressFor(service, metadata.name));
  }

  #warn(service: Service, reason: string, message: string): void {
    this.#deps.logger.warn("Allocations of a service", { service: `${service.metadata.namespace}/${service.metadata.name}`, message });
    this.#deps.recorder.record(service, { type: "Warning", reason, message });
  }
}

function isOfService({ spec }: IPAddress): boolean {
  return (spec?.parentRef?.group ?? "") === "" && spec?.parentRef?.resource === "services";
}

async function removed(deletion: Promise<unknown>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (!isStatus(error, "NotFound")) throw error;
  }
}
