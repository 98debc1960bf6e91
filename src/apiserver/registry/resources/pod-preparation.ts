// What the API server makes of a pod before it is checked: the status of a new pod, the label selectors that follow from
// matchLabelKeys, and what each of the pod's subresources may change.
import { change, mapShared } from "../../../api/defaults/fill.ts";
import type { Labels } from "../../../api/meta/selectors.ts";
import { computePodQos } from "../../../api/semantics/pod-qos.ts";
import type {
  Container,
  Pod,
  PodAffinityTerm,
  PodCondition,
  PodSpec,
  TopologySpreadConstraint,
  WeightedPodAffinityTerm,
} from "../../../api/types/core-v1.ts";
import type { LabelSelector, LabelSelectorRequirement } from "../../../api/types/meta-v1.ts";
import { formatTime } from "../../../base/clock.ts";
import type { StrategyContext } from "../resource-definition.ts";
import { withAppArmorFields } from "./app-armor.ts";

/** A pod as it is created: pending, classed (as it says itself, where it does), and marked when it waits at scheduling gates. */
export function withNewPodStatus(given: Pod, { nowMs, warnings }: StrategyContext): Pod {
  const pod = withAppArmorFields(given, warnings);
  const gated = (pod.spec.schedulingGates ?? []).length > 0;
  return {
    ...pod,
    spec: withMergedLabelKeys(pod.spec, pod.metadata.labels ?? {}),
    status: {
      phase: "Pending",
      ...(gated ? { conditions: [gatedCondition(nowMs)] } : {}),
      qosClass: given.status?.qosClass || computePodQos(pod.spec),
    },
  };
}

function gatedCondition(nowMs: number): PodCondition {
  const condition = {
    type: "PodScheduled",
    status: "False",
    lastProbeTime: null,
    lastTransitionTime: formatTime(nowMs),
    reason: "SchedulingGated",
    message: "Scheduling is blocked due to non-empty scheduling gates",
  };
  return condition as unknown as PodCondition; // the probe's time is always on the wire, as null
}

/** matchLabelKeys and mismatchLabelKeys become requirements on the pod's own values of those labels. */
function withMergedLabelKeys(spec: PodSpec, labels: Labels): PodSpec {
  const term = (t: PodAffinityTerm): PodAffinityTerm =>
    withRequirements(t, [...requirements(t.matchLabelKeys, "In", labels), ...requirements(t.mismatchLabelKeys, "NotIn", labels)]);
  const weighted = (w: WeightedPodAffinityTerm): WeightedPodAffinityTerm => change(w, "podAffinityTerm", term);
  const constraint = (c: TopologySpreadConstraint): TopologySpreadConstraint =>
    withRequirements(c, requirements(c.matchLabelKeys, "In", labels));
  const affinity = change(spec, "affinity", (all) => {
    let next = all;
    for (const kind of ["podAffinity", "podAntiAffinity"] as const)
      next = change(next, kind, (terms) =>
        change(
          change(terms, "preferredDuringSchedulingIgnoredDuringExecution", (list) => mapShared(list, weighted)),
          "requiredDuringSchedulingIgnoredDuringExecution",
          (list) => mapShared(list, term),
        ),
      );
    return next;
  });
  return change(affinity, "topologySpreadConstraints", (list) => mapShared(list, constraint));
}

function requirements(keys: readonly string[] = [], operator: "In" | "NotIn", labels: Labels): LabelSelectorRequirement[] {
  return keys.flatMap((key) => {
    const value = labels[key];
    return value === undefined ? [] : [{ key, operator, values: [value] }];
  });
}

/** Without a selector a term matches nothing, whatever its label keys. */
function withRequirements<S extends { readonly labelSelector?: LabelSelector }>(object: S, added: readonly LabelSelectorRequirement[]): S {
  const { labelSelector } = object;
  if (!labelSelector || added.length === 0) return object;
  return { ...object, labelSelector: { ...labelSelector, matchExpressions: [...(labelSelector.matchExpressions ?? []), ...added] } };
}

/** A status that says nothing of the generation it was made from keeps what the old one said, and so do its conditions. */
export function withKeptObservedGenerations(pod: Pod, old: Pod): Pod {
  const status = pod.status ?? {};
  const before = old.status ?? {};
  const generations = new Map<string, (number | undefined)[]>();
  for (const { type, observedGeneration } of before.conditions ?? [])
    generations.set(type, [...(generations.get(type) ?? []), observedGeneration]);
  const conditions = status.conditions?.map((condition) => {
    const kept = generations.get(condition.type)?.shift();
    return condition.observedGeneration || !kept ? condition : { ...condition, observedGeneration: kept };
  });
  const { observedGeneration = before.observedGeneration, qosClass = before.qosClass } = status;
  return {
    ...pod,
    status: {
      ...status,
      ...(conditions ? { conditions } : {}),
      ...(observedGeneration ? { observedGeneration } : {}),
      ...(qosClass ? { qosClass } : {}),
    },
  };
}

/**
 * The old pod with the resources and resize policies that were sent. Containers that are renamed, added or removed go
 * through as they are, for validation to refuse them.
 */
export function withResizedContainers(old: Pod, sent: Pod): Pod {
  const { containers, initContainers = [] } = old.spec;
  const sentInit = sent.spec.initContainers ?? [];
  const sentContainers = (sent.spec.containers as readonly Container[] | null) ?? [];
  if (sentContainers.length !== containers.length || sentInit.length !== initContainers.length) return sent;
  const { resources: _, ...spec } = old.spec;
  const init = resized(initContainers, sentInit);
  return {
    ...old,
    spec: {
      ...spec,
      containers: resized(containers, sentContainers),
      ...(init.length > 0 ? { initContainers: init } : {}),
      ...(sent.spec.resources ? { resources: sent.spec.resources } : {}),
    },
  };
}

function resized(old: readonly Container[], sent: readonly Container[]): readonly Container[] {
  if (sent.some((container, i) => container.name !== old[i]?.name)) return sent;
  return sent.map(({ resources, resizePolicy }, i) => {
    const { resources: _1, resizePolicy: _2, ...container } = old[i] as Container; // as many as were sent, checked above
    return { ...container, ...(resources ? { resources } : {}), ...(resizePolicy ? { resizePolicy } : {}) };
  });
}
