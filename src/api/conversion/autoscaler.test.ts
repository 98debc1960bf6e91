import { describe, expect, it } from "vitest";
import type { HorizontalPodAutoscaler } from "../types/autoscaling-v2.ts";
import { fromAutoscalerV2, toAutoscalerV2 } from "./autoscaler.ts";

const metadata = { name: "a", namespace: "default", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };

const stored: HorizontalPodAutoscaler = {
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { ...metadata, annotations: { mine: "kept" } },
  spec: {
    scaleTargetRef: { kind: "Deployment", name: "web", apiVersion: "apps/v1" },
    minReplicas: 2,
    maxReplicas: 5,
    metrics: [
      { type: "Pods", pods: { metric: { name: "queue" }, target: { type: "AverageValue", averageValue: "10" } } },
      { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } },
    ],
    behavior: { scaleDown: { stabilizationWindowSeconds: 7, policies: [{ type: "Percent", value: 100, periodSeconds: 15 }] } },
  },
  status: {
    currentReplicas: 3,
    desiredReplicas: 4,
    currentMetrics: [{ type: "Resource", resource: { name: "cpu", current: { averageUtilization: 40, averageValue: "1" } } }],
    conditions: [{ type: "AbleToScale", status: "True" }],
  },
};

describe("autoscalers in v1 and v2", () => {
  it("v1 shows the CPU utilization as fields and carries the rest in annotations", () => {
    const served = fromAutoscalerV2(stored);
    expect(served.spec).toEqual({
      scaleTargetRef: stored.spec.scaleTargetRef,
      minReplicas: 2,
      maxReplicas: 5,
      targetCPUUtilizationPercentage: 50,
    });
    expect(served.status).toEqual({ currentReplicas: 3, desiredReplicas: 4, currentCPUUtilizationPercentage: 40 });
    expect(served.metadata.annotations?.["autoscaling.alpha.kubernetes.io/metrics"]).toBe(
      '[{"type":"Pods","pods":{"metricName":"queue","targetAverageValue":"10"}}]',
    );
    expect(served.metadata.annotations?.["mine"]).toBe("kept");
  });

  it("a round trip through v1 loses nothing", () => {
    expect(toAutoscalerV2(fromAutoscalerV2(stored))).toEqual(stored);
  });

  it("a v1 object without metrics aims at 80 % of the CPU, and annotations that are no JSON are dropped", () => {
    const { metrics: _1, behavior: _2, ...spec } = stored.spec;
    const annotations = { "autoscaling.alpha.kubernetes.io/metrics": "[nonsense" };
    const made = toAutoscalerV2({
      apiVersion: "autoscaling/v1",
      kind: "HorizontalPodAutoscaler",
      metadata: { ...metadata, annotations },
      spec,
    });
    expect(made.spec.metrics).toEqual([
      { type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } } },
    ]);
    expect(made.metadata.annotations).toBeUndefined();
  });
});
