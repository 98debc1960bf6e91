import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { defaultAutoscalerOptions } from "./autoscaler-options.ts";
import type { PodMetric } from "./metric-source.ts";
import { replicasForAverage, replicasForShare, replicasForTotal, replicasForUtilization } from "./replica-count.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);
const tolerances = { down: 0.1, up: 0.1 };

interface PodSketch {
  readonly phase?: string;
  readonly ready?: boolean;
  readonly startedSecondsAgo?: number;
  readonly cpu?: string;
  readonly going?: boolean;
}

function podsOf(sketches: Readonly<Record<string, PodSketch>>): readonly Pod[] {
  return Object.entries(sketches).map(([name, { phase = "Running", ready = true, startedSecondsAgo = 3600, cpu = "1", going }]) => {
    const startTime = formatTime(nowMs - startedSecondsAgo * 1000);
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "d", uid: name, ...(going ? { deletionTimestamp: startTime } : {}) },
      spec: { containers: [{ name: "c", ...(cpu ? { resources: { requests: { cpu } } } : {}) }] },
      status: { phase, startTime, conditions: [{ type: "Ready", status: ready ? "True" : "False", lastTransitionTime: startTime }] },
    } as unknown as Pod;
  });
}

const metricsOf = (values: Readonly<Record<string, number>>): ReadonlyMap<string, PodMetric> =>
  new Map(Object.entries(values).map(([pod, millis]) => [pod, { millis, atMs: nowMs, windowMs: 30_000 }]));

const input = (pods: Readonly<Record<string, PodSketch>>, metrics: Readonly<Record<string, number>>) => ({
  current: Object.keys(pods).length,
  pods: podsOf(pods),
  metrics: metricsOf(metrics),
  resource: "cpu",
  tolerances,
  nowMs,
  options: defaultAutoscalerOptions,
});

describe("replicasForUtilization()", () => {
  it("scales by the ratio of utilization to target, rounded up", () => {
    expect(replicasForUtilization(input({ a: {}, b: {}, c: {} }, { a: 300, b: 500, c: 700 }), 30)).toEqual({
      replicas: 5,
      usage: 500,
      utilization: 50,
    });
    expect(replicasForUtilization(input({ a: {}, b: {}, c: {} }, { a: 100, b: 100, c: 100 }), 50).replicas).toBe(1);
  });

  it("leaves things as they are within the tolerance", () => {
    expect(replicasForUtilization(input({ a: {}, b: {} }, { a: 540, b: 540 }), 50).replicas).toBe(2);
    const wide = { ...input({ a: {}, b: {} }, { a: 700, b: 700 }), tolerances: { down: 0.1, up: 0.5 } };
    expect(replicasForUtilization(wide, 50).replicas).toBe(2);
  });

  it("takes pods that are starting for idle when there are to be more", () => {
    const pods = { a: {}, b: {}, c: { ready: false, startedSecondsAgo: 10 } };
    expect(replicasForUtilization(input(pods, { a: 1000, b: 1000, c: 1000 }), 50).replicas).toBe(4);
    expect(replicasForUtilization(input({ a: {}, b: {}, c: { phase: "Pending" } }, { a: 1000, b: 1000 }), 50).replicas).toBe(4);
  });

  it("takes pods without figures for idle when there are to be more, and for fully used when there are to be fewer", () => {
    expect(replicasForUtilization(input({ a: {}, b: {}, c: {}, d: {} }, { a: 1000, b: 1000, c: 1000 }), 50).replicas).toBe(6);
    expect(replicasForUtilization(input({ a: {}, b: {}, c: {}, d: {} }, { a: 100, b: 100, c: 100 }), 50).replicas).toBe(3);
  });

  it("never turns the direction because of what it assumes", () => {
    expect(replicasForUtilization(input({ a: {}, b: {} }, { a: 600 }), 50).replicas).toBe(2);
  });

  it("leaves failed pods and those that go out", () => {
    const pods = { a: {}, b: {}, c: { phase: "Failed" }, d: { going: true } };
    expect(replicasForUtilization(input(pods, { a: 1000, b: 1000, c: 0, d: 0 }), 50).replicas).toBe(4);
  });

  it("says what is missing", () => {
    expect(() => replicasForUtilization(input({}, {}), 50)).toThrow("no pods returned by selector while calculating replica count");
    expect(() => replicasForUtilization(input({ a: { phase: "Pending" } }, {}), 50)).toThrow(
      "did not receive metrics for targeted pods (pods might be unready)",
    );
    expect(() => replicasForUtilization(input({ a: { cpu: "" } }, { a: 5 }), 50)).toThrow(
      "missing request for cpu in container c of Pod a",
    );
    expect(() => replicasForUtilization({ ...input({ a: {} }, { a: 5 }), container: "x" }, 50)).toThrow("container x not found in Pod a");
  });
});

describe("replicasForAverage()", () => {
  it("scales by the average over the pods", () => {
    expect(replicasForAverage(input({ a: {}, b: {} }, { a: 3000, b: 5000 }), 2000)).toEqual({ replicas: 4, usage: 4000 });
  });

  it("takes pods without figures to be on target when there are to be fewer", () => {
    expect(replicasForAverage(input({ a: {}, b: {}, c: {} }, { a: 100, b: 100 }), 1000).replicas).toBe(2);
  });
});

describe("replicasForTotal() and replicasForShare()", () => {
  it("count ready pods, or start from none", () => {
    const pods = podsOf({ a: {}, b: { ready: false } });
    expect(replicasForTotal({ current: 2, usage: 4000, target: 1000, tolerances, pods })).toEqual({ replicas: 4, usage: 4000 });
    expect(replicasForTotal({ current: 0, usage: 2500, target: 1000, tolerances, pods: [] }).replicas).toBe(3);
    expect(replicasForTotal({ current: 2, usage: 1050, target: 1000, tolerances, pods }).replicas).toBe(2);
  });

  it("divide what there is among the pods", () => {
    expect(replicasForShare({ current: 3, usage: 10_000, target: 2000, tolerances })).toEqual({ replicas: 5, usage: 3334 });
    expect(replicasForShare({ current: 5, usage: 10_000, target: 2000, tolerances }).replicas).toBe(5);
    expect(replicasForShare({ current: 0, usage: 3000, target: 2000, tolerances })).toEqual({ replicas: 2, usage: 3000 });
  });
});
