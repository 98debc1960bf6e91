// The rules of one service on one node, in one address family: entries in the dispatch maps for each address and node port,
// and the chains they lead to. The shape is upstream's nftables mode. Endpoints are mostly chosen by chains that services
// share (shared-choice.ts). Where a port has a chain of its own, they are chosen by one rule each as long as they are few: a
// set without a name costs the kernel time in proportion to all sets of the table, so with one set for each service the whole
// table would take time in proportion to the square of the services.

import { parseCIDR } from "../api/meta/ip.ts";
import type { Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import type { Chain, Container, Element, IpFamily, RulePart } from "../linux/packet-rules/rule-set.ts";
import { type ChosenEndpoints, chooseEndpoints, type NodePlace } from "./choose-endpoints.ts";
import { endpointsOf, portKey, type ServiceEndpoint } from "./endpoints.ts";
import { chainNames, containerNames, endpointName, endpointsName, nodePortEndpointsName, portChainName } from "./names.ts";
import { isExternallyAccessible, outermost, type ServicePortInfo, servicePortsOf } from "./service-port.ts";
import { type Entry, endpointList, isShareable, sharedChain } from "./shared-choice.ts";

/** What the rules of services depend on besides the services. */
export interface RuleFacts extends NodePlace {
  readonly family: IpFamily;
  /** The node's own address of the family, to tell whether a load balancer's source ranges let the node in. */
  readonly nodeIP: string | undefined;
  /** Matches packets of pods: "ip saddr 10.244.0.0/16". Undefined where nobody can tell. */
  readonly fromPods: string | undefined;
  /** The bit of the packet mark that asks for masquerading: 0x4000. */
  readonly masqueradeMark: number;
  /** Whether endpoints are chosen by chains that services share (shared-choice.ts). */
  readonly sharesChoice: boolean;
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
  const draft: Draft = { chains: new Map(), containers: new Map(), elements: [], shared: new Map() };
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
  readonly shared: Map<string, Chain>;
}

interface PortFacts extends RuleFacts {
  readonly chosen: ChosenEndpoints;
}

function addPort(draft: Draft, port: ServicePortInfo, facts: PortFacts): void {
  const { chosen } = facts;
  addEndpoints(draft, port, facts);
  draft.elements.push({ container: containerNames.clusterIps, key: port.clusterIP, value: "", rank: rank.cluster });
  const internal = port.internalLocal ? chosen.local : chosen.cluster;
  const at = { key: addressKey(port.clusterIP, port), rank: rank.cluster };
  if (internal.length === 0) draft.elements.push({ ...at, container: containerNames.noEndpointServices, value: missing(chosen) });
  else if (isShared(port, internal, facts))
    addShared(draft, port, { ...facts, endpoints: internal, entry: "service", at: port.clusterIP, ...at });
  else {
    const chain = addChoice(draft, port, { kind: port.internalLocal ? "local" : "service", endpoints: internal, family: facts.family });
    draft.elements.push({ ...at, container: containerNames.serviceIps, value: `goto ${chain}` });
  }
  if (isExternallyAccessible(port)) addExternal(draft, port, facts);
}

/** Without any endpoint a connection is refused; where only this node has none, its packets are dropped. */
const missing = ({ hasAny }: ChosenEndpoints): string => (hasAny ? "drop" : `goto ${chainNames.reject}`);

const addressKey = (address: string, { protocol, port }: ServicePortInfo): string => `${address} . ${protocol} . ${port}`;

const isShared = (port: ServicePortInfo, endpoints: readonly ServiceEndpoint[], { sharesChoice }: RuleFacts): boolean =>
  sharesChoice && port.affinitySeconds === undefined && isShareable(endpoints);

interface SharedEntry extends RuleFacts {
  readonly endpoints: readonly ServiceEndpoint[];
  readonly entry: Entry;
  /** The address; "" of a node port. */
  readonly at: string;
  /** In the dispatch map. */
  readonly key: string;
  readonly rank: number;
}

/** The endpoints of one address and port, or node port, chosen by a shared chain. */
function addShared(draft: Draft, { protocol, port, nodePort }: ServicePortInfo, shared: SharedEntry): void {
  const { endpoints, entry, family, at, key } = shared;
  const mark = markRule(shared.masqueradeMark);
  const chain = sharedChain(entry, { family, protocol, count: endpoints.length, mark });
  for (const [name, made] of chain.chains) draft.shared.set(name, made);
  const isNodePort = entry === "nodeport";
  draft.elements.push(
    {
      container: isNodePort ? containerNames.serviceNodePorts : containerNames.serviceIps,
      key,
      value: `goto ${chain.name}`,
      rank: shared.rank,
    },
    {
      container: isNodePort ? nodePortEndpointsName(protocol) : endpointsName(protocol),
      key: isNodePort ? `${nodePort}` : `${at} . ${port}`,
      value: endpointList(endpoints),
      rank: shared.rank,
    },
  );
}

/** A chain of the port's own; its name. */
function addChoice(
  draft: Draft,
  port: ServicePortInfo,
  {
    kind,
    endpoints,
    family,
  }: { readonly kind: "service" | "local"; readonly endpoints: readonly ServiceEndpoint[]; readonly family: IpFamily },
): string {
  const name = portChainName(kind, port);
  if (!draft.chains.has(name)) draft.chains.set(name, { rules: choiceRules(port, endpoints, family) });
  return name;
}

/** One way into the service from outside. */
interface Capture {
  readonly found: string;
  readonly none: string;
  readonly key: string;
  readonly rank: number;
  readonly entry: "external" | "nodeport";
  readonly at: string;
}

function addExternal(draft: Draft, port: ServicePortInfo, facts: PortFacts): void {
  const { chosen } = facts;
  // Where traffic from outside ends; empty where this node has nothing for it.
  const target = port.externalLocal ? chosen.local : chosen.cluster;
  const isSharedByAll = !port.externalLocal && isShared(port, target, facts);
  const chain = chosen.hasAny && !isSharedByAll ? portChainName("external", port) : undefined;
  if (chain) draft.chains.set(chain, { rules: externalRules(draft, port, { ...facts, target }) });
  for (const { found, none, ...way } of captures(port)) {
    if (isSharedByAll) addShared(draft, port, { ...facts, ...way, endpoints: target });
    // Both: what comes from this node and its pods is served although nothing else is.
    if (chain) draft.elements.push({ container: found, key: way.key, value: `goto ${chain}`, rank: way.rank });
    if (target.length === 0) draft.elements.push({ container: none, key: way.key, value: missing(chosen), rank: way.rank });
  }
  addFirewall(draft, port, facts);
}

function captures(port: ServicePortInfo): readonly Capture[] {
  const byAddress = { found: containerNames.serviceIps, none: containerNames.noEndpointServices, entry: "external" } as const;
  const at = (address: string, rankOfKind: number): Capture => ({
    ...byAddress,
    key: addressKey(address, port),
    rank: rankOfKind,
    at: address,
  });
  const byPort = { found: containerNames.serviceNodePorts, none: containerNames.noEndpointNodePorts, entry: "nodeport", at: "" } as const;
  return [
    ...port.externalIPs.map((address) => at(address, rank.external)),
    ...port.loadBalancerIPs.map((address) => at(address, rank.loadBalancer)),
    ...(port.nodePort === undefined ? [] : [{ ...byPort, key: `${port.protocol} . ${port.nodePort}`, rank: rank.cluster }]),
  ];
}

function externalRules(
  draft: Draft,
  port: ServicePortInfo,
  { chosen, target, family, fromPods, masqueradeMark }: PortFacts & { readonly target: readonly ServiceEndpoint[] },
): readonly string[] {
  const rules: string[] = [];
  const cluster = () => addChoice(draft, port, { kind: "service", endpoints: chosen.cluster, family });
  // The endpoint may be on another node, from where the answer must come back through this one.
  if (!port.externalLocal) rules.push(markRule(masqueradeMark));
  else if (chosen.cluster.length > 0) {
    // As if it had left the cluster and come back through a load balancer.
    if (fromPods !== undefined) rules.push(`${fromPods} goto ${cluster()}`);
    rules.push(`fib saddr type local ${markRule(masqueradeMark)}`, `fib saddr type local goto ${cluster()}`);
  }
  if (target.length > 0)
    rules.push(`goto ${port.externalLocal ? addChoice(draft, port, { kind: "local", endpoints: target, family }) : cluster()}`);
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
