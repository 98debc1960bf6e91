// Tables of disruption budgets, autoscalers, scales, priority classes and runtime classes.
import { toAutoscalerV2 } from "../../conversion/autoscaler.ts";
import type { KubernetesObject } from "../../meta/object.ts";
import type { HorizontalPodAutoscaler as AutoscalerV1 } from "../../types/autoscaling-v1.ts";
import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from "../../types/autoscaling-v2.ts";
import type { RuntimeClass } from "../../types/node-v1.ts";
import type { PodDisruptionBudget } from "../../types/policy-v1.ts";
import type { PriorityClass } from "../../types/scheduling-v1.ts";
import { age, ageColumn, column, nameColumn, nameText, shortList } from "./columns.ts";
import { fieldTexts as texts } from "./field-texts.ts";
import type { TableConvertor } from "./table.ts";

interface Scale extends KubernetesObject {
  readonly spec: { readonly replicas?: number };
  readonly status: { readonly replicas: number };
}

export const scaleTable: TableConvertor<Scale> = {
  columns: [
    column("Name", nameText),
    column("Desired", "replicas is the desired number of instances for the scaled object.", "integer"),
    column("Available", "replicas is the actual number of observed instances of the scaled object.", "integer"),
    ageColumn,
  ],
  cells: (scale, nowMs) => [scale.metadata.name, scale.spec.replicas ?? 0, scale.status.replicas, age(scale, nowMs)],
};

/** The same of custom resources, which upstream describes otherwise. */
export const customScaleTable: TableConvertor<Scale> = {
  ...scaleTable,
  columns: [
    nameColumn,
    column("Desired", "Number of desired replicas", "integer"),
    column("Available", "Number of actual replicas", "integer"),
    { ...ageColumn, type: "date" },
  ],
};

export const disruptionBudgetTable: TableConvertor<PodDisruptionBudget> = {
  columns: [
    nameColumn,
    column("Min Available", "The minimum number of pods that must be available."),
    column("Max Unavailable", "The maximum number of pods that may be unavailable."),
    column("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.", "integer"),
    ageColumn,
  ],
  cells: (budget, nowMs) => {
    const { metadata, spec, status } = budget;
    return [
      metadata.name,
      String(spec?.minAvailable ?? "N/A"),
      String(spec?.maxUnavailable ?? "N/A"),
      status?.disruptionsAllowed ?? 0,
      age(budget, nowMs),
    ];
  },
};

const percent = (value: number | undefined, otherwise: string): string => (value === undefined ? otherwise : `${value}%`);

const knownAverage = (current: MetricValueStatus | undefined): string => (current ? String(current.averageValue ?? "<nil>") : "<unknown>");

/** "cpu: 40%/80%" */
function resourceText(name: string, target: MetricTarget, current: MetricValueStatus | undefined): string {
  if (target.averageValue !== undefined) return `${name}: ${knownAverage(current)}/${target.averageValue}`;
  return `${name}: ${percent(current?.averageUtilization, "<unknown>")}/${percent(target.averageUtilization, "<auto>")}`;
}

function valueText(target: MetricTarget, current: MetricValueStatus | undefined): string {
  if (target.averageValue !== undefined) return `${current?.averageValue ?? "<unknown>"}/${target.averageValue} (avg)`;
  return `${current ? (current.value ?? "<nil>") : "<unknown>"}/${target.value ?? "<nil>"}`;
}

/** Current and wanted value of one metric. */
function metricText({ type, resource, containerResource, pods, object, external }: MetricSpec, now: MetricStatus | undefined): string {
  if (type === "Resource" && resource) return resourceText(resource.name, resource.target, now?.resource?.current);
  if (type === "ContainerResource" && containerResource)
    return resourceText(containerResource.name, containerResource.target, now?.containerResource?.current);
  if (type === "Pods" && pods) return `${knownAverage(now?.pods?.current)}/${pods.target.averageValue ?? "<nil>"}`;
  if (type === "Object" && object) return valueText(object.target, now?.object?.current);
  if (type === "External" && external) return valueText(external.target, now?.external?.current);
  return "<unknown type>";
}

function metricsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec?.metrics ?? [];
  if (metrics.length === 0) return "<none>";
  return shortList(
    metrics.map((metric, i) => metricText(metric, status?.currentMetrics?.[i])),
    2,
    ", ",
  );
}

export const autoscalerTable: TableConvertor<HorizontalPodAutoscaler> = {
  columns: [
    nameColumn,
    column("Reference", texts.HorizontalPodAutoscalerSpec.scaleTargetRef),
    column("Targets", texts.HorizontalPodAutoscalerSpec.metrics),
    column("MinPods", texts.HorizontalPodAutoscalerSpec.minReplicas),
    column("MaxPods", texts.HorizontalPodAutoscalerSpec.maxReplicas),
    column("Replicas", texts.HorizontalPodAutoscalerStatus.currentReplicas),
    ageColumn,
  ],
  cells: (autoscaler, nowMs) => {
    const { metadata, spec, status } = autoscaler;
    const target = spec?.scaleTargetRef;
    return [
      metadata.name,
      `${target?.kind ?? ""}/${target?.name ?? ""}`,
      metricsText(autoscaler),
      String(spec?.minReplicas ?? "<unset>"),
      spec?.maxReplicas ?? 0,
      status?.currentReplicas ?? 0,
      age(autoscaler, nowMs),
    ];
  },
};

export const autoscalerV1Table: TableConvertor<AutoscalerV1> = {
  columns: autoscalerTable.columns,
  cells: (autoscaler, nowMs) => autoscalerTable.cells(toAutoscalerV2(autoscaler), nowMs),
};

export const priorityClassTable: TableConvertor<PriorityClass> = {
  columns: [
    nameColumn,
    column("Value", texts.PriorityClass.value, "integer"),
    column("Global-Default", texts.PriorityClass.globalDefault, "boolean"),
    ageColumn,
    column("PreemptionPolicy", texts.PriorityClass.preemptionPolicy),
  ],
  cells: (priorityClass, nowMs) => {
    const { metadata, value, globalDefault = false, preemptionPolicy = "" } = priorityClass;
    return [metadata.name, value, globalDefault, age(priorityClass, nowMs), preemptionPolicy];
  },
};

export const runtimeClassTable: TableConvertor<RuntimeClass> = {
  columns: [nameColumn, column("Handler", ""), ageColumn],
  cells: (runtimeClass, nowMs) => [runtimeClass.metadata.name, runtimeClass.handler, age(runtimeClass, nowMs)],
};
