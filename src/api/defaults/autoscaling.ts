// Defaults of autoscalers, in both versions.
import { cpuMetric, defaultCpuUtilization } from "../conversion/autoscaler.ts";
import type { HorizontalPodAutoscaler as AutoscalerV1 } from "../types/autoscaling-v1.ts";
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, HPAScalingRules } from "../types/autoscaling-v2.ts";
import { change, fill } from "./fill.ts";

/** As much again every 15 seconds, or 4 pods where that is more. */
const scaleUp: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};

/** All at once; how long to wait first is the controller's to say. */
const scaleDown: HPAScalingRules = { selectPolicy: "Max", policies: [{ type: "Percent", value: 100, periodSeconds: 15 }] };

/** A behaviour that says something of one direction gets the rules of both. */
function defaultBehavior(behavior: HorizontalPodAutoscalerBehavior): HorizontalPodAutoscalerBehavior {
  const filled = fill(behavior, { scaleUp, scaleDown });
  return change(
    change(filled, "scaleUp", (rules) => fill(rules, scaleUp)),
    "scaleDown",
    (rules) => fill(rules, scaleDown),
  );
}

export function defaultAutoscaler(autoscaler: HorizontalPodAutoscaler): HorizontalPodAutoscaler {
  return change(autoscaler, "spec", (given) => {
    let spec = fill(given, { minReplicas: 1 });
    if ((spec.metrics ?? []).length === 0) spec = { ...spec, metrics: [cpuMetric(defaultCpuUtilization)] };
    return change(spec, "behavior", defaultBehavior);
  });
}

export const defaultAutoscalerV1 = (autoscaler: AutoscalerV1): AutoscalerV1 =>
  change(autoscaler, "spec", (spec) => fill(spec, { minReplicas: 1 }));
