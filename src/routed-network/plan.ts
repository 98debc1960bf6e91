// How the pods of every other node are reached. Pure: from where nodes are, the pools and their blocks to what has to stand in the
// kernel and in the routing daemon. For each block of another node one of three:
//  - BGP, where that node is on one link with this one and the pool does not ask for more;
//  - a tunnel (VXLAN or IPIP), where the pool has one and there is a router in between, or always;
//  - by the machine that nodes of other machines are reached by, as it is reached itself.
// Addresses that a node has borrowed of another one's block have routes of their own, as the more special ones.
import { cidrContains, parseCIDR } from "../api/meta/ip.ts";
import type { NodePlace } from "../node-network/node-annotations.ts";
import { directHop, type LocalLink, type PlannedRoute, relayTo, routesToInnerNodes, type Tunnel } from "../node-network/plan.ts";
import { allocationsOf, nodeOfBlock } from "./block.ts";
import type { Pool } from "./pools.ts";
import type { IPAMBlockSpec } from "./resources.ts";

export interface RoutedNode extends NodePlace {
  /** Its own addresses in the VXLAN, one of each family at most. */
  readonly vxlanAddresses: readonly string[];
}

export interface RoutedInput {
  readonly self: RoutedNode;
  readonly peers: readonly RoutedNode[];
  readonly links: readonly LocalLink[];
  readonly pools: readonly Pool[];
  readonly blocks: readonly IPAMBlockSpec[];
  readonly vni: number;
  /** Of nodes within machines. Default none are known. */
  readonly nodeCidrs?: readonly string[];
  /** All ranges that this node's interfaces are connected to. Default the links. */
  readonly ownRanges?: readonly LocalLink[];
  readonly devices: { readonly vxlan: string; readonly ipip: string };
}

/** A node that this one speaks BGP with, for one address family. */
export interface Neighbour {
  readonly name: string;
  readonly family: 4 | 6;
  readonly address: string;
  /** Of this node, on the link that both are on. */
  readonly local: string;
}

export interface RoutedPlan {
  readonly neighbours: readonly Neighbour[];
  /** This node's blocks: nothing in them is elsewhere, but for what has a route of its own. */
  readonly blocks: readonly string[];
  /** Of these and of borrowed addresses, what the neighbours are told. */
  readonly announced: readonly string[];
  /** Ranges that neighbours may tell of. */
  readonly accepted: readonly AcceptedRange[];
  readonly routes: readonly PlannedRoute[];
  readonly tunnels: readonly Tunnel[];
  /** Whether some node is, or will be, reached through it. */
  readonly usesVxlan: boolean;
  readonly usesIpip: boolean;
  /** Addresses of nodes that see pods' own addresses. */
  readonly directAddresses: readonly string[];
  /** What is wrong, for a person, by the node's name. */
  readonly problems: ReadonlyMap<string, string>;
}

export interface AcceptedRange {
  readonly cidr: string;
  /** Of the least special route in it. */
  readonly blockSize: number;
}

/** Something a node has, and the pool it is of. */
interface Holding {
  readonly cidr: string;
  readonly pool: Pool;
  readonly isBlock: boolean;
}

type Way =
  | { readonly by: "bgp"; readonly address: string; readonly local: string }
  | { readonly by: "route"; readonly route: Omit<PlannedRoute, "destination"> }
  | { readonly by: "vxlan"; readonly hop: RoutedNode; readonly gateway: string }
  | { readonly by: "ipip"; readonly gateway: string }
  | { readonly by: "nothing"; readonly problem: string; readonly wants?: "vxlan" };

export function planRouted(input: RoutedInput): RoutedPlan {
  const { self, peers, pools, devices } = input;
  const holdings = holdingsOf(input);
  const neighbours: Neighbour[] = [];
  const routes: PlannedRoute[] = [];
  const tunnels = new Map<string, { mac: string; remote: string; gateways: Set<string> }>();
  const problems = new Map<string, string>();
  const direct = new Set<string>();
  let [usesVxlan, usesIpip] = [false, false];
  for (const peer of peers) {
    const ways = new Map(pools.map((pool) => [pool, wayTo(peer, pool, input)]));
    neighbours.push(...neighboursOf(peer, ways));
    for (const { cidr, pool } of holdings.get(peer.name) ?? []) {
      const way = ways.get(pool);
      if (!way || way.by === "bgp") continue;
      if (way.by === "route") routes.push({ destination: cidr, ...way.route });
      if (way.by === "ipip") routes.push({ destination: cidr, gateway: way.gateway, device: devices.ipip, onlink: true });
      if (way.by === "vxlan") routes.push({ destination: cidr, gateway: way.gateway, device: devices.vxlan, onlink: true });
      if (way.by === "nothing") problems.set(peer.name, way.problem);
    }
    for (const way of ways.values()) {
      usesVxlan ||= way.by === "vxlan" || (way.by === "nothing" && way.wants === "vxlan");
      usesIpip ||= way.by === "ipip";
      if (way.by === "bgp" || way.by === "route") for (const address of peer.addresses) direct.add(address);
      if (way.by === "vxlan" && way.hop.vtep) {
        const { mac, address: remote } = way.hop.vtep;
        const tunnel = tunnels.get(mac) ?? { mac, remote, gateways: new Set<string>() };
        tunnel.gateways.add(way.gateway);
        tunnels.set(mac, tunnel);
      }
    }
  }
  routes.push(...innerRoutes(input));
  const own = holdings.get(self.name) ?? [];
  return {
    blocks: own.filter(({ isBlock }) => isBlock).map(({ cidr }) => cidr),
    announced: own.filter(({ pool }) => pool.exported && !pool.encapsulation.always).map(({ cidr }) => cidr),
    accepted: pools
      .filter(({ encapsulation }) => !encapsulation.always)
      .map(({ cidr, blockSize }) => ({ cidr: cidr.canonical, blockSize })),
    ...{ neighbours, routes, usesVxlan, usesIpip, problems },
    tunnels: [...tunnels.values()].map(({ gateways, ...rest }) => ({ ...rest, gateways: [...gateways] })),
    directAddresses: [...direct],
  };
}

/** The blocks of each node, and the addresses it has of others' blocks; as far as they are in a pool. */
function holdingsOf({ blocks, pools }: RoutedInput): ReadonlyMap<string, readonly Holding[]> {
  const holdings = new Map<string, Holding[]>();
  const add = (node: string, holding: Holding): void => void holdings.set(node, [...(holdings.get(node) ?? []), holding]);
  for (const block of [...blocks].sort((a, b) => (a.cidr < b.cidr ? -1 : 1))) {
    const range = parseCIDR(block.cidr);
    const pool = range && pools.find(({ cidr }) => cidr.prefixLength <= range.prefixLength && cidrContains(cidr, range.ip));
    if (!range || !pool) continue;
    const owner = nodeOfBlock(block);
    if (owner !== undefined) add(owner, { cidr: range.canonical, pool, isBlock: true });
    for (const [node, address] of borrowedOf(block))
      add(node, { cidr: `${address}/${pool.family === 4 ? 32 : 128}`, pool, isBlock: false });
  }
  return holdings;
}

/** Node and address of those that are not with the block's own node. */
export function borrowedOf(block: IPAMBlockSpec): readonly (readonly [string, string])[] {
  const owner = nodeOfBlock(block);
  // Looked at for every block: most have nothing such, which their attributes say.
  if (block.attributes.every(({ secondary }) => secondary?.node === undefined || secondary.node === owner)) return [];
  return allocationsOf(block).flatMap(({ address, secondary: { node } }) =>
    node === undefined || node === owner ? [] : [[node, address] as const],
  );
}

function wayTo(peer: RoutedNode, pool: Pool, input: RoutedInput): Way {
  const { self, peers, links, vni } = input;
  const { by, always } = pool.encapsulation;
  const relay = relayTo(self, peer, { links, network: { mode: always ? "vxlan" : "auto" } });
  const hop = relay === undefined ? peer : peers.find(({ name }) => name === relay);
  if (!hop) return { by: "nothing", problem: `the way to it is by node ${relay}, which is not there` };
  const direct = always ? undefined : directHop(hop, pool.cidr, links);
  if (direct && relay !== undefined) return { by: "route", route: direct };
  const local = direct && links.find(({ device, address }) => device === direct.device && isOfFamily(address, pool.family))?.address;
  if (direct && local !== undefined) return { by: "bgp", address: direct.gateway, local };
  if (by === "none")
    return {
      by: "nothing",
      problem: `none of its addresses is on a link of this node, as the IP pool ${pool.name} needs it without encapsulation`,
    };
  if (by === "ipip") {
    const gateway = hop.addresses.find((address) => isOfFamily(address, 4));
    return gateway === undefined ? { by: "nothing", problem: "it has no IPv4 address, as IPIP needs it" } : { by: "ipip", gateway };
  }
  if (hop.vtep?.vni !== vni) return { by: "nothing", wants: "vxlan", problem: `node ${hop.name} takes no part in the VXLAN ${vni}` };
  const gateway = hop.vxlanAddresses.find((address) => isOfFamily(address, pool.family));
  if (gateway !== undefined) return { by: "vxlan", hop, gateway };
  return { by: "nothing", wants: "vxlan", problem: `node ${hop.name} has no IPv${pool.family} address in the VXLAN yet` };
}

/** To nodes within other machines, by the way that leads to the machine's pods. */
function innerRoutes(input: RoutedInput): readonly PlannedRoute[] {
  const { peers, pools, links, devices, nodeCidrs = [] } = input;
  return routesToInnerNodes({ ...input, network: { nodeCidrs } }, (machine, family) => {
    const peer = peers.find(({ name }) => name === machine);
    if (!peer) return undefined;
    for (const pool of pools.filter((each) => each.family === family)) {
      const way = wayTo(peer, pool, input);
      const direct = way.by === "bgp" ? directHop(peer, pool.cidr, links) : undefined;
      if (direct) return direct;
      if (way.by === "vxlan" || way.by === "ipip") return { gateway: way.gateway, device: devices[way.by], onlink: true };
    }
    return undefined;
  });
}

/** One for each family that some pool is reached by BGP in. */
function neighboursOf({ name }: RoutedNode, ways: ReadonlyMap<Pool, Way>): readonly Neighbour[] {
  return ([4, 6] as const).flatMap((family) => {
    for (const [pool, way] of ways)
      if (pool.family === family && way.by === "bgp") return [{ name, family, address: way.address, local: way.local }];
    return [];
  });
}

const isOfFamily = (address: string, family: 4 | 6): boolean => address.includes(":") === (family === 6);
