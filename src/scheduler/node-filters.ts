// The Filter plugins of one cycle, asked node by node. Where pods of the same or a higher priority are nominated to a node,
// it must pass twice: once as though they stood there already, and once without them, since they may never arrive and what
// this pod needs (affinity to one of them) may then be missing.
import type { Pod } from "../api/types/core-v1.ts";
import type { NodeFilter, Plugin, Profile, SchedulingCycle } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { RejectedBy } from "./node-rejections.ts";
import type { PluginEvaluations } from "./plugin-evaluations.ts";
import { priorityOf } from "./plugins/queue.ts";

interface FirstRejection extends RejectedBy {
  /** Its place among the profile's plugins that filter the pod. */
  readonly at: number;
}

interface NamedFilter {
  readonly plugin: string;
  /** Among all plugins of the profile. */
  readonly place: number;
  readonly test: NodeFilter;
}

export class NodeFilters {
  readonly #cycle: SchedulingCycle;
  readonly #profile: Profile;
  readonly #filters: readonly NamedFilter[];
  /** Null while nobody has asked. */
  #signature: string | undefined | null = null;
  #tested = 0;
  /** By the filter's place: how many nodes went no further. */
  readonly #ended: number[];

  /** What the plugins work out beforehand is of this moment: after a supposition, make new ones (or see `signature`). */
  constructor(cycle: SchedulingCycle, profile: Profile) {
    this.#cycle = cycle;
    this.#profile = profile;
    this.#filters = filtersOf(cycle, profile);
    this.#ended = this.#filters.map(() => 0);
  }

  /** Tells how often each plugin has been asked since these filters were made. */
  account(evaluations: PluginEvaluations): void {
    let asked = this.#tested;
    for (const [at, { place }] of this.#filters.entries()) {
      evaluations.count("Filter", place, asked);
      asked -= this.#ended[at] ?? 0;
    }
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
    this.#tested++;
    const rejected = firstRejection(this.#filters, node);
    if (rejected) this.#ended[rejected.at] = (this.#ended[rejected.at] ?? 0) + 1;
    return rejected;
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
  for (let place = 0; place < profile.plugins.length; place++) {
    const plugin = profile.plugins[place] as Plugin;
    const test = plugin.filter?.(cycle);
    if (test) filters.push({ plugin: plugin.name, place, test });
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

function firstRejection(filters: readonly NamedFilter[], node: NodeInfo): FirstRejection | undefined {
  for (let at = 0; at < filters.length; at++) {
    const { plugin, test } = filters[at] as NamedFilter;
    const rejection = test(node);
    if (rejection) return { plugin, at, rejection };
  }
  return undefined;
}
