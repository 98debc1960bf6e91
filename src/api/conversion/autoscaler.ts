// HorizontalPodAutoscalers between autoscaling/v1 and v2. Objects are kept as v2; what v1 has no field for (metrics other
// than CPU utilization, behaviour, conditions) travels in annotations, so that a client of v1 can write an object back
// without losing it. The behaviour annotation has Go's field names, as upstream writes it.
import type { KubernetesObject } from "../meta/object.ts";
import type { HorizontalPodAutoscaler as V1 } from "../types/autoscaling-v1.ts";
import type {
  HorizontalPodAutoscalerBehavior,
  HorizontalPodAutoscalerCondition,
  HPAScalingRules,
  MetricSpec,
  MetricStatus,
  HorizontalPodAutoscaler as V2,
} from "../types/autoscaling-v2.ts";
import { type MetricSpecV1, type MetricStatusV1, specFromV1, specToV1, statusFromV1, statusToV1 } from "./autoscaler-metrics.ts";

const metricsKey = "autoscaling.alpha.kubernetes.io/metrics";
const currentMetricsKey = "autoscaling.alpha.kubernetes.io/current-metrics";
const conditionsKey = "autoscaling.alpha.kubernetes.io/conditions";
const behaviorKey = "autoscaling.alpha.kubernetes.io/behavior";
const carriedKeys = [metricsKey, currentMetricsKey, conditionsKey, behaviorKey];

const isCpuUtilization = ({ type, resource }: MetricSpec): boolean =>
  type === "Resource" && resource?.name === "cpu" && resource.target.averageUtilization !== undefined;

/** What autoscaling/v1 serves of a stored autoscaler. */
export function fromAutoscalerV2(stored: KubernetesObject): V1 {
  const { spec, status, metadata, ...rest } = stored as V2;
  const { minReplicas, maxReplicas, scaleTargetRef, metrics = [], behavior } = spec ?? ({} as V2["spec"]);
  const utilization = metrics.find(isCpuUtilization)?.resource?.target.averageUtilization;
  const others = metrics.filter((metric) => !isCpuUtilization(metric)).map(specToV1);
  const { currentMetrics: metricStatuses, conditions: given, ...shared } = status ?? ({} as Partial<NonNullable<V2["status"]>>);
  const currentMetrics = metricStatuses ?? []; // null where there are none
  const conditions = given ?? [];
  const current = currentMetrics.findLast(({ type, resource }) => type === "Resource" && resource?.name === "cpu");
  const currentUtilization = current?.resource?.current.averageUtilization;
  const carried: Record<string, string> = {
    ...(others.length > 0 ? { [metricsKey]: JSON.stringify(others) } : {}),
    ...(currentMetrics.length > 0 ? { [currentMetricsKey]: JSON.stringify(currentMetrics.map(statusToV1)) } : {}),
    ...(conditions.length > 0 ? { [conditionsKey]: JSON.stringify(conditions.map(orderedCondition)) } : {}),
    ...(behavior ? { [behaviorKey]: behaviorText(behavior) } : {}),
  };
  return {
    ...rest,
    apiVersion: "autoscaling/v1",
    kind: "HorizontalPodAutoscaler",
    metadata: withAnnotations(metadata, carried),
    spec: present({
      scaleTargetRef,
      ...(minReplicas === undefined ? {} : { minReplicas }),
      maxReplicas,
      ...(utilization === undefined ? {} : { targetCPUUtilizationPercentage: utilization }),
    }),
    status: {
      ...shared,
      currentReplicas: shared.currentReplicas ?? 0,
      desiredReplicas: shared.desiredReplicas ?? 0,
      ...(currentUtilization === undefined ? {} : { currentCPUUtilizationPercentage: currentUtilization }),
    },
  };
}

/** How an autoscaler of autoscaling/v1 is stored. */
export function toAutoscalerV2({ spec, status, metadata, ...rest }: V1): V2 {
  const { annotations } = metadata;
  const { targetCPUUtilizationPercentage: utilization, minReplicas, maxReplicas, scaleTargetRef } = spec ?? ({} as V1["spec"]);
  const { currentCPUUtilizationPercentage: current, currentReplicas, ...shared } = status ?? ({} as Partial<NonNullable<V1["status"]>>);
  const cpu = utilization === undefined ? [] : [cpuMetric(utilization)];
  const others = parsed<readonly MetricSpecV1[]>(annotations?.[metricsKey]);
  const metrics = [...(others ?? []).map(specFromV1), ...cpu];
  const behavior = parsedBehavior(annotations?.[behaviorKey]);
  const carriedStatuses = parsed<readonly MetricStatusV1[]>(annotations?.[currentMetricsKey])?.map(statusFromV1);
  const currentMetrics = carriedStatuses ?? (current === undefined ? undefined : [cpuStatus(current)]);
  const conditions = parsed<readonly HorizontalPodAutoscalerCondition[]>(annotations?.[conditionsKey]);
  return {
    ...rest,
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: withAnnotations(metadata, {}),
    spec: present({
      scaleTargetRef,
      ...(minReplicas === undefined ? {} : { minReplicas }),
      maxReplicas,
      metrics: metrics.length > 0 ? metrics : [cpuMetric(defaultCpuUtilization)],
      ...(behavior ? { behavior } : {}),
    }),
    status: {
      ...shared,
      ...(currentReplicas ? { currentReplicas } : {}),
      desiredReplicas: shared.desiredReplicas ?? 0,
      // Always on the wire, as null where there are none.
      currentMetrics: currentMetrics ?? (null as unknown as readonly MetricStatus[]),
      ...(conditions ? { conditions } : {}),
    },
  };
}

/** Percent of the requested CPU that an autoscaler without metrics aims at. */
export const defaultCpuUtilization = 80;

export function cpuMetric(averageUtilization: number): MetricSpec {
  return { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization } } };
}

const cpuStatus = (averageUtilization: number): MetricStatus => ({
  type: "Resource",
  resource: { name: "cpu", current: { averageUtilization } },
});

/** Without the fields that an object in the making does not have yet: server-side apply converts such ones. */
function present<T extends object>(spec: T): T {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined)) as T;
}

/** Metadata whose carried annotations are these and no others. */
function withAnnotations<M extends { readonly annotations?: Readonly<Record<string, string>> }>(
  metadata: M,
  carried: Readonly<Record<string, string>>,
): M {
  const { annotations = {}, ...rest } = metadata;
  const hasCarried = carriedKeys.some((key) => key in annotations);
  if (!hasCarried && Object.keys(carried).length === 0) return metadata;
  const kept = Object.fromEntries(Object.entries(annotations).filter(([key]) => !carriedKeys.includes(key)));
  const all = { ...kept, ...carried };
  return (Object.keys(all).length === 0 ? rest : { ...rest, annotations: all }) as M;
}

/** The value of an annotation; undefined for one that is absent or is no JSON. */
function parsed<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T; // written by this conversion, or by a client that means the same
  } catch {
    return undefined;
  }
}

/** Fields in the order in which Go writes them. */
const orderedCondition = (c: HorizontalPodAutoscalerCondition): HorizontalPodAutoscalerCondition => {
  const { type, status, lastTransitionTime, reason, message } = c;
  return {
    type,
    status,
    ...(lastTransitionTime === undefined ? {} : { lastTransitionTime }),
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
  };
};

function behaviorText({ scaleUp, scaleDown }: HorizontalPodAutoscalerBehavior): string {
  const rules = (r: HPAScalingRules | undefined): unknown =>
    r
      ? {
          StabilizationWindowSeconds: r.stabilizationWindowSeconds ?? null,
          SelectPolicy: r.selectPolicy ?? null,
          Policies: r.policies?.map((p) => ({ Type: p.type, Value: p.value, PeriodSeconds: p.periodSeconds })) ?? null,
          Tolerance: r.tolerance ?? null,
        }
      : null;
  return JSON.stringify({ ScaleUp: rules(scaleUp), ScaleDown: rules(scaleDown) });
}

function parsedBehavior(text: string | undefined): HorizontalPodAutoscalerBehavior | undefined {
  const value = parsed<unknown>(text);
  if (typeof value !== "object" || value === null) return undefined;
  const behavior = lowerFirst(value) as HorizontalPodAutoscalerBehavior;
  return behavior.scaleUp || behavior.scaleDown ? behavior : undefined;
}

/** JSON with every field's first letter made small and nulls left out. */
function lowerFirst(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(lowerFirst);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== null);
  return Object.fromEntries(entries.map(([key, v]) => [key.charAt(0).toLowerCase() + key.slice(1), lowerFirst(v)]));
}
