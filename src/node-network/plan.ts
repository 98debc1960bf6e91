// Which routes a node needs to reach the pods of the others, and what of them goes through the VXLAN. Pure: from where the
// nodes are to what has to stand in the kernel. Decided for each node and address family by itself: as a route by the other
// node where it is on the same link, else in the VXLAN where both have one, else in plain UDP packets, as far as the mode allows.
import { cidrContains, cidrsOverlap, formatIP, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { PodNetwork } from "./cluster-network.ts";
import type { NodePlace } from "./node-annotations.ts";

/** A range of addresses that an interface of this node is directly connected to. */
export interface LocalLink {
  readonly device: string;
  /** This node's own address there. */
  readonly address: string;
  readonly prefixLength: number;
}

export interface PlanInput {
  readonly self: NodePlace;
  /** The others, the oldest first: of two that claim the same range it has it. */
  readonly peers: readonly NodePlace[];
  readonly links: readonly LocalLink[];
  /** Nothing outside of these is ever routed to a node. */
  readonly clusterCidrs: readonly string[];
  readonly network: PodNetwork;
  /** Name of the VXLAN's device. */
  readonly device: string;
  /** The end of the tunnel in plain UDP. */
  readonly udp: UdpEnd;
  /** All ranges that this node's interfaces are connected to. Default the links. */
  readonly ownRanges?: readonly LocalLink[];
}

export interface UdpEnd {
  readonly device: string;
  /** This node's, from which it speaks. */
  readonly address: string;
  /** Whether this node has no VXLAN. */
  readonly isOnly: boolean;
}

export interface PlannedRoute {
  readonly destination: string;
  readonly gateway: string;
  readonly device: string;
  /** In a tunnel the gateway is in no range of the device. */
  readonly onlink: boolean;
  /** In plain UDP: the node to whose address packets go. */
  readonly remote?: string;
}

/** A node behind the VXLAN. */
export interface Tunnel {
  readonly mac: string;
  /** Address of the node. */
  readonly remote: string;
  /** The other end's addresses in the VXLAN, one of each family: the first ones of the node's pod ranges. */
  readonly gateways: readonly string[];
}

export interface NetworkPlan {
  readonly routes: readonly PlannedRoute[];
  readonly tunnels: readonly Tunnel[];
  /** This node's own addresses in the VXLAN, none where it needs none. */
  readonly tunnelAddresses: readonly string[];
  /** The same in the tunnel in plain UDP. */
  readonly udpAddresses: readonly string[];
  /** Addresses of nodes that answer pods directly, so that nothing has to be translated on the way to them. */
  readonly directAddresses: readonly string[];
  /** What is wrong, for a person, by the node's name. */
  readonly problems: ReadonlyMap<string, string>;
}

/** By which a node's pods of one address family are reached. */
type Hop = Omit<PlannedRoute, "destination">;

export function planNetwork(input: PlanInput): NetworkPlan {
  const { self, network, peers } = input;
  const problems = new Map<string, string>();
  const ranges = usableRanges(input, problems);
  // The nodes that are reached by themselves come first: those behind one of them are reached as it is.
  const hops = new Map(peers.filter((peer) => !relayTo(self, peer, input)).map((peer) => [peer.name, hopsTo(peer, ranges, input)]));
  const routes: PlannedRoute[] = [];
  for (const peer of peers) {
    const relay = relayTo(self, peer, input);
    for (const cidr of ranges.get(peer.name) ?? []) {
      const hop = hops.get(relay ?? peer.name)?.find(({ gateway }) => gateway.includes(":") === (cidr.network.length === 16));
      if (hop) routes.push({ destination: cidr.canonical, ...hop });
      else
        problems.set(
          peer.name,
          relay === undefined ? whyUnreachable(peer, input) : `the way to it is by node ${relay}, which is not reached`,
        );
    }
  }
  routes.push(
    ...routesToInnerNodes(input, (machine, family) => hops.get(machine)?.find(({ gateway }) => gateway.includes(":") === (family === 6))),
  );
  const reached = peers.flatMap((peer) => hops.get(peer.name)?.map((hop) => ({ peer, hop })) ?? []);
  const tunnels = peers.flatMap((peer): readonly Tunnel[] => {
    const own = reached.filter(({ peer: owner, hop }) => owner === peer && hop.device === input.device);
    const gateways = own.map(({ hop }) => hop.gateway);
    return peer.vtep && gateways.length > 0 ? [{ mac: peer.vtep.mac, remote: peer.vtep.address, gateways }] : [];
  });
  const ownAddresses = self.podCidrs.flatMap((text) => firstAddress(text) ?? []);
  const usesUdp = network.mode === "udp" || reached.some(({ hop }) => hop.remote !== undefined);
  return {
    routes,
    tunnels,
    tunnelAddresses: network.mode === "vxlan" || tunnels.length > 0 ? ownAddresses : [],
    udpAddresses: usesUdp ? ownAddresses : [],
    directAddresses: [...new Set(reached.filter(({ hop }) => !hop.onlink).flatMap(({ peer }) => peer.addresses))],
    problems,
  };
}

/**
 * To the nodes themselves that are within another machine, by that machine. A node may say of any address that it is its own: only
 * those in the range that the cluster has for such nodes are believed, of the oldest node that has them, and none that lies in a
 * network this node is connected to.
 */
export function routesToInnerNodes(
  {
    self,
    peers,
    links,
    network,
    ownRanges = links,
  }: Pick<PlanInput, "self" | "peers" | "links" | "ownRanges"> & {
    readonly network: Pick<PodNetwork, "nodeCidrs">;
  },
  hopTo: (machine: string, family: 4 | 6) => Omit<PlannedRoute, "destination"> | undefined,
): readonly PlannedRoute[] {
  if (self.behind !== undefined) return []; // it reaches everything by its machine
  const ranges = (network.nodeCidrs ?? []).flatMap((text) => parseCIDR(text) ?? []);
  const routes = new Map<string, PlannedRoute>();
  for (const { behind, addresses } of peers) {
    if (behind === undefined || behind === self.name) continue;
    for (const address of addresses) {
      const ip = parseIP(address);
      if (!ip || !ranges.some((range) => cidrContains(range, ip)) || isConnected(address, ownRanges)) continue;
      const hop = hopTo(behind, ip.family);
      const destination = `${address}/${ip.family === 6 ? 128 : 32}`;
      if (hop && !routes.has(destination)) routes.set(destination, { destination, ...hop });
    }
  }
  return [...routes.values()];
}

const isConnected = (address: string, ranges: readonly LocalLink[]): boolean =>
  ranges.some((own) => own.address === address) || linkTo(address, ranges) !== undefined;

/** The pod ranges of each node that may be routed to it. */
function usableRanges({ self, peers, clusterCidrs }: PlanInput, problems: Map<string, string>): ReadonlyMap<string, readonly ParsedCIDR[]> {
  const taken = self.podCidrs.map((text) => ({ cidr: parseCIDR(text), owner: self.name }));
  const usable = new Map<string, ParsedCIDR[]>();
  for (const peer of peers)
    for (const text of peer.podCidrs) {
      const cidr = parseCIDR(text);
      const problem = cidr ? rangeProblem(cidr, clusterCidrs, taken) : `its pod range ${text} is none`;
      if (problem !== undefined) problems.set(peer.name, problem);
      if (problem !== undefined || !cidr) continue;
      taken.push({ cidr, owner: peer.name });
      usable.set(peer.name, [...(usable.get(peer.name) ?? []), cidr]);
    }
  return usable;
}

/**
 * The node that passes on what is for another one, where there is no direct way: a machine for the nodes in it, in both
 * directions. Undefined where none is needed.
 */
export function relayTo(
  self: NodePlace,
  peer: NodePlace,
  { links, network }: { readonly links: readonly LocalLink[]; readonly network: Pick<PodNetwork, "mode"> },
): string | undefined {
  const isNear = peer.name === self.behind || peer.behind === self.name || (peer.behind ?? "") === (self.behind ?? "");
  if (isNear || (!isTunnelled(network) && peer.addresses.some((address) => linkTo(address, links)))) return undefined;
  return self.behind ?? peer.behind;
}

/** One for each family the node has pods of, as far as it is reached. */
function hopsTo(
  peer: NodePlace,
  ranges: ReadonlyMap<string, readonly ParsedCIDR[]>,
  { network, links, device, udp }: PlanInput,
): readonly Hop[] {
  return (ranges.get(peer.name) ?? []).flatMap((cidr): readonly Hop[] => {
    const direct = isTunnelled(network) ? undefined : directHop(peer, cidr, links);
    if (direct) return [direct];
    const tunnel = { gateway: formatIP(cidr.network), onlink: true };
    if (network.mode === "host-gw") return [];
    if (!needsUdp(peer, udp)) return peer.vtep?.vni === network.vni ? [{ ...tunnel, device }] : [];
    const remote = peer.udp ?? peer.vtep?.address;
    return remote !== undefined && isSix(remote) === isSix(udp.address) ? [{ ...tunnel, device: udp.device, remote }] : [];
  });
}

/** Whether packets to neighbours go through a tunnel too. */
const isTunnelled = ({ mode }: Pick<PodNetwork, "mode">): boolean => mode === "vxlan" || mode === "udp";

/** Both ends decide alike: in plain UDP where one of the two has nothing else. */
const needsUdp = (peer: NodePlace, udp: UdpEnd): boolean => udp.isOnly || peer.udp !== undefined;

const isSix = (address: string): boolean => address.includes(":");

function whyUnreachable(peer: NodePlace, { network: { mode, vni }, udp }: PlanInput): string {
  if (mode === "host-gw") return `none of its addresses (${peer.addresses.join(", ")}) is on a link of this node, as host-gw needs it`;
  if (!needsUdp(peer, udp)) return `it takes no part in the VXLAN ${vni}`;
  const remote = peer.udp ?? peer.vtep?.address;
  return remote === undefined
    ? "it takes no packets in UDP"
    : `it takes packets in UDP at ${remote}, this node sends them from ${udp.address}`;
}

function rangeProblem(
  cidr: ParsedCIDR,
  clusterCidrs: readonly string[],
  taken: readonly { readonly cidr: ParsedCIDR | undefined; readonly owner: string }[],
): string | undefined {
  const inCluster = clusterCidrs.some((text) => {
    const cluster = parseCIDR(text);
    return cluster !== undefined && cluster.prefixLength <= cidr.prefixLength && cidrContains(cluster, cidr.ip);
  });
  if (!inCluster) return `its pod range ${cidr.canonical} is not in the cluster's (${clusterCidrs.join(", ")})`;
  const other = taken.find((t) => t.cidr !== undefined && cidrsOverlap(t.cidr, cidr));
  return other && `its pod range ${cidr.canonical} overlaps with that of node ${other.owner}`;
}

/** By the node's first address of the range's family that lies on one of this node's links. */
export function directHop(peer: NodePlace, cidr: ParsedCIDR, links: readonly LocalLink[]): Hop | undefined {
  for (const gateway of peer.addresses) {
    if (gateway.includes(":") !== (cidr.network.length === 16)) continue;
    const link = linkTo(gateway, links);
    if (link) return { gateway, device: link.device, onlink: false };
  }
  return undefined;
}

/** The link on which an address is another node's. */
function linkTo(text: string, links: readonly LocalLink[]): LocalLink | undefined {
  const ip = parseIP(text);
  if (!ip || links.some(({ address }) => address === text)) return undefined;
  return links.find(({ address, prefixLength }) => {
    const range = parseCIDR(`${address}/${prefixLength}`);
    return range !== undefined && cidrContains(range, ip);
  });
}

function firstAddress(text: string): string | undefined {
  const cidr = parseCIDR(text);
  return cidr && formatIP(cidr.network);
}
