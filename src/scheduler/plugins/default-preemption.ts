// DefaultPreemption: a pod that fits nowhere makes room for itself by evicting pods of lower priority, as few and as
// unimportant ones as possible, and waits, nominated, for the node where they were. Not when its preemptionPolicy is Never,
// nor while victims of an earlier attempt are still terminating on its nominated node.
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodDisruptionBudget } from "../../api/types/policy-v1.ts";
import { errorText } from "../../base/log.ts";
import type { Plugin, PostFilterContext, PostFilterOutcome, SchedulingCycle } from "../framework.ts";
import type { NodeInfo } from "../node-info.ts";
import { describe, NodeRejections } from "../node-rejections.ts";
import { type EvictionDependencies, Evictions } from "../preemption/evictions.ts";
import { OutcomeMemory } from "../preemption/known-outcomes.ts";
import { bestCandidate, type Candidate, type CandidateSearch, findCandidates } from "../preemption/victims.ts";
import type { SchedulerMetrics } from "../scheduler-metrics.ts";
import { priorityOf } from "./queue.ts";

export interface PreemptionDependencies extends EvictionDependencies {
  readonly budgets: () => Iterable<PodDisruptionBudget>;
  /** Candidates are looked for on this share of the nodes, but on so many at least. Default 10 % and 100. */
  readonly minCandidateNodesPercentage?: number;
  readonly minCandidateNodesAbsolute?: number;
  /** Extenders may leave out candidates and change their victims; undefined where none has a say. */
  readonly narrow?: (
    cycle: SchedulingCycle,
    candidates: readonly Candidate[],
  ) => ((signal: AbortSignal) => Promise<readonly Candidate[]>) | undefined;
  readonly metrics?: Pick<SchedulerMetrics, "preemptionTried" | "preempting">;
}

export function createDefaultPreemption(deps: PreemptionDependencies): Plugin {
  const evictions = new Evictions(deps);
  const memory = new OutcomeMemory();
  return {
    name: "DefaultPreemption",
    preEnqueue(pod) {
      if (!evictions.isRunning(pod)) return undefined;
      return { reasons: ["waiting for the preemption for this pod to be finished"], unresolvable: true };
    },
    postFilter(cycle, context) {
      const refusal = ineligible(cycle, context);
      if (refusal) return { kind: "rejected", message: `preemption: ${refusal}` };
      deps.metrics?.preemptionTried();
      const search = searchCandidates(cycle, context, { ...deps, memory });
      const narrowed = deps.narrow?.(cycle, search.candidates);
      const settle = (candidates: readonly Candidate[]): PostFilterOutcome => {
        const best = bestCandidate(candidates);
        return best ? makeRoom(cycle, context, best) : unhelpful(cycle, search.rejections());
      };
      if (!narrowed) return settle(search.candidates);
      const settleNarrowed = (candidates: readonly Candidate[]): PostFilterOutcome =>
        candidates.length > 0 ? settle(candidates) : { kind: "rejected", message: "preemption: no candidate node for preemption" };
      return narrowed(context.signal).then(settleNarrowed, (error: unknown) => ({
        kind: "failed",
        message: `preemption: ${errorText(error)}`,
      }));
    },
  };

  function makeRoom(cycle: SchedulingCycle, context: PostFilterContext, { nodeName, victims }: Candidate): PostFilterOutcome {
    deps.metrics?.preempting(victims.length);
    const nominated = [...cycle.snapshot.nominations.on(nodeName).values()];
    const losers = nominated.filter((pod) => priorityOf(pod) < priorityOf(cycle.pod));
    void evictions
      .evict({ preemptor: cycle.pod, nodeName, victims, losers })
      .then((done) => context.released(cycle.pod, done ? "done" : "failed"));
    return { kind: "nominated", nodeName };
  }
}

function ineligible({ pod, snapshot }: SchedulingCycle, { rejections }: PostFilterContext): string | undefined {
  if (pod.spec.preemptionPolicy === "Never") return "not eligible due to preemptionPolicy=Never.";
  const nominatedTo = snapshot.nominations.nodeOf(pod) ?? pod.status?.nominatedNodeName;
  if (!nominatedTo || rejections.get(nominatedTo)?.unresolvable) return undefined;
  for (const { pod: other } of snapshot.byName(nominatedTo)?.pods ?? []) {
    if (priorityOf(other) < priorityOf(pod) && isBeingPreempted(other))
      return "not eligible due to a terminating pod on the nominated node.";
  }
  return undefined;
}

function isBeingPreempted({ metadata, status }: Pod): boolean {
  const condition = status?.conditions?.find((c) => c.type === "DisruptionTarget");
  return metadata.deletionTimestamp !== undefined && condition?.status === "True" && condition.reason === "PreemptionByScheduler";
}

function searchCandidates(
  cycle: SchedulingCycle,
  { profile, rejections, random, signature }: PostFilterContext,
  { memory, ...deps }: PreemptionDependencies & { readonly memory: OutcomeMemory },
): CandidateSearch {
  const { minCandidateNodesPercentage = 10, minCandidateNodesAbsolute = 100 } = deps;
  const all = cycle.snapshot.nodes;
  const budgets = [...deps.budgets()];
  const helpful = resolvable(all, rejections);
  const share = Math.floor((helpful.length * minCandidateNodesPercentage) / 100);
  const enough = Math.min(helpful.length, Math.max(minCandidateNodesAbsolute, share));
  const offset = Math.floor(random() * helpful.length);
  const known = signature === undefined ? {} : { known: memory.for(cycle, signature, budgets) };
  return findCandidates(cycle, helpful, { profile, budgets, offset, enough, ...known });
}

/** The nodes where the pod was refused for a reason that may go away with other pods. */
function resolvable(nodes: readonly NodeInfo[], rejections: PostFilterContext["rejections"]): readonly NodeInfo[] {
  if (rejections instanceof NodeRejections) return rejections.resolvable();
  return nodes.filter(({ name }) => {
    const rejection = rejections.get(name);
    return rejection !== undefined && !rejection.unresolvable;
  });
}

function unhelpful({ snapshot: { nodes } }: SchedulingCycle, rejections: PostFilterContext["rejections"]): PostFilterOutcome {
  const others = nodes.filter((node) => !rejections.has(node.name));
  const notHelped = others.map(() => ({ reasons: ["Preemption is not helpful for scheduling"] }));
  const message = describe(nodes.length, [...rejections.values(), ...notHelped]);
  return { kind: "rejected", message: `preemption: ${message}`, hopeless: true };
}
