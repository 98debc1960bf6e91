// Where several pods would go, one after the other as the scheduler would take them: each is placed where it scores best, and
// holds room for the next ones. Nothing is evicted for them, and equal scores are decided by name instead of by chance.
import type { Pod } from "../api/types/core-v1.ts";
import type { SchedulerCache } from "./cache.ts";
import { type Explanation, explainScheduling } from "./explain.ts";
import type { Profile } from "./framework.ts";

export interface Placement {
  readonly pod: Pod;
  /** Undefined where no node takes the pod. */
  readonly nodeName: string | undefined;
  /** At the time of its turn. */
  readonly explanation: Explanation;
}

/** The cache keeps what has been placed. */
export function placeInTurn(pods: readonly Pod[], cache: SchedulerCache, profileOf: (pod: Pod) => Profile): readonly Placement[] {
  return pods.map((pod) => {
    const explanation = explainScheduling({ pod, snapshot: cache, state: new Map() }, profileOf(pod));
    const [best] = explanation.nodes;
    const nodeName = explanation.heldBackBy.length === 0 && best?.refusals.length === 0 ? best.nodeName : undefined;
    if (nodeName !== undefined) cache.setPod({ ...pod, spec: { ...pod.spec, nodeName } });
    return { pod, nodeName, explanation };
  });
}
