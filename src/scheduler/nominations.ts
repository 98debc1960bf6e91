// Pods for which room is being made: each waits, without holding room, for the node where lower pods were evicted for it.
// A pod of no higher priority must not take that room, so filters count nominated pods (see node-filters.ts).
import type { Pod } from "../api/types/core-v1.ts";

const none: ReadonlyMap<string, Pod> = new Map();

export class Nominations {
  readonly #byNode = new Map<string, Map<string, Pod>>();
  readonly #nodeOf = new Map<string, string>();

  nodeOf(pod: Pod): string | undefined {
    return this.#nodeOf.get(pod.metadata.uid);
  }

  on(nodeName: string): ReadonlyMap<string, Pod> {
    return this.#byNode.get(nodeName) ?? none;
  }

  /** Replaces the pod's nomination, also where the pod itself has changed. */
  set(pod: Pod, nodeName: string): void {
    this.delete(pod);
    this.#nodeOf.set(pod.metadata.uid, nodeName);
    let pods = this.#byNode.get(nodeName);
    if (!pods) {
      pods = new Map();
      this.#byNode.set(nodeName, pods);
    }
    pods.set(pod.metadata.uid, pod);
  }

  delete(pod: Pod): void {
    const nodeName = this.#nodeOf.get(pod.metadata.uid);
    if (nodeName === undefined) return;
    this.#nodeOf.delete(pod.metadata.uid);
    const pods = this.#byNode.get(nodeName);
    pods?.delete(pod.metadata.uid);
    if (pods?.size === 0) this.#byNode.delete(nodeName);
  }
}
