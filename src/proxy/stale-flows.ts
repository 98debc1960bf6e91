// UDP has no end of a connection: a client that goes on sending keeps its translation, also to an endpoint that is gone, or
// to nothing at all from before there was one. Such flows are forgotten, so that the next packet finds an endpoint. A service
// without endpoints keeps its flows: there is nowhere better to send them.
import type { Flow } from "../linux/conntrack.ts";
import type { ServiceEndpoint } from "./endpoints.ts";
import type { ServicePortInfo } from "./service-port.ts";

/** A port of a service with UDP, and where it is served. */
export interface UdpPort {
  readonly port: ServicePortInfo;
  readonly endpoints: readonly ServiceEndpoint[];
}

const at = (address: string, port: number): string => `${address} ${port}`;

/** Each pair of ends once, whoever the clients are. */
export function staleFlows(flows: readonly Flow[], ports: readonly UdpPort[]): readonly Flow[] {
  const byAddress = new Map<string, ReadonlySet<string>>();
  const byNodePort = new Map<number, ReadonlySet<string>>();
  for (const { port, endpoints } of ports) {
    const serving = new Set(endpoints.filter(({ isServing }) => isServing).map((e) => at(e.address, e.port)));
    if (serving.size === 0) continue;
    for (const address of [port.clusterIP, ...port.externalIPs, ...port.loadBalancerIPs]) byAddress.set(at(address, port.port), serving);
    if (port.nodePort !== undefined) byNodePort.set(port.nodePort, serving);
  }
  const stale = new Map<string, Flow>();
  for (const flow of flows) {
    const { destination, destinationPort, answeredBy, answeringPort } = flow;
    const serving = byAddress.get(at(destination, destinationPort)) ?? byNodePort.get(destinationPort);
    if (!serving || serving.has(at(answeredBy, answeringPort))) continue;
    stale.set([destination, destinationPort, answeredBy, answeringPort].join(" "), flow);
  }
  return [...stale.values()];
}

/** What of a service's UDP ports is served where; flows can be stale when something of it has gone, or is the first. */
export function udpServed(ports: readonly UdpPort[]): ReadonlySet<string> {
  return new Set(
    ports.flatMap(({ port, endpoints }) =>
      endpoints.filter(({ isServing }) => isServing).map((e) => `${port.portName} ${port.clusterIP} ${port.port} ${at(e.address, e.port)}`),
    ),
  );
}

export function mayHaveStaleFlows(before: ReadonlySet<string>, after: ReadonlySet<string>): boolean {
  return (before.size === 0 && after.size > 0) || [...before].some((served) => !after.has(served));
}
