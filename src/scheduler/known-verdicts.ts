// What the filters have said of each node, for pods that they cannot tell apart: a pod that finds no place leaves its verdicts to
// the next one like it, for which only the nodes that have changed since are asked again. So thousands of waiting pods of one
// kind are tried at the price of what has changed, not of all nodes. Only where what every filter says of a node depends on that
// node alone (`filterSignature`); decisions are the same with and without.
import type { Profile, Rejection } from "./framework.ts";
import type { NodeFilters } from "./node-filters.ts";
import type { NodeInfo } from "./node-info.ts";
import { describeCounts, NodeRejections, type RejectedBy, type Rows } from "./node-rejections.ts";
import type { Columns, Snapshot } from "./snapshot.ts";

/** Kinds of pods of a profile that verdicts are kept for; the longest unused gives way. */
const maxKinds = 32;

export class KnownVerdicts {
  readonly #byProfile = new WeakMap<Profile, Map<string, Verdicts>>();

  /** Brought up to date; undefined where no pod like this one has been refused everywhere. */
  of(snapshot: Snapshot, profile: Profile, asking: Asking): Verdicts | undefined {
    const kinds = this.#byProfile.get(profile);
    const signature = kinds && kinds.size > 0 ? asking.filters.signature : undefined;
    const verdicts = signature === undefined ? undefined : kinds?.get(signature);
    if (!kinds || signature === undefined || !verdicts) return undefined;
    kinds.delete(signature);
    if (verdicts.nodes !== snapshot.nodes) return undefined;
    kinds.set(signature, verdicts);
    verdicts.refresh(snapshot.columns, asking);
    return verdicts;
  }

  /** The pod was refused by all nodes; `rows` are copied. */
  remember(snapshot: Snapshot, profile: Profile, { filters, own, rows }: Asking & { readonly rows: Rows }): void {
    const { signature } = filters;
    if (signature === undefined) return;
    let kinds = this.#byProfile.get(profile);
    if (!kinds) {
      kinds = new Map();
      this.#byProfile.set(profile, kinds);
    }
    const [oldest] = kinds.keys();
    if (kinds.size >= maxKinds && oldest !== undefined) kinds.delete(oldest);
    kinds.set(signature, new Verdicts(snapshot, rows.slice(), own?.node));
  }
}

export interface Asking {
  readonly filters: NodeFilters;
  /** The node that the asking pod is nominated to. Its own nomination does not keep it away, but others like it. */
  readonly own: OwnNode | undefined;
}

export interface OwnNode {
  readonly node: NodeInfo;
  readonly rejected: RejectedBy;
}

/** Of every node; for all pods of a kind but those that are nominated to it. */
export class Verdicts {
  readonly nodes: readonly NodeInfo[];
  readonly #snapshot: Snapshot;
  /** By the index of the node; undefined where the pods fit. */
  readonly #rows: Rows;
  /** Versions of the nodes that the rows are about. */
  readonly #versions: Float64Array;
  readonly #byIndex: (NodeInfo | undefined)[] = [];
  readonly #byRejection = new Map<Rejection, number>();
  readonly #byPlugin = new Map<string, number>();
  #fitting = 0;
  /** Nodes where removing pods would not help. */
  #unresolvable = 0;

  constructor(snapshot: Snapshot, rows: Rows, own: NodeInfo | undefined) {
    this.nodes = snapshot.nodes;
    this.#snapshot = snapshot;
    this.#rows = rows;
    this.#versions = snapshot.columns.version.slice();
    for (const node of this.nodes) {
      this.#byIndex[node.index] = node;
      this.#count(rows[node.index], 1);
    }
    if (own) this.#versions[own.index] = -1;
  }

  refresh(columns: Columns, { filters, own }: Asking): void {
    const [versions, current] = [this.#versions, columns.version];
    for (let i = 0; i < versions.length; i++) {
      if (versions[i] === current[i]) continue;
      const node = this.#byIndex[i];
      // What the pod itself is told of its node is not what others are told.
      if (!node || node === own?.node) continue;
      this.#count(this.#rows[i], -1);
      this.#rows[i] = filters.test(node);
      this.#count(this.#rows[i], 1);
      versions[i] = current[i] ?? 0;
    }
  }

  /** Undefined where the pod fits. */
  at(node: NodeInfo): RejectedBy | undefined {
    return this.#rows[node.index];
  }

  /** Whether a pod fits nowhere. */
  refuseAll(own: OwnNode | undefined): boolean {
    return this.#fitting === (own && !this.at(own.node) ? 1 : 0);
  }

  /** For a pod that fits nowhere. */
  refusals(own: OwnNode | undefined): {
    readonly message: string;
    readonly rejectedBy: ReadonlySet<string>;
    readonly rejections: NodeRejections;
  } {
    const rows = this.#rows.slice();
    const allResolvable = this.#unresolvable === 0;
    if (own) this.#exchange(rows[own.node.index], own.rejected);
    try {
      const message = describeCounts(this.nodes.length, this.#byRejection);
      const rejectedBy = new Set(this.#byPlugin.keys());
      const rejections = NodeRejections.ofAll(this.#snapshot, rows, { allResolvable });
      if (own) rejections.reject(own.node, own.rejected);
      return { message, rejectedBy, rejections };
    } finally {
      if (own) this.#exchange(own.rejected, this.at(own.node));
    }
  }

  #exchange(before: RejectedBy | undefined, after: RejectedBy | undefined): void {
    this.#count(before, -1);
    this.#count(after, 1);
  }

  #count(row: RejectedBy | undefined, by: 1 | -1): void {
    if (!row) this.#fitting += by;
    else {
      if (row.rejection.unresolvable) this.#unresolvable += by;
      add(this.#byRejection, row.rejection, by);
      add(this.#byPlugin, row.plugin, by);
    }
  }
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
