// From the number of pods that the metrics ask for to the one that is set: not below what was asked for lately (or by the
// rules of spec.behavior: not above, either), not faster than the policies allow, and within the autoscaler's bounds. Says
// what limited it, as the conditions AbleToScale and ScalingLimited do.
import type { HorizontalPodAutoscalerSpec, HPAScalingRules } from "../../api/types/autoscaling-v2.ts";
import { maxReplicaCount } from "./autoscaler-options.ts";
import { changeWithin, type ScaleChange, type ScalingHistory } from "./scaling-history.ts";

interface Reason {
  readonly reason: string;
  readonly message: string;
}

export interface LimitedReplicas {
  readonly replicas: number;
  /** Of AbleToScale, which is true. */
  readonly stabilized: Reason;
  /** Of ScalingLimited. */
  readonly limited: Reason & { readonly status: "True" | "False" };
}

export interface LimitInput {
  readonly spec: Pick<HorizontalPodAutoscalerSpec, "behavior" | "maxReplicas">;
  readonly minReplicas: number;
  readonly current: number;
  readonly desired: number;
  readonly history: ScalingHistory;
  readonly nowMs: number;
  readonly downscaleStabilizationMs: number;
}

interface Bound extends Reason {
  readonly replicas: number;
}

const readyForScale: Reason = { reason: "ReadyForNewScale", message: "recommended size matches current size" };
const stabilizedUp: Reason = {
  reason: "ScaleUpStabilized",
  message: "recent recommendations were lower than current one, applying the lowest recent recommendation",
};
const stabilizedDown: Reason = {
  reason: "ScaleDownStabilized",
  message: "recent recommendations were higher than current one, applying the highest recent recommendation",
};
const withinRange: Reason = { reason: "DesiredWithinRange", message: "the desired count is within the acceptable range" };
const tooMany: Reason = { reason: "TooManyReplicas", message: "the desired replica count is more than the maximum replica count" };
const tooFew: Reason = { reason: "TooFewReplicas", message: "the desired replica count is less than the minimum replica count" };
const tooFastUp: Reason = {
  reason: "ScaleUpLimit",
  message: "the desired replica count is increasing faster than the maximum scale rate",
};
const tooFastDown: Reason = {
  reason: "ScaleDownLimit",
  message: "the desired replica count is decreasing faster than the maximum scale rate",
};

export function limitReplicas(input: LimitInput): LimitedReplicas {
  const { desired, current, spec } = input;
  const stable = stabilize(input);
  const stabilization = spec.behavior === undefined || desired < current ? stabilizedDown : stabilizedUp;
  const bound = boundOf(input, stable);
  const limited = bound.replicas === stable ? ("False" as const) : ("True" as const);
  return {
    replicas: bound.replicas,
    stabilized: stable === desired ? readyForScale : stabilization,
    limited: { status: limited, reason: bound.reason, message: bound.message },
  };
}

/** How long recommendations have to be remembered. */
export function recommendationWindowMs({ spec, downscaleStabilizationMs }: Pick<LimitInput, "spec" | "downscaleStabilizationMs">): number {
  if (!spec.behavior) return downscaleStabilizationMs;
  return Math.max(windowMs(spec.behavior.scaleUp, 0), windowMs(spec.behavior.scaleDown, downscaleStabilizationMs));
}

/** How long changes have to be remembered: the longest period of any policy. */
export function changeWindowMs(rules: HPAScalingRules | undefined): number {
  return Math.max(0, ...(rules?.policies ?? []).map(({ periodSeconds }) => periodSeconds)) * 1000;
}

const windowMs = (rules: HPAScalingRules | undefined, otherwiseMs: number): number =>
  rules?.stabilizationWindowSeconds === undefined ? otherwiseMs : rules.stabilizationWindowSeconds * 1000;

function stabilize({ spec, current, desired, history, nowMs, downscaleStabilizationMs }: LimitInput): number {
  const since = (window: number): readonly number[] =>
    history.recommendations.filter(({ atMs }) => atMs > nowMs - window).map(({ replicas }) => replicas);
  if (!spec.behavior) return Math.max(desired, ...since(downscaleStabilizationMs));
  const lowest = Math.min(desired, ...since(windowMs(spec.behavior.scaleUp, 0)));
  const highest = Math.max(desired, ...since(windowMs(spec.behavior.scaleDown, downscaleStabilizationMs)));
  return Math.min(Math.max(current, lowest), highest);
}

function boundOf(input: LimitInput, stable: number): Bound {
  const { spec, minReplicas, current } = input;
  if (!spec.behavior) {
    const upper = upperBound(spec.maxReplicas, Math.max(2 * current, 4));
    if (stable < minReplicas) return { replicas: minReplicas, ...tooFew };
    return stable > upper.replicas ? upper : { replicas: stable, ...withinRange };
  }
  if (stable > current) {
    const upper = upperBound(spec.maxReplicas, Math.max(current, scaleUpLimit(input, spec.behavior.scaleUp)));
    if (stable > upper.replicas) return upper;
  } else if (stable < current) {
    const limit = Math.min(current, scaleDownLimit(input, spec.behavior.scaleDown));
    const lower: Bound = minReplicas < limit ? { replicas: limit, ...tooFastDown } : { replicas: minReplicas, ...tooFew };
    if (stable < lower.replicas) return lower;
  }
  return { replicas: stable, ...withinRange };
}

function upperBound(maxReplicas: number, rateLimit: number): Bound {
  return maxReplicas > rateLimit ? { replicas: rateLimit, ...tooFastUp } : { replicas: maxReplicas, ...tooMany };
}

/** How many there were at the beginning of a period, as far as the autoscaler itself has changed it since. */
function replicasAtStart({ current, history, nowMs }: LimitInput, periodSeconds: number): number {
  const within = (changes: readonly ScaleChange[]): number => changeWithin(changes, periodSeconds, nowMs);
  return current - within(history.added) + within(history.removed);
}

function scaleUpLimit(input: LimitInput, rules: HPAScalingRules | undefined): number {
  if (rules?.selectPolicy === "Disabled") return input.current;
  const limits = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = replicasAtStart(input, periodSeconds);
    // Rounded up: a few per cent of a few pods would never be one.
    return type === "Pods" ? start + value : Math.ceil(start * (1 + value / 100));
  });
  return rules?.selectPolicy === "Min" ? Math.min(maxReplicaCount, ...limits) : Math.max(-maxReplicaCount, ...limits);
}

function scaleDownLimit(input: LimitInput, rules: HPAScalingRules | undefined): number {
  if (rules?.selectPolicy === "Disabled") return input.current;
  const limits = (rules?.policies ?? []).map(({ type, value, periodSeconds }) => {
    const start = replicasAtStart(input, periodSeconds);
    return type === "Pods" ? start - value : Math.trunc(start * (1 - value / 100));
  });
  return rules?.selectPolicy === "Min" ? Math.max(-maxReplicaCount, ...limits) : Math.min(maxReplicaCount, ...limits);
}
