// The pods that wait for an event, by the plugins that rejected them: an event is weighed only for those of which a plugin wants
// to know of its kind. Thousands that no node's labels suit need not be looked at for each pod that is bound elsewhere.
import type { Pod } from "../api/types/core-v1.ts";
import type { ClusterEvent } from "./cluster-events.ts";
import type { Plugin } from "./framework.ts";

export interface RejectedPod {
  /** "namespace/name". */
  readonly key: string;
  readonly pod: Pod;
  readonly rejectedBy: ReadonlySet<string>;
}

interface Group<T> {
  /** That one of the plugins listens to. */
  readonly events: ReadonlySet<ClusterEvent>;
  readonly pods: Map<string, T>;
}

export class UnschedulablePods<T extends RejectedPod> {
  readonly #pluginsOf: (pod: Pod) => readonly Plugin[];
  readonly #pods = new Map<string, { readonly queued: T; readonly group: Group<T> }>();
  readonly #groups = new Map<string, Group<T>>();

  constructor(pluginsOf: (pod: Pod) => readonly Plugin[]) {
    this.#pluginsOf = pluginsOf;
  }

  get size(): number {
    return this.#pods.size;
  }

  has(key: string): boolean {
    return this.#pods.has(key);
  }

  get(key: string): T | undefined {
    return this.#pods.get(key)?.queued;
  }

  values(): readonly T[] {
    return [...this.#pods.values()].map(({ queued }) => queued);
  }

  /** Those to which the event may matter. */
  listeningTo(event: ClusterEvent): readonly T[] {
    const found: T[] = [];
    for (const { events, pods } of this.#groups.values()) if (events.has(event)) found.push(...pods.values());
    return found;
  }

  set(queued: T): void {
    this.delete(queued.key);
    const group = this.#groupOf(queued);
    group.pods.set(queued.key, queued);
    this.#pods.set(queued.key, { queued, group });
  }

  delete(key: string): void {
    const known = this.#pods.get(key);
    if (!known) return;
    this.#pods.delete(key);
    known.group.pods.delete(key);
  }

  /** Also what is known of plugins, which may be others from now on. */
  clear(): void {
    this.#pods.clear();
    this.#groups.clear();
  }

  /** One for each set of plugins of a profile: few, however many pods there are. */
  #groupOf({ pod, rejectedBy }: T): Group<T> {
    const name = [pod.spec.schedulerName ?? "", ...[...rejectedBy].sort()].join();
    let group = this.#groups.get(name);
    if (!group) {
      const rejecting = this.#pluginsOf(pod).filter((plugin) => rejectedBy.has(plugin.name));
      const events = new Set(rejecting.flatMap((plugin) => (plugin.queueingHints ?? []).map((hint) => hint.event)));
      group = { events, pods: new Map() };
      this.#groups.set(name, group);
    }
    return group;
  }
}
