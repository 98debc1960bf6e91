// Counts by topology: for a label of nodes ("topology.kubernetes.io/zone"), a number for each of its values.
import type { NodeInfo } from "./node-info.ts";

export class TopologyCounts {
  readonly #byKey = new Map<string, Map<string, number>>();

  get isEmpty(): boolean {
    return this.#byKey.size === 0;
  }

  get keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  /** Counts at the place where a node is; a node without the label is nowhere. */
  add(key: string, node: NodeInfo, by: number): void {
    const value = node.node?.metadata.labels?.[key];
    if (value === undefined) return;
    let values = this.#byKey.get(key);
    if (!values) {
      values = new Map();
      this.#byKey.set(key, values);
    }
    values.set(value, (values.get(value) ?? 0) + by);
  }

  /** What was counted where the node is. */
  at(key: string, node: NodeInfo): number {
    const value = node.node?.metadata.labels?.[key];
    return value === undefined ? 0 : (this.#byKey.get(key)?.get(value) ?? 0);
  }
}
