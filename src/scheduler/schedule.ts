// One scheduling decision: PreFilter, Filter over the nodes, PreScore and Score over the feasible ones, and the choice of
// the best. A pod for which room has been made on a node goes there if it fits by now. No I/O: the same snapshot, pod and
// chance give the same node.
import type { NodeScorer, Profile, Rejection, SchedulingCycle } from "./framework.ts";
import type { Asking, KnownVerdicts } from "./known-verdicts.ts";
import { NodeFilters } from "./node-filters.ts";
import type { NodeInfo } from "./node-info.ts";
import { describe, NodeRejections, type RejectedBy } from "./node-rejections.ts";
import type { PluginEvaluations } from "./plugin-evaluations.ts";
import type { Snapshot } from "./snapshot.ts";

/** No node fits. `message` is what users read in the pod's condition and event. */
export interface Unschedulable {
  readonly kind: "unschedulable";
  readonly message: string;
  readonly rejectedBy: ReadonlySet<string>;
  readonly rejections: ReadonlyMap<string, Rejection>;
  /** Where pods with the same one would be told the same of every node. */
  readonly signature?: string | undefined;
}

export interface Decision {
  readonly kind: "node";
  readonly nodeName: string;
  readonly evaluatedNodes: number;
  readonly feasibleNodes: number;
}

export interface DecideOptions {
  /** In [0, 1): breaks ties between equally good nodes. */
  readonly random: () => number;
  /** Where in the list of nodes to begin looking, so that large clusters are searched in turns. */
  readonly startAt: number;
  /** A node that room was made on is one among others. */
  readonly ignoreNomination?: boolean;
  /** What earlier pods were told. */
  readonly verdicts?: KnownVerdicts;
  /** Called after each extension point, with whether it let the pod go on. */
  readonly mark?: (point: "PreFilter" | "Filter" | "Score", ok: boolean) => void;
  /** Where it is counted how often plugins are asked. */
  readonly evaluations?: PluginEvaluations;
}

/** The nodes where the pod can go. */
export interface Feasible {
  readonly kind: "feasible";
  /** Never empty. */
  readonly nodes: readonly NodeInfo[];
  /** The only node is the one that room was made on. */
  readonly nominated: boolean;
  readonly evaluatedNodes: number;
  readonly rejections: NodeRejections;
  readonly rejectedBy: ReadonlySet<string>;
}

/** So many feasible nodes are looked for at least. */
const minFeasibleNodes = 100;

/** How many feasible nodes are enough: all in small clusters, a falling share in large ones (50 % less 1 % per 125 nodes, 5 % at least). */
export function feasibleNodesToFind(nodes: number, percentage: number): number {
  if (nodes < minFeasibleNodes || percentage >= 100) return nodes;
  const share = percentage > 0 ? percentage : Math.max(5, 50 - Math.floor(nodes / 125));
  return Math.max(minFeasibleNodes, Math.floor((nodes * share) / 100));
}

export function decide(cycle: SchedulingCycle, profile: Profile, options: DecideOptions): Decision | Unschedulable {
  const found = findNodes(cycle, profile, options);
  if (found.kind === "unschedulable") return found;
  const { nodes, evaluatedNodes } = found;
  const best = pickBest(cycle, profile, nodes, options);
  options.mark?.("Score", true);
  return { kind: "node", nodeName: best.name, evaluatedNodes, feasibleNodes: nodes.length };
}

/** PreFilter and Filter. */
export function findNodes(cycle: SchedulingCycle, profile: Profile, options: DecideOptions): Feasible | Unschedulable {
  const { snapshot } = cycle;
  const all = snapshot.nodes;
  if (all.length === 0)
    return unschedulable({ message: "no nodes available to schedule pods", rejectedBy: new Set(), rejections: new Map() });
  const candidates = preFilter(cycle, profile, all, options.evaluations);
  options.mark?.("PreFilter", !("kind" in candidates));
  if ("kind" in candidates) return candidates;
  const filters = new NodeFilters(cycle, profile);
  const nominated = options.ignoreNomination ? undefined : nominatedNode(cycle);
  const rejected = nominated && filters.test(nominated);
  if (nominated && !rejected) {
    const nothing = { rejections: new NodeRejections(snapshot), rejectedBy: new Set<string>() };
    return { kind: "feasible", nodes: [nominated], nominated: true, evaluatedNodes: 1, ...nothing };
  }
  const asking: Asking = { filters, own: nominated && rejected && { node: nominated, rejected } };
  const known = candidates.nodes === all && !options.ignoreNomination ? options.verdicts?.of(snapshot, profile, asking) : undefined;
  if (known?.refuseAll(asking.own)) {
    options.mark?.("Filter", false);
    if (options.evaluations) filters.account(options.evaluations);
    return unschedulable({ ...known.refusals(asking.own), signature: filters.signature });
  }
  const percentage = profile.percentageOfNodesToScore ?? 0;
  const search = new Search(snapshot, known ? (node) => (node === nominated ? rejected : known.at(node)) : (node) => filters.test(node));
  search.run(candidates.nodes, { startAt: options.startAt, percentage });
  options.mark?.("Filter", search.feasible.length > 0);
  if (options.evaluations) filters.account(options.evaluations);
  const { feasible: nodes, rejections, rejectedBy } = search;
  if (nodes.length > 0)
    return { kind: "feasible", nodes, nominated: false, evaluatedNodes: rejections.size + nodes.length, rejections, rejectedBy };
  if (candidates.narrowedBy.length > 0) search.rejectOthers(all, candidates.narrowedBy);
  else options.verdicts?.remember(snapshot, profile, { ...asking, rows: rejections.rows });
  const signature = candidates.narrowedBy.length > 0 || !options.verdicts ? undefined : filters.signature;
  return unschedulable({ message: describe(all.length, rejections.values()), rejectedBy, rejections, signature });
}

/** After others than the plugins have left out the last of the nodes that were found. */
export function noNode({ snapshot }: SchedulingCycle, { rejections, rejectedBy }: Feasible, by: readonly string[]): Unschedulable {
  const message = describe(snapshot.nodes.length, rejections.values());
  return unschedulable({ message, rejectedBy: new Set([...rejectedBy, ...by]), rejections });
}

function nominatedNode({ pod, snapshot }: SchedulingCycle): NodeInfo | undefined {
  const name = snapshot.nominations.nodeOf(pod) ?? pod.status?.nominatedNodeName;
  return name ? snapshot.byName(name) : undefined;
}

const unschedulable = (found: Omit<Unschedulable, "kind">): Unschedulable => ({ kind: "unschedulable", ...found });

interface Candidates {
  readonly nodes: readonly NodeInfo[];
  /** Plugins that left some nodes out. */
  readonly narrowedBy: readonly string[];
}

/** The nodes that are left to filter. */
function preFilter(
  cycle: SchedulingCycle,
  profile: Profile,
  all: readonly NodeInfo[],
  evaluations: PluginEvaluations | undefined,
): Candidates | Unschedulable {
  let names: ReadonlySet<string> | undefined;
  const narrowedBy: string[] = [];
  for (const [at, plugin] of profile.plugins.entries()) {
    if (plugin.preFilter ?? plugin.filter) evaluations?.count("PreFilter", at);
    const result = plugin.preFilter?.(cycle);
    if (!result) continue;
    if ("reasons" in result) return rejectedForAll(all, result, [plugin.name]);
    narrowedBy.push(plugin.name);
    const before: ReadonlySet<string> | undefined = names;
    names = before ? new Set([...result.nodeNames].filter((n) => before.has(n))) : result.nodeNames;
    if (names.size === 0) {
      const reason = `node(s) didn't satisfy plugin(s) [${narrowedBy.sort().join(" ")}] simultaneously`;
      return rejectedForAll(all, { reasons: [reason], unresolvable: true }, narrowedBy);
    }
  }
  if (!names) return { nodes: all, narrowedBy };
  return { nodes: [...names].flatMap((name) => cycle.snapshot.byName(name) ?? []), narrowedBy };
}

function rejectedForAll(all: readonly NodeInfo[], rejection: Rejection, plugins: readonly string[]): Unschedulable {
  const message = `0/${all.length} nodes are available: ${rejection.reasons.join(", ")}.`;
  const rejections = new Map(all.map((node) => [node.name, rejection]));
  return unschedulable({ message, rejectedBy: new Set(plugins), rejections });
}

class Search {
  readonly feasible: NodeInfo[] = [];
  readonly rejectedBy = new Set<string>();
  readonly rejections: NodeRejections;
  readonly #test: (node: NodeInfo) => RejectedBy | undefined;

  constructor(snapshot: Snapshot, test: (node: NodeInfo) => RejectedBy | undefined) {
    this.rejections = new NodeRejections(snapshot);
    this.#test = test;
  }

  /** Until enough nodes are found. */
  run(candidates: readonly NodeInfo[], { startAt, percentage }: { readonly startAt: number; readonly percentage: number }): void {
    const enough = feasibleNodesToFind(candidates.length, percentage);
    for (let i = 0; i < candidates.length && this.feasible.length < enough; i++) {
      const node = candidates[(startAt + i) % candidates.length];
      if (!node) continue;
      const rejected = this.#test(node);
      if (!rejected) this.feasible.push(node);
      else this.#reject(node, rejected);
    }
  }

  #reject(node: NodeInfo, rejected: RejectedBy): void {
    this.rejections.reject(node, rejected);
    this.rejectedBy.add(rejected.plugin);
  }

  /** Accounts for the nodes that PreFilter left out. */
  rejectOthers(all: readonly NodeInfo[], plugins: readonly string[]): void {
    const rejection = { reasons: [`node(s) didn't satisfy plugin(s) [${[...plugins].sort().join(" ")}]`], unresolvable: true };
    for (const node of all) if (!this.rejections.at(node)) this.rejections.reject(node, { plugin: plugins[0] ?? "", rejection });
    for (const plugin of plugins) this.rejectedBy.add(plugin);
  }
}

/** The sum of every plugin's normalized and weighted scores, in the order of the nodes. */
export function scoreNodes(
  cycle: SchedulingCycle,
  profile: Profile,
  feasible: readonly NodeInfo[],
  evaluations?: PluginEvaluations,
): Float64Array {
  const totals = new Float64Array(feasible.length);
  const scores = new Float64Array(feasible.length);
  for (const [at, plugin] of profile.plugins.entries()) {
    if (!plugin.score) continue;
    const score: NodeScorer | undefined = plugin.score(cycle, feasible);
    evaluations?.count("PreScore", at);
    if (!score) continue;
    evaluations?.count("Score", at, feasible.length);
    for (let i = 0; i < feasible.length; i++) scores[i] = score(feasible[i] as NodeInfo);
    plugin.normalizeScore?.(scores);
    const weight = profile.scoreWeights?.[plugin.name] ?? 1;
    for (let i = 0; i < totals.length; i++) totals[i] = (totals[i] ?? 0) + weight * (scores[i] ?? 0);
  }
  return totals;
}

/** The node with the highest score; among equals, chance decides. */
function pickBest(
  cycle: SchedulingCycle,
  profile: Profile,
  feasible: readonly NodeInfo[],
  { random, evaluations }: DecideOptions,
): NodeInfo {
  const [only] = feasible;
  if (only && feasible.length === 1) return only;
  return bestOf(feasible, scoreNodes(cycle, profile, feasible, evaluations), random);
}

export function bestOf(nodes: readonly NodeInfo[], totals: Float64Array, random: () => number): NodeInfo {
  let best = 0;
  let ties = 1;
  for (let i = 1; i < totals.length; i++) {
    const difference = (totals[i] ?? 0) - (totals[best] ?? 0);
    if (difference > 0) {
      best = i;
      ties = 1;
    } else if (difference === 0 && random() < 1 / ++ties) best = i;
  }
  return nodes[best] as NodeInfo;
}
