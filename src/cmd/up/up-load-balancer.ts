// What `coracle up` has to do with load balancers: its flags, the loop that gives services their addresses, and on each
// node what announces those of a pool.
import type { Clock } from "../../base/clock.ts";
import { type FlagType, flag, oneOf } from "../../base/flags.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createEventRecorder } from "../../client/event-recorder.ts";
import { createInformerFactory } from "../../client/informer-factory.ts";
import { AddressPool, type AddressRange, findOverlap, parseRange } from "../../load-balancer/address-pool.ts";
import { CommandError } from "../command-error.ts";

const poolRanges: FlagType<readonly AddressRange[]> = {
  placeholder: "ranges",
  parse: (value, previous) => [
    ...(previous ?? []),
    ...value
      .split(",")
      .filter((part) => part !== "")
      .map(parseRange),
  ],
};

export const upLoadBalancerFlags = {
  "load-balancer": flag<"built-in" | "external" | undefined>(
    oneOf("built-in", "external"),
    undefined,
    "who gives services of type LoadBalancer their addresses: this process, or a controller of your own; default built-in, or external with --nodes 0",
  ),
  "load-balancer-pool": flag(
    poolRanges,
    [],
    "addresses for them, such as 192.0.2.10-192.0.2.50,2001:db8::/120, announced on the nodes' network; default the nodes' own addresses",
  ),
};

export interface UpLoadBalancerValues {
  readonly "load-balancer": "built-in" | "external";
  readonly "load-balancer-pool": readonly AddressRange[];
}

/** A control plane alone leaves the addresses to others, unless it is told otherwise. */
export function loadBalancerOf(
  given: { readonly "load-balancer": "built-in" | "external" | undefined; readonly "load-balancer-pool": readonly AddressRange[] },
  nodes: number,
): UpLoadBalancerValues["load-balancer"] {
  return given["load-balancer"] ?? (nodes === 0 && given["load-balancer-pool"].length === 0 ? "external" : "built-in");
}

/** None where services share the nodes' addresses. Throws where ranges overlap. */
export function loadBalancerRanges(values: UpLoadBalancerValues): readonly string[] {
  const ranges = values["load-balancer-pool"];
  const overlap = findOverlap(ranges);
  if (overlap) throw new CommandError(`--load-balancer-pool: ${overlap[0].text} and ${overlap[1].text} have addresses in common`);
  return values["load-balancer"] === "external" ? [] : ranges.map(({ text }) => text);
}

export interface UpPartDeps {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** `sharesMachine`: nodes are this machine, on whose programs' ports no service may lie. */
export async function startLoadBalancers(
  values: UpLoadBalancerValues,
  { client, clock, logger }: UpPartDeps,
  { sharesMachine }: { readonly sharesMachine: boolean },
): Promise<Running> {
  const stack = new StopStack();
  if (values["load-balancer"] === "external") return stack;
  const { startLoadBalancer } = await import("../../load-balancer/load-balancer.ts");
  const { listeningPorts } = await import("../../linux/listening-ports.ts");
  const ranges = values["load-balancer-pool"];
  const recorder = stack.add(createEventRecorder({ client, clock, logger, component: "service-controller" }));
  const informers = stack.add(createInformerFactory(client, { clock, logger }));
  const deps = { client, informers, clock, logger, recorder, ...(sharesMachine ? { listeningPorts } : {}) };
  stack.add(startLoadBalancer(deps, ranges.length > 0 ? { pool: new AddressPool(ranges) } : {}));
  return stack;
}
