// The Filter plugins of one cycle, asked node by node. Where pods of the same or a higher priority are nominated to a node,
// it must pass twice: once as though they stood there already, and once without them, since they may never arrive and what
// this pod needs (affinity to one of them) may then be missing.
import type { Pod } from "../api/types/core-v1.ts";
import type { NodeFilter, Profile, SchedulingCycle } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { RejectedBy } from "./node-rejections.ts";
import { priorityOf } from "./plugins/queue.ts";

interface NamedFilter {
  readonly plugin: string;
  readonly test: NodeFilter;
}

export class NodeFilters {
  readonly #cycle: SchedulingCycle;
  readonly #profile: Profile;
  readonly #filters: readonly NamedFilter[];
  /** Null while nobody has asked. */
  #signature: string | undefined | null = null;

  /** What the plugins work out beforehand is of this moment: after a supposition, make new ones (or see `signature`). */
  constructor(cycle: SchedulingCycle, profile: Profile) {
    this.#cycle = cycle;
    this.#profile = profile;
    this.#filters = filtersOf(cycle, profile);
  }

  /**
   * The same for pods that the filters cannot tell apart. With one, the filters look at nothing but the node they are asked about:
   * they stay good under suppositions.
   */
  get signature(): string | undefined {
    if (this.#signature === null) this.#signature = signatureOf(this.#cycle, this.#profile);
    return this.#signature;
  }

  /** Undefined where the pod fits. */
  test(node: NodeInfo): RejectedBy | undefined {
    const { pod, snapshot } = this.#cycle;
    const nominated = snapshot.nominations.on(node.name);
    if (nominated.size > 0) {
      const rejected = this.#testWith([...nominated.values()].filter(goesBefore(pod)), node);
      if (rejected) return rejected;
    }
    return firstRejection(this.#filters, node);
  }

  #testWith(others: readonly Pod[], node: NodeInfo): RejectedBy | undefined {
    if (others.length === 0) return undefined;
    const supposition = this.#cycle.snapshot.suppose();
    try {
      for (const other of others) supposition.add(other, node.name);
      const filters = this.signature === undefined ? filtersOf(this.#cycle, this.#profile) : this.#filters;
      return firstRejection(filters, node);
    } finally {
      supposition.end();
    }
  }
}

const goesBefore =
  (pod: Pod) =>
  (other: Pod): boolean =>
    other.metadata.uid !== pod.metadata.uid && priorityOf(other) >= priorityOf(pod);

function filtersOf(cycle: SchedulingCycle, profile: Profile): readonly NamedFilter[] {
  const filters: NamedFilter[] = [];
  for (const plugin of profile.plugins) {
    const test = plugin.filter?.(cycle);
    if (test) filters.push({ plugin: plugin.name, test });
  }
  return filters;
}

/** The priority is part of it: it says which nominated pods go before, and whom the pod may drive out. */
function signatureOf(cycle: SchedulingCycle, { plugins }: Profile): string | undefined {
  let signature = String(priorityOf(cycle.pod));
  for (const plugin of plugins) {
    if (!plugin.filter) continue;
    const part = plugin.filterSignature?.(cycle);
    if (part === undefined) return undefined;
    signature += `\n${part}`;
  }
  return signature;
}

function firstRejection(filters: readonly NamedFilter[], node: NodeInfo): RejectedBy | undefined {
  for (const { plugin, test } of filters) {
    const rejection = test(node);
    if (rejection) return { plugin, rejection };
  }
  return undefined;
}
