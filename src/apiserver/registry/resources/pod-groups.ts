// Workloads and groups of pods that are scheduled together (scheduling.k8s.io, off by default). Some of their fields are behind
// gates of their own: where such a gate is off, a field is taken away, unless the object had it before.
import { change, fill } from "../../../api/defaults/fill.ts";
import { age, ageColumn, column, nameColumn } from "../../../api/encode/table/columns.ts";
import { podgroupsV1alpha2, workloadsV1alpha2 } from "../../../api/optional-resources.generated.ts";
import type { PodGroup, PodGroupTemplate, Workload } from "../../../api/types/scheduling-v1alpha2.ts";
import {
  validatePodGroup,
  validatePodGroupStatus,
  validatePodGroupUpdate,
  validateWorkload,
  validateWorkloadUpdate,
  type WorkloadGates,
} from "../../../api/validation/workload.ts";
import type { ResourceDefinition } from "../resource-definition.ts";
import { describe, withStatusKeepingMetadata } from "./describe.ts";

type Rules = Omit<PodGroupTemplate, "name">;

const gatedFields: readonly (readonly [keyof Rules, keyof WorkloadGates])[] = [
  ["schedulingConstraints", "constraints"],
  ["resourceClaims", "claims"],
  ["disruptionMode", "preemption"],
  ["priorityClassName", "preemption"],
  ["priority", "preemption"],
];

/** `absent` is how constraints are written where there are none: templates always write them. */
function withoutGated<T extends Rules>(rules: T, old: Rules | undefined, gates: WorkloadGates, absent?: null): T {
  const kept = { ...rules } as Record<string, unknown>;
  let changed = false;
  for (const [field, gate] of gatedFields) {
    if (gates[gate] || isGiven(old?.[field]) || !isGiven(kept[field])) continue;
    changed = true;
    if (field === "schedulingConstraints" && absent === null) kept[field] = null;
    else delete kept[field];
  }
  return changed ? (kept as T) : rules;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

export const workloadDefinition = (gates: WorkloadGates): ResourceDefinition<Workload> =>
  describe(workloadsV1alpha2, {
    withoutGated: (workload, old) =>
      change(workload, "spec", (spec) =>
        change(spec, "podGroupTemplates", (templates) =>
          templates.map((template, i) => withoutGated(template, old?.spec.podGroupTemplates?.[i], gates, null)),
        ),
      ),
    create: { validate: (workload) => validateWorkload(workload, gates) },
    update: { validate: validateWorkloadUpdate },
    table: { columns: [nameColumn, ageColumn], cells: (workload, nowMs) => [workload.metadata.name, age(workload, nowMs)] },
  });

/** Upstream takes the mode away where its gate is off, and fills in the default when it reads what it has stored. */
const withMode = (spec: PodGroup["spec"]): PodGroup["spec"] => fill(spec, { disruptionMode: "Pod" });

export const podGroupDefinition = (gates: WorkloadGates): ResourceDefinition<PodGroup> =>
  describe(podgroupsV1alpha2, {
    defaults: (group) => change(group, "spec", withMode),
    withoutGated: (group, old) => change(group, "spec", (spec) => withMode(withoutGated(spec, old?.spec, gates))),
    create: { validate: (group) => validatePodGroup(group, gates) },
    update: { validate: (group, old) => validatePodGroupUpdate(group, old, gates) },
    status: {
      prepare: (group, old) => withKnownClaims(withStatusKeepingMetadata(group, old), old, gates),
      validate: validatePodGroupStatus,
    },
    // Who writes the object owns what he says of its status, although that is not stored.
    resetFields: { "": [], status: ["metadata", "spec"] },
    countsGeneration: false,
    tablelessStatus: true,
    table: {
      columns: [
        nameColumn,
        column("Policy", "How the pods of the group are scheduled."),
        column("Workload", "Name of the referenced Workload object"),
        column("Status", "Status of the PodGroup"),
        ageColumn,
      ],
      cells: (group, nowMs) => {
        const condition = (type: string) => group.status?.conditions?.find((c) => c.type === type);
        const scheduled = condition("PodGroupScheduled");
        const placed = scheduled ? (scheduled.status === "True" ? "Scheduled" : "Unschedulable") : "Pending";
        return [
          group.metadata.name,
          group.spec.schedulingPolicy.gang ? "Gang" : "Basic",
          group.spec.podGroupTemplateRef?.workload?.workloadName ?? "<none>",
          condition("DisruptionTarget")?.reason ?? placed,
          age(group, nowMs),
        ];
      },
    },
  });

/** What became of claims is told only of groups that may have some. */
function withKnownClaims(group: PodGroup, old: PodGroup, { claims }: WorkloadGates): PodGroup {
  if (claims || (old.spec.resourceClaims ?? []).length > 0 || group.status?.resourceClaimStatuses === undefined) return group;
  const { resourceClaimStatuses: _, ...status } = group.status;
  return { ...group, status };
}
