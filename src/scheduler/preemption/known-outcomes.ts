// What preemption has found out about nodes, for pods that the filters cannot tell apart: thousands of pods of one kind that need
// room suppose the same evictions on the same nodes. A node is looked at again when it, or what stands on it or waits for it,
// has changed; all are when a disruption budget has. Not the node that a pod waits for itself.
import type { PodDisruptionBudget } from "../../api/types/policy-v1.ts";
import type { SchedulingCycle } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import type { Snapshot } from "../snapshot.ts";
import type { NodeOutcome } from "./victims.ts";

/** Kinds of pods that outcomes are kept for; the longest unused gives way. */
const maxKinds = 32;

interface Kind {
  readonly nodes: readonly NodeInfo[];
  readonly budgets: readonly PodDisruptionBudget[];
  /** By the index of the node. */
  readonly rows: (Row | undefined)[];
}

interface Row {
  readonly version: number;
  readonly outcome: NodeOutcome;
}

/** Of one kind of pods, as one of them asks. */
export interface KnownOutcomes {
  /** What is known of a node, or else is found out by `search`. */
  on(node: NodeInfo, search: (node: NodeInfo) => NodeOutcome): NodeOutcome;
}

export class OutcomeMemory {
  readonly #kinds = new Map<string, Kind>();

  for({ pod, snapshot }: SchedulingCycle, signature: string, budgets: readonly PodDisruptionBudget[]): KnownOutcomes {
    const { rows } = this.#kind(signature, snapshot, budgets);
    const own = snapshot.nominations.nodeOf(pod);
    const { version } = snapshot.columns;
    return {
      on(node, search) {
        if (node.name === own) return search(node);
        const current = version[node.index] ?? 0;
        const known = rows[node.index];
        if (known?.version === current) return known.outcome;
        const outcome = search(node);
        rows[node.index] = { version: current, outcome };
        return outcome;
      },
    };
  }

  #kind(signature: string, { nodes, columns }: Snapshot, budgets: readonly PodDisruptionBudget[]): Kind {
    const known = this.#kinds.get(signature);
    this.#kinds.delete(signature);
    const isGood = known?.nodes === nodes && known.budgets.length === budgets.length && budgets.every((b, i) => b === known.budgets[i]);
    const kind = known && isGood ? known : { nodes, budgets, rows: new Array<Row | undefined>(columns.version.length) };
    const [oldest] = this.#kinds.keys();
    if (this.#kinds.size >= maxKinds && oldest !== undefined) this.#kinds.delete(oldest);
    this.#kinds.set(signature, kind);
    return kind;
  }
}
