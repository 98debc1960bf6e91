// What a node's table holds whatever the services are: the base chains, their dispatch into the maps that services fill, the
// masquerading of packets that have been marked for it, and the refusal of what is sent to a service's address in vain.
// The structure and the names are those of upstream's nftables mode.

import type { Chain, Container, Element, IpFamily, RulePart } from "../linux/packet-rules/rule-set.ts";
import { type BaseChainName, chainNames, containerNames, hooks } from "./names.ts";
import { markRule } from "./service-rules.ts";
import { endpointContainers } from "./shared-choice.ts";

export interface BaseFacts {
  readonly family: IpFamily;
  readonly masqueradeMark: number;
  /** All traffic to cluster addresses gets the node's address. */
  readonly masqueradeAll: boolean;
  /** Matches packets that are not of pods: "ip saddr != 10.244.0.0/16". Undefined where nobody can tell. */
  readonly notFromPods: string | undefined;
  /** Addresses at which node ports answer; "all" is every one of the node. */
  readonly nodePortAddresses: "all" | readonly string[];
  /** Ranges of cluster addresses, where packets to an address without service are dropped. */
  readonly serviceCidrs: readonly string[];
  /** Interfaces of other clusters' pods on this machine, whose packets are left alone. */
  readonly foreignInterfaces?: { readonly prefix: string; readonly except: string };
  /** Whether endpoints are chosen by chains that services share (shared-choice.ts). */
  readonly sharesChoice: boolean;
  /** A bridge whose inner packets the kernel does not show to us: answers would bypass the translation back. */
  readonly opaqueBridge?: string;
}

const jumps: Readonly<Record<BaseChainName, readonly string[]>> = {
  "filter-prerouting-pre-dnat": [`ct state new jump ${chainNames.firewallCheck}`],
  "filter-output-pre-dnat": [`ct state new jump ${chainNames.firewallCheck}`],
  "filter-input": [`ct state new jump ${chainNames.nodePortEndpointsCheck}`, `ct state new jump ${chainNames.serviceEndpointsCheck}`],
  "filter-forward": [`ct state new jump ${chainNames.serviceEndpointsCheck}`, `ct state new jump ${chainNames.clusterIpsCheck}`],
  "filter-output": [`ct state new jump ${chainNames.serviceEndpointsCheck}`, `ct state new jump ${chainNames.clusterIpsCheck}`],
  "nat-prerouting": [`jump ${chainNames.services}`],
  "nat-output": [`jump ${chainNames.services}`],
  "nat-postrouting": [`jump ${chainNames.masquerading}`],
};

/** Kernels send a host one ICMP message a second; resets are not rationed, so that no connection waits for its refusal. */
const rejectRules = ["meta l4proto tcp reject with tcp reset", "reject"];

export function baseRules(facts: BaseFacts): RulePart {
  const chains = new Map<string, Chain>();
  for (const [name, hook] of Object.entries(hooks) as [BaseChainName, (typeof hooks)[BaseChainName]][])
    chains.set(name, { hook, rules: [...foreignRule(facts, name), ...jumps[name]] });
  chains.set(chainNames.services, { rules: dispatchRules(facts) });
  chains.set(chainNames.reject, { rules: rejectRules });
  const ip = facts.family === "IPv4" ? "ip" : "ip6";
  const destination = `${ip} daddr . meta l4proto . th dport vmap`;
  chains.set(chainNames.serviceEndpointsCheck, { rules: [`${destination} @${containerNames.noEndpointServices}`] });
  chains.set(chainNames.nodePortEndpointsCheck, {
    rules: [`${atNodePorts(facts)} meta l4proto . th dport vmap @${containerNames.noEndpointNodePorts}`],
  });
  chains.set(chainNames.firewallCheck, { rules: [`${destination} @${containerNames.firewallIps}`] });
  chains.set(chainNames.clusterIpsCheck, { rules: clusterAddressRules(facts, ip) });
  chains.set(chainNames.masquerading, { rules: masqueradeRules(facts, ip) });
  const containers = new Map([...containersOf(facts.family), ...(facts.sharesChoice ? endpointContainers(facts.family) : [])]);
  return { chains, containers, elements: nodePortElements(facts) };
}

/** Clusters with the same service addresses on one machine would serve each other's pods. */
function foreignRule({ foreignInterfaces }: BaseFacts, name: BaseChainName): readonly string[] {
  const { hook } = hooks[name];
  if (!foreignInterfaces || hook === "output" || hook === "postrouting") return [];
  const { prefix, except } = foreignInterfaces;
  return [`iifname != "${except}" iifname "${prefix}*" return`];
}

function dispatchRules(facts: BaseFacts): readonly string[] {
  const ip = facts.family === "IPv4" ? "ip" : "ip6";
  const toClusterIp = `${ip} daddr @${containerNames.clusterIps}`;
  const mark = markRule(facts.masqueradeMark);
  return [
    ...(facts.masqueradeAll ? [`${toClusterIp} ${mark}`] : []),
    // Who routes the service range to a node from outside gets the answer by way of that node.
    ...(!facts.masqueradeAll && facts.notFromPods !== undefined ? [`${toClusterIp} ${facts.notFromPods} ${mark}`] : []),
    `${ip} daddr . meta l4proto . th dport vmap @${containerNames.serviceIps}`,
    `${facts.nodePortAddresses === "all" ? "fib daddr type local " : ""}${atNodePorts(facts)} meta l4proto . th dport vmap @${containerNames.serviceNodePorts}`,
  ];
}

/** Node ports do not answer at the loopback address: its packets cannot leave the node. */
function atNodePorts({ family, nodePortAddresses }: BaseFacts): string {
  if (nodePortAddresses !== "all") return `${family === "IPv4" ? "ip" : "ip6"} daddr @${containerNames.nodePortIps}`;
  return family === "IPv4" ? "ip daddr != 127.0.0.0/8" : "ip6 daddr != ::1";
}

/** What is still addressed to a cluster address here has not been translated. */
function clusterAddressRules({ serviceCidrs }: BaseFacts, ip: string): readonly string[] {
  return [
    `${ip} daddr @${containerNames.clusterIps} goto ${chainNames.reject}`,
    ...(serviceCidrs.length > 0 ? [`${ip} daddr { ${serviceCidrs.join(", ")} } drop`] : []),
  ];
}

function masqueradeRules({ masqueradeMark, opaqueBridge }: BaseFacts, ip: string): readonly string[] {
  const mark = `0x${masqueradeMark.toString(16).padStart(8, "0")}`;
  const bridged =
    opaqueBridge === undefined ? [] : [`ct status dnat iifname "${opaqueBridge}" oifname "${opaqueBridge}" masquerade fully-random`];
  return [
    `mark and ${mark} != 0 mark set mark xor ${mark} masquerade fully-random`,
    `ct status dnat ${ip} saddr . ${ip} daddr . meta l4proto . th dport @${containerNames.hairpinConnections} masquerade fully-random`,
    ...bridged,
  ];
}

function containersOf(family: IpFamily): ReadonlyMap<string, Container> {
  const address = family === "IPv4" ? "ipv4_addr" : "ipv6_addr";
  const set = (type: string): Container => ({ kind: "set", definition: `type ${type} ;` });
  const verdicts = (type: string): Container => ({ kind: "map", definition: `type ${type} : verdict ;` });
  const byAddress = verdicts(`${address} . inet_proto . inet_service`);
  const byPort = verdicts("inet_proto . inet_service");
  return new Map([
    [containerNames.clusterIps, set(address)],
    [containerNames.nodePortIps, set(address)],
    [containerNames.hairpinConnections, set(`${address} . ${address} . inet_proto . inet_service`)],
    [containerNames.serviceIps, byAddress],
    [containerNames.serviceNodePorts, byPort],
    [containerNames.noEndpointServices, byAddress],
    [containerNames.noEndpointNodePorts, byPort],
    [containerNames.firewallIps, byAddress],
  ]);
}

function nodePortElements({ nodePortAddresses }: BaseFacts): readonly Element[] {
  if (nodePortAddresses === "all") return [];
  return nodePortAddresses.map((key) => ({ container: containerNames.nodePortIps, key, value: "", rank: 0 }));
}
