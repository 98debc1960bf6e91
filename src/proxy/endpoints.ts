// The endpoints of a service's ports, out of its endpoint slices, for one address family.
import type { Endpoint, EndpointSlice } from "../api/types/discovery-v1.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import { addressesOf, type Protocol } from "./service-port.ts";

export interface ServiceEndpoint {
  readonly address: string;
  readonly port: number;
  /** Whether it runs on this node. */
  readonly isLocal: boolean;
  /** Serving and not about to end, or published although it is not. */
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  /** Names that the endpoint is meant for; empty without hints. */
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/** Endpoints by `portKey`, in a fixed order. */
export type EndpointsByPort = ReadonlyMap<string, readonly ServiceEndpoint[]>;

export const portKey = (portName: string, protocol: Protocol): string => `${protocol}/${portName}`;

export function endpointsOf(
  slices: readonly EndpointSlice[],
  { family, nodeName }: { readonly family: IpFamily; readonly nodeName: string },
): EndpointsByPort {
  const found = new Map<string, Map<string, ServiceEndpoint>>();
  for (const { addressType, ports, endpoints } of slices) {
    if (addressType !== family) continue;
    // A slice without endpoints has null for its ports, and so may a port's number be.
    for (const { name, protocol, port } of ports ?? []) {
      if (!port) continue; // all ports: nothing a rule could translate to
      const key = portKey(name ?? "", (protocol ?? "TCP").toLowerCase() as Protocol);
      const ofPort = found.get(key) ?? new Map<string, ServiceEndpoint>();
      found.set(key, ofPort);
      for (const endpoint of endpoints ?? []) add(ofPort, endpoint, { family, nodeName, port });
    }
  }
  return new Map([...found].map(([key, ofPort]) => [key, [...ofPort.keys()].sort().flatMap((at) => ofPort.get(at) ?? [])]));
}

function add(
  ofPort: Map<string, ServiceEndpoint>,
  { addresses, conditions, nodeName: node, hints }: Endpoint,
  { family, nodeName, port }: { readonly family: IpFamily; readonly nodeName: string; readonly port: number },
): void {
  const [address] = addressesOf(addresses.slice(0, 1), family);
  if (address === undefined) return;
  const isTerminating = conditions?.terminating ?? false;
  const at = `${address} ${port}`;
  // Two pods may have an address for a moment, when it is given out again while its last holder ends: the newcomer counts.
  if (isTerminating && ofPort.has(at)) return;
  ofPort.set(at, {
    address,
    port,
    isLocal: node === nodeName,
    isReady: conditions?.ready ?? true,
    isServing: conditions?.serving ?? true,
    isTerminating,
    zoneHints: hints?.forZones?.map(({ name }) => name) ?? [],
    nodeHints: hints?.forNodes?.map(({ name }) => name) ?? [],
  });
}
