// What the table of network policies holds whatever the policies are: two chains on the path of forwarded packets, the first for
// those who send and the second for those who receive. What passes the first is looked at by the second. Packets between a node
// and its own pods are not forwarded, so that probes always arrive, and what pods ask the cluster's DNS of their own node is looked
// at besides; services have been translated by then, so that policies see
// the pods behind them, and sources have not, so that they see the true ones. Answers of connections that have been let through
// pass.
import type { Chain, Container, RulePart } from "../linux/packet-rules/rule-set.ts";
import { addressType, deniedDnsSet, directions, type IpWord, ipWords, podMap, wordOf } from "./names.ts";

export interface PolicyBase {
  /** The interface of this node's pods. */
  readonly bridge: string;
  /** Addresses of the DNS that the cluster's own process serves, without pods. */
  readonly dnsAddresses: readonly string[];
  /** Ranges of all nodes' pods. */
  readonly clusterCidrs: readonly string[];
}

/** Neighbours find each other by ICMPv6, which is not a connection. */
const neighbours = "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept";

/** Multicast is not to an address of a pod. */
const multicast = { ip: "{ 224.0.0.0/4, 255.255.255.255 }", ip6: "ff00::/8" } as const;

export function baseRules(base: PolicyBase): RulePart {
  const containers = new Map<string, Container>();
  for (const ip of ipWords) {
    for (const direction of directions)
      containers.set(podMap(direction, ip), { kind: "map", definition: `type ${addressType(ip)} : verdict ;` });
    containers.set(deniedDnsSet(ip), { kind: "set", definition: `type ${addressType(ip)} . inet_proto ;` });
  }
  const always = ["ct state established,related accept", neighbours];
  const chains = new Map<string, Chain>([
    ["egress", { hook: { type: "filter", hook: "forward", priority: 0 }, rules: [...always, ...dnsRules(base), ...egressRules(base)] }],
    ["node", { hook: { type: "filter", hook: "input", priority: 0 }, rules: ["ct state established,related accept", ...nodeRules(base)] }],
    ["ingress", { hook: { type: "filter", hook: "forward", priority: 1 }, rules: [...always, ...ingressRules(base)] }],
  ]);
  return { chains, containers, elements: [] };
}

/** A pod that the rules do not know yet is isolated: which policies select it can be seen a moment later. */
function egressRules({ bridge }: PolicyBase): readonly string[] {
  return [...ipWords.map((ip) => `${ip} saddr vmap @${podMap("egress", ip)}`), `iifname "${bridge}" drop`];
}

function ingressRules({ bridge }: PolicyBase): readonly string[] {
  return [
    ...ipWords.map((ip) => `${ip} daddr vmap @${podMap("ingress", ip)}`),
    ...ipWords.map((ip) => `oifname "${bridge}" ${ip} daddr != ${multicast[ip]} drop`),
  ];
}

/** The DNS of the cluster is the pods' own node where that node serves it; on the others it is to be the same. */
function dnsRules({ dnsAddresses, clusterCidrs }: PolicyBase): readonly string[] {
  return dnsAddresses.flatMap((address) => {
    const ip = wordOf(address);
    const ranges = clusterCidrs.filter((cidr) => wordOf(cidr) === ip);
    const notPods = ranges.length === 0 ? "" : ` ${ip} daddr != { ${ranges.join(", ")} }`;
    const asked = `ct original ${ip} daddr ${address}${notPods}`;
    return [`${asked} ${isDenied(ip)} drop`, `${asked} accept`];
  });
}

/** On the node that serves it. */
function nodeRules({ dnsAddresses }: PolicyBase): readonly string[] {
  return dnsAddresses.map((address) => `ct original ${wordOf(address)} daddr ${address} ${isDenied(wordOf(address))} drop`);
}

const isDenied = (ip: IpWord): string => `${ip} saddr . meta l4proto @${deniedDnsSet(ip)}`;
