// Why a pod would go where it would: every node with every plugin that refuses it, not just the first, and for the nodes that
// are left how each score comes about. The same plugins over the same snapshot as a decision; but all nodes are looked at
// however many there are, and pods that room is being made for are not supposed to be there yet.
import { errorText } from "../base/log.ts";
import type { NodeFilter, Plugin, Profile, Rejection, SchedulingCycle } from "./framework.ts";
import type { NodeInfo } from "./node-info.ts";

export interface Refusal {
  readonly plugin: string;
  readonly reasons: readonly string[];
}

export interface ScorePart {
  readonly plugin: string;
  /** As the plugin gives it, in a unit of its own. */
  readonly raw: number;
  /** 0 to 100. */
  readonly normalized: number;
  readonly weight: number;
}

export interface NodeExplanation {
  readonly nodeName: string;
  /** Empty where the pod fits. */
  readonly refusals: readonly Refusal[];
  /** Of the plugins that have an opinion on this pod; empty where it does not fit. */
  readonly scores: readonly ScorePart[];
  readonly total: number;
}

export interface Explanation {
  /** Plugins that do not let the pod into the queue at all. */
  readonly heldBackBy: readonly Refusal[];
  /** The best first, then those that refuse, by name. */
  readonly nodes: readonly NodeExplanation[];
}

export function explainScheduling(cycle: SchedulingCycle, profile: Profile): Explanation {
  const heldBackBy = profile.plugins.flatMap((plugin) => refusalOf(plugin, plugin.preEnqueue?.(cycle.pod)));
  const refusals = refusalsByNode(cycle, profile);
  const feasible = cycle.snapshot.nodes.filter((node) => (refusals.get(node)?.length ?? 0) === 0);
  const scores = scoresByNode(cycle, profile, feasible);
  const nodes = cycle.snapshot.nodes.map((node) => {
    const parts = scores.get(node) ?? [];
    const total = parts.reduce((sum, { normalized, weight }) => sum + normalized * weight, 0);
    return { nodeName: node.name, refusals: refusals.get(node) ?? [], scores: parts, total };
  });
  return { heldBackBy, nodes: nodes.sort(bestFirst) };
}

function bestFirst(a: NodeExplanation, b: NodeExplanation): number {
  const [aFits, bFits] = [a.refusals.length === 0, b.refusals.length === 0];
  if (aFits !== bFits) return aFits ? -1 : 1;
  return b.total - a.total || (a.nodeName < b.nodeName ? -1 : 1);
}

const refusalOf = ({ name }: Plugin, rejection: Rejection | undefined): readonly Refusal[] =>
  rejection ? [{ plugin: name, reasons: rejection.reasons }] : [];

function refusalsByNode(cycle: SchedulingCycle, { plugins }: Profile): ReadonlyMap<NodeInfo, readonly Refusal[]> {
  const { nodes } = cycle.snapshot;
  const refusals = new Map<NodeInfo, Refusal[]>(nodes.map((node) => [node, []]));
  const refused = new Set<string>();
  for (const plugin of plugins) {
    const result = plugin.preFilter?.(cycle);
    if (!result) continue;
    if ("reasons" in result) refused.add(plugin.name);
    for (const node of nodes) {
      if ("reasons" in result) refusals.get(node)?.push({ plugin: plugin.name, reasons: result.reasons });
      else if (!result.nodeNames.has(node.name)) refusals.get(node)?.push({ plugin: plugin.name, reasons: ["the pod names other nodes"] });
    }
  }
  for (const plugin of plugins) {
    // A plugin that refused the pod as such has prepared nothing for its filter.
    const filter = refused.has(plugin.name) ? undefined : plugin.filter?.(cycle);
    if (filter) for (const node of nodes) refusals.get(node)?.push(...refusalOf(plugin, answerOf(filter, node)));
  }
  return refusals;
}

/** What ends an attempt to schedule the pod is a refusal here. */
function answerOf(filter: NodeFilter, node: NodeInfo): Rejection | undefined {
  try {
    return filter(node);
  } catch (error) {
    return { reasons: [errorText(error)] };
  }
}

function scoresByNode(
  cycle: SchedulingCycle,
  { plugins, scoreWeights = {} }: Profile,
  feasible: readonly NodeInfo[],
): ReadonlyMap<NodeInfo, readonly ScorePart[]> {
  const parts = new Map<NodeInfo, ScorePart[]>(feasible.map((node) => [node, []]));
  for (const plugin of plugins) {
    const score = plugin.score?.(cycle, feasible);
    if (!score) continue;
    const raw = feasible.map(score);
    const normalized = Float64Array.from(raw);
    plugin.normalizeScore?.(normalized);
    const weight = scoreWeights[plugin.name] ?? 1;
    for (const [i, node] of feasible.entries())
      parts.get(node)?.push({ plugin: plugin.name, raw: raw[i] ?? 0, normalized: normalized[i] ?? 0, weight });
  }
  return parts;
}
