// What `coracle up` starts once for a cluster's network besides the nodes: its DNS and its load balancers; and what the nodes
// are told of both.
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import type { Logger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import type { RunningApiServer } from "./start-apiserver.ts";
import type { NodeOptions } from "./start-node.ts";
import { kubeletDnsOf, startClusterDns, type UpDnsValues, upDnsFlags } from "./up-dns.ts";
import { loadBalancerPool, startLoadBalancers, type UpLoadBalancerValues, upLoadBalancerFlags } from "./up-load-balancer.ts";

export const upNetworkFlags = { ...upDnsFlags, ...upLoadBalancerFlags };

export type UpNetworkValues = UpDnsValues & UpLoadBalancerValues & { readonly nodes: number };

/** Of every node's options. Throws for flags that cannot be. */
export function networkOfNodes(values: UpNetworkValues): Pick<NodeOptions, "clusterDns" | "clusterDomain" | "loadBalancerPool"> {
  const pool = loadBalancerPool(values);
  return { ...kubeletDnsOf(values), ...(pool ? { loadBalancerPool: pool } : {}) };
}

export interface NetworkPartsDeps {
  readonly server: RunningApiServer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Says what came up. */
  readonly announce: (what: string) => void;
}

/** After the nodes, which are ready without it. `choice`: the runtime of the nodes. */
export async function startNetworkParts(values: UpNetworkValues, choice: string, deps: NetworkPartsDeps): Promise<Running> {
  const { server, clock, logger, announce } = deps;
  const stack = new StopStack();
  try {
    const sharesMachine = values.nodes > 0 && choice !== "simulated";
    stack.add(await startLoadBalancers(values, { client: partClient(server, "load-balancer"), clock, logger }, { sharesMachine }));
    stack.add(await startClusterDns(values, { client: partClient(server, "dns"), clock, logger }));
  } catch (error) {
    await stack.stop();
    throw error;
  }
  if (values.dns === "built-in") announce(`DNS at ${kubeletDnsOf(values).clusterDns.join()}`);
  return stack;
}

/** For parts that upstream does not have and whose permissions nobody grants. */
function partClient(server: RunningApiServer, name: string): Client {
  return server.clientFor({ name: `system:coracle:${name}`, groups: ["system:masters"] });
}
