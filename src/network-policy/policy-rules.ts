// The packet rules of one policy: for each direction a chain that accepts what the policy allows and returns for everything
// else, and sets of the pods its peers select. An address can be anybody's, so a policy's own pods are in no rule of it: their
// chains (pod-rules.ts) lead here.
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

/** Whether the peers of any rule select the pod. */
export function isPeer(policy: PolicyView, pod: PodView, cluster: ClusterView): boolean {
  for (const rules of policy.rules.values())
    for (const { peers, ports } of rules) {
      if (peers?.pods.some((peer) => selectsPod(peer, policy, { pod, cluster }))) return true;
      // A named port is that of every pod a rule may lead to, those of blocks too.
      if (ports && ports.named.length > 0 && (!peers || peers.blocks.length > 0)) return true;
    }
  return false;
}

interface RuleInput {
  readonly rule: PolicyRule;
  readonly cluster: ClusterView;
  readonly place: RulePlace;
}

function linesOfRule(draft: Draft, policy: PolicyView, { rule, cluster, place }: RuleInput): readonly string[] {
  const peerPods = rule.peers && [...peersOf(rule.peers.pods, policy, cluster)];
  const matches = peerMatches(draft, policy, { rule, place, peerPods });
  const numbered = portMatches(rule);
  const lines = matches.flatMap((peer) => numbered.map((port) => `${peer}${port}accept`));
  if (!rule.ports || rule.ports.named.length === 0) return lines;
  // The port is the receiver's: of the policy's own pods, or of the peers.
  const receivers =
    place.direction === "ingress" ? [...cluster.pods(policy.namespace)].filter((pod) => pod.isLocal && isTarget(policy, pod)) : undefined;
  const all = receivers ?? reachable(rule, peerPods, cluster);
  for (const ip of ipWords) {
    const keys = namedPortKeys(rule, all, ip);
    if (keys.length === 0) continue;
    const name = portSet(place.direction, policy.key, { rule: place.index, ip });
    addSet(draft, name, { type: `${addressType(ip)} . inet_proto . inet_service`, keys });
    const port = `${ip} daddr . meta l4proto . th dport @${name} `;
    const senders = receivers ? matches.filter((peer) => peer === "" || peer.startsWith(`${ip} `)) : [""];
    lines.push(...senders.map((peer) => `${peer}${port}accept`));
  }
  return lines;
}

/** Each ends with a space; "" matches everybody. */
function peerMatches(
  draft: Draft,
  policy: PolicyView,
  { rule, place, peerPods }: { readonly rule: PolicyRule; readonly place: RulePlace; readonly peerPods: readonly PodView[] | undefined },
): string[] {
  if (!rule.peers || !peerPods) return [""];
  const side = place.direction === "ingress" ? "saddr" : "daddr";
  const matches: string[] = [];
  const addresses = [...new Set(peerPods.flatMap((pod) => pod.addresses))];
  for (const ip of ipWords) {
    const keys = addresses.filter((address) => wordOf(address) === ip);
    if (keys.length === 0) continue;
    const name = peerSet(place.direction, policy.key, { rule: place.index, ip });
    addSet(draft, name, { type: addressType(ip), keys });
    matches.push(`${ip} ${side} @${name} `);
  }
  return [...matches, ...rule.peers.blocks.map((peer) => blockMatch(peer, side))];
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

function* peersOf(peers: readonly PodPeer[], policy: PolicyView, cluster: ClusterView): Iterable<PodView> {
  if (peers.length === 0) return;
  const isOwnOnly = peers.every(({ namespaces }) => namespaces === undefined);
  for (const pod of isOwnOnly ? cluster.pods(policy.namespace) : cluster.pods())
    if (peers.some((peer) => selectsPod(peer, policy, { pod, cluster }))) yield pod;
}

function selectsPod(
  { namespaces, pods }: PodPeer,
  policy: PolicyView,
  { pod, cluster }: { readonly pod: PodView; readonly cluster: ClusterView },
): boolean {
  if (!pods.matches(pod.labels)) return false;
  if (!namespaces) return pod.namespace === policy.namespace;
  const labels = cluster.namespaceLabels(pod.namespace);
  return labels !== undefined && namespaces.matches(labels);
}

/** Pods that an egress rule may lead to. */
function reachable({ peers }: PolicyRule, peerPods: readonly PodView[] | undefined, cluster: ClusterView): readonly PodView[] {
  if (!peers || !peerPods) return [...cluster.pods()];
  if (peers.blocks.length === 0) return peerPods;
  const inBlock = (address: string): boolean => peers.blocks.some((peer) => isInBlock(peer, address));
  const others = [...cluster.pods()].flatMap((pod) => {
    const addresses = pod.addresses.filter(inBlock);
    return addresses.length === 0 ? [] : [{ ...pod, addresses }];
  });
  return [...peerPods, ...others];
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
