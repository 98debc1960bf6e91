// Cluster IPs and node ports of services, allocated before validation as upstream does. What is taken is read off the
// services and IPAddress objects in the watch caches, so every API server on one store knows the others' allocations; what is
// being written is reserved until it is seen there. The keys that hold them are written with the service (service-holdings.ts):
// where another server was faster, the write fails as a whole, and is tried again with others once that is seen. A dry run
// reserves and gives back.

import { type FieldError, invalidValue } from "../../api/meta/field-error.ts";
import { type ParsedIP, parseIP } from "../../api/meta/ip.ts";
import type { KubernetesObject } from "../../api/meta/object.ts";
import { internalError } from "../../api/meta/status-error.ts";
import { ipaddresses, servicecidrs, services as servicesType } from "../../api/resources.generated.ts";
import type { Service, ServicePort, ServiceSpec } from "../../api/types/core-v1.ts";
import type { IPAddress, ServiceCIDR } from "../../api/types/networking-v1.ts";
import { validateClusterAddresses } from "../../api/validation/service-addresses.ts";
import { appendAll } from "../../base/append-all.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import type { Informer } from "../../client/informer.ts";
import type { Condition, Operation } from "../../storage/store.ts";
import { registerAllocatorMetrics } from "./allocator-metrics.ts";
import { NumberPool, type PoolNumber, staticBandOf } from "./number-pool.ts";
import type { Companions } from "./resource-store.ts";
import { isHeadless, withBothAddressFields, withIpFamilies } from "./service-families.ts";
import {
  addressesOf,
  ipAddressName,
  isHeldBy,
  needsHealthCheck,
  newIPAddress,
  nodePortHolder,
  nodePortsOf,
  nodePortsPath,
  usesNodePorts,
} from "./service-holdings.ts";
import { ServiceIpRange } from "./service-ip-range.ts";
import { invalidService, NodePortOperation, withNodePorts, withSpec } from "./service-ports.ts";
import type { ResourceStores } from "./stores.ts";
import type { Reservation, WriteHook } from "./write-environment.ts";

export interface ServiceAllocatorOptions {
  /** One block, or one of each family separated by a comma; the first family is the default. Default "10.96.0.0/16". */
  readonly serviceClusterIpRange?: string;
  /** Inclusive. Default "30000-32767". */
  readonly nodePorts?: string;
  readonly metrics?: MetricsRegistry;
}

/** The hook to be given to the resource handler as "/services". Throws for ranges that cannot be read. */
export function createServiceAllocators(stores: ResourceStores, options: ServiceAllocatorOptions = {}): WriteHook {
  return new ServiceAllocators(stores, options);
}

/** What one write has reserved. */
interface Taken {
  readonly addresses: { readonly range: ServiceIpRange; readonly number: PoolNumber }[];
  readonly ports: number[];
}

class ServiceAllocators implements WriteHook {
  readonly #stores: ResourceStores;
  /** Those of the flag; their families are those of services. */
  readonly #flagged: readonly ServiceIpRange[];
  /** With those of ServiceCIDR objects that are ready. */
  #ranges: readonly ServiceIpRange[];
  readonly #firstPort: number;
  readonly #portRange: string;
  readonly #portCount: number;
  readonly #ports: NumberPool;
  readonly #services: Informer<Service>;
  readonly #addresses: Informer<IPAddress>;
  readonly #cidrs: Informer<ServiceCIDR>;
  #watching: Promise<void> | undefined;
  /** The store's revision at which another server was known to be faster. */
  #contestedAt = 0;

  constructor(stores: ResourceStores, options: ServiceAllocatorOptions) {
    this.#stores = stores;
    const { reader } = stores;
    this.#flagged = (options.serviceClusterIpRange ?? "10.96.0.0/16").split(",").map((text) => this.#range(text));
    this.#ranges = this.#flagged;
    this.#portRange = options.nodePorts ?? "30000-32767";
    const [, first, last] = /^(\d+)-(\d+)$/.exec(this.#portRange) ?? [];
    if (first === undefined || Number(last) < Number(first))
      throw new Error(`node port range ${this.#portRange}: expected a range such as 30000-32767`);
    this.#firstPort = Number(first);
    this.#portCount = Number(last) - this.#firstPort + 1;
    this.#ports = new NumberPool({
      size: this.#portCount,
      staticBand: staticBandOf(this.#portCount, { min: 16, max: 128, step: 32 }),
      random: () => stores.clock.random(),
    });
    this.#services = reader.informer(servicesType);
    this.#addresses = reader.informer(ipaddresses);
    this.#cidrs = reader.informer(servicecidrs);
    if (options.metrics) registerAllocatorMetrics(options.metrics, { addresses: () => this.#ranges, ports: this.#ports });
  }

  async reserve(object: KubernetesObject, old: KubernetesObject | undefined, dryRun: boolean): Promise<Reservation> {
    await this.#synced();
    const taken: Taken = { addresses: [], ports: [] };
    const giveBack = (): void => {
      for (const { range, number } of taken.addresses) range.pool.cancel(number);
      for (const port of taken.ports) this.#ports.cancel(port);
    };
    try {
      const service = this.#allocate(object as Service, old as Service | undefined, taken, dryRun);
      return {
        object: service,
        companions: () => this.#companions(service, old as Service | undefined, taken),
        settle: (succeeded, contestedAt = 0) => {
          if (!succeeded || dryRun) giveBack();
          this.#contestedAt = Math.max(this.#contestedAt, contestedAt);
        },
      };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  removal(object: KubernetesObject): Companions {
    const service = object as Service;
    return { conditions: [], operations: this.#freed(service, addressesOf(service), nodePortsOf(service)) };
  }

  /** What is taken must be nobody's in the store; what the service held and holds no longer is freed. */
  async #companions(service: Service, old: Service | undefined, taken: Taken): Promise<Companions> {
    const conditions: Condition[] = [];
    const operations: Operation[] = [];
    const take = (operation: Operation): void => {
      conditions.push({ key: operation.key, modRevision: 0 });
      operations.push(operation);
    };
    const addresses = this.#stores.forType(ipaddresses);
    for (const { range, number } of taken.addresses) {
      const object = newIPAddress(addresses.definition, service, range.addressOf(number), this.#stores.clock.now());
      take(await addresses.asCompanion(object.metadata.name, object));
    }
    for (const number of new Set(taken.ports)) take({ type: "put", key: this.#portKey(number), value: nodePortHolder(service) });
    if (!old) return { conditions, operations };
    const [kept, ports] = [addressesOf(service), nodePortsOf(service)];
    const freed = this.#freed(
      service,
      addressesOf(old).filter((address) => !kept.includes(address)),
      nodePortsOf(old).filter((port) => !ports.includes(port)),
    );
    return { conditions, operations: [...operations, ...freed] };
  }

  #freed(service: Service, addresses: readonly string[], ports: readonly number[]): Operation[] {
    const objects = this.#stores.forType(ipaddresses);
    const names = addresses.map(ipAddressName).filter((name) => {
      const found = this.#addresses.get(name);
      return found !== undefined && isHeldBy(found, service);
    });
    return [
      ...names.map((name): Operation => ({ type: "delete", key: objects.storageKey(name) })),
      ...[...new Set(ports)].map((port): Operation => ({ type: "delete", key: this.#portKey(port - this.#firstPort) })),
    ];
  }

  #portKey(number: number): string {
    return `${this.#stores.prefix}${nodePortsPath}${number + this.#firstPort}`;
  }

  #range(text: string): ServiceIpRange {
    return new ServiceIpRange(text, () => this.#stores.clock.random());
  }

  /** Follows the watch caches from the first use on, and waits for what is known to be coming. */
  async #synced(): Promise<void> {
    this.#watching ??= this.#follow();
    await this.#watching;
    if (this.#contestedAt === 0) return;
    const contestedAt = this.#contestedAt;
    await Promise.all([servicesType, ipaddresses].map((type) => this.#stores.forType(type).cache.reach(contestedAt)));
    if (this.#contestedAt === contestedAt) this.#contestedAt = 0;
  }

  async #follow(): Promise<void> {
    await Promise.all([this.#services.synced(), this.#addresses.synced(), this.#cidrs.synced()]);
    this.#services.addHandler({
      onAdd: (service) => this.#hold(service, 1),
      onUpdate: (service, previous) => {
        this.#hold(service, 1);
        this.#hold(previous, -1);
      },
      onDelete: (service) => this.#hold(service, -1),
    });
    this.#addresses.addHandler({
      onAdd: ({ metadata }) => this.#holdAddress(metadata.name, 1),
      onUpdate: () => undefined,
      onDelete: ({ metadata }) => this.#holdAddress(metadata.name, -1),
    });
    const changed = (): void => this.#readRanges();
    this.#cidrs.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
    this.#readRanges();
  }

  /** The ranges of the flag and of the objects that are ready; none that is being deleted. Those that stay keep their state. */
  #readRanges(): void {
    const known = new Map([...this.#flagged, ...this.#ranges].map((range) => [range.text, range]));
    const texts = new Set(this.#flagged.map(({ text }) => text));
    const closing: string[] = [];
    for (const { metadata, spec, status } of this.#cidrs.list()) {
      // What nobody has looked at yet counts as ready: there may be no controller that would.
      const ready = (status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "True") === "True";
      if (metadata.deletionTimestamp !== undefined) appendAll(closing, spec?.cidrs ?? []);
      else if (ready) for (const text of spec?.cidrs ?? []) texts.add(text);
    }
    for (const text of closing) texts.delete(text);
    this.#ranges = Array.from(texts, (text) => known.get(text) ?? this.#occupied(this.#range(text)));
  }

  /** A range that was not looked at before, with what is held of it. */
  #occupied(range: ServiceIpRange): ServiceIpRange {
    const names = [...Array.from(this.#services.list(), addressesOf).flat(), ...Array.from(this.#addresses.list(), (a) => a.metadata.name)];
    for (const name of names) {
      const ip = parseIP(name);
      const number = ip && range.numberOf(ip);
      if (number !== undefined) range.pool.hold(number);
    }
    return range;
  }

  #hold(service: Service, change: 1 | -1): void {
    for (const address of addressesOf(service)) this.#holdAddress(address, change);
    for (const port of new Set(nodePortsOf(service))) {
      if (change === 1) this.#ports.hold(port - this.#firstPort);
      else this.#ports.release(port - this.#firstPort);
    }
  }

  /** In every range that has it: ranges may overlap. */
  #holdAddress(address: string, change: 1 | -1): void {
    const ip = parseIP(address);
    if (!ip) return;
    for (const range of new Set([...this.#flagged, ...this.#ranges])) {
      const number = range.numberOf(ip);
      if (number === undefined) continue;
      if (change === 1) range.pool.hold(number);
      else range.pool.release(number);
    }
  }

  #allocate(sent: Service, old: Service | undefined, taken: Taken, dryRun: boolean): Service {
    const complete = keepAllocated(withBothAddressFields(sent, old), old);
    // What makes no sense is refused here already, in the words of validation.
    const wrong: FieldError[] = [];
    validateClusterAddresses(wrong, complete.spec ?? {}, old?.spec);
    if (wrong.length > 0) throw invalidService(sent, wrong);
    const { service: chosen, errors } = withIpFamilies(
      complete,
      this.#flagged.map((range) => range.family),
      old,
    );
    if (errors.length > 0) throw invalidService(sent, errors);
    const service = this.#withAddresses(chosen, old, dryRun ? undefined : taken);
    const range = { pool: this.#ports, first: this.#firstPort, count: this.#portCount, text: this.#portRange };
    return withNodePorts(service, old, new NodePortOperation(range, dryRun, taken.ports));
  }

  /** Nothing is taken without `taken`, in a dry run. */
  #withAddresses(service: Service, old: Service | undefined, taken: Taken | undefined): Service {
    const spec = service.spec ?? {};
    if (spec.type === "ExternalName") return service;
    if (isHeadless(spec)) return withSpec(service, { clusterIP: "None", clusterIPs: ["None"] });
    const said = spec.clusterIPs && spec.clusterIPs.length > 0 ? spec.clusterIPs : spec.clusterIP ? [spec.clusterIP] : [];
    // Those that a service has cannot change, as validation says: only what comes after them is taken.
    const before = old?.spec?.type === "ExternalName" ? 0 : (old?.spec?.clusterIPs ?? []).length;
    const addresses = said.map((address, i) => (i < before ? address : this.#takeAddress(service, said, address, taken)));
    for (const family of (spec.ipFamilies ?? []).slice(addresses.length)) {
      const ranges = this.#ranges.filter((range) => range.family === family);
      if (ranges.length > 0) addresses.push(takeAnyAddress(ranges, taken));
    }
    const [clusterIP] = addresses;
    return clusterIP === undefined ? service : withSpec(service, { clusterIP, clusterIPs: addresses });
  }

  #takeAddress(service: Service, said: readonly string[], address: string, taken: Taken | undefined): string {
    const refuse = (why: string): Error =>
      invalidService(service, [invalidValue("spec.clusterIPs", said, `failed to allocate IP ${address}: ${why}`)]);
    const ip = parseIP(address);
    // What is no address is refused by validation, with the right words.
    if (!ip) return address;
    const range = this.#ranges.find((r) => r.numberOf(ip) !== undefined);
    const number = range?.numberOf(ip);
    if (!range || number === undefined) throw refuse(taken ? "the provided network does not match the current range" : this.#outsideOf(ip));
    if (!taken) return address;
    if (!range.pool.reserve(number)) throw refuse("provided IP is already allocated");
    taken.addresses.push({ range, number });
    return address;
  }

  /** Why a dry run does not get an address: it is told of one range, where there may be several. */
  #outsideOf({ family, canonical }: ParsedIP): string {
    const range = this.#ranges.find((r) => r.family === `IPv${family}`);
    return `the provided IP (${canonical}) is not in the valid range. The range of valid IPs is ${range?.text ?? ""}`;
  }
}

/** A dry run is told the first address of a range, free or not. */
function takeAnyAddress(ranges: readonly ServiceIpRange[], taken: Taken | undefined): string {
  const [first] = ranges;
  if (first && !taken) return first.text.replace(/\/.*/, "");
  for (const range of ranges) {
    const number = range.pool.reserveAny();
    if (number === undefined) continue;
    taken?.addresses.push({ range, number });
    return range.addressOf(number);
  }
  throw internalError(new Error("failed to allocate a serviceIP: range is full"));
}

/** What an update leaves out of what was allocated before is kept: clients may send what they would create. */
function keepAllocated(service: Service, old: Service | undefined): Service {
  const [spec, before] = [service.spec ?? {}, old?.spec];
  if (!before || spec.type === "ExternalName" || before.type === "ExternalName") return service;
  const kept: { -readonly [K in keyof ServiceSpec]: ServiceSpec[K] } = {};
  if (!spec.clusterIP && (spec.clusterIPs ?? []).length === 0 && before.clusterIP) {
    kept.clusterIP = before.clusterIP;
    if (before.clusterIPs) kept.clusterIPs = before.clusterIPs;
  }
  if (getsNodePorts(spec) && getsNodePorts(before) && spec.ports) kept.ports = keepNodePorts(spec.ports, before.ports ?? []);
  if (needsHealthCheck(spec) && needsHealthCheck(before) && !spec.healthCheckNodePort && before.healthCheckNodePort)
    kept.healthCheckNodePort = before.healthCheckNodePort;
  return Object.keys(kept).length === 0 ? service : withSpec(service, kept);
}

/** Whether ports that ask for no node port get one. */
const getsNodePorts = (spec: ServiceSpec): boolean =>
  usesNodePorts(spec) && (spec.type === "NodePort" || spec.allocateLoadBalancerNodePorts !== false);

/** Ports are the same by their name, whatever else of them has changed. */
function keepNodePorts(ports: readonly ServicePort[], before: readonly ServicePort[]): readonly ServicePort[] {
  const said = new Set(ports.map((port) => port.nodePort));
  const byName = new Map(before.map((port) => [port.name ?? "", port.nodePort]));
  return ports.map((port) => {
    if (port.nodePort) return port;
    const nodePort = byName.get(port.name ?? "");
    return nodePort && !said.has(nodePort) ? { ...port, nodePort } : port;
  });
}
