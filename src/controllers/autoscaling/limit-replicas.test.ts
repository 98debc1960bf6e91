import { describe, expect, it } from "vitest";
import type { HorizontalPodAutoscalerBehavior } from "../../api/types/autoscaling-v2.ts";
import { type LimitInput, limitReplicas } from "./limit-replicas.ts";
import { emptyHistory } from "./scaling-history.ts";

const nowMs = 1_000_000;
const ago = (seconds: number): number => nowMs - seconds * 1000;

function limit(input: Partial<Omit<LimitInput, "spec">> & { readonly max?: number; readonly behavior?: HorizontalPodAutoscalerBehavior }) {
  const { max = 100, behavior, ...rest } = input;
  const spec = { maxReplicas: max, ...(behavior ? { behavior } : {}) };
  const defaults = { minReplicas: 1, current: 5, desired: 5, history: emptyHistory, nowMs, downscaleStabilizationMs: 300_000 };
  const { replicas, stabilized, limited } = limitReplicas({ spec, ...defaults, ...rest });
  return [replicas, stabilized.reason, `${limited.reason}=${limited.status}`];
}

const rules = { stabilizationWindowSeconds: 0, selectPolicy: "Max" };
const fast = { ...rules, policies: [{ type: "Percent", value: 100, periodSeconds: 15 }] };

describe("limitReplicas() without spec.behavior", () => {
  it("lets a number within the bounds pass", () => {
    expect(limit({ desired: 7 })).toEqual([7, "ReadyForNewScale", "DesiredWithinRange=False"]);
  });

  it("at most doubles, but four are always allowed", () => {
    expect(limit({ desired: 50 })).toEqual([10, "ReadyForNewScale", "ScaleUpLimit=True"]);
    expect(limit({ current: 1, desired: 50 })).toEqual([4, "ReadyForNewScale", "ScaleUpLimit=True"]);
  });

  it("keeps to the bounds", () => {
    expect(limit({ desired: 50, max: 6 })).toEqual([6, "ReadyForNewScale", "TooManyReplicas=True"]);
    expect(limit({ desired: 1, minReplicas: 3 })).toEqual([3, "ReadyForNewScale", "TooFewReplicas=True"]);
  });

  it("goes no lower than what was recommended within the window", () => {
    const recommendations = [
      { replicas: 9, atMs: ago(301) },
      { replicas: 4, atMs: ago(200) },
    ];
    const history = { ...emptyHistory, recommendations };
    expect(limit({ desired: 2, history })).toEqual([4, "ScaleDownStabilized", "DesiredWithinRange=False"]);
  });
});

describe("limitReplicas() with spec.behavior", () => {
  it("adds no more than the largest policy allows, less what was added in its period", () => {
    const scaleUp = {
      ...rules,
      policies: [
        { type: "Pods", value: 4, periodSeconds: 60 },
        { type: "Percent", value: 50, periodSeconds: 60 },
      ],
    };
    expect(limit({ desired: 50, behavior: { scaleUp, scaleDown: fast } })).toEqual([9, "ReadyForNewScale", "ScaleUpLimit=True"]);
    const history = {
      ...emptyHistory,
      added: [
        { pods: 3, atMs: ago(30) },
        { pods: 9, atMs: ago(61) },
      ],
    };
    expect(limit({ desired: 50, history, behavior: { scaleUp, scaleDown: fast } })).toEqual([6, "ReadyForNewScale", "ScaleUpLimit=True"]);
    const min = { ...scaleUp, selectPolicy: "Min" };
    expect(limit({ desired: 50, behavior: { scaleUp: min, scaleDown: fast } })).toEqual([8, "ReadyForNewScale", "ScaleUpLimit=True"]);
  });

  it("does not move in a direction that is disabled", () => {
    const disabled = { ...fast, selectPolicy: "Disabled" };
    expect(limit({ desired: 1, behavior: { scaleUp: fast, scaleDown: disabled } })).toEqual([5, "ReadyForNewScale", "ScaleDownLimit=True"]);
    expect(limit({ desired: 9, behavior: { scaleUp: disabled, scaleDown: fast } })).toEqual([5, "ReadyForNewScale", "ScaleUpLimit=True"]);
  });

  it("takes away no more than the policies allow", () => {
    const scaleDown = { ...rules, policies: [{ type: "Pods", value: 1, periodSeconds: 60 }] };
    expect(limit({ desired: 1, behavior: { scaleUp: fast, scaleDown } })).toEqual([4, "ReadyForNewScale", "ScaleDownLimit=True"]);
    const history = { ...emptyHistory, removed: [{ pods: 1, atMs: ago(10) }] };
    expect(limit({ desired: 1, history, behavior: { scaleUp: fast, scaleDown } })).toEqual([5, "ReadyForNewScale", "ScaleDownLimit=True"]);
    expect(limit({ desired: 1, minReplicas: 4, behavior: { scaleUp: fast, scaleDown: fast } })[2]).toBe("TooFewReplicas=True");
  });

  it("stabilises both ways by its own windows", () => {
    const history = { ...emptyHistory, recommendations: [{ replicas: 6, atMs: ago(20) }] };
    const slow = { ...fast, stabilizationWindowSeconds: 60 };
    expect(limit({ desired: 9, history, behavior: { scaleUp: slow, scaleDown: fast } })).toEqual([
      6,
      "ScaleUpStabilized",
      "DesiredWithinRange=False",
    ]);
    expect(limit({ desired: 2, current: 8, history, behavior: { scaleUp: fast, scaleDown: slow } })).toEqual([
      6,
      "ScaleDownStabilized",
      "DesiredWithinRange=False",
    ]);
  });

  it("uses the manager's window where the rules name none", () => {
    const { stabilizationWindowSeconds: _, ...unnamed } = fast;
    const history = { ...emptyHistory, recommendations: [{ replicas: 4, atMs: ago(250) }] };
    expect(limit({ desired: 2, history, behavior: { scaleUp: fast, scaleDown: unnamed } })[1]).toBe("ScaleDownStabilized");
  });
});
