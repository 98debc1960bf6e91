import { describe, expect, test } from "vitest";
import { MetricsRegistry } from "../../base/metrics.ts";
import { featureGatesFlag, type GateSupport, registerFeatureMetrics, resolveFeatureGates } from "./feature-gates.ts";

const kubelet: GateSupport = { component: "kubelet", switchable: new Set(["MemoryQoS", "GracefulNodeShutdown"]) };

describe("resolveFeatureGates()", () => {
  test("has v1.36's defaults, and what was turned", () => {
    const gates = resolveFeatureGates({ MemoryQoS: true, GracefulNodeShutdown: true }, kubelet);
    expect(["MemoryQoS", "GracefulNodeShutdown", "NodeSwap", "EventedPLEG"].map((name) => gates.enabled(name))).toEqual([
      ...[true, true, true, false],
    ]);
    expect(gates.turned).toEqual(["MemoryQoS"]);
    expect(gates.enabled("NoSuchGate")).toBe(false);
  });

  test("refuses unknown gates and locked ones in upstream's words", () => {
    const turn = (given: Readonly<Record<string, boolean>>) => () => resolveFeatureGates(given, kubelet);
    expect(turn({ NoSuchGate: true })).toThrow("unrecognized feature gate: NoSuchGate");
    expect(turn({ NodeSwap: false })).toThrow("cannot set feature gate NodeSwap to false, feature is locked to true");
    expect(turn({ NodeSwap: true })).not.toThrow();
  });

  test("refuses what this component would have to do and does not; what others look at is theirs", () => {
    expect(() => resolveFeatureGates({ EventedPLEG: true, PodsAPI: true }, kubelet)).toThrow(
      "cannot set feature gate EventedPLEG=true, PodsAPI=true: not supported by coracle's kubelet",
    );
    expect(() => resolveFeatureGates({ EventedPLEG: false }, kubelet)).not.toThrow();
    expect(resolveFeatureGates({ HPAScaleToZero: true }, kubelet).turned).toEqual([]);
    expect(() => resolveFeatureGates({ HPAScaleToZero: true }, { component: "controllers", switchable: new Set() })).toThrow(
      "not supported by coracle's controller manager",
    );
  });

  test("turns all gates of a level but those that are named", () => {
    const all: GateSupport = { component: "proxy", switchable: new Set(["ComponentFlagz", "ComponentStatusz"]) };
    const gates = resolveFeatureGates({ AllBeta: false, ComponentFlagz: true }, all);
    expect([gates.enabled("ComponentFlagz"), gates.enabled("ComponentStatusz")]).toEqual([true, false]);
    expect(resolveFeatureGates({ AllAlpha: false }, all).turned).toEqual([]);
  });
});

test("the flag takes pairs, and may be repeated", () => {
  const flag = featureGatesFlag(kubelet);
  expect(flag.parse("NodeSwap=true,GracefulNodeShutdown=f", { MemoryQoS: true })).toEqual({
    ...{ MemoryQoS: true, NodeSwap: true, GracefulNodeShutdown: false },
  });
  expect(() => flag.parse("MemoryQoS", undefined)).toThrow("missing bool value for MemoryQoS");
  expect(() => flag.parse("MemoryQoS=yes", undefined)).toThrow(
    'invalid value of MemoryQoS=yes, err: strconv.ParseBool: parsing "yes": invalid syntax',
  );
  expect(() => flag.parse("NodeSwap=false", undefined)).toThrow("feature is locked to true");
});

describe("registerFeatureMetrics()", () => {
  test("tells of every gate its stage, and whether it is on", () => {
    const metrics = new MetricsRegistry();
    registerFeatureMetrics(metrics, resolveFeatureGates({ MemoryQoS: true }, kubelet));
    const text = metrics.text();
    for (const line of [
      'kubernetes_feature_enabled{name="AllAlpha",stage="ALPHA"} 0',
      'kubernetes_feature_enabled{name="MemoryQoS",stage="ALPHA"} 1',
      'kubernetes_feature_enabled{name="GracefulNodeShutdown",stage="BETA"} 1',
      'kubernetes_feature_enabled{name="NodeSwap",stage=""} 1',
      'kubernetes_feature_enabled{name="KMSv1",stage="DEPRECATED"} 0',
    ])
      expect(text).toContain(`${line}\n`);
  });
});

test("takes the component's own prefix where there are several", () => {
  const several = featureGatesFlag({ component: "apiserver", switchable: new Set(["APIServerIdentity"]) });
  expect(several.parse("kube:APIServerIdentity=false", undefined)).toEqual({ APIServerIdentity: false });
  expect(several.parse(":APIServerIdentity=false", undefined)).toEqual({ APIServerIdentity: false });
  expect(() => several.parse("other:APIServerIdentity=false", undefined)).toThrow("component not registered: other");
  expect(() => featureGatesFlag(kubelet).parse("kube:MemoryQoS=true", undefined)).toThrow("unrecognized feature gate: kube:MemoryQoS");
});
