// Metrics of autoscalers in the form of autoscaling/v1, which exists in annotations only (autoscaler.ts), to and from v2.
// Fields are written in the order in which Go writes them, as the annotation is a text.
import type { MetricSpec, MetricStatus, MetricTarget, MetricValueStatus } from "../types/autoscaling-v2.ts";
import type { LabelSelector } from "../types/meta-v1.ts";

interface ObjectReferenceV1 {
  readonly kind: string;
  readonly name: string;
  readonly apiVersion?: string;
}

type Amount = string | number;

export interface MetricSpecV1 {
  readonly type: string;
  readonly object?: {
    readonly target: ObjectReferenceV1;
    readonly metricName: string;
    readonly targetValue: Amount;
    readonly selector?: LabelSelector;
    readonly averageValue?: Amount;
  };
  readonly pods?: { readonly metricName: string; readonly targetAverageValue: Amount; readonly selector?: LabelSelector };
  readonly resource?: ResourceSpecV1;
  readonly containerResource?: ResourceSpecV1 & { readonly container: string };
  readonly external?: {
    readonly metricName: string;
    readonly metricSelector?: LabelSelector;
    readonly targetValue?: Amount;
    readonly targetAverageValue?: Amount;
  };
}

interface ResourceSpecV1 {
  readonly name: string;
  readonly targetAverageUtilization?: number;
  readonly targetAverageValue?: Amount;
}

export interface MetricStatusV1 {
  readonly type: string;
  readonly object?: {
    readonly target: ObjectReferenceV1;
    readonly metricName: string;
    readonly currentValue: Amount;
    readonly selector?: LabelSelector;
    readonly averageValue?: Amount;
  };
  readonly pods?: { readonly metricName: string; readonly currentAverageValue: Amount; readonly selector?: LabelSelector };
  readonly resource?: ResourceStatusV1;
  readonly containerResource?: ResourceStatusV1 & { readonly container: string };
  readonly external?: {
    readonly metricName: string;
    readonly metricSelector?: LabelSelector;
    readonly currentValue: Amount;
    readonly currentAverageValue?: Amount;
  };
}

interface ResourceStatusV1 {
  readonly name: string;
  readonly currentAverageUtilization?: number;
  readonly currentAverageValue: Amount;
}

/** The object without its undefined fields. */
function defined<T extends object>(object: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

const reference = ({ kind, name, apiVersion }: ObjectReferenceV1): ObjectReferenceV1 =>
  defined<ObjectReferenceV1>({ kind, name, apiVersion });

const resourceSpec = (name: string, { averageUtilization, averageValue }: MetricTarget): ResourceSpecV1 =>
  defined<ResourceSpecV1>({ name, targetAverageUtilization: averageUtilization, targetAverageValue: averageValue });

export function specToV1({ type, object, pods, resource, containerResource, external }: MetricSpec): MetricSpecV1 {
  return defined<MetricSpecV1>({
    type,
    object:
      object &&
      defined<NonNullable<MetricSpecV1["object"]>>({
        target: reference(object.describedObject),
        metricName: object.metric.name,
        targetValue: object.target.value ?? "0",
        selector: object.metric.selector,
        averageValue: object.target.averageValue,
      }),
    pods:
      pods &&
      defined<NonNullable<MetricSpecV1["pods"]>>({
        metricName: pods.metric.name,
        targetAverageValue: pods.target.averageValue ?? "0",
        selector: pods.metric.selector,
      }),
    resource: resource && resourceSpec(resource.name, resource.target),
    containerResource: containerResource && {
      ...resourceSpec(containerResource.name, containerResource.target),
      container: containerResource.container,
    },
    external:
      external &&
      defined<NonNullable<MetricSpecV1["external"]>>({
        metricName: external.metric.name,
        metricSelector: external.metric.selector,
        targetValue: external.target.value,
        targetAverageValue: external.target.averageValue,
      }),
  });
}

const metric = (name: string, selector: LabelSelector | undefined): { readonly name: string; readonly selector?: LabelSelector } =>
  selector ? { name, selector } : { name };

function resourceTarget({ targetAverageUtilization, targetAverageValue }: ResourceSpecV1): MetricTarget {
  const type = targetAverageUtilization === undefined ? "AverageValue" : "Utilization";
  return defined<MetricTarget>({ type, averageUtilization: targetAverageUtilization, averageValue: targetAverageValue });
}

const isZero = (amount: Amount): boolean => amount === 0 || amount === "0";

export function specFromV1({ type, object, pods, resource, containerResource, external }: MetricSpecV1): MetricSpec {
  return defined<MetricSpec>({
    type,
    object: object && {
      describedObject: reference(object.target),
      metric: metric(object.metricName, object.selector),
      target: defined<MetricTarget>({
        type: object.averageValue === undefined ? "Value" : "AverageValue",
        // v1 cannot leave the value out: a zero beside an average means none.
        value: object.averageValue !== undefined && isZero(object.targetValue) ? undefined : object.targetValue,
        averageValue: object.averageValue,
      }),
    },
    pods: pods && {
      metric: metric(pods.metricName, pods.selector),
      target: { type: "AverageValue", averageValue: pods.targetAverageValue },
    },
    resource: resource && { name: resource.name, target: resourceTarget(resource) },
    containerResource: containerResource && {
      name: containerResource.name,
      container: containerResource.container,
      target: resourceTarget(containerResource),
    },
    external: external && {
      metric: metric(external.metricName, external.metricSelector),
      target: defined<MetricTarget>({
        type: external.targetValue === undefined ? "AverageValue" : "Value",
        value: external.targetValue,
        averageValue: external.targetAverageValue,
      }),
    },
  });
}

const resourceStatus = (name: string, { averageUtilization, averageValue }: MetricValueStatus): ResourceStatusV1 =>
  defined<ResourceStatusV1>({ name, currentAverageUtilization: averageUtilization, currentAverageValue: averageValue ?? "0" });

export function statusToV1({ type, object, pods, resource, containerResource, external }: MetricStatus): MetricStatusV1 {
  return defined<MetricStatusV1>({
    type,
    object:
      object &&
      defined<NonNullable<MetricStatusV1["object"]>>({
        target: reference(object.describedObject),
        metricName: object.metric.name,
        currentValue: object.current.value ?? "0",
        selector: object.metric.selector,
        averageValue: object.current.averageValue,
      }),
    pods:
      pods &&
      defined<NonNullable<MetricStatusV1["pods"]>>({
        metricName: pods.metric.name,
        currentAverageValue: pods.current.averageValue ?? "0",
        selector: pods.metric.selector,
      }),
    resource: resource && resourceStatus(resource.name, resource.current),
    containerResource: containerResource && {
      ...resourceStatus(containerResource.name, containerResource.current),
      container: containerResource.container,
    },
    external:
      external &&
      defined<NonNullable<MetricStatusV1["external"]>>({
        metricName: external.metric.name,
        metricSelector: external.metric.selector,
        currentValue: external.current.value ?? "0",
        currentAverageValue: external.current.averageValue,
      }),
  });
}

const resourceCurrent = ({ currentAverageUtilization, currentAverageValue }: ResourceStatusV1): MetricValueStatus =>
  defined<MetricValueStatus>({ averageUtilization: currentAverageUtilization, averageValue: currentAverageValue });

export function statusFromV1({ type, object, pods, resource, containerResource, external }: MetricStatusV1): MetricStatus {
  return defined<MetricStatus>({
    type,
    object: object && {
      describedObject: reference(object.target),
      metric: metric(object.metricName, object.selector),
      current: defined<MetricValueStatus>({ value: object.currentValue, averageValue: object.averageValue }),
    },
    pods: pods && { metric: metric(pods.metricName, pods.selector), current: { averageValue: pods.currentAverageValue } },
    resource: resource && { name: resource.name, current: resourceCurrent(resource) },
    containerResource: containerResource && {
      name: containerResource.name,
      container: containerResource.container,
      current: resourceCurrent(containerResource),
    },
    external: external && {
      metric: metric(external.metricName, external.metricSelector),
      current: defined<MetricValueStatus>({ value: external.currentValue, averageValue: external.currentAverageValue }),
    },
  });
}
