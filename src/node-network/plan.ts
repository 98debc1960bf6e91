// Which routes a node needs to reach the pods of the others, and what of them goes through the VXLAN. Pure: from where the
// nodes are to what has to stand in the kernel. Decided for each node and address family by itself: as a route by the other
// node where it is on the same link, in the VXLAN otherwise, as far as the mode allows.
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
}

export interface PlannedRoute {
  readonly destination: string;
  readonly gateway: string;
  readonly device: string;
  /** In the VXLAN the gateway is in no range of the device. */
  readonly onlink: boolean;
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
  /** This node's own addresses in the VXLAN. */
  readonly tunnelAddresses: readonly string[];
  /** Addresses of nodes that answer pods directly, so that nothing has to be translated on the way to them. */
  readonly directAddresses: readonly string[];
  /** What is wrong, for a person, by the node's name. */
  readonly problems: ReadonlyMap<string, string>;
}

export function planNetwork(input: PlanInput): NetworkPlan {
  const { self, network } = input;
  const routes: PlannedRoute[] = [];
  const tunnels: Tunnel[] = [];
  const direct = new Set<string>();
  const problems = new Map<string, string>();
  const taken = self.podCidrs.map((text) => ({ cidr: parseCIDR(text), owner: self.name }));
  for (const peer of input.peers) {
    const gateways: string[] = [];
    for (const text of peer.podCidrs) {
      const cidr = parseCIDR(text);
      const problem = cidr ? rangeProblem(cidr, input.clusterCidrs, taken) : `its pod range ${text} is none`;
      if (problem !== undefined || !cidr) {
        problems.set(peer.name, problem ?? "");
        continue;
      }
      taken.push({ cidr, owner: peer.name });
      const hop = network.mode === "vxlan" ? undefined : directHop(peer, cidr, input.links);
      if (hop) {
        routes.push({ destination: cidr.canonical, gateway: hop.gateway, device: hop.device, onlink: false });
        for (const address of peer.addresses) direct.add(address);
      } else if (network.mode === "host-gw") {
        problems.set(peer.name, `none of its addresses (${peer.addresses.join(", ")}) is on a link of this node, as host-gw needs it`);
      } else if (peer.vtep?.vni === network.vni) {
        const gateway = formatIP(cidr.network);
        gateways.push(gateway);
        routes.push({ destination: cidr.canonical, gateway, device: input.device, onlink: true });
      } else problems.set(peer.name, `it takes no part in the VXLAN ${network.vni}`);
    }
    if (gateways.length > 0 && peer.vtep) tunnels.push({ mac: peer.vtep.mac, remote: peer.vtep.address, gateways });
  }
  const usesTunnel = network.mode === "vxlan" || tunnels.length > 0;
  return {
    routes,
    tunnels,
    tunnelAddresses: usesTunnel ? self.podCidrs.flatMap((text) => firstAddress(text) ?? []) : [],
    directAddresses: [...direct],
    problems,
  };
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

/** The node's first address that lies on one of this node's links, of the range's family. */
function directHop(peer: NodePlace, cidr: ParsedCIDR, links: readonly LocalLink[]): { gateway: string; device: string } | undefined {
  for (const gateway of peer.addresses) {
    const ip = parseIP(gateway);
    if (!ip || ip.bytes.length !== cidr.network.length || links.some(({ address }) => address === gateway)) continue;
    const link = links.find(({ address, prefixLength }) => {
      const range = parseCIDR(`${address}/${prefixLength}`);
      return range !== undefined && cidrContains(range, ip);
    });
    if (link) return { gateway, device: link.device };
  }
  return undefined;
}

function firstAddress(text: string): string | undefined {
  const cidr = parseCIDR(text);
  return cidr && formatIP(cidr.network);
}
