// A DHCP client for one interface: gets a lease, renews it at half its time and from then on until it ends, and gives it back. All
// it sends is broadcast, so any server may renew. Sends and receives by a link that is given to it; waits on the clock.
import type { Clock } from "../../../base/clock.ts";
import { failed } from "../../spec/cni-error.ts";
import type { CniDns, CniResult, CniRoute } from "../../spec/result.ts";
import {
  addressBytes,
  addressList,
  addressText,
  classlessRoutes,
  type DhcpMessage,
  decodeReply,
  dhcpOptions,
  encodeRequest,
  messageTypes,
} from "./dhcp-message.ts";

export interface DhcpLink {
  send(message: Buffer): void;
  /** The next datagram; undefined after so long without one, or when the link is closed. */
  receive(withinMs: number): Promise<Buffer | undefined>;
  close(): void;
}

export interface DhcpClientOptions {
  readonly link: DhcpLink;
  readonly clock: Clock;
  /** 6 bytes. */
  readonly hardwareAddress: Uint8Array;
  /** Besides those of the protocol: client id, host name and so on. */
  readonly options: ReadonlyMap<number, Buffer>;
  /** Further ones to ask the server for. */
  readonly requested?: readonly number[];
}

export interface Lease {
  readonly address: string;
  readonly server: string;
  readonly options: ReadonlyMap<number, Buffer>;
  /** Of the clock's monotonic time. */
  readonly renewAtMs: number;
  readonly endsAtMs: number;
}

const attempts = 4;
const firstWaitMs = 2_000;
const retryMs = 60_000;
const defaultLeaseSeconds = 3600;
const parameters = [
  dhcpOptions.subnetMask,
  dhcpOptions.router,
  dhcpOptions.nameServers,
  dhcpOptions.domainName,
  dhcpOptions.staticRoutes,
  dhcpOptions.classlessRoutes,
];

export class DhcpClient {
  readonly #options: DhcpClientOptions;
  #transaction: number;

  constructor(options: DhcpClientOptions) {
    this.#options = options;
    this.#transaction = Math.floor(options.clock.random() * 2 ** 32);
  }

  /** Rejects where no server gives an address. */
  async acquire(signal: AbortSignal): Promise<Lease> {
    this.#transaction++;
    const offer = await this.#exchange(messageTypes.discover, new Map(), { wanted: [messageTypes.offer], signal });
    if (!offer) throw failed("no DHCP server answers");
    const server = offer.options.get(dhcpOptions.serverId) ?? Buffer.alloc(4);
    const asked = new Map([
      [dhcpOptions.requestedAddress, addressBytes(offer.yourAddress)],
      [dhcpOptions.serverId, server],
    ]);
    const answer = await this.#exchange(messageTypes.request, asked, { wanted: [messageTypes.ack, messageTypes.nak], signal });
    if (!answer || typeOf(answer) === messageTypes.nak) throw failed(`the DHCP server takes back its offer of ${offer.yourAddress}`);
    return this.#lease(answer);
  }

  /** Undefined where nobody answers; rejects where the address is not this client's any more. */
  async renew(lease: Lease, signal: AbortSignal): Promise<Lease | undefined> {
    this.#transaction++;
    const options = { wanted: [messageTypes.ack, messageTypes.nak], clientAddress: lease.address, signal, tries: 1 };
    const answer = await this.#exchange(messageTypes.request, new Map(), options);
    if (!answer) return undefined;
    if (typeOf(answer) === messageTypes.nak) throw failed(`the DHCP server does not renew the lease of ${lease.address}`);
    return this.#lease(answer);
  }

  release(lease: Lease): void {
    this.#transaction++;
    this.#send(messageTypes.release, new Map([[dhcpOptions.serverId, addressBytes(lease.server)]]), lease.address);
  }

  /** Renews until it is stopped, or the lease is lost. */
  async keep(first: Lease, signal: AbortSignal, onRenewed: (lease: Lease) => Promise<void> = async () => undefined): Promise<void> {
    const { clock } = this.#options;
    for (let lease = first; ; ) {
      await clock.sleep(Math.max(0, lease.renewAtMs - clock.monotonic()), signal);
      const renewed = await this.renew(lease, signal);
      if (renewed) {
        lease = renewed;
        await onRenewed(renewed);
      } else if (clock.monotonic() >= lease.endsAtMs) throw failed(`the lease of ${lease.address} has ended, and no DHCP server answers`);
      else {
        const next = Math.min(lease.endsAtMs, clock.monotonic() + Math.min(retryMs, (lease.endsAtMs - clock.monotonic()) / 2 + 1_000));
        lease = { ...lease, renewAtMs: next };
      }
    }
  }

  async #exchange(
    type: number,
    more: ReadonlyMap<number, Buffer>,
    exchange: {
      readonly wanted: readonly number[];
      readonly signal: AbortSignal;
      readonly clientAddress?: string;
      readonly tries?: number;
    },
  ): Promise<DhcpMessage | undefined> {
    const { wanted, signal, clientAddress = "0.0.0.0", tries = attempts } = exchange;
    const { link, clock } = this.#options;
    for (let attempt = 0; attempt < tries; attempt++) {
      signal.throwIfAborted();
      this.#send(type, more, clientAddress);
      const until = clock.monotonic() + firstWaitMs * 2 ** attempt;
      for (let leftMs = until - clock.monotonic(); leftMs > 0; leftMs = until - clock.monotonic()) {
        const bytes = await link.receive(leftMs);
        if (bytes === undefined) break;
        const message = decodeReply(bytes);
        if (message?.transaction === this.#transaction >>> 0 && wanted.includes(typeOf(message))) return message;
      }
    }
    return undefined;
  }

  #send(type: number, more: ReadonlyMap<number, Buffer>, clientAddress: string): void {
    const { link, hardwareAddress, options, requested = [] } = this.#options;
    const all = new Map([
      [dhcpOptions.messageType as number, Buffer.from([type])],
      ...options,
      ...(type === messageTypes.release
        ? []
        : [[dhcpOptions.parameterList, Buffer.from([...new Set([...parameters, ...requested])])] as const]),
      ...more,
    ]);
    link.send(encodeRequest({ transaction: this.#transaction, hardwareAddress, clientAddress, options: all }));
  }

  #lease({ yourAddress, options }: DhcpMessage): Lease {
    const seconds = (code: number, otherwise: number): number => options.get(code)?.readUInt32BE(0) ?? otherwise;
    const nowMs = this.#options.clock.monotonic();
    const time = seconds(dhcpOptions.leaseTime, defaultLeaseSeconds);
    return {
      address: yourAddress,
      server: addressText(options.get(dhcpOptions.serverId) ?? Buffer.alloc(4)),
      options,
      renewAtMs: nowMs + seconds(dhcpOptions.renewalTime, time / 2) * 1000,
      endsAtMs: nowMs + time * 1000,
    };
  }
}

const typeOf = ({ options }: DhcpMessage): number => options.get(dhcpOptions.messageType)?.[0] ?? 0;

/** What the lease says, as an IPAM plugin's result. */
export function leaseResult({ address, options }: Lease): CniResult {
  const mask = options.get(dhcpOptions.subnetMask) ?? Buffer.from([255, 255, 255, 255]);
  const length = [...mask].map((byte) => byte.toString(2).replaceAll("0", "").length).reduce((sum, bits) => sum + bits, 0);
  const [router] = addressList(options.get(dhcpOptions.router));
  const servers = addressList(options.get(dhcpOptions.nameServers));
  const domain = options.get(dhcpOptions.domainName)?.toString("latin1").replaceAll("\0", "");
  const dns: CniDns = { ...(servers.length > 0 ? { nameservers: servers } : {}), ...(domain ? { domain } : {}) };
  const routes = leaseRoutes(options, router);
  return {
    ips: [{ address: `${address}/${length}`, ...(router === undefined ? {} : { gateway: router }) }],
    ...(routes.length > 0 ? { routes } : {}),
    ...(Object.keys(dns).length > 0 ? { dns } : {}),
  };
}

/** Classless routes stand for all others (RFC 3442). */
function leaseRoutes(options: Lease["options"], router: string | undefined): readonly CniRoute[] {
  const classless = options.get(dhcpOptions.classlessRoutes);
  if (classless) return classlessRoutes(classless);
  const pairs = addressList(options.get(dhcpOptions.staticRoutes));
  const hosts = pairs.flatMap((dst, i): readonly CniRoute[] =>
    i % 2 === 0 && pairs[i + 1] ? [{ dst: `${dst}/32`, gw: pairs[i + 1] ?? "" }] : [],
  );
  return [...hosts, ...(router === undefined ? [] : [{ dst: "0.0.0.0/0", gw: router }])];
}
