// Who has which address, or which port of the nodes' addresses. Decisions are made here without waiting in between, so that
// two services never get the same, however late the API server tells what has been written.

import { keyOf } from "../api/meta/object.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { AddressPool, IPFamily } from "./address-pool.ts";
import { addressesOf, familiesOf, familyOf, portsOf } from "./balanced-service.ts";

/** What a service gets, or why it gets nothing now; and whether it had something before that others may have now. */
export type Decision = Choice & { readonly freed: boolean };

type Choice = { readonly kind: "addresses"; readonly addresses: readonly string[] } | { readonly kind: "pending"; readonly why: string };

const pending = (why: string): Choice => ({ kind: "pending", why });

/** What "TCP/80" or an address belongs to, by the service's key. */
class Claims {
  readonly #owners = new Map<string, string>();
  readonly #owned = new Map<string, readonly string[]>();

  owner(what: string): string | undefined {
    return this.#owners.get(what);
  }

  /** Takes these, and gives up all others: whether there were such. What another has stays that one's. */
  hold(key: string, what: readonly string[]): boolean {
    const before = this.owned(key);
    this.release(key);
    const free = what.filter((one) => !this.#owners.has(one));
    for (const one of free) this.#owners.set(one, key);
    if (free.length > 0) this.#owned.set(key, free);
    return before.some((one) => !free.includes(one));
  }

  owned(key: string): readonly string[] {
    return this.#owned.get(key) ?? [];
  }

  /** Whether there was something to give up. */
  release(key: string): boolean {
    const owned = this.#owned.get(key);
    if (!owned) return false;
    for (const one of owned) this.#owners.delete(one);
    this.#owned.delete(key);
    return true;
  }

  holds(key: string): boolean {
    return this.#owned.has(key);
  }
}

export interface AddressBook {
  /** Takes over what a service has according to its status: before anything is given anew. */
  remember(service: Service): void;
  decide(service: Service, around: Surroundings): Decision;
  /** Whether there was something that others may have now. */
  release(key: string): boolean;
  /** Whether a service already has its place. */
  holds(key: string): boolean;
}

export interface Surroundings {
  /** Of nodes for this service, in their order. */
  readonly nodeAddresses: readonly string[];
  /** Which service has a port ("TCP/80") as its node port. */
  readonly nodePortOwner: (port: string) => string | undefined;
  /** Ports on which programs of the machine listen; only looked at for services that are new. */
  readonly listening: ReadonlySet<string>;
}

/** Services share the addresses of nodes, each with ports of its own. */
export class NodeAddressBook implements AddressBook {
  readonly #ports = new Claims();

  remember(service: Service): void {
    if (addressesOf(service).length > 0) this.#ports.hold(keyOf(service), portsOf(service));
  }

  decide(service: Service, around: Surroundings): Decision {
    const key = keyOf(service);
    const choice = this.#choose(service, around);
    return { ...choice, freed: choice.kind === "pending" ? this.#ports.release(key) : this.#ports.hold(key, portsOf(service)) };
  }

  #choose(service: Service, { nodeAddresses, nodePortOwner, listening }: Surroundings): Choice {
    const key = keyOf(service);
    const wanted = service.spec?.loadBalancerIP;
    const addresses = wanted ? nodeAddresses.filter((address) => address === wanted) : nodeAddresses;
    if (addresses.length === 0)
      return pending(
        wanted
          ? `the requested address ${wanted} is not that of a node`
          : `no node has an address of ${familiesOf(service).join(" or ")} for it`,
      );
    for (const port of portsOf(service)) {
      const holder = this.#ports.owner(port);
      const owner = holder ?? nodePortOwner(port);
      const name = `port ${port.replace("/", " ")} of the nodes' addresses`;
      if (owner !== undefined && owner !== key) return pending(`${name} belongs to service ${owner}`);
      if (holder !== key && listening.has(port)) return pending(`${name} is used by a program on the node`);
    }
    return { kind: "addresses", addresses };
  }

  release(key: string): boolean {
    return this.#ports.release(key);
  }

  holds(key: string): boolean {
    return this.#ports.holds(key);
  }
}

/** Every service has an address of its own, of each of its families. */
export class PoolAddressBook implements AddressBook {
  readonly #pool: AddressPool;
  readonly #addresses = new Claims();

  constructor(pool: AddressPool) {
    this.#pool = pool;
  }

  remember(service: Service): void {
    this.#addresses.hold(keyOf(service), this.#ours(service));
  }

  decide(service: Service, { nodeAddresses }: Surroundings): Decision {
    const key = keyOf(service);
    const choice = this.#choose(service, nodeAddresses);
    return { ...choice, freed: choice.kind === "pending" ? this.#addresses.release(key) : this.#addresses.hold(key, choice.addresses) };
  }

  release(key: string): boolean {
    return this.#addresses.release(key);
  }

  holds(key: string): boolean {
    return this.#addresses.holds(key);
  }

  #choose(service: Service, nodeAddresses: readonly string[]): Choice {
    const families = familiesOf(service).filter((family) => this.#pool.has(family));
    if (families.length === 0) return pending(`the pool has no ${familiesOf(service).join(" or ")} addresses`);
    const wanted = service.spec?.loadBalancerIP;
    if (wanted && !this.#pool.contains(wanted)) return pending(`the requested address ${wanted} is not in the pool`);
    const addresses: string[] = [];
    for (const family of families) {
      const chosen = this.#chooseOf(family, service, nodeAddresses);
      if (chosen.kind === "pending") return chosen;
      addresses.push(...chosen.addresses);
    }
    return { kind: "addresses", addresses };
  }

  #chooseOf(family: IPFamily, service: Service, nodeAddresses: readonly string[]): Choice {
    const key = keyOf(service);
    const isTaken = (address: string): boolean => {
      const owner = this.#addresses.owner(address);
      return (owner !== undefined && owner !== key) || nodeAddresses.includes(address);
    };
    const requested = service.spec?.loadBalancerIP;
    if (requested && familyOf(requested) === family) {
      if (!isTaken(requested)) return { kind: "addresses", addresses: [requested] };
      const owner = this.#addresses.owner(requested);
      return pending(`the requested address ${requested} belongs to ${owner === undefined ? "a node" : `service ${owner}`}`);
    }
    // What it has been given may not have come back in its status yet.
    const had = [...this.#addresses.owned(key), ...this.#ours(service)];
    const kept = had.find((address) => familyOf(address) === family && !isTaken(address));
    const address = kept ?? this.#pool.firstFree(family, isTaken);
    return address === undefined ? pending(`all ${family} addresses of the pool are taken`) : { kind: "addresses", addresses: [address] };
  }

  /** Addresses of its status that are still in the pool. */
  #ours(service: Service): readonly string[] {
    return addressesOf(service).filter((address) => this.#pool.contains(address));
  }
}
