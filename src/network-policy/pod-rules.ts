// The packet rules of one pod of this node: that its addresses are known, and for each direction in which policies isolate it a
// chain with what all of them allow together; everything else is dropped at its end. A pod always reaches itself.
import type { Chain, Element, RulePart } from "../linux/packet-rules/rule-set.ts";
import { directions, isolatedPods, knownPods, podChain, policyChain, wordOf } from "./names.ts";
import type { PodView } from "./pod-view.ts";
import type { PolicyView } from "./policy-view.ts";

/** `policies`: those that select the pod, in the order of their keys. */
export function rulesOfPod(pod: PodView, policies: readonly PolicyView[]): RulePart {
  const rank = pod.isEnding ? 1 : 0;
  const elements: Element[] = pod.addresses.map((key) => ({ container: knownPods(wordOf(key)), key, value: "", rank }));
  const chains = new Map<string, Chain>();
  for (const direction of directions) {
    const isolating = policies.filter(({ rules }) => rules.has(direction));
    if (isolating.length === 0) continue;
    const name = podChain(direction, pod.key);
    const other = direction === "ingress" ? "saddr" : "daddr";
    chains.set(name, {
      rules: [
        ...pod.addresses.map((address) => `${wordOf(address)} ${other} ${address} accept`),
        ...isolating.map(({ key }) => `jump ${policyChain(direction, key)}`),
        "drop",
      ],
    });
    for (const key of pod.addresses) elements.push({ container: isolatedPods(direction, wordOf(key)), key, value: `goto ${name}`, rank });
  }
  return { chains, containers: new Map(), elements };
}
