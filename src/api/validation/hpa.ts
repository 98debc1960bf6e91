// Horizontal pod autoscalers, in the form of autoscaling/v2.
import { type FieldError, forbiddenField, invalidValue, notSupported, required } from "../meta/field-error.ts";
import { isDNS1123Label, isPathSegmentName } from "../meta/names.ts";
import { parseQuantity } from "../meta/quantity.ts";
import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from "../types/autoscaling-v2.ts";
import { validateContainerResourceName } from "./resource-names.ts";
import { addProblems, checkName, checkNonNegative, checkSupported } from "./rules.ts";

interface ReferenceRules {
  /** The core group may be meant. */
  readonly coreGroup: boolean;
  /** The old version had one that is refused in a new one. */
  readonly anyVersion: boolean;
}

const noTarget: CrossVersionObjectReference = { kind: "", name: "" };
const noSpec: HorizontalPodAutoscaler["spec"] = { maxReplicas: 0, scaleTargetRef: noTarget };

export function validateAutoscaler({ spec = noSpec }: HorizontalPodAutoscaler, old?: HorizontalPodAutoscaler): FieldError[] {
  const errors: FieldError[] = [];
  const { minReplicas, maxReplicas = 0, metrics = [], behavior, scaleTargetRef } = spec;
  const lowest = old?.spec.minReplicas === 0 ? 0 : 1;
  if (minReplicas !== undefined && minReplicas < lowest)
    errors.push(invalidValue("spec.minReplicas", minReplicas, `must be greater than or equal to ${lowest}`));
  if (maxReplicas === 0) errors.push(required("spec.maxReplicas", "must be set and greater than 0"));
  else if (maxReplicas < 0) errors.push(invalidValue("spec.maxReplicas", maxReplicas, "must be greater than or equal to 1"));
  if (minReplicas !== undefined && maxReplicas < minReplicas)
    errors.push(invalidValue("spec.maxReplicas", maxReplicas, "must be greater than or equal to `minReplicas`"));
  const target = scaleTargetRef ?? noTarget;
  const before = old?.spec.scaleTargetRef;
  validateReference(errors, "spec.scaleTargetRef", target, {
    anyVersion: before !== undefined && before.apiVersion === target.apiVersion && before.kind === target.kind,
    coreGroup: target.kind === "ReplicationController",
  });
  const anyVersion = (old?.spec.metrics ?? []).some(
    ({ object }) => object && versionProblem(object.describedObject.apiVersion, true) !== undefined,
  );
  for (const [i, metric] of metrics.entries()) validateMetric(errors, `spec.metrics[${i}]`, metric, { coreGroup: true, anyVersion });
  if (minReplicas === 0 && !metrics.some(({ type }) => type === "Object" || type === "External"))
    errors.push(forbiddenField("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"));
  validateScalingRules(errors, "spec.behavior.scaleUp", behavior?.scaleUp);
  validateScalingRules(errors, "spec.behavior.scaleDown", behavior?.scaleDown);
  return errors;
}

export function validateAutoscalerStatus({ status }: HorizontalPodAutoscaler): FieldError[] {
  const errors: FieldError[] = [];
  checkNonNegative(errors, "status.currentReplicas", status?.currentReplicas);
  checkNonNegative(errors, "status.desiredReplicas", status?.desiredReplicas);
  return errors;
}

/** What is wrong with "group/version"; `coreGroup`: a version alone will do. */
function versionProblem(apiVersion = "", coreGroup: boolean): string | undefined {
  const parts = apiVersion.split("/");
  if (parts.length > 2) return `unexpected GroupVersion string: ${apiVersion}`;
  return !coreGroup && (parts.length === 1 || parts[0] === "") ? "apiVersion must specify API group" : undefined;
}

function validateReference(errors: FieldError[], field: string, reference: CrossVersionObjectReference, rules: ReferenceRules): void {
  const { kind, name, apiVersion = "" } = reference;
  checkName(errors, `${field}.kind`, kind, isPathSegmentName);
  checkName(errors, `${field}.name`, name, isPathSegmentName);
  const problem = rules.anyVersion ? undefined : versionProblem(apiVersion, rules.coreGroup);
  if (problem !== undefined) errors.push(invalidValue(`${field}.apiVersion`, apiVersion, problem));
}

/** Sources in the order in which they are looked at, and the type that each belongs to. */
const sources = [
  ["object", "Object"],
  ["external", "External"],
  ["pods", "Pods"],
  ["resource", "Resource"],
  ["containerResource", "ContainerResource"],
] as const;
const metricTypes = ["ContainerResource", "External", "Object", "Pods", "Resource"];

function validateMetric(errors: FieldError[], field: string, metric: MetricSpec, rules: ReferenceRules): void {
  const { type } = metric;
  if (!type) errors.push(required(`${field}.type`, "must specify a metric source type"));
  const present = sources.filter(([source]) => metric[source] !== undefined);
  if (!metricTypes.includes(type)) errors.push(notSupported(`${field}.type`, type ?? "", metricTypes));
  const [first] = present;
  if (first) validateSource(errors, field, metric, first[0], rules);
  const expected = sources.find(([, name]) => name === type)?.[0];
  // An unknown type is reported here as well, upstream's way.
  if (!expected) errors.push(notSupported(`${field}.type`, type ?? "", metricTypes));
  else if (metric[expected] === undefined)
    errors.push(required(`${field}.${expected}`, "must populate information for the given metric source"));
  if (present.length === 1) return;
  for (const [source] of present)
    if (source !== expected) errors.push(forbiddenField(`${field}.${source}`, "must populate the given metric source only"));
}

function validateSource(
  errors: FieldError[],
  field: string,
  metric: MetricSpec,
  source: (typeof sources)[number][0],
  rules: ReferenceRules,
): void {
  const path = `${field}.${source}`;
  const { object, external, pods, resource, containerResource } = metric;
  if (source === "object" && object) {
    validateReference(errors, `${path}.describedObject`, object.describedObject ?? noTarget, rules);
    validateIdentified(errors, path, object.metric, object.target);
    checkEither(
      errors,
      `${path}.target.averageValue`,
      object.target,
      ["value", "averageValue"],
      "must set either a target value or averageValue",
    );
  } else if (source === "external" && external) {
    const { target } = external;
    validateIdentified(errors, path, external.metric, target);
    const either = "must set either a target value for metric or a per-pod target";
    checkEither(errors, `${path}.target.averageValue`, target, ["value", "averageValue"], either);
    if (target?.value !== undefined && target.averageValue !== undefined)
      errors.push(forbiddenField(`${path}.target.value`, "may not set both a target value for metric and a per-pod target"));
  } else if (source === "pods" && pods) {
    validateIdentified(errors, path, pods.metric, pods.target);
    checkEither(errors, `${path}.target.averageValue`, pods.target, ["averageValue"], "must specify a positive target averageValue");
  } else if (source === "resource" && resource) {
    if (!resource.name) errors.push(required(`${path}.name`, "must specify a resource name"));
    validateResourceTarget(errors, path, resource.target);
  } else if (containerResource) {
    const { name, container, target } = containerResource;
    if (!name) errors.push(required(`${path}.name`, "must specify a resource name"));
    else validateContainerResourceName(errors, `${path}.name`, name);
    if (!container) errors.push(required(`${path}.container`, "must specify a container"));
    else addProblems(errors, `${path}.container`, container, isDNS1123Label(container));
    validateResourceTarget(errors, path, target);
  }
}

function checkEither(
  errors: FieldError[],
  field: string,
  target: MetricTarget | undefined,
  names: readonly (keyof MetricTarget)[],
  detail: string,
): void {
  if (names.every((name) => target?.[name] === undefined)) errors.push(required(field, detail));
}

function validateIdentified(
  errors: FieldError[],
  field: string,
  metric: MetricIdentifier | undefined,
  target: MetricTarget | undefined,
): void {
  if (!metric?.name) errors.push(required(`${field}.metric.name`, "must specify a metric name"));
  else addProblems(errors, `${field}.metric.name`, metric.name, isPathSegmentName(metric.name));
  validateTarget(errors, `${field}.target`, target);
}

function validateResourceTarget(errors: FieldError[], field: string, target: MetricTarget | undefined): void {
  validateTarget(errors, `${field}.target`, target);
  const detail = "must set either a target raw value or a target utilization";
  checkEither(errors, `${field}.target.averageUtilization`, target, ["averageUtilization", "averageValue"], detail);
  if (target?.averageUtilization !== undefined && target.averageValue !== undefined)
    errors.push(forbiddenField(`${field}.target.averageValue`, "may not set both a target raw value and a target utilization"));
}

function validateTarget(errors: FieldError[], field: string, target: Partial<MetricTarget> = {}): void {
  const { type = "", averageUtilization } = target;
  if (type === "") errors.push(required(`${field}.type`, "must specify a metric target type"));
  if (!["Utilization", "Value", "AverageValue"].includes(type))
    errors.push(invalidValue(`${field}.type`, type, "must be either Utilization, Value, or AverageValue"));
  for (const name of ["value", "averageValue"] as const) {
    const value = target[name];
    if (value !== undefined && parseQuantity(value).sign !== 1)
      errors.push(invalidValue(`${field}.${name}`, String(parseQuantity(value)), "must be positive"));
  }
  if (averageUtilization !== undefined && averageUtilization < 1)
    errors.push(invalidValue(`${field}.averageUtilization`, averageUtilization, "must be greater than 0"));
}

const maxWindowSeconds = 3600;
const maxPeriodSeconds = 1800;

function validateScalingRules(errors: FieldError[], field: string, rules: HPAScalingRules | undefined): void {
  if (!rules) return;
  const { stabilizationWindowSeconds: window = 0, selectPolicy, policies = [], tolerance } = rules;
  const path = `${field}.stabilizationWindowSeconds`;
  if (window < 0) errors.push(invalidValue(path, window, "must be greater than or equal to zero"));
  if (window > maxWindowSeconds) errors.push(invalidValue(path, window, `must be less than or equal to ${maxWindowSeconds}`));
  if (selectPolicy !== undefined) checkSupported(errors, `${field}.selectPolicy`, selectPolicy, ["Disabled", "Max", "Min"]);
  if (policies.length === 0) errors.push(required(`${field}.policies`, "must specify at least one Policy"));
  for (const [i, { type, value = 0, periodSeconds: period = 0 }] of policies.entries()) {
    const at = `${field}.policies[${i}]`;
    checkSupported(errors, `${at}.type`, type, ["Percent", "Pods"]);
    if (value <= 0) errors.push(invalidValue(`${at}.value`, value, "must be greater than zero"));
    if (period <= 0) errors.push(invalidValue(`${at}.periodSeconds`, period, "must be greater than zero"));
    if (period > maxPeriodSeconds)
      errors.push(invalidValue(`${at}.periodSeconds`, period, `must be less than or equal to ${maxPeriodSeconds}`));
  }
  if (tolerance !== undefined && parseQuantity(tolerance).sign < 0)
    errors.push(invalidValue(`${field}.tolerance`, String(parseQuantity(tolerance)), "must be greater than or equal to 0"));
}
