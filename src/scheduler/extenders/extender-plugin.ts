// What extenders do outside of the decision, in the form of a plugin: they bind pods before any Bind plugin is asked, and
// whatever happens in the cluster may make a pod schedulable that an extender refused. And their part in preemption.

import type { Logger } from "../../base/log.ts";
import { errorText } from "../../base/log.ts";
import { clusterEvents } from "../cluster-events.ts";
import type { Plugin, SchedulingCycle } from "../framework.ts";
import type { Candidate } from "../preemption/victims.ts";
import type { Extender, ExtenderVictims } from "./extender.ts";

export const extenderPluginName = "Extender";

export interface ExtenderContext {
  readonly extenders: readonly Extender[];
  readonly logger: Logger;
}

/** Goes before the other plugins of a profile. */
export function createExtenderPlugin({ extenders, logger }: ExtenderContext): Plugin {
  return {
    name: extenderPluginName,
    queueingHints: clusterEvents.map((event) => ({ event })),
    async bind({ pod }, nodeName, signal) {
      for (const extender of extenders) {
        if (!extender.bind || !extender.isInterested(pod)) continue;
        try {
          await extender.bind(pod, nodeName, signal);
          return true;
        } catch (error) {
          if (!extender.ignorable) throw error;
          logger.warn("Skipping an extender that could not bind", { extender: extender.name, error: errorText(error) });
        }
      }
      return false;
    },
  };
}

/** Undefined where no extender has a say in preemption for this pod. Rejects when one fails that may not. */
export function narrowCandidates(
  { extenders, logger }: ExtenderContext,
  { pod, snapshot }: SchedulingCycle,
  candidates: readonly Candidate[],
): ((signal: AbortSignal) => Promise<readonly Candidate[]>) | undefined {
  const asked = extenders.filter((extender) => extender.preempt && extender.isInterested(pod));
  if (asked.length === 0 || candidates.length === 0) return undefined;
  return async (signal) => {
    let left = candidates;
    for (const extender of asked) {
      if (left.length === 0) break;
      try {
        const chosen = (await extender.preempt?.(pod, left, signal)) ?? new Map<string, ExtenderVictims>();
        left = left.flatMap((candidate) => withVictims(candidate, chosen.get(candidate.nodeName), { extender, snapshot }));
      } catch (error) {
        if (!extender.ignorable) throw error;
        logger.warn("Skipping an extender that failed in preemption", { extender: extender.name, error: errorText(error) });
      }
    }
    return left;
  };
}

function withVictims(
  { nodeName }: Candidate,
  chosen: ExtenderVictims | undefined,
  { extender, snapshot }: { readonly extender: Extender; readonly snapshot: SchedulingCycle["snapshot"] },
): readonly Candidate[] {
  if (!chosen) return [];
  if (chosen.uids.length === 0) {
    if (extender.ignorable) return [];
    throw new Error(`expected at least one victim pod on node ${JSON.stringify(nodeName)}`);
  }
  const there = new Map([...(snapshot.byName(nodeName)?.pods ?? [])].map(({ pod }) => [pod.metadata.uid, pod]));
  const victims = chosen.uids.map((uid) => {
    const pod = there.get(uid);
    if (!pod) throw new Error(`extender ${extender.name} claims to preempt pod ${uid} on node ${nodeName}, which is not there`);
    return pod;
  });
  return [{ nodeName, victims, violations: chosen.violations }];
}
