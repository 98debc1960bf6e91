// The cluster as one scheduling cycle sees it. The scheduler works on one pod at a time and changes the cache only between
// cycles, so the snapshot is the cache itself: nothing is copied. Besides the NodeInfos it holds columns: typed arrays by
// node index with the figures that every cycle reads of every node, and interned taint lists, so that each distinct list
// is matched once per cycle however many nodes share it.
import type { Node, Pod, Taint } from "../api/types/core-v1.ts";
import type { NodeInfo } from "./node-info.ts";
import type { Nominations } from "./nominations.ts";
import type { PodGroups } from "./pod-groups.ts";

const noTaints: readonly Taint[] = [];

export class Columns {
  allocatableCpu = new Float64Array(64);
  allocatableMemory = new Float64Array(64);
  allocatablePods = new Float64Array(64);
  requestedCpu = new Float64Array(64);
  requestedMemory = new Float64Array(64);
  scoredCpu = new Float64Array(64);
  scoredMemory = new Float64Array(64);
  podCount = new Float64Array(64);
  /** Goes up whenever the node, or what stands on it or waits for it, has really changed; never under suppositions. */
  version = new Float64Array(64);
  unschedulable = new Uint8Array(64);
  /** Index into `taintLists`. */
  taintList = new Uint32Array(64);
  readonly taintLists: (readonly Taint[])[] = [noTaints];
  readonly #taintIds = new Map<string, number>([["[]", 0]]);

  /** Copies a node's fixed figures into its row. */
  setNode(index: number, info: NodeInfo, node: Node): void {
    this.#grow(index);
    this.allocatableCpu[index] = info.allocatable.cpu ?? 0;
    this.allocatableMemory[index] = info.allocatable.memory ?? 0;
    this.allocatablePods[index] = info.allocatable.pods ?? 0;
    this.unschedulable[index] = node.spec.unschedulable ? 1 : 0;
    this.taintList[index] = this.#internTaints(node.spec.taints ?? noTaints);
    this.setUsage(index, info);
  }

  /** Copies a node's running totals into its row. */
  setUsage(index: number, info: NodeInfo): void {
    this.#grow(index);
    this.requestedCpu[index] = info.requested.cpu ?? 0;
    this.requestedMemory[index] = info.requested.memory ?? 0;
    this.scoredCpu[index] = info.scoredCpu;
    this.scoredMemory[index] = info.scoredMemory;
    this.podCount[index] = info.podCount;
  }

  changed(index: number): void {
    this.#grow(index);
    this.version[index] = (this.version[index] ?? 0) + 1;
  }

  #internTaints(taints: readonly Taint[]): number {
    const key = JSON.stringify(taints.map((t) => [t.key, t.value ?? "", t.effect]));
    let id = this.#taintIds.get(key);
    if (id === undefined) {
      id = this.taintLists.push(taints) - 1;
      this.#taintIds.set(key, id);
    }
    return id;
  }

  #grow(index: number): void {
    if (index < this.podCount.length) return;
    const length = Math.max(index + 1, this.podCount.length * 2);
    const wider = (from: Float64Array): Float64Array<ArrayBuffer> => {
      const to = new Float64Array(length);
      to.set(from);
      return to;
    };
    this.allocatableCpu = wider(this.allocatableCpu);
    this.allocatableMemory = wider(this.allocatableMemory);
    this.allocatablePods = wider(this.allocatablePods);
    this.requestedCpu = wider(this.requestedCpu);
    this.requestedMemory = wider(this.requestedMemory);
    this.scoredCpu = wider(this.scoredCpu);
    this.scoredMemory = wider(this.scoredMemory);
    this.podCount = wider(this.podCount);
    this.version = wider(this.version);
    const unschedulable = new Uint8Array(length);
    unschedulable.set(this.unschedulable);
    this.unschedulable = unschedulable;
    const taintList = new Uint32Array(length);
    taintList.set(this.taintList);
    this.taintList = taintList;
  }
}

/**
 * A question "what if": pods are placed and taken away as though it were so, within one turn of the event loop, and `end`
 * puts everything back. Always ended in a `finally`.
 */
export interface Supposition {
  add(pod: Pod, nodeName: string): void;
  remove(pod: Pod): void;
  end(): void;
}

export interface Snapshot {
  /** Nodes that exist, in a stable order that alternates between zones. */
  readonly nodes: readonly NodeInfo[];
  readonly columns: Columns;
  readonly groups: PodGroups;
  readonly nominations: Pick<Nominations, "on" | "nodeOf" | "anyKeepsAway">;
  suppose(): Supposition;
  byName(name: string): NodeInfo | undefined;
  /** How many nodes have an image of this name. */
  nodesWithImage(name: string): number;
}
