// The placed pods, by kind: pods of one namespace with the same labels and the same affinity are one group, with the number
// of them on each node. Plugins that ask which pods match a selector ask once per group instead of once per pod, so that a
// scheduling cycle is proportional to the number of workloads and of nodes, not of pods. Kept incrementally.
import type { Labels } from "../api/meta/selectors.ts";
import type { CompiledPodAffinity, PodIdentity } from "../api/semantics/pod-affinity.ts";
import type { NodeInfo, PodFacts } from "./node-info.ts";

export interface PodGroup extends PodIdentity {
  readonly labels: Labels | undefined;
  /** Pods that are being deleted still stand where they stand, but are not counted for spreading. */
  readonly terminating: boolean;
  readonly affinity: CompiledPodAffinity | undefined;
  /** How many of them each node holds; none with zero. */
  readonly nodes: ReadonlyMap<NodeInfo, number>;
}

interface MutableGroup extends PodGroup {
  readonly nodes: Map<NodeInfo, number>;
}

const none: ReadonlyMap<string, PodGroup> = new Map();

export class PodGroups {
  /** By namespace, then by what makes pods alike. */
  readonly #byNamespace = new Map<string, Map<string, MutableGroup>>();
  readonly #withAffinity = new Set<PodGroup>();
  readonly #withRequiredAntiAffinity = new Set<PodGroup>();

  /** Groups of pods with any wish about other pods. */
  get withAffinity(): ReadonlySet<PodGroup> {
    return this.#withAffinity;
  }

  get withRequiredAntiAffinity(): ReadonlySet<PodGroup> {
    return this.#withRequiredAntiAffinity;
  }

  inNamespace(namespace: string): Iterable<PodGroup> {
    return (this.#byNamespace.get(namespace) ?? none).values();
  }

  *all(): Iterable<PodGroup> {
    for (const groups of this.#byNamespace.values()) yield* groups.values();
  }

  add(facts: PodFacts, node: NodeInfo): void {
    const { nodes } = this.#groupOf(facts);
    nodes.set(node, (nodes.get(node) ?? 0) + 1);
  }

  remove(facts: PodFacts, node: NodeInfo): void {
    const groups = this.#byNamespace.get(facts.identity.namespace);
    const group = groups?.get(facts.groupKey);
    const count = group?.nodes.get(node);
    if (!groups || !group || count === undefined) return;
    if (count > 1) group.nodes.set(node, count - 1);
    else group.nodes.delete(node);
    if (group.nodes.size > 0) return;
    groups.delete(facts.groupKey);
    this.#withAffinity.delete(group);
    this.#withRequiredAntiAffinity.delete(group);
    if (groups.size === 0) this.#byNamespace.delete(facts.identity.namespace);
  }

  #groupOf(facts: PodFacts): MutableGroup {
    const { namespace, labels } = facts.identity;
    let groups = this.#byNamespace.get(namespace);
    if (!groups) {
      groups = new Map();
      this.#byNamespace.set(namespace, groups);
    }
    let group = groups.get(facts.groupKey);
    if (!group) {
      const { affinity, terminating } = facts;
      group = { namespace, labels, terminating, affinity, nodes: new Map() };
      groups.set(facts.groupKey, group);
      if (affinity) this.#withAffinity.add(group);
      if (affinity && affinity.requiredAnti.length > 0) this.#withRequiredAntiAffinity.add(group);
    }
    return group;
  }
}
