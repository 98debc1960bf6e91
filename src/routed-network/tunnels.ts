// A node's ends of its tunnels: which devices it needs, and what it tells the others about them in annotations of its object, under
// Calico's names beside flannel's. Pure.

import { parseIP } from "../api/meta/ip.ts";
import type { Node } from "../api/types/core-v1.ts";
import type { ListedInterface } from "../linux/ip-tool.ts";
import { placeOf } from "../node-network/node-annotations.ts";
import { tunnelMtu, type Underlay } from "../node-network/place.ts";
import type { RoutedNode } from "./plan.ts";
import type { Pool } from "./pools.ts";

const calico = "projectcalico.org";
const annotationNames = {
  vxlan: { 4: `${calico}/IPv4VXLANTunnelAddr`, 6: `${calico}/IPv6VXLANTunnelAddr` },
  ipip: { 4: `${calico}/IPv4IPIPTunnelAddr` },
} as const;

export interface TunnelAddresses {
  readonly vxlan: readonly string[];
  readonly ipip: readonly string[];
}

/** What a node is to the others, as its object says. */
export function routedNodeOf(node: Node): RoutedNode {
  const annotations = node.metadata.annotations ?? {};
  const texts = [annotations[annotationNames.vxlan[4]] ?? [], annotations[annotationNames.vxlan[6]] ?? []].flat();
  // Whoever writes a node's annotations may write anything.
  return { ...placeOf(node), vxlanAddresses: texts.flatMap((text) => parseIP(text)?.canonical ?? []) };
}

/** Null takes an annotation away. */
export function tunnelAnnotations({ vxlan, ipip }: TunnelAddresses): Readonly<Record<string, string | null>> {
  const of = (addresses: readonly string[], family: 4 | 6) => addresses.find((text) => text.includes(":") === (family === 6)) ?? null;
  return {
    [annotationNames.vxlan[4]]: of(vxlan, 4),
    [annotationNames.vxlan[6]]: of(vxlan, 6),
    [annotationNames.ipip[4]]: of(ipip, 4),
  };
}

/** An outer IPv4 header. */
const ipipOverheadBytes = 20;

/** Of pods: what fits into the widest tunnel that some pool may use, so that no packet has to be cut on its way. */
export function podMtuFor(underlay: Underlay, pools: readonly Pool[]): number {
  const kinds = new Set(pools.map(({ encapsulation }) => encapsulation.by));
  if (kinds.has("vxlan")) return tunnelMtu(underlay, "vxlan");
  return kinds.has("ipip") ? underlay.mtu - ipipOverheadBytes : underlay.mtu;
}

/** Commands of `ip`. The other end of a packet's tunnel is the gateway of its route. */
export function ipipCommands(
  found: ListedInterface | undefined,
  wanted: { readonly local: string; readonly mtu: number; readonly addresses: readonly string[] } | undefined,
  name: string,
): readonly string[] {
  if (!wanted) return found ? [`link delete dev ${name}`] : [];
  const fits = found?.address === wanted.local;
  const mtu = wanted.mtu - ipipOverheadBytes;
  return [
    ...(found && !fits ? [`link delete dev ${name}`] : []),
    ...(fits ? [] : [`tunnel add ${name} mode ipip local ${wanted.local} ttl 64`]),
    ...(fits && found.mtu === mtu ? [] : [`link set dev ${name} mtu ${mtu} up`]),
    ...wanted.addresses.map((address) => `address replace ${address}/32 dev ${name}`),
  ];
}
