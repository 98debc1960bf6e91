// The sets of addresses of the pods that policies' peers select. Policies that select in the same words share a set, and a pod
// that comes or goes is an element in those that it concerns, however many pods and policies there are.
import type { DesiredTable } from "../linux/packet-rules/desired-table.ts";
import type { Container } from "../linux/packet-rules/rule-set.ts";
import { addressType, ipWords, peerSet, wordOf } from "./names.ts";
import type { PodView } from "./pod-view.ts";
import { type ClusterView, selectsPod } from "./policy-rules.ts";
import type { PodPeer, PolicyView } from "./policy-view.ts";

interface PeerSet {
  readonly peer: PodPeer;
  /** Keys of policies. */
  readonly users: Set<string>;
  /** Keys of pods; undefined until they have been looked for. */
  members: Set<string> | undefined;
}

export class PeerSets {
  readonly #cluster: ClusterView;
  readonly #sets = new Map<string, PeerSet>();
  /** By policy: the sets it uses. */
  readonly #used = new Map<string, readonly PodPeer[]>();
  readonly #dirty = new Map<string, PodView>();
  /** Nobody uses them any more. */
  readonly #unused = new Set<string>();

  constructor(cluster: ClusterView) {
    this.#cluster = cluster;
  }

  /** How many pods wait for update(). */
  get dirtyPods(): number {
    return this.#dirty.size;
  }

  /** The sets of a policy with rules here; undefined: it has none. */
  use(key: string, policy: PolicyView | undefined): void {
    for (const { id } of this.#used.get(key) ?? []) {
      const set = this.#sets.get(id);
      set?.users.delete(key);
      if (set?.users.size === 0) this.#unused.add(id);
    }
    this.#used.delete(key);
    if (!policy || policy.peers.length === 0) return;
    this.#used.set(key, policy.peers);
    for (const peer of policy.peers) {
      const set = this.#sets.get(peer.id) ?? { peer, users: new Set<string>(), members: undefined };
      this.#sets.set(peer.id, set);
      set.users.add(key);
      this.#unused.delete(peer.id);
    }
  }

  /** To be called while a pod's namespace is as it was, and again when it is as it is, with the pod's view before and after. */
  note(views: readonly PodView[]): void {
    for (const view of views)
      if ([...this.#sets.values()].some(({ peer, members }) => members?.has(view.key) || selectsPod(peer, view, this.#cluster)))
        this.#dirty.set(view.key, view);
  }

  /** Whether labels of namespaces matter to any set. */
  get hasNamespaceSelectors(): boolean {
    return [...this.#sets.values()].some(({ peer }) => typeof peer.namespaces !== "string");
  }

  /** `current`: a pod as it is now. */
  update(table: DesiredTable, current: (view: PodView) => PodView | undefined): void {
    for (const id of this.#unused) this.#drop(id, table);
    this.#unused.clear();
    for (const [id, set] of this.#sets) if (!set.members) this.#fill(id, set, table);
    for (const [key, view] of this.#dirty) {
      const pod = current(view);
      for (const set of this.#sets.values()) this.#place(set, { key, pod, table });
    }
    this.#dirty.clear();
  }

  #drop(id: string, table: DesiredTable): void {
    const set = this.#sets.get(id);
    this.#sets.delete(id);
    for (const key of set?.members ?? []) table.put(ownerOf(id, key), undefined);
    table.put(`peers ${id}`, undefined);
  }

  #fill(id: string, set: PeerSet, table: DesiredTable): void {
    const container = (type: string): Container => ({ kind: "set", definition: `type ${type} ;` });
    const containers = new Map(ipWords.map((ip) => [peerSet(id, ip), container(addressType(ip))]));
    table.put(`peers ${id}`, { chains: new Map(), containers, elements: [] });
    set.members = new Set();
    const { namespaces } = set.peer;
    for (const pod of typeof namespaces === "string" ? this.#cluster.pods(namespaces) : this.#cluster.pods())
      this.#place(set, { key: pod.key, pod, table });
  }

  #place(
    { peer, members }: PeerSet,
    { key, pod, table }: { readonly key: string; readonly pod: PodView | undefined; readonly table: DesiredTable },
  ): void {
    if (pod && selectsPod(peer, pod, this.#cluster)) {
      members?.add(key);
      const elements = pod.addresses.map((address) => ({ container: peerSet(peer.id, wordOf(address)), key: address, value: "", rank: 0 }));
      table.put(ownerOf(peer.id, key), { chains: new Map(), containers: new Map(), elements });
    } else if (members?.delete(key)) table.put(ownerOf(peer.id, key), undefined);
  }
}

const ownerOf = (id: string, pod: string): string => `peer ${id} ${pod}`;
