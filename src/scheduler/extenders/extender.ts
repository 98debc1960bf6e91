// A scheduler extender: a service beside the scheduler that has a say in where pods go. It may leave out nodes, score them,
// change who is preempted, and bind pods in the scheduler's stead; what it does not do is absent.
import type { Node, Pod } from "../../api/types/core-v1.ts";
import type { Candidate } from "../preemption/victims.ts";

export interface ExtenderVerdict {
  /** In the extender's order. */
  readonly nodeNames: readonly string[];
  /** Why not, by node; `unresolvable` where preemption would not help either. */
  readonly failed: ReadonlyMap<string, string>;
  readonly unresolvable: ReadonlyMap<string, string>;
}

/** Calls reject when the extender cannot be reached in time, or answers with an error. */
export interface Extender {
  readonly name: string;
  /** When it fails, the pod is scheduled without it. */
  readonly ignorable: boolean;
  isInterested(pod: Pod): boolean;
  readonly filter?: (pod: Pod, nodes: readonly Node[], signal: AbortSignal) => Promise<ExtenderVerdict>;
  /** Scores from 0 to 10 by node name, times the extender's weight. */
  readonly prioritize?: (pod: Pod, nodes: readonly Node[], signal: AbortSignal) => Promise<ReadonlyMap<string, number>>;
  /** Those of the candidates that may be used, perhaps with other victims: UIDs by node name. */
  readonly preempt?: (pod: Pod, candidates: readonly Candidate[], signal: AbortSignal) => Promise<ReadonlyMap<string, ExtenderVictims>>;
  readonly bind?: (pod: Pod, nodeName: string, signal: AbortSignal) => Promise<void>;
}

export interface ExtenderVictims {
  readonly uids: readonly string[];
  readonly violations: number;
}
