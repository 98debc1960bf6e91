// Whom to evict, so that a pod that fits nowhere fits somewhere. On each node that could help, all pods of lower priority are
// supposed to be gone; if the pod fits then, as many as possible are spared again, first those whose disruption budget
// would be violated, then the more important ones. Among the nodes, the one is chosen whose victims matter least. Pure:
// the snapshot is as before when these functions return.
import { labelMatcher } from "../../api/meta/selectors.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodDisruptionBudget } from "../../api/types/policy-v1.ts";
import type { Profile, Rejection, SchedulingCycle } from "../framework.ts";
import { NodeFilters } from "../node-filters.ts";
import type { NodeInfo } from "../node-info.ts";
import { priorityOf } from "../plugins/queue.ts";
import type { KnownOutcomes } from "./known-outcomes.ts";

export interface Candidate {
  readonly nodeName: string;
  /** The most important first; never empty. */
  readonly victims: readonly Pod[];
  /** Victims whose disruption budget is exhausted. */
  readonly violations: number;
}

export interface CandidateSearch {
  readonly candidates: readonly Candidate[];
  /** Why preemption does not help, by node; where there are candidates nobody asks. */
  readonly rejections: () => ReadonlyMap<string, Rejection>;
}

/** What becomes of one node. */
export type NodeOutcome = Candidate | Rejection;

export interface SearchOptions {
  readonly profile: Profile;
  readonly budgets: readonly PodDisruptionBudget[];
  /** Where to begin, so that not always the same nodes are robbed. */
  readonly offset: number;
  /** So many candidates are enough. */
  readonly enough: number;
  /** What is known of nodes from pods like this one. */
  readonly known?: Pick<KnownOutcomes, "on">;
}

export function findCandidates(cycle: SchedulingCycle, nodes: readonly NodeInfo[], options: SearchOptions): CandidateSearch {
  const candidates: Candidate[] = [];
  const refused: NodeInfo[] = [];
  const reasons: Rejection[] = [];
  const search = (node: NodeInfo): NodeOutcome => victimsOn(cycle, node, options);
  let isHarmless = false;
  for (let i = 0, at = options.offset; i < nodes.length; i++, at++) {
    if (at >= nodes.length) at -= nodes.length;
    const node = nodes[at];
    if (!node) continue;
    const result = options.known ? options.known.on(node, search) : search(node);
    if ("reasons" in result) {
      refused.push(node);
      reasons.push(result);
    } else {
      candidates.push(result);
      isHarmless ||= result.violations === 0;
    }
    if (candidates.length >= options.enough && isHarmless) break;
  }
  return { candidates, rejections: () => new Map(refused.map((node, i) => [node.name, reasons[i] ?? nobodyLower])) };
}

const nobodyLower: Rejection = { reasons: ["No preemption victims found for incoming pod"], unresolvable: true };

export function victimsOn(
  cycle: SchedulingCycle,
  node: NodeInfo,
  { profile, budgets }: Pick<SearchOptions, "profile" | "budgets">,
): NodeOutcome {
  const lower = [...node.pods].map((facts) => facts.pod).filter((pod) => priorityOf(pod) < priorityOf(cycle.pod));
  if (lower.length === 0) return nobodyLower;
  const filters = new NodeFilters(cycle, profile);
  const staysGood = filters.signature !== undefined;
  const rejection = (): Rejection | undefined => (staysGood ? filters : new NodeFilters(cycle, profile)).test(node)?.rejection;
  const supposition = cycle.snapshot.suppose();
  try {
    for (const pod of lower) supposition.remove(pod);
    const rejected = rejection();
    if (rejected) return rejected;
    const { violating, others } = byBudget(lower.sort(moreImportantFirst), budgets);
    const victims: Pod[] = [];
    const spare = (pod: Pod): boolean => {
      supposition.add(pod, node.name);
      if (!rejection()) return true;
      supposition.remove(pod);
      victims.push(pod);
      return false;
    };
    const violations = violating.filter((pod) => !spare(pod)).length;
    for (const pod of others) spare(pod);
    return { nodeName: node.name, victims: victims.sort(moreImportantFirst), violations };
  } finally {
    supposition.end();
  }
}

/** Which of the pods, in this order, exceed what their disruption budgets still allow. */
function byBudget(ordered: readonly Pod[], budgets: readonly PodDisruptionBudget[]): { violating: readonly Pod[]; others: readonly Pod[] } {
  const left = budgets.map((budget) => budget.status?.disruptionsAllowed ?? 0);
  const violating: Pod[] = [];
  const others: Pod[] = [];
  for (const pod of ordered) {
    let violates = false;
    for (const [i, budget] of budgets.entries()) {
      if (!protects(budget, pod)) continue;
      left[i] = (left[i] ?? 0) - 1;
      if ((left[i] ?? 0) < 0) violates = true;
    }
    (violates ? violating : others).push(pod);
  }
  return { violating, others };
}

function protects({ metadata, spec, status }: PodDisruptionBudget, pod: Pod): boolean {
  const { namespace, name, labels } = pod.metadata;
  if (metadata.namespace !== namespace || !labels || Object.keys(labels).length === 0) return false;
  const selector = labelMatcher(spec?.selector);
  return !selector.everything && selector.matches(labels) && status?.disruptedPods?.[name] === undefined;
}

/** Fewest violations, then the lowest highest priority, the lowest sum of priorities, fewest victims, the latest start. */
export function bestCandidate(candidates: readonly Candidate[]): Candidate | undefined {
  const [first, ...others] = candidates;
  if (!first) return undefined;
  let best = { candidate: first, rank: rankOf(first) };
  for (const candidate of others) {
    const rank = rankOf(candidate);
    if (comesBefore(rank, best.rank)) best = { candidate, rank };
  }
  return best.candidate;
}

const priorityOffset = 2 ** 31;

type Rank = readonly number[];
const ranks = new WeakMap<Candidate, Rank>();

/** Lower is better, the first difference counts. Candidates are found once, and compared for each pod like the first. */
function rankOf(candidate: Candidate): Rank {
  let rank = ranks.get(candidate);
  if (!rank) {
    rank = rankVictims(candidate);
    ranks.set(candidate, rank);
  }
  return rank;
}

function rankVictims({ victims, violations }: Candidate): Rank {
  const highest = Math.max(...victims.map(priorityOf));
  // Shifted to be positive, so that more victims never weigh less than fewer.
  const sum = victims.reduce((total, pod) => total + priorityOf(pod) + priorityOffset, 0);
  const earliestStart = Math.min(...victims.filter((pod) => priorityOf(pod) === highest).map(startOf));
  return [violations, highest, sum, victims.length, -earliestStart];
}

function comesBefore(a: Rank, b: Rank): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}

function moreImportantFirst(a: Pod, b: Pod): number {
  return priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b) || 0;
}

/** Milliseconds; a pod that has not started is the youngest. */
function startOf(pod: Pod): number {
  return pod.status?.startTime ? Date.parse(pod.status.startTime) : Number.MAX_SAFE_INTEGER;
}
