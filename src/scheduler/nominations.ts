// Pods for which room is being made: each waits, without holding room, for the node where lower pods were evicted for it.
// A pod of no higher priority must not take that room, so filters count nominated pods (see node-filters.ts).
import type { Pod } from "../api/types/core-v1.ts";

const none: ReadonlyMap<string, Pod> = new Map();

export class Nominations {
  readonly #byNode = new Map<string, Map<string, Pod>>();
  readonly #nodeOf = new Map<string, string>();
  readonly #changed: (nodeName: string) => void;
  #keepingAway = 0;

  /** `changed`: another pod, or another version of one, is nominated to the node, or one is no longer. */
  constructor(changed: (nodeName: string) => void = () => undefined) {
    this.#changed = changed;
  }

  nodeOf(pod: Pod): string | undefined {
    return this.#nodeOf.get(pod.metadata.uid);
  }

  on(nodeName: string): ReadonlyMap<string, Pod> {
    return this.#byNode.get(nodeName) ?? none;
  }

  /** Whether some nominated pod does not want others near it. */
  get anyKeepsAway(): boolean {
    return this.#keepingAway > 0;
  }

  /** Replaces the pod's nomination, also where the pod itself has changed. */
  set(pod: Pod, nodeName: string): void {
    if (this.#byNode.get(nodeName)?.get(pod.metadata.uid) === pod) return;
    this.delete(pod);
    this.#nodeOf.set(pod.metadata.uid, nodeName);
    let pods = this.#byNode.get(nodeName);
    if (!pods) {
      pods = new Map();
      this.#byNode.set(nodeName, pods);
    }
    pods.set(pod.metadata.uid, pod);
    if (keepsAway(pod)) this.#keepingAway++;
    this.#changed(nodeName);
  }

  delete(pod: Pod): void {
    const { uid } = pod.metadata;
    const nodeName = this.#nodeOf.get(uid);
    if (nodeName === undefined) return;
    this.#nodeOf.delete(uid);
    const pods = this.#byNode.get(nodeName);
    const known = pods?.get(uid);
    if (known && keepsAway(known)) this.#keepingAway--;
    pods?.delete(uid);
    if (pods?.size === 0) this.#byNode.delete(nodeName);
    this.#changed(nodeName);
  }
}

const keepsAway = (pod: Pod): boolean => pod.spec.affinity?.podAntiAffinity !== undefined;
