// A scheduling decision in which extenders have a say: the plugins' filters, then each extender's in turn, then the plugins'
// scores and, added to them, the extenders'. While they are asked the cluster goes on; so the chosen node has to pass the
// filters once more at the end.
import type { Node } from "../../api/types/core-v1.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { maxNodeScore, type Profile, type SchedulingCycle } from "../framework.ts";
import { NodeFilters } from "../node-filters.ts";
import type { NodeInfo } from "../node-info.ts";
import {
  bestOf,
  type DecideOptions,
  type Decision,
  type Feasible,
  findNodes,
  noNode,
  scoreNodes,
  type Unschedulable,
} from "../schedule.ts";
import type { Extender } from "./extender.ts";
import { extenderPluginName } from "./extender-plugin.ts";

export interface ExtendedOptions extends DecideOptions {
  /** Those that are interested in the pod. */
  readonly extenders: readonly Extender[];
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Extenders' scores go to 10. */
const scoreScale = maxNodeScore / 10;

/** Rejects when an extender fails that may not, or the chosen node no longer fits. */
export async function decideWithExtenders(
  cycle: SchedulingCycle,
  profile: Profile,
  options: ExtendedOptions,
): Promise<Decision | Unschedulable> {
  let found = findNodes(cycle, profile, options);
  if (found.kind === "unschedulable") return found;
  let passed = await passExtenders(cycle, found, options);
  if (passed.length === 0 && found.nominated) {
    // Room was made on this node, but an extender does not want it: any other will do.
    found = findNodes(cycle, profile, { ...options, ignoreNomination: true });
    if (found.kind === "unschedulable") return found;
    passed = await passExtenders(cycle, found, options);
  }
  if (passed.length === 0) return noNode(cycle, found, [extenderPluginName]);
  const evaluatedNodes = found.evaluatedNodes;
  const best = passed.length === 1 ? passed[0] : await bestWithExtenders(cycle, profile, { ...options, nodes: passed });
  const current = best && cycle.snapshot.byName(best.name);
  if (!best || current !== best || new NodeFilters(cycle, profile).test(best))
    throw new Error(`node ${best?.name} changed while extenders were asked`);
  return { kind: "node", nodeName: best.name, evaluatedNodes, feasibleNodes: passed.length };
}

const nodesOf = (infos: readonly NodeInfo[]): readonly Node[] => infos.flatMap(({ node }) => node ?? []);

async function passExtenders({ pod }: SchedulingCycle, found: Feasible, options: ExtendedOptions): Promise<readonly NodeInfo[]> {
  let left = found.nodes;
  for (const extender of options.extenders) {
    if (!extender.filter || left.length === 0) continue;
    try {
      const { nodeNames, failed, unresolvable } = await extender.filter(pod, nodesOf(left), options.signal);
      const named = new Map(left.map((info) => [info.name, info]));
      const reject = (name: string, reason: string, unresolvable: boolean): void => {
        const node = named.get(name);
        if (node) found.rejections.reject(node, { plugin: extenderPluginName, rejection: { reasons: [reason], unresolvable } });
      };
      for (const [name, reason] of failed) reject(name, reason, false);
      for (const [name, reason] of unresolvable) reject(name, reason, true);
      left = nodeNames.flatMap((name) => named.get(name) ?? []);
    } catch (error) {
      if (!extender.ignorable) throw error;
      options.logger.warn("Skipping an extender that failed in filtering", { extender: extender.name, error: errorText(error) });
    }
  }
  return left;
}

async function bestWithExtenders(
  cycle: SchedulingCycle,
  profile: Profile,
  { nodes, extenders, logger, signal, random }: ExtendedOptions & { readonly nodes: readonly NodeInfo[] },
): Promise<NodeInfo | undefined> {
  const totals = scoreNodes(cycle, profile, nodes);
  const scores = await Promise.all(
    extenders.map(async (extender) => {
      try {
        return await extender.prioritize?.(cycle.pod, nodesOf(nodes), signal);
      } catch (error) {
        // No score is no reason not to schedule.
        logger.info("An extender gave no scores", { extender: extender.name, error: errorText(error) }, 1);
        return undefined;
      }
    }),
  );
  for (const ofExtender of scores) {
    if (!ofExtender) continue;
    for (const [i, { name }] of nodes.entries()) totals[i] = (totals[i] ?? 0) + (ofExtender.get(name) ?? 0) * scoreScale;
  }
  return bestOf(nodes, totals, random);
}
