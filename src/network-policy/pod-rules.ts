// The packet rules of one pod of this node: for each direction in which policies isolate it a chain with what all of them allow
// together; everything else is dropped at its end. A pod always reaches itself. Where nothing isolates it, its packets pass.
import type { Chain, Element, RulePart } from "../linux/packet-rules/rule-set.ts";
import { dnsProtocols } from "./cluster-dns.ts";
import { type Direction, deniedDnsSet, directions, podChain, podMap, policyChain, wordOf } from "./names.ts";
import type { PodView, Protocol } from "./pod-view.ts";
import type { PolicyView } from "./policy-view.ts";

export interface PodPolicies {
  /** Those that select the pod, in the order of their keys. */
  readonly policies: readonly PolicyView[];
  /** Whether a policy lets its pods ask the cluster's DNS. */
  readonly allowsDns: (policy: PolicyView, protocol: Protocol) => boolean;
}

export function rulesOfPod(pod: PodView, { policies, allowsDns }: PodPolicies): RulePart {
  const rank = pod.isEnding ? 1 : 0; // its address may be a new pod's already
  const chains = new Map<string, Chain>();
  const elements: Element[] = [];
  for (const direction of directions) {
    const isolating = policies.filter(({ rules }) => rules.has(direction));
    const name = podChain(direction, pod.key);
    if (isolating.length > 0) chains.set(name, { rules: chainRules(pod, direction, isolating) });
    const value = isolating.length > 0 ? `goto ${name}` : "accept";
    for (const key of pod.addresses) elements.push({ container: podMap(direction, wordOf(key)), key, value, rank });
    if (direction === "ingress" || isolating.length === 0) continue;
    for (const protocol of dnsProtocols)
      if (!isolating.some((policy) => allowsDns(policy, protocol)))
        for (const address of pod.addresses)
          elements.push({ container: deniedDnsSet(wordOf(address)), key: `${address} . ${protocol}`, value: "", rank });
  }
  return { chains, containers: new Map(), elements };
}

function chainRules(pod: PodView, direction: Direction, isolating: readonly PolicyView[]): readonly string[] {
  const other = direction === "ingress" ? "saddr" : "daddr";
  return [
    ...pod.addresses.map((address) => `${wordOf(address)} ${other} ${address} accept`),
    ...isolating.map(({ key }) => `jump ${policyChain(direction, key)}`),
    "drop",
  ];
}
