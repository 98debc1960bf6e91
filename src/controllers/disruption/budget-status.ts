// A disruption budget's status, as a pure function of its pods and of how many there should be: how many are healthy, how
// many have to be, and so how many may be evicted now. Pods that the eviction API has let go count as gone, for as long as
// their deletion may still be on its way.
import { scaledValue } from "../../api/meta/int-or-string.ts";
import { parseTime } from "../../api/meta/time.ts";
import { findCondition, withCondition } from "../../api/semantics/conditions.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Condition, LabelSelector } from "../../api/types/meta-v1.ts";
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from "../../api/types/policy-v1.ts";
import { formatTime } from "../../base/clock.ts";

const deletionTimeoutMs = 2 * 60_000;
const conditionType = "DisruptionAllowed";

/** Whether the number of pods is that which their controllers ask for, rather than that which there are. */
export function countsByControllers({ spec }: PodDisruptionBudget): boolean {
  return spec.maxUnavailable !== undefined || typeof spec.minAvailable === "string";
}

export interface ObservedBudget {
  readonly budget: PodDisruptionBudget;
  readonly pods: readonly Pod[];
  readonly expectedPods: number;
  readonly nowMs: number;
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus;
  /** Evicted long ago and still there: they do not count as disrupted any more. */
  readonly notDeleted: readonly Pod[];
  /** When the first of the disrupted pods has to be looked at again. */
  readonly recheckMs?: number;
}

export function planBudget({ budget, pods, expectedPods, nowMs }: ObservedBudget): BudgetPlan {
  const disrupted: Record<string, string> = {};
  const notDeleted: Pod[] = [];
  let recheckMs: number | undefined;
  for (const pod of pods) {
    const since = budget.status?.disruptedPods?.[pod.metadata.name];
    if (since === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const leftMs = (parseTime(since) ?? 0) + deletionTimeoutMs - nowMs;
    if (leftMs < 0) notDeleted.push(pod);
    else {
      disrupted[pod.metadata.name] = since;
      recheckMs = Math.min(recheckMs ?? leftMs, leftMs);
    }
  }
  const isHealthy = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined && disrupted[pod.metadata.name] === undefined && isPodReady(pod);
  const currentHealthy = pods.filter(isHealthy).length;
  const desiredHealthy = desiredHealthyOf(budget, expectedPods);
  // A budget without pods allows nothing: its first pod may appear before this status is written anew.
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy);
  const observedGeneration = budget.metadata.generation ?? 0;
  const condition = {
    status: disruptionsAllowed > 0 ? "True" : "False",
    reason: disruptionsAllowed > 0 ? "SufficientPods" : "InsufficientPods",
    message: "",
    observedGeneration,
  };
  const status: PodDisruptionBudgetStatus = {
    currentHealthy,
    desiredHealthy,
    expectedPods,
    disruptionsAllowed,
    observedGeneration,
    ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
    conditions: withDated(budget, condition, nowMs),
  };
  return { status, notDeleted, ...(recheckMs === undefined ? {} : { recheckMs }) };
}

function desiredHealthyOf({ spec }: PodDisruptionBudget, expectedPods: number): number {
  if (spec.maxUnavailable !== undefined) return Math.max(0, expectedPods - scaledValue(spec.maxUnavailable, expectedPods, "up"));
  return spec.minAvailable === undefined ? 0 : scaledValue(spec.minAvailable, expectedPods, "up");
}

/** Where the number of pods cannot be found out, none may be evicted. */
export function failedStatus(budget: PodDisruptionBudget, message: string, nowMs: number): PodDisruptionBudgetStatus {
  const observedGeneration = budget.status?.observedGeneration;
  const condition = {
    status: "False",
    reason: "SyncFailed",
    message,
    ...(observedGeneration === undefined ? {} : { observedGeneration }),
  };
  return { ...budget.status, disruptionsAllowed: 0, conditions: withDated(budget, condition, nowMs) };
}

function withDated(
  { status }: PodDisruptionBudget,
  condition: Omit<Condition, "type" | "lastTransitionTime">,
  nowMs: number,
): readonly Condition[] {
  const known = findCondition(status?.conditions, conditionType);
  const lastTransitionTime = known?.status === condition.status ? known.lastTransitionTime : formatTime(nowMs);
  return withCondition(status?.conditions, { type: conditionType, ...condition, lastTransitionTime });
}

/** A selector as upstream's messages show it, which is how Go prints the structure. */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.keys(matchLabels)
    .sort()
    .map((key) => `${key}: ${matchLabels[key]},`);
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(" ")}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join("")}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join("")}},}`;
}
