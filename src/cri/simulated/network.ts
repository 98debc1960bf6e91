// The network of simulated pods: an address book of who listens where, shared by all simulated nodes of a process. Connections
// are pairs of streams, so HTTP, upgrades and any other protocol over TCP work without a port of the machine. What has an
// address but no listener refuses connections, as a machine does; addresses that are not in the book belong to somebody else.
import type { Duplex } from "node:stream";
import type { Dial } from "../../rpc/dial.ts";
import { memorySocketPair, refusedSocket } from "../../rpc/memory-socket.ts";

export type Listener = (connection: Duplex) => void;

/** Where a name leads, as a cluster's DNS and its services would: undefined for what there is not. */
export type ResolveAddress = (
  host: string,
  port: number,
  namespace: string,
) => { readonly host: string; readonly port: number } | undefined;

export class SimulatedNetwork {
  /** Address → port → listener. */
  readonly #hosts = new Map<string, Map<number, Listener>>();
  /** How often an address is in use: pods on the host's network share their node's. */
  readonly #uses = new Map<string, number>();
  #names = 0;
  #resolve: ResolveAddress = () => undefined;

  /** A name for something in this network that has no address of a pod or node. */
  newName(what: string): string {
    return `${what}-${++this.#names}.simulated`;
  }

  /** From now on the address is part of this network. */
  join(address: string): void {
    this.#uses.set(address, (this.#uses.get(address) ?? 0) + 1);
  }

  leave(address: string): void {
    const left = (this.#uses.get(address) ?? 0) - 1;
    if (left > 0) return void this.#uses.set(address, left);
    this.#uses.delete(address);
    this.#hosts.delete(address);
  }

  /** Gives back what ends it. Throws when somebody listens there already. */
  listen(address: string, port: number, listener: Listener): () => void {
    const ports = this.#hosts.get(address) ?? new Map<number, Listener>();
    if (ports.has(port))
      throw Object.assign(new Error(`listen EADDRINUSE: address already in use ${address}:${port}`), { code: "EADDRINUSE" });
    this.#hosts.set(address, ports.set(port, listener));
    return () => {
      if (ports.get(port) === listener) ports.delete(port);
      if (ports.size === 0 && this.#hosts.get(address) === ports) this.#hosts.delete(address);
    };
  }

  /** A connection to an address of this network; one that fails where nobody listens. Undefined for all other addresses. */
  readonly connect: Dial = (host, port) => {
    const listener = this.#hosts.get(host)?.get(port);
    if (!listener) return this.#uses.has(host) ? refusedSocket(host, port) : undefined;
    const [client, server] = memorySocketPair({ server: host });
    listener(server);
    return client;
  };

  /** How programs find services. Default: they find nothing but addresses. */
  useResolver(resolve: ResolveAddress): void {
    this.#resolve = resolve;
  }

  /** As a program of `namespace` asks: an address, or a name or address of a service. */
  connectAs(namespace: string, host: string, port: number): Duplex {
    const target = this.#resolve(host, port, namespace) ?? { host, port };
    const connection = this.connect(target.host, target.port);
    if (connection) return connection;
    throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND", hostname: host });
  }
}
