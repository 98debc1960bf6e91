// Plugins about the queue. PrioritySort: higher priority first, then who has waited longer. SchedulingGates: a pod with
// gates is not tried until they are all removed.
import type { Pod } from "../../api/types/core-v1.ts";
import type { Plugin } from "../framework.ts";

export const priorityOf = (pod: Pod): number => pod.spec.priority ?? 0;

export const prioritySort: Plugin = {
  name: "PrioritySort",
  queueSort: (a, b) => priorityOf(b.pod) - priorityOf(a.pod) || a.timestampMs - b.timestampMs,
};

export const schedulingGates: Plugin = {
  name: "SchedulingGates",
  preEnqueue(pod) {
    const gates = pod.spec.schedulingGates ?? [];
    if (gates.length === 0) return undefined;
    return { reasons: [`waiting for scheduling gates: [${gates.map((g) => g.name).join(" ")}]`], unresolvable: true };
  },
  queueingHints: [{ event: "UnscheduledPodUpdate" }],
};
