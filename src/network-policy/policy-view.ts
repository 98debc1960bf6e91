// A network policy, read once: its selectors compiled, its blocks and ports checked and in the form rules need them. The
// defaults are those of the API: what a policy says nothing of, it does not restrict; a rule without peers is for everybody, one
// without ports for everything.
import { type ParsedCIDR, parseCIDR } from "../api/meta/ip.ts";
import { keyOf } from "../api/meta/object.ts";
import { type LabelMatcher, labelMatcher } from "../api/meta/selectors.ts";
import type {
  NetworkPolicy,
  NetworkPolicyEgressRule,
  NetworkPolicyIngressRule,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../api/types/networking-v1.ts";
import { type Direction, directions } from "./names.ts";
import { isPort, type PodView, type Protocol, protocolOf } from "./pod-view.ts";

export interface PodPeer {
  /** The same for all peers that select the same pods in the same words. */
  readonly id: string;
  /** Pods of this namespace, or of all namespaces it matches. */
  readonly namespaces: string | LabelMatcher;
  /** Of those, the pods it matches. */
  readonly pods: LabelMatcher;
}

export interface BlockPeer {
  readonly block: ParsedCIDR;
  /** In the block, none inside of another. */
  readonly except: readonly ParsedCIDR[];
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export interface PolicyRule {
  /** Undefined: everybody. */
  readonly peers: { readonly pods: readonly PodPeer[]; readonly blocks: readonly BlockPeer[] } | undefined;
  /** Undefined: everything, other protocols than these three too. */
  readonly ports:
    | {
        /** Merged and in order; "all" is every port. */
        readonly numbered: ReadonlyMap<Protocol, "all" | readonly PortRange[]>;
        readonly named: readonly { readonly name: string; readonly protocol: Protocol }[];
      }
    | undefined;
}

export interface PolicyView {
  /** "namespace/name". */
  readonly key: string;
  readonly namespace: string;
  readonly pods: LabelMatcher;
  /** Only the directions that the policy restricts. */
  readonly rules: ReadonlyMap<Direction, readonly PolicyRule[]>;
  /** Of its rules, each once. */
  readonly peers: readonly PodPeer[];
  /** Whether what a rule says depends on the ports of pods. */
  readonly hasNamedPorts: boolean;
}

/** Throws SelectorError where a selector cannot be understood. */
export function viewOfPolicy(policy: NetworkPolicy): PolicyView {
  const { podSelector = {}, ingress = [], egress = [], policyTypes } = policy.spec;
  const types = policyTypes ?? (egress.length > 0 ? ["Ingress", "Egress"] : ["Ingress"]);
  const namespace = policy.metadata.namespace ?? "";
  const read: Readonly<Record<Direction, () => readonly PolicyRule[]>> = {
    ingress: () => ingress.map((rule: NetworkPolicyIngressRule) => ruleOf(namespace, rule.from, rule.ports)),
    egress: () => egress.map((rule: NetworkPolicyEgressRule) => ruleOf(namespace, rule.to, rule.ports)),
  };
  const rules = new Map(
    directions.filter((d) => types.includes(d === "ingress" ? "Ingress" : "Egress")).map((d) => [d, read[d]()] as const),
  );
  const all = [...rules.values()].flat();
  return {
    key: keyOf(policy),
    namespace,
    pods: labelMatcher(podSelector),
    rules,
    peers: [...new Map(all.flatMap(({ peers }) => peers?.pods ?? []).map((peer) => [peer.id, peer])).values()],
    hasNamedPorts: all.some(({ ports }) => ports !== undefined && ports.named.length > 0),
  };
}

/** Whether the policy isolates the pod. */
export function isTarget({ namespace, pods }: PolicyView, pod: PodView): boolean {
  return pod.namespace === namespace && pods.matches(pod.labels);
}

function ruleOf(namespace: string, peers: readonly NetworkPolicyPeer[] = [], ports: readonly NetworkPolicyPort[] = []): PolicyRule {
  return {
    peers: peers.length === 0 ? undefined : { pods: peers.flatMap((peer) => podPeer(namespace, peer)), blocks: peers.flatMap(blockPeer) },
    ports: ports.length === 0 ? undefined : { numbered: numberedPorts(ports), named: namedPorts(ports) },
  };
}

function podPeer(own: string, { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer): readonly PodPeer[] {
  if (ipBlock) return [];
  const pods = labelMatcher(podSelector ?? {});
  if (!namespaceSelector) return [{ id: `${own}/${pods}`, namespaces: own, pods }];
  const namespaces = labelMatcher(namespaceSelector);
  // No namespace is called so.
  return [{ id: `{${namespaces}}/${pods}`, namespaces, pods }];
}

function blockPeer({ ipBlock }: NetworkPolicyPeer): readonly BlockPeer[] {
  const block = ipBlock && parseCIDR(ipBlock.cidr);
  if (!block) return [];
  const parsed = (ipBlock.except ?? []).flatMap((text) => parseCIDR(text) ?? []).filter((e) => e.network.length === block.network.length);
  // Widest first: what lies in an earlier one adds nothing, and the packet filter takes no overlapping ranges.
  const except: ParsedCIDR[] = [];
  for (const one of parsed.sort((a, b) => a.prefixLength - b.prefixLength))
    if (!except.some((wider) => covers(wider, one))) except.push(one);
  return [{ block, except }];
}

function covers(wider: ParsedCIDR, narrower: ParsedCIDR): boolean {
  if (wider.prefixLength > narrower.prefixLength) return false;
  const bits = (cidr: ParsedCIDR): string => cidr.network.map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits(narrower).startsWith(bits(wider).slice(0, wider.prefixLength));
}

function numberedPorts(ports: readonly NetworkPolicyPort[]): ReadonlyMap<Protocol, "all" | readonly PortRange[]> {
  const found = new Map<Protocol, "all" | readonly PortRange[]>();
  for (const { port, endPort, protocol: text } of ports) {
    const protocol = protocolOf(text);
    const known = found.get(protocol) ?? [];
    if (port === undefined) found.set(protocol, "all");
    else if (isPort(port) && known !== "all") found.set(protocol, merged([...known, { first: port, last: endPort ?? port }]));
  }
  return found;
}

/** Neighbours and overlapping ranges become one. */
function merged(ranges: readonly PortRange[]): readonly PortRange[] {
  const result: PortRange[] = [];
  for (const { first, last } of [...ranges].sort((a, b) => a.first - b.first)) {
    const previous = result.at(-1);
    if (previous && first <= previous.last + 1) result[result.length - 1] = { first: previous.first, last: Math.max(previous.last, last) };
    else result.push({ first, last });
  }
  return result;
}

function namedPorts(ports: readonly NetworkPolicyPort[]): readonly { readonly name: string; readonly protocol: Protocol }[] {
  return ports.flatMap(({ port, protocol }) => (typeof port === "string" ? [{ name: port, protocol: protocolOf(protocol) }] : []));
}
