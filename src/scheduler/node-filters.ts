// The Filter plugins of one cycle, asked node by node. Where pods of the same or a higher priority are nominated to a node,
// it must pass twice: once as though they stood there already, and once without them, since they may never arrive and what
// this pod needs (affinity to one of them) may then be missing.
import type { Pod } from "../api/types/core-v1.ts";
import type { NodeFilter, Profile, Rejection, SchedulingCycle } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import { priorityOf } from "./plugins/queue.ts";

export interface RejectedBy {
  readonly plugin: string;
  readonly rejection: Rejection;
}

interface NamedFilter {
  readonly plugin: string;
  readonly test: NodeFilter;
}

export class NodeFilters {
  readonly #cycle: SchedulingCycle;
  readonly #profile: Profile;
  readonly #filters: readonly NamedFilter[];

  /** What the plugins work out beforehand is of this moment: after a supposition, make new ones. */
  constructor(cycle: SchedulingCycle, profile: Profile) {
    this.#cycle = cycle;
    this.#profile = profile;
    this.#filters = filtersOf(cycle, profile);
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
      return firstRejection(filtersOf(this.#cycle, this.#profile), node);
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

function firstRejection(filters: readonly NamedFilter[], node: NodeInfo): RejectedBy | undefined {
  for (const { plugin, test } of filters) {
    const rejection = test(node);
    if (rejection) return { plugin, rejection };
  }
  return undefined;
}
