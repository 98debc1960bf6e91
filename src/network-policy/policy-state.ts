// The policies, pods and namespaces of a cluster as one node sees them, and what of its packet rules a change of one of them
// concerns. Only policies that isolate a pod of this node have rules here; a pod's change makes only those be looked at again
// that have to do with it.
import { keyOf } from "../api/meta/object.ts";
import type { Labels } from "../api/meta/selectors.ts";
import type { Pod } from "../api/types/core-v1.ts";
import type { NetworkPolicy } from "../api/types/networking-v1.ts";
import { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import type { RuleSet } from "../linux/packet-rules/rule-set.ts";
import { baseRules, type PolicyBase } from "./base-rules.ts";
import { allowsDns, dnsNamespace } from "./cluster-dns.ts";
import { PeerSets } from "./peer-sets.ts";
import { rulesOfPod } from "./pod-rules.ts";
import { isSameView, type PodView, type Protocol, viewOfPod } from "./pod-view.ts";
import { type ClusterView, rulesOfPolicy, usesPortsOf } from "./policy-rules.ts";
import { isTarget, type PolicyView, viewOfPolicy } from "./policy-view.ts";

export class PolicyState implements ClusterView {
  readonly #nodeName: string;
  readonly #dnsAddresses: readonly string[];
  readonly #policies = new Map<string, PolicyView>();
  readonly #pods = new Map<string, Map<string, PodView>>();
  readonly #namespaces = new Map<string, Labels>();
  /** Of this node. */
  readonly #localPods = new Map<string, Pod>();
  readonly #givenAddresses = new Map<string, readonly string[]>();
  /** Policies that isolate a pod of this node. */
  readonly #active = new Set<string>();
  readonly #dirtyPolicies = new Set<string>();
  readonly #dirtyPods = new Map<string, PodView>();
  readonly #peers = new PeerSets(this);

  /** `dnsAddresses`: of the cluster's DNS, where that is no pod. */
  constructor(nodeName: string, dnsAddresses: readonly string[] = []) {
    this.#nodeName = nodeName;
    this.#dnsAddresses = dnsAddresses;
  }

  /** Of those with rules here. */
  get activePolicies(): number {
    return this.#active.size;
  }

  /** Whether update() may have something to do. */
  get isDirty(): boolean {
    return this.#dirtyPolicies.size + this.#dirtyPods.size + this.#peers.dirtyPods > 0;
  }

  /** Undefined: it is gone. Throws SelectorError where it cannot be understood; then it is as if it were gone. */
  setPolicy(key: string, policy: NetworkPolicy | undefined): void {
    const before = this.#policies.get(key);
    this.#policies.delete(key);
    this.#dirtyPolicies.add(key);
    let after: PolicyView | undefined;
    try {
      after = policy && viewOfPolicy(policy);
      if (after) this.#policies.set(key, after);
    } finally {
      for (const pod of this.pods((after ?? before)?.namespace ?? ""))
        if (pod.isLocal && [before, after].some((view) => view && isTarget(view, pod))) this.#dirtyPods.set(pod.key, pod);
    }
  }

  /** Undefined: it is gone. */
  setPod(key: string, pod: Pod | undefined): void {
    if (pod?.spec?.nodeName === this.#nodeName) this.#localPods.set(key, pod);
    else this.#localPods.delete(key);
    if (!pod) this.#givenAddresses.delete(key);
    this.#setView(key, pod && viewOfPod(pod, this.#nodeName, this.#givenAddresses.get(key)));
  }

  /** What a pod of this node has been given, or has lost, whatever its status says. */
  setAddresses(key: string, addresses: readonly string[]): void {
    const pod = this.#localPods.get(key);
    if (addresses.length === 0 && !pod) this.#givenAddresses.delete(key);
    else this.#givenAddresses.set(key, addresses);
    if (pod) this.#setView(key, viewOfPod(pod, this.#nodeName, addresses));
  }

  /** Undefined: it is gone. */
  setNamespace(name: string, labels: Labels | undefined): void {
    if (JSON.stringify(this.#namespaces.get(name)) === JSON.stringify(labels)) return;
    const inNamespace = this.#peers.hasNamespaceSelectors ? [...this.pods(name)] : [];
    this.#peers.note(inNamespace);
    if (labels) this.#namespaces.set(name, labels);
    else this.#namespaces.delete(name);
    this.#peers.note(inNamespace);
    // Whether policies allow the DNS may depend on them.
    if (name === dnsNamespace) for (const pod of this.pods()) if (pod.isLocal) this.#dirtyPods.set(pod.key, pod);
    for (const policy of this.#policies.values())
      if (policy.hasNamedPorts && this.#mayBeActive(policy)) this.#dirtyPolicies.add(policy.key);
  }

  /** Brings the table up to what is known now. */
  update(table: DesiredTable): void {
    for (const key of this.#dirtyPolicies) {
      const policy = this.#policies.get(key);
      const isActive = policy !== undefined && this.#hasTarget(policy);
      if (isActive) this.#active.add(key);
      else this.#active.delete(key);
      this.#peers.use(key, isActive ? policy : undefined);
      table.put(`policy ${key}`, isActive ? rulesOfPolicy(policy, this) : undefined);
    }
    this.#dirtyPolicies.clear();
    for (const [key, { namespace }] of this.#dirtyPods) {
      const pod = this.#pods.get(namespace)?.get(key);
      const rules = pod?.isLocal ? rulesOfPod(pod, { policies: this.#policiesOf(pod), allowsDns: this.#allowsDns }) : undefined;
      table.put(`pod ${key}`, rules);
    }
    this.#dirtyPods.clear();
    this.#peers.update(table, ({ key, namespace }) => this.#pods.get(namespace)?.get(key));
  }

  *pods(namespace?: string): Iterable<PodView> {
    if (namespace !== undefined) yield* this.#pods.get(namespace)?.values() ?? [];
    else for (const inNamespace of this.#pods.values()) yield* inNamespace.values();
  }

  namespaceLabels(name: string): Labels | undefined {
    return this.#namespaces.get(name);
  }

  #setView(key: string, after: PodView | undefined): void {
    const namespace = key.slice(0, key.indexOf("/"));
    const inNamespace = this.#pods.get(namespace) ?? new Map<string, PodView>();
    const before = inNamespace.get(key);
    if (isSameView(before, after)) return;
    if (after) inNamespace.set(key, after);
    else inNamespace.delete(key);
    if (inNamespace.size > 0) this.#pods.set(namespace, inNamespace);
    else this.#pods.delete(namespace);
    const views = [before, after].filter((view) => view !== undefined);
    const [some] = views;
    const isLocal = views.some((view) => view.isLocal);
    if (some && isLocal) this.#dirtyPods.set(key, some);
    this.#peers.note(views);
    for (const policy of this.#policies.values()) {
      const concerns = (view: PodView): boolean =>
        (view.isLocal && isTarget(policy, view)) || (this.#mayBeActive(policy) && usesPortsOf(policy, view, this));
      if (views.some(concerns)) this.#dirtyPolicies.add(policy.key);
    }
  }

  /** One that waits to be looked at may become active. */
  #mayBeActive({ key }: PolicyView): boolean {
    return this.#active.has(key) || this.#dirtyPolicies.has(key);
  }

  readonly #allowsDns = (policy: PolicyView, protocol: Protocol): boolean =>
    allowsDns(policy, protocol, { addresses: this.#dnsAddresses, cluster: this });

  #hasTarget(policy: PolicyView): boolean {
    for (const pod of this.pods(policy.namespace)) if (pod.isLocal && isTarget(policy, pod)) return true;
    return false;
  }

  #policiesOf(pod: PodView): readonly PolicyView[] {
    return [...this.#policies.values()].filter((policy) => isTarget(policy, pod)).sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

export interface PolicyInput {
  readonly policies: readonly NetworkPolicy[];
  readonly pods: readonly Pod[];
  /** Labels by name. */
  readonly namespaces: Readonly<Record<string, Labels>>;
  readonly nodeName: string;
  readonly base: PolicyBase;
}

/** The whole table of a node. */
export function policyRules({ policies, pods, namespaces, nodeName, base }: PolicyInput): RuleSet {
  const state = new PolicyState(nodeName, base.dnsAddresses);
  for (const [name, labels] of Object.entries(namespaces)) state.setNamespace(name, labels);
  for (const pod of pods) state.setPod(keyOf(pod), pod);
  for (const policy of policies) state.setPolicy(keyOf(policy), policy);
  const table = new DesiredTable();
  table.put("", baseRules(base));
  state.update(table);
  return table.ruleSet();
}
