// The rules of one service on one node, in one address family: entries in the dispatch maps for each address and node port,
// and the chains they lead to. The shape is upstream's nftables mode. Endpoints are chosen by one rule each as long as they
// are few: a set without a name costs the kernel time in proportion to all sets of the table, so with one set for each
// service the whole table would take time in proportion to the square of the services.

import { parseCIDR } from "../api/meta/ip.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Chain, Container, Element, IpFamily, RulePart } from "../linux/packet-rules/rule-set.ts";
import { type ChosenEndpoints, chooseEndpoints, type NodePlace } from "./choose-endpoints.ts";
import { endpointsOf, portKey, type ServiceEndpoint } from "./endpoints.ts";
import { chainNames, containerNames, endpointName, portChainName } from "./names.ts";
import { isExternallyAccessible, outermost, type ServicePortInfo, servicePortsOf } from "./service-port.ts";

/** What the rules of services depend on besides the services. */
export interface RuleFacts extends NodePlace {
  readonly family: IpFamily;
  /** The node's own address of the family, to tell whether a load balancer's source ranges let the node in. */
  readonly nodeIP: string | undefined;
  /** Matches packets of pods: "ip saddr 10.244.0.0/16". Undefined where nobody can tell. */
  readonly fromPods: string | undefined;
  /** The bit of the packet mark that asks for masquerading: 0x4000. */
  readonly masqueradeMark: number;
}

/** How many endpoints are chosen by a rule each. */
const maxChoiceRules = 16;

const rank = { cluster: 0, loadBalancer: 1, external: 2 } as const;

export const markRule = (mark: number): string => `mark set mark or 0x${mark.toString(16).padStart(8, "0")}`;

/** Undefined where the service has nothing in this family. */
export function rulesOfService(service: Service, slices: readonly EndpointSlice[], facts: RuleFacts): RulePart | undefined {
  const ports = servicePortsOf(service, facts.family);
  if (ports.length === 0) return undefined;
  const endpoints = endpointsOf(slices, facts);
  const draft: Draft = { chains: new Map(), containers: new Map(), elements: [] };
  for (const port of ports) {
    const chosen = chooseEndpoints(port, endpoints.get(portKey(port.portName, port.protocol)) ?? [], facts);
    addPort(draft, port, { ...facts, chosen });
  }
  return draft;
}

interface Draft extends RulePart {
  readonly chains: Map<string, Chain>;
  readonly containers: Map<string, Container>;
  readonly elements: Element[];
}

interface PortFacts extends RuleFacts {
  readonly chosen: ChosenEndpoints;
}

function addPort(draft: Draft, port: ServicePortInfo, facts: PortFacts): void {
  const { chosen } = facts;
  const isExternal = isExternallyAccessible(port);
  addEndpoints(draft, port, facts);
  const clusterChain = chosen.cluster.length > 0 ? portChainName("service", port) : undefined;
  const localChain = chosen.local.length > 0 ? portChainName("local", port) : undefined;
  if (clusterChain) draft.chains.set(clusterChain, { rules: choiceRules(port, chosen.cluster, facts.family) });
  if (localChain) draft.chains.set(localChain, { rules: choiceRules(port, chosen.local, facts.family) });

  draft.elements.push({ container: containerNames.clusterIps, key: port.clusterIP, value: "", rank: rank.cluster });
  const internal = port.internalLocal ? localChain : clusterChain;
  const toCluster = { container: containerNames.serviceIps, key: addressKey(port.clusterIP, port), rank: rank.cluster };
  if (internal) draft.elements.push({ ...toCluster, value: `goto ${internal}` });
  else draft.elements.push({ ...toCluster, container: containerNames.noEndpointServices, value: missing(chosen) });

  if (isExternal) addExternal(draft, port, { ...facts, clusterChain, target: port.externalLocal ? localChain : clusterChain });
}

/** Without any endpoint a connection is refused; where only this node has none, its packets are dropped. */
const missing = ({ hasAny }: ChosenEndpoints): string => (hasAny ? "drop" : `goto ${chainNames.reject}`);

const addressKey = (address: string, { protocol, port }: ServicePortInfo): string => `${address} . ${protocol} . ${port}`;

interface ExternalFacts extends PortFacts {
  readonly clusterChain: string | undefined;
  /** Where traffic from outside ends; undefined where this node has nothing for it. */
  readonly target: string | undefined;
}

function addExternal(draft: Draft, port: ServicePortInfo, facts: ExternalFacts): void {
  const { chosen, target } = facts;
  const chain = chosen.hasAny ? portChainName("external", port) : undefined;
  if (chain) draft.chains.set(chain, { rules: externalRules(port, facts) });
  const capture = (maps: { readonly found: string; readonly none: string }, key: string, rankOfKind: number): void => {
    // Both: what comes from this node and its pods is served although nothing else is.
    if (chain) draft.elements.push({ container: maps.found, key, value: `goto ${chain}`, rank: rankOfKind });
    if (!target) draft.elements.push({ container: maps.none, key, value: missing(chosen), rank: rankOfKind });
  };
  const byAddress = { found: containerNames.serviceIps, none: containerNames.noEndpointServices };
  for (const address of port.externalIPs) capture(byAddress, addressKey(address, port), rank.external);
  for (const address of port.loadBalancerIPs) capture(byAddress, addressKey(address, port), rank.loadBalancer);
  if (port.nodePort !== undefined) {
    const byPort = { found: containerNames.serviceNodePorts, none: containerNames.noEndpointNodePorts };
    capture(byPort, `${port.protocol} . ${port.nodePort}`, rank.cluster);
  }
  addFirewall(draft, port, facts);
}

function externalRules(port: ServicePortInfo, { clusterChain, target, fromPods, masqueradeMark }: ExternalFacts): readonly string[] {
  const rules: string[] = [];
  // The endpoint may be on another node, from where the answer must come back through this one.
  if (!port.externalLocal) rules.push(markRule(masqueradeMark));
  else if (clusterChain) {
    // As if it had left the cluster and come back through a load balancer.
    if (fromPods !== undefined) rules.push(`${fromPods} goto ${clusterChain}`);
    rules.push(`fib saddr type local ${markRule(masqueradeMark)}`, `fib saddr type local goto ${clusterChain}`);
  }
  if (target) rules.push(`goto ${target}`);
  return rules;
}

function addFirewall(draft: Draft, port: ServicePortInfo, { family, nodeIP }: RuleFacts): void {
  if (port.loadBalancerIPs.length === 0 || port.sourceRanges.length === 0) return;
  const chain = portChainName("firewall", port);
  const contains = (address: string): boolean => outermost([...port.sourceRanges, ...rangeOf(address)]).length === port.sourceRanges.length;
  // A load balancer's address may be one of the node's: then the node's own packets to it have it as their source.
  const own = nodeIP !== undefined && contains(nodeIP) ? port.loadBalancerIPs.flatMap(rangeOf) : [];
  const allowed = outermost([...port.sourceRanges, ...own]).map(({ canonical }) => canonical);
  draft.chains.set(chain, { rules: [`${family === "IPv4" ? "ip" : "ip6"} saddr != { ${allowed.join(", ")} } drop`] });
  for (const address of port.loadBalancerIPs)
    draft.elements.push({
      container: containerNames.firewallIps,
      key: addressKey(address, port),
      value: `goto ${chain}`,
      rank: rank.loadBalancer,
    });
}

const rangeOf = (address: string) => [parseCIDR(`${address}/${address.includes(":") ? 128 : 32}`) ?? []].flat();

function addEndpoints(draft: Draft, port: ServicePortInfo, { chosen, family }: PortFacts): void {
  const ip = family === "IPv4" ? "ip" : "ip6";
  for (const endpoint of chosen.reachable) {
    // A pod that reaches itself through its service must not see its own address as the client's.
    if (endpoint.isLocal) {
      const key = `${endpoint.address} . ${endpoint.address} . ${port.protocol} . ${endpoint.port}`;
      draft.elements.push({ container: containerNames.hairpinConnections, key, value: "", rank: rank.cluster });
    }
    if (port.affinitySeconds === undefined) continue;
    // The time is the rule's, not the set's: a set cannot be given another one.
    const clients = endpointName("affinity", port, endpoint);
    draft.containers.set(clients, {
      kind: "set",
      definition: `type ${family === "IPv4" ? "ipv4_addr" : "ipv6_addr"} ; flags dynamic,timeout ;`,
      isFilledByPackets: true,
    });
    draft.chains.set(endpointName("endpoint", port, endpoint), {
      rules: [
        `update @${clients} { ${ip} saddr timeout ${port.affinitySeconds}s }`,
        `meta l4proto ${port.protocol} dnat to ${destination(endpoint)}`,
      ],
    });
  }
}

const destination = ({ address, port }: ServiceEndpoint): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);

/** Picks one of the endpoints, each with the same chance; clients that are remembered go where they were. */
function choiceRules(port: ServicePortInfo, endpoints: readonly ServiceEndpoint[], family: IpFamily): readonly string[] {
  const ip = family === "IPv4" ? "ip" : "ip6";
  const count = endpoints.length;
  if (port.affinitySeconds === undefined) {
    if (count <= maxChoiceRules)
      return endpoints.map((e, i) => `${chance(count - i)}meta l4proto ${port.protocol} dnat to ${destination(e)}`);
    const places = endpoints.map((e, i) => `${i} : ${e.address} . ${e.port}`).join(", ");
    return [`meta l4proto ${port.protocol} dnat ${ip} addr . port to numgen random mod ${count} map { ${places} }`];
  }
  const chains = endpoints.map((e) => `goto ${endpointName("endpoint", port, e)}`);
  const remembered = endpoints.map((e, i) => `${ip} saddr @${endpointName("affinity", port, e)} ${chains[i]}`);
  if (count <= maxChoiceRules) return [...remembered, ...chains.map((to, i) => `${chance(count - i)}${to}`)];
  return [...remembered, `numgen random mod ${count} vmap { ${chains.map((to, i) => `${i} : ${to}`).join(", ")} }`];
}

const chance = (ofHowMany: number): string => (ofHowMany === 1 ? "" : `numgen random mod ${ofHowMany} 0 `);
