// What nodes tell each other about their place in the network, in annotations of their Node objects: flannel's, so that its
// nodes and ours understand each other, and one of our own for addresses by which only some nodes are reached.
import { isIP } from "node:net";
import { parseIP } from "../api/meta/ip.ts";
import type { Node } from "../api/types/core-v1.ts";

const flannel = "flannel.alpha.coreos.com";
const linkAddresses = "network.coracle.local/link-addresses";
const behind = "network.coracle.local/behind";

/** A node's end of the VXLAN. */
export interface Vtep {
  readonly mac: string;
  /** Of the node, to which the UDP packets go. */
  readonly address: string;
  readonly vni: number;
}

export interface NodePlace {
  readonly name: string;
  readonly podCidrs: readonly string[];
  /** By which other nodes may reach it, best first, in canonical form. */
  readonly addresses: readonly string[];
  readonly vtep?: Vtep;
  /** Its address, where it takes IP packets in plain UDP packets, as it has no VXLAN. */
  readonly udp?: string;
  /** The node by which nodes of other machines reach it, where they cannot do so directly. */
  readonly behind?: string;
}

export interface PublishedPlace {
  readonly publicIp: string;
  /** Further ones, of links that only some nodes share. */
  readonly linkAddresses: readonly string[];
  /** Absent where the node takes no part in the VXLAN. */
  readonly vtep?: Vtep;
  /** Whether it takes IP packets in plain UDP packets instead. Default false. */
  readonly udp?: boolean;
  readonly behind?: string | undefined;
}

/** Annotations for the node; null takes one away. */
export function placeAnnotations({
  publicIp,
  linkAddresses: links,
  vtep,
  udp = false,
  behind: relay,
}: PublishedPlace): Readonly<Record<string, string | null>> {
  const six = publicIp.includes(":");
  const data = vtep ? JSON.stringify({ VNI: vtep.vni, VtepMAC: vtep.mac }) : "null";
  return {
    [`${flannel}/kube-subnet-manager`]: "true",
    [`${flannel}/backend-type`]: vtep ? "vxlan" : udp ? "udp" : "host-gw",
    [`${flannel}/backend-data`]: six ? null : data,
    [`${flannel}/public-ip`]: six ? null : publicIp,
    [`${flannel}/backend-v6-data`]: six ? data : null,
    [`${flannel}/public-ipv6`]: six ? publicIp : null,
    [linkAddresses]: links.length > 0 ? links.join(",") : null,
    [behind]: relay ?? null,
  };
}

/** What of the annotations the node does not have yet; undefined when nothing is missing. */
export function missingAnnotations(
  node: Node,
  wanted: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string | null>> | undefined {
  const missing = Object.entries(wanted).filter(([key, value]) => (node.metadata.annotations?.[key] ?? null) !== value);
  return missing.length > 0 ? Object.fromEntries(missing) : undefined;
}

/** Whether the node has said how it is reached: one that starts has not, for a moment. */
export const hasPublished = ({ metadata }: Node): boolean => metadata.annotations?.[`${flannel}/backend-type`] !== undefined;

export function placeOf(node: Node): NodePlace {
  const annotations = node.metadata.annotations ?? {};
  const internal = (node.status?.addresses ?? []).filter(({ type }) => type === "InternalIP").map(({ address }) => address);
  const published = [annotations[`${flannel}/public-ip`] ?? [], annotations[`${flannel}/public-ipv6`] ?? []].flat();
  const links = (annotations[linkAddresses] ?? "").split(",");
  const addresses = [...published, ...internal, ...links].flatMap((text) => (isIP(text) ? (parseIP(text)?.canonical ?? []) : []));
  const vtep = vtepOf(annotations);
  const udp = annotations[`${flannel}/backend-type`] === "udp" ? published.find((text) => isIP(text)) : undefined;
  const relay = annotations[behind];
  return {
    name: node.metadata.name,
    podCidrs: node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : []),
    addresses: [...new Set(addresses)],
    ...(vtep ? { vtep } : {}),
    ...(udp ? { udp } : {}),
    ...(relay ? { behind: relay } : {}),
  };
}

function vtepOf(annotations: Readonly<Record<string, string>>): Vtep | undefined {
  if (annotations[`${flannel}/backend-type`] !== "vxlan") return undefined;
  for (const [dataKey, addressKey] of [
    ["backend-data", "public-ip"],
    ["backend-v6-data", "public-ipv6"],
  ]) {
    const address = annotations[`${flannel}/${addressKey}`] ?? "";
    const data = backendData(annotations[`${flannel}/${dataKey}`]);
    if (isIP(address) && data) return { ...data, address };
  }
  return undefined;
}

/** Whoever writes a node's annotations may write anything: what is no end of a VXLAN is none. */
function backendData(text: string | undefined): Omit<Vtep, "address"> | undefined {
  try {
    const { VNI: vni, VtepMAC: mac } = (JSON.parse(text ?? "null") ?? {}) as { readonly VNI?: unknown; readonly VtepMAC?: unknown };
    if (typeof mac !== "string" || !/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) return undefined;
    return { mac: mac.toLowerCase(), vni: typeof vni === "number" ? vni : 1 };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
