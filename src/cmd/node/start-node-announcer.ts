// What announces the addresses of load balancers on a node's network, as a part of a node of ours.
import type { Clock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import type { AddressPool } from "../../load-balancer/address-pool.ts";

export interface NodeAnnouncerDeps {
  /** Sees services, EndpointSlices and nodes. */
  readonly proxyClient?: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface NodeAnnouncerOptions {
  readonly nodeName: string;
  readonly dataDir: string;
  readonly pool: AddressPool | undefined;
}

/** Without a pool it only takes away what an earlier run with one has left. */
export async function startNodeAnnouncer(deps: NodeAnnouncerDeps, { nodeName, dataDir, pool }: NodeAnnouncerOptions): Promise<Running> {
  const { proxyClient: client, clock, logger } = deps;
  const stack = new StopStack();
  if (pool === undefined || !client) {
    const { removeAnnouncedAddresses } = await import("../../load-balancer/announced-addresses.ts");
    await removeAnnouncedAddresses(dataDir);
    return stack;
  }
  const [{ startAnnouncer }, { createInformerFactory }] = await Promise.all([
    import("../../load-balancer/announcer.ts"),
    import("../../client/informer-factory.ts"),
  ]);
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  stack.add(startAnnouncer({ informers, clock, logger }, { nodeName, pool, dataDir }));
  return stack;
}
