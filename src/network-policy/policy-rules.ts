// The packet rules of one policy: for each direction a chain that accepts what the policy allows and returns for everything
// else. The pods that its peers select are in sets that all policies share (peer-sets.ts). A policy's own pods are in no rule of
// it: their chains (pod-rules.ts) lead here.
import { cidrContains, formatIP, type ParsedCIDR, parseIP } from "../api/meta/ip.ts";
import type { Labels } from "../api/meta/selectors.ts";
import type { Chain, Container, Element, RulePart } from "../linux/packet-rules/rule-set.ts";
import { addressType, type Direction, type IpWord, ipWords, peerSet, policyChain, portSet, wordOf } from "./names.ts";
import type { PodView } from "./pod-view.ts";
import { type BlockPeer, isTarget, type PodPeer, type PolicyRule, type PolicyView, type PortRange } from "./policy-view.ts";

/** The pods and namespaces of the cluster. */
export interface ClusterView {
  pods(namespace?: string): Iterable<PodView>;
  /** Undefined where there is no such namespace. */
  namespaceLabels(name: string): Labels | undefined;
}

interface Draft {
  readonly chains: Map<string, Chain>;
  readonly containers: Map<string, Container>;
  readonly elements: Element[];
}

interface RulePlace {
  readonly direction: Direction;
  readonly index: number;
}

export function rulesOfPolicy(policy: PolicyView, cluster: ClusterView): RulePart {
  const draft: Draft = { chains: new Map(), containers: new Map(), elements: [] };
  for (const [direction, rules] of policy.rules) {
    const lines = rules.flatMap((rule, index) => linesOfRule(draft, policy, { rule, cluster, place: { direction, index } }));
    draft.chains.set(policyChain(direction, policy.key), { rules: lines });
  }
  return draft;
}

/** Whether the policy's rules may have the pod's ports in them; its own pods aside. */
export function usesPortsOf(policy: PolicyView, pod: PodView, cluster: ClusterView): boolean {
  if (!policy.hasNamedPorts) return false;
  return (policy.rules.get("egress") ?? []).some(
    ({ peers, ports }) =>
      ports !== undefined &&
      ports.named.length > 0 &&
      (!peers || peers.blocks.length > 0 || peers.pods.some((peer) => selectsPod(peer, pod, cluster))),
  );
}

interface RuleInput {
  readonly rule: PolicyRule;
  readonly cluster: ClusterView;
  readonly place: RulePlace;
}

function linesOfRule(draft: Draft, policy: PolicyView, { rule, cluster, place }: RuleInput): readonly string[] {
  const matches = peerMatches(rule, place.direction);
  const lines = matches.flatMap((peer) => portMatches(rule).map((port) => `${peer}${port}accept`));
  if (!rule.ports || rule.ports.named.length === 0) return lines;
  // The port is the receiver's: of the policy's own pods, or of the peers.
  const isIngress = place.direction === "ingress";
  const receivers = isIngress
    ? [...cluster.pods(policy.namespace)].filter((pod) => pod.isLocal && isTarget(policy, pod))
    : reachable(rule, cluster);
  for (const ip of ipWords) {
    const keys = namedPortKeys(rule, receivers, ip);
    if (keys.length === 0) continue;
    const name = portSet(place.direction, policy.key, { rule: place.index, ip });
    addSet(draft, name, { type: `${addressType(ip)} . inet_proto . inet_service`, keys });
    const port = `${ip} daddr . meta l4proto . th dport @${name} `;
    const senders = isIngress ? matches.filter((peer) => peer === "" || peer.startsWith(`${ip} `)) : [""];
    lines.push(...senders.map((peer) => `${peer}${port}accept`));
  }
  return lines;
}

/** Each ends with a space; "" matches everybody. */
function peerMatches({ peers }: PolicyRule, direction: Direction): readonly string[] {
  if (!peers) return [""];
  const side = direction === "ingress" ? "saddr" : "daddr";
  const sets = peers.pods.flatMap(({ id }) => ipWords.map((ip) => `${ip} ${side} @${peerSet(id, ip)} `));
  return [...new Set([...sets, ...peers.blocks.map((peer) => blockMatch(peer, side))])];
}

function addSet(draft: Draft, name: string, { type, keys }: { readonly type: string; readonly keys: readonly string[] }): void {
  draft.containers.set(name, { kind: "set", definition: `type ${type} ;` });
  for (const key of keys) draft.elements.push({ container: name, key, value: "", rank: 0 });
}

function blockMatch({ block, except }: BlockPeer, side: string): string {
  const ip: IpWord = block.network.length === 4 ? "ip" : "ip6";
  const excluded = except.length === 0 ? "" : `${ip} ${side} != { ${except.map(textOf).join(", ")} } `;
  return `${ip} ${side} ${textOf(block)} ${excluded}`;
}

const textOf = ({ network, prefixLength }: ParsedCIDR): string => `${formatIP(network)}/${prefixLength}`;

/** Each ends with a space; "" matches everything. Named ports are not in it. */
function portMatches({ ports }: PolicyRule): readonly string[] {
  if (!ports) return [""];
  return [...ports.numbered].map(([protocol, ranges]) =>
    ranges === "all" ? `meta l4proto ${protocol} ` : `${protocol} dport { ${ranges.map(rangeText).join(", ")} } `,
  );
}

const rangeText = ({ first, last }: PortRange): string => (first === last ? String(first) : `${first}-${last}`);

/** Whether a peer selects the pod. */
export function selectsPod({ namespaces, pods }: PodPeer, pod: PodView, cluster: Pick<ClusterView, "namespaceLabels">): boolean {
  if (!pods.matches(pod.labels)) return false;
  if (typeof namespaces === "string") return pod.namespace === namespaces;
  const labels = cluster.namespaceLabels(pod.namespace);
  return labels !== undefined && namespaces.matches(labels);
}

/** Pods that an egress rule may lead to, with the addresses it may lead to. */
function reachable({ peers }: PolicyRule, cluster: ClusterView): readonly PodView[] {
  if (!peers) return [...cluster.pods()];
  return [...cluster.pods()].flatMap((pod) => {
    if (peers.pods.some((peer) => selectsPod(peer, pod, cluster))) return [pod];
    const addresses = pod.addresses.filter((address) => peers.blocks.some((peer) => isInBlock(peer, address)));
    return addresses.length === 0 ? [] : [{ ...pod, addresses }];
  });
}

function isInBlock({ block, except }: BlockPeer, address: string): boolean {
  const ip = parseIP(address);
  return ip !== undefined && cidrContains(block, ip) && !except.some((one) => cidrContains(one, ip));
}

function namedPortKeys({ ports }: PolicyRule, pods: readonly PodView[], ip: IpWord): readonly string[] {
  const keys = new Set<string>();
  for (const { addresses, namedPorts } of pods)
    for (const { name, protocol, port } of namedPorts)
      if (ports?.named.some((wanted) => wanted.name === name && wanted.protocol === protocol))
        for (const address of addresses) if (wordOf(address) === ip) keys.add(`${address} . ${protocol} . ${port}`);
  return [...keys];
}
