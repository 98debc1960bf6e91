// In which order pods end when their machine shuts down, pure: groups by priority, the least important first, each with the
// time it is given. A pod belongs to the highest group that its priority reaches, or to the lowest one.
import type { Pod } from "../../api/types/core-v1.ts";

export interface ShutdownPeriod {
  readonly priority: number;
  readonly shutdownGracePeriodSeconds: number;
}

export interface ShutdownGroup {
  readonly seconds: number;
  readonly pods: readonly { readonly pod: Pod; readonly graceSeconds: number }[];
}

/** `periods` from the lowest priority to the highest. Groups without pods are left out: nobody waits for them. */
export function shutdownGroups(periods: readonly ShutdownPeriod[], pods: readonly Pod[]): readonly ShutdownGroup[] {
  const members = new Map<ShutdownPeriod, Pod[]>();
  for (const pod of pods) {
    const priority = pod.spec.priority ?? 0;
    const period = periods.findLast((p) => p.priority <= priority) ?? periods[0];
    if (period) members.set(period, [...(members.get(period) ?? []), pod]);
  }
  return periods.flatMap((period) => {
    const seconds = period.shutdownGracePeriodSeconds;
    const group = members.get(period);
    if (!group) return [];
    return [
      { seconds, pods: group.map((pod) => ({ pod, graceSeconds: Math.min(seconds, pod.spec.terminationGracePeriodSeconds ?? seconds) })) },
    ];
  });
}

/** What a shutdown waits for altogether. */
export function shutdownSeconds(periods: readonly ShutdownPeriod[]): number {
  return periods.reduce((sum, p) => sum + p.shutdownGracePeriodSeconds, 0);
}
