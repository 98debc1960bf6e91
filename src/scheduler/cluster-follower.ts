// Keeps the cache and the queue in step with the API server: nodes and pods as they come, change and go, and of other objects
// what some plugin wants to know of.
import type { KubernetesObject } from "../api/meta/object.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node, Pod } from "../api/types/core-v1.ts";
import type { SchedulerState } from "./attempt.ts";
import { type ClusterEvent, nodeEvents, objectEvents } from "./cluster-events.ts";
import type { Profile } from "./framework.ts";

export class ClusterFollower {
  readonly #state: SchedulerState;
  /** Of objects that plugins want to know of. */
  readonly #watched = new Set<ClusterEvent>();
  readonly #handlers: { remove(): void }[] = [];

  constructor(state: SchedulerState) {
    this.#state = state;
  }

  start(): void {
    const { informers } = this.#state.deps;
    this.#handlers.push(
      informers.informer(nodes).addHandler({
        onAdd: (node) => this.#setNode(node, undefined),
        onUpdate: (node, before) => this.#setNode(node, before),
        onDelete: (node) => this.#removeNode(node),
      }),
      informers.informer(pods).addHandler({
        onAdd: (pod) => this.#setPod(pod, undefined),
        onUpdate: (pod, before) => this.#setPod(pod, before),
        onDelete: (pod) => this.#removePod(pod),
      }),
    );
  }

  stop(): void {
    for (const handler of this.#handlers) handler.remove();
  }

  /** Watches what else some plugin of the profiles wants to know of. */
  watchFor(profiles: Iterable<Profile>): void {
    const { deps, queue } = this.#state;
    const hints = [...profiles].flatMap((profile) => profile.plugins.flatMap((plugin) => plugin.queueingHints ?? []));
    const wanted = new Set(hints.map((hint) => hint.event));
    for (const { event, type, withDeletes } of objectEvents) {
      if (!wanted.has(event) || this.#watched.has(event)) continue;
      this.#watched.add(event);
      this.#handlers.push(
        deps.informers.informer(type).addHandler({
          onAdd: (object) => queue.onEvent(event, undefined, object),
          onUpdate: (object, before) => queue.onEvent(event, before, object),
          ...(withDeletes ? { onDelete: (object: KubernetesObject) => queue.onEvent(event, object, undefined) } : {}),
        }),
      );
    }
  }

  #setNode(node: Node, before: Node | undefined): void {
    const { cache, queue } = this.#state;
    cache.setNode(node);
    if (!before) queue.onEvent("NodeAdd", undefined, node);
    else for (const event of nodeEvents(before, node)) queue.onEvent(event, before, node);
  }

  #removeNode(node: Node): void {
    const { cache, queue } = this.#state;
    cache.removeNode(node.metadata.name);
    queue.onEvent("NodeDelete", node, undefined);
  }

  #setPod(pod: Pod, before: Pod | undefined): void {
    const { cache, queue, profileOf } = this.#state;
    if (isFinished(pod)) return this.#removePod(pod);
    if (pod.spec.nodeName) return this.#setBoundPod(pod, before);
    if (cache.isAssumed(pod)) return;
    if (!profileOf(pod)) {
      cache.nominations.delete(pod);
      return queue.delete(pod);
    }
    this.#noteNomination(pod, before);
    if (before && before.metadata.uid === pod.metadata.uid) queue.update(pod, before);
    else queue.add(pod);
  }

  #setBoundPod(pod: Pod, before: Pod | undefined): void {
    const { cache, queue } = this.#state;
    const wasAssumed = cache.isAssumed(pod);
    const wasBound = before?.spec.nodeName !== undefined;
    cache.setPod(pod);
    if (!wasBound) queue.delete(pod);
    if (wasBound) queue.onEvent("AssignedPodUpdate", before, pod);
    else if (!wasAssumed || queue.sizes.unschedulable > 0) queue.onEvent("AssignedPodAdd", undefined, pod);
  }

  /** A nomination that was made here counts until the API server has been told, or says that it is over. */
  #noteNomination(pod: Pod, before: Pod | undefined): void {
    const { nominations } = this.#state.cache;
    const told = pod.status?.nominatedNodeName;
    if (!told && before?.status?.nominatedNodeName) return nominations.delete(pod);
    const nodeName = told || nominations.nodeOf(pod);
    if (nodeName) nominations.set(pod, nodeName);
  }

  #removePod(pod: Pod): void {
    const { cache, queue } = this.#state;
    queue.delete(pod);
    if (cache.removePod(pod)) queue.onEvent("AssignedPodDelete", pod, undefined);
  }
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}
