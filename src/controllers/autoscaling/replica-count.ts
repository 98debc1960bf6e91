// How many pods a metric asks for: as many as bring its value per pod to the target, rounded up; the present number while it
// is within the tolerance. Pods whose figures are missing or not to be trusted are assumed to be where they slow the change
// down, and never turn its direction. Amounts are in thousandths.
import type { Pod } from "../../api/types/core-v1.ts";
import { type AutoscalerOptions, maxReplicaCount, type Tolerances } from "./autoscaler-options.ts";
import type { PodMetrics } from "./metric-source.ts";
import { countReadyPods, groupPods, requestsOf } from "./pod-groups.ts";

export interface PodUsageInput {
  readonly current: number;
  readonly metrics: PodMetrics;
  /** Of the target, as its selector selects them. */
  readonly pods: readonly Pod[];
  /** "" for metrics that are no resource's. */
  readonly resource: string;
  readonly tolerances: Tolerances;
  readonly nowMs: number;
  readonly options: AutoscalerOptions;
}

export interface ReplicaCount {
  readonly replicas: number;
  /** Thousandths, per pod or altogether, as the target is given. */
  readonly usage: number;
}

/** How usage compares with the target: 1 is on target. */
interface Measure {
  /** Of these figures, by pod name. */
  ratio(figures: ReadonlyMap<string, number>): number;
  /** Assumed of a pod without figures when there are to be fewer pods. */
  assumed(pod: string): number;
}

const isWithin = (ratio: number, { down, up }: Tolerances): boolean => 1 - down <= ratio && ratio <= 1 + up;

const ceil = (count: number): number => Math.min(maxReplicaCount, Math.ceil(count));

/** For a target of so much per pod. */
export function replicasForAverage(input: PodUsageInput, target: number): ReplicaCount {
  const average = (figures: ReadonlyMap<string, number>): number => Math.trunc(sum(figures.values()) / figures.size);
  const measure: Measure = { ratio: (figures) => average(figures) / target, assumed: () => target };
  const { replicas, trusted } = countByUsage(input, measure);
  return { replicas, usage: average(trusted) };
}

/** For a target in hundredths of what pods request; `utilization` is the present one. */
export function replicasForUtilization(
  input: PodUsageInput & { readonly container?: string },
  target: number,
): ReplicaCount & { readonly utilization: number } {
  const requests = once(() => requestsOf(input.pods, input.resource, input.container));
  const measured = (figures: ReadonlyMap<string, number>) => {
    const known = [...figures].filter(([pod]) => requests().has(pod));
    const requested = sum(known.map(([pod]) => requests().get(pod) ?? 0));
    if (requested === 0) throw new Error("no metrics returned matched known pods");
    const used = sum(known.map(([, millis]) => millis));
    return { utilization: Math.trunc((used * 100) / requested), average: Math.trunc(used / known.length) };
  };
  const measure: Measure = {
    ratio: (figures) => measured(figures).utilization / target,
    assumed: (pod) => Math.trunc(((requests().get(pod) ?? 0) * Math.max(100, target)) / 100),
  };
  const { replicas, trusted } = countByUsage(input, measure);
  const { utilization, average } = measured(trusted);
  return { replicas, usage: average, utilization };
}

function countByUsage(
  input: PodUsageInput,
  measure: Measure,
): { readonly replicas: number; readonly trusted: ReadonlyMap<string, number> } {
  const { current, metrics, pods, tolerances } = input;
  if (pods.length === 0) throw new Error("no pods returned by selector while calculating replica count");
  const { readyCount, unready, missing, ignored } = groupPods(pods, metrics, input);
  const trusted = new Map(
    [...metrics].flatMap(([pod, { millis }]) => (unready.has(pod) || ignored.has(pod) ? [] : [[pod, millis] as const])),
  );
  if (trusted.size === 0) throw new Error("did not receive metrics for targeted pods (pods might be unready)");
  const ratio = measure.ratio(trusted);
  const isUpWithUnready = unready.size > 0 && ratio > 1;
  if (!isUpWithUnready && missing.size === 0) {
    return { replicas: isWithin(ratio, tolerances) ? current : ceil(ratio * readyCount), trusted };
  }
  const figures = new Map(trusted);
  if (ratio < 1) for (const pod of missing) figures.set(pod, measure.assumed(pod));
  if (ratio > 1) for (const pod of [...missing, ...unready]) figures.set(pod, 0);
  const carefulRatio = measure.ratio(figures);
  const replicas = ceil(carefulRatio * figures.size);
  const turns = (ratio < 1 && carefulRatio > 1) || (ratio > 1 && carefulRatio < 1);
  const turnsCount = (carefulRatio < 1 && replicas > current) || (carefulRatio > 1 && replicas < current);
  return { replicas: isWithin(carefulRatio, tolerances) || turns || turnsCount ? current : replicas, trusted };
}

export interface TotalInput {
  /** From the target's spec. */
  readonly current: number;
  readonly usage: number;
  readonly target: number;
  readonly tolerances: Tolerances;
  readonly pods: readonly Pod[];
}

/** For a target of so much altogether. A target without pods gets as many as the metric is times its target. */
export function replicasForTotal({ current, usage, target, tolerances, pods }: TotalInput): ReplicaCount {
  const ratio = usage / target;
  if (current === 0) return { replicas: ceil(ratio), usage };
  return { replicas: isWithin(ratio, tolerances) ? current : ceil(ratio * countReadyPods(pods)), usage };
}

/** For a target of so much per pod where the metric is that of all together; `current` is what the target's status counts. */
export function replicasForShare({ current, usage, target, tolerances }: Omit<TotalInput, "pods">): ReplicaCount {
  const replicas = isWithin(usage / (target * current), tolerances) ? current : ceil(usage / target);
  return { replicas, usage: current === 0 ? usage : Math.ceil(usage / current) };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
