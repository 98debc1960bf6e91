// Why a pod cannot go to each of the nodes that were looked at: a row for each node, by its index, so that a cycle over thousands
// of nodes fills no map. To plugins it is a map by the nodes' names.
import type { Rejection } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";
import type { Snapshot } from "./snapshot.ts";

export interface RejectedBy {
  readonly plugin: string;
  readonly rejection: Rejection;
}

export type Rows = (RejectedBy | undefined)[];

export class NodeRejections implements ReadonlyMap<string, Rejection> {
  readonly #snapshot: Snapshot;
  readonly #nodes: readonly NodeInfo[];
  #rows: Rows | undefined;
  #size = 0;
  #allResolvable = false;

  /** Of every node, with rows that become its own. `allResolvable`: it is known that removing pods may help on each of them. */
  static ofAll(snapshot: Snapshot, rows: Rows, { allResolvable = false } = {}): NodeRejections {
    const rejections = new NodeRejections(snapshot);
    rejections.#allResolvable = allResolvable;
    rejections.#rows = rows;
    rejections.#size = snapshot.nodes.length;
    return rejections;
  }

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    this.#nodes = snapshot.nodes;
  }

  get size(): number {
    return this.#size;
  }

  /** To be read only. Of full length at once: an array that grows from its middle becomes a dictionary. */
  get rows(): Rows {
    this.#rows ??= new Array<RejectedBy | undefined>(this.#snapshot.columns.version.length);
    return this.#rows;
  }

  reject(node: NodeInfo, by: RejectedBy): void {
    const { rows } = this;
    if (rows[node.index] === undefined) this.#size++;
    if (by.rejection.unresolvable) this.#allResolvable = false;
    rows[node.index] = by;
  }

  at(node: NodeInfo): Rejection | undefined {
    return this.#rows?.[node.index]?.rejection;
  }

  /** Nodes where removing pods may help, in their order. */
  resolvable(): readonly NodeInfo[] {
    if (this.#allResolvable) return this.#nodes;
    const found: NodeInfo[] = [];
    for (const node of this.#nodes) {
      const rejection = this.at(node);
      if (rejection && !rejection.unresolvable) found.push(node);
    }
    return found;
  }

  get(name: string): Rejection | undefined {
    const node = this.#snapshot.byName(name);
    return node && this.at(node);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  *entries(): MapIterator<[string, Rejection]> {
    for (const node of this.#nodes) {
      const rejection = this.at(node);
      if (rejection) yield [node.name, rejection];
    }
  }

  *keys(): MapIterator<string> {
    for (const [name] of this.entries()) yield name;
  }

  *values(): MapIterator<Rejection> {
    for (const node of this.#nodes) {
      const rejection = this.at(node);
      if (rejection) yield rejection;
    }
  }

  forEach(visit: (rejection: Rejection, name: string, map: ReadonlyMap<string, Rejection>) => void): void {
    for (const [name, rejection] of this.entries()) visit(rejection, name, this);
  }

  [Symbol.iterator](): MapIterator<[string, Rejection]> {
    return this.entries();
  }
}

/** "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable." */
export function describe(nodes: number, rejections: Iterable<Rejection>): string {
  const counts = new Map<Rejection, number>();
  for (const rejection of rejections) counts.set(rejection, (counts.get(rejection) ?? 0) + 1);
  return describeCounts(nodes, counts);
}

/** The same, where it is known how many nodes each rejection is for. */
export function describeCounts(nodes: number, counts: Iterable<readonly [Rejection, number]>): string {
  const byReason = new Map<string, number>();
  for (const [{ reasons }, count] of counts) for (const reason of reasons) byReason.set(reason, (byReason.get(reason) ?? 0) + count);
  const parts = [...byReason].map(([reason, count]) => `${count} ${reason}`).sort();
  return `0/${nodes} nodes are available: ${parts.join(", ")}.`;
}
