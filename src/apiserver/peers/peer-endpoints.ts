// Where the API servers of one store reach each other: a key for each, named by its identity, that disappears 15 seconds after the
// server has last written it (peerserverleases/IDENTITY, upstream's key). No client reads or writes these keys: what they say is
// said by API servers.
import type { Endpoints } from "../../api/types/core-v1.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { prefixEnd, type Store } from "../../storage/store.ts";

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
}

export interface PeerEndpointDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OwnEndpoint {
  /** Before every key of the store: "/registry/". */
  readonly prefix: string;
  /** "apiserver-fl6obw4ijfryx25ur4ugqryswq". */
  readonly identity: string;
  /** Where others reach this server. */
  readonly address: PeerAddress;
}

const periodMs = 10_000;
const leaseSeconds = 15;
const keysBelow = (prefix: string): string => `${prefix}peerserverleases/`;

/** Says where this server is, from now on until it is stopped. Failures are logged, and it is tried again. */
export function keepPeerEndpoint({ store, clock, logger }: PeerEndpointDeps, { prefix, identity, address }: OwnEndpoint): Running {
  const key = keysBelow(prefix) + identity;
  const value = Buffer.from(JSON.stringify(endpointsOf(identity, address)));
  let running: Promise<unknown> = Promise.resolve();
  const then = (work: () => Promise<unknown>): Promise<unknown> => {
    running = running.then(work).catch((error: unknown) => logger.warn("The endpoint for other API servers was not written", { error }));
    return running;
  };
  const write = () => store.transact({ conditions: [], operations: [{ type: "put", key, value, ttlSeconds: leaseSeconds }] });
  void then(write);
  const timer = clock.every(periodMs, () => void then(write));
  let stopping: Promise<unknown> | undefined;
  return {
    async stop() {
      timer.cancel();
      stopping ??= then(() => store.transact({ conditions: [], operations: [{ type: "delete", key }] }));
      await stopping;
    },
  };
}

/** The servers that live, by their identities. What cannot be read is passed over. */
export async function readPeerEndpoints(store: Store, prefix: string): Promise<ReadonlyMap<string, PeerAddress>> {
  const start = keysBelow(prefix);
  const { items } = await store.range({ start, end: prefixEnd(start) });
  const found = new Map<string, PeerAddress>();
  for (const { key, value } of items) {
    const address = addressIn(value);
    if (address) found.set(key.slice(start.length), address);
  }
  return found;
}

/** As upstream writes it, which finds a server by the label. */
function endpointsOf(identity: string, { host, port }: PeerAddress): object {
  return {
    kind: "Endpoints",
    apiVersion: "v1",
    metadata: { labels: { apiserverIdentity: identity } },
    subsets: [{ addresses: [{ ip: host }], ports: [{ name: "https", port, protocol: "TCP" }] }],
  };
}

function addressIn(value: Uint8Array): PeerAddress | undefined {
  let endpoints: Pick<Endpoints, "subsets">;
  try {
    endpoints = JSON.parse(Buffer.from(value).toString()) as Endpoints;
  } catch {
    // Another server's, in a form that is not spoken here.
    return undefined;
  }
  const { addresses, ports } = endpoints.subsets?.[0] ?? {};
  const [host, port] = [addresses?.[0]?.ip, ports?.[0]?.port];
  return typeof host === "string" && host !== "" && typeof port === "number" && port > 0 && port < 65536 ? { host, port } : undefined;
}
