import { describe, expect, it } from "vitest";
import { quantityOf } from "../../api/meta/quantity.ts";
import { allocatableOf } from "../node/node-allocatable.ts";
import { resolveOptions } from "../options.ts";
import { parseThresholds, type ThresholdConfig, thresholdQuantity, withContainerFs } from "./thresholds.ts";

const sketch = (config: ThresholdConfig): readonly string[] =>
  parseThresholds(config).map(({ signal, value, gracePeriodMs, minReclaim }) => {
    const text = (v: typeof value): string => ("quantity" in v ? v.quantity.toString() : `${(v.fraction * 100).toFixed(1)}%`);
    return `${signal}<${text(value)}${gracePeriodMs > 0 ? ` for ${gracePeriodMs}` : ""}${minReclaim ? ` +${text(minReclaim)}` : ""}`;
  });

describe("parseThresholds()", () => {
  it("has upstream's defaults, and keeps pods as a whole from what the node keeps free", () => {
    expect(sketch({})).toEqual([
      "memory.available<100Mi",
      "nodefs.available<10.0%",
      "nodefs.inodesFree<5.0%",
      "imagefs.available<15.0%",
      "imagefs.inodesFree<5.0%",
      "allocatableMemory.available<100Mi",
    ]);
  });

  it("takes what is configured instead, or merges it", () => {
    expect(sketch({ evictionHard: { "pid.available": "10%" }, enforceNodeAllocatable: [] })).toEqual(["pid.available<10.0%"]);
    expect(sketch({ evictionHard: { "nodefs.available": "0%" }, mergeDefaultEvictionSettings: true })).toEqual([
      "memory.available<100Mi",
      "nodefs.inodesFree<5.0%",
      "imagefs.available<15.0%",
      "imagefs.inodesFree<5.0%",
      "allocatableMemory.available<100Mi",
    ]);
    expect(sketch({ evictionHard: {} })).toEqual([]);
  });

  it("gives soft thresholds their grace periods, and all their minimum reclaims", () => {
    const config = {
      evictionHard: { "memory.available": "200Mi" },
      evictionSoft: { "memory.available": "300Mi" },
      evictionSoftGracePeriod: { "memory.available": "1m30s" },
      evictionMinimumReclaim: { "memory.available": "50Mi" },
    };
    expect(sketch(config)).toEqual([
      "memory.available<200Mi +50Mi",
      "memory.available<300Mi for 90000 +50Mi",
      "allocatableMemory.available<200Mi +50Mi",
    ]);
  });

  it.each<[ThresholdConfig, string]>([
    [{ evictionHard: { "disk.available": "1Gi" } }, "unsupported eviction signal disk.available"],
    [{ evictionHard: { "memory.available": "-1Mi" } }, "eviction threshold memory.available must be positive: -1Mi"],
    [{ evictionHard: { "nodefs.available": "101%" } }, "eviction percentage threshold nodefs.available must be <= 100%: 101%"],
    [{ evictionHard: { "nodefs.available": "-1%" } }, "eviction percentage threshold nodefs.available must be >= 0%: -1%"],
    [{ evictionHard: { "nodefs.available": "x%" } }, 'eviction percentage of nodefs.available: expected a number and "%"'],
    [{ evictionSoft: { "memory.available": "1Gi" } }, "grace period must be specified for the soft eviction threshold memory.available"],
    [{ evictionSoftGracePeriod: { "memory.available": "-1s" } }, "invalid eviction grace period specified: -1s, must be a positive value"],
    [{ evictionMinimumReclaim: { "memory.available": "0%" } }, "minimum reclaim memory.available must be positive: 0%"],
    [{ evictionMinimumReclaim: { "memory.available": "-1" } }, "negative eviction minimum reclaim specified for memory.available"],
  ])("refuses %j", (config, message) => expect(() => parseThresholds(config)).toThrow(message));
});

describe("withContainerFs()", () => {
  const thresholds = parseThresholds({
    evictionHard: { "nodefs.available": "1Gi", "imagefs.available": "2Gi", "containerfs.available": "3Gi" },
  });
  const ofContainers = (dedicatedImageFs: boolean, separateContainerFs: boolean): readonly string[] =>
    withContainerFs(thresholds, { dedicatedImageFs, separateContainerFs })
      .filter((t) => t.signal === "containerfs.available")
      .map((t) => thresholdQuantity(t.value, quantityOf(0)).toString());

  it("follows the file system that holds writable layers", () => {
    expect([ofContainers(false, false), ofContainers(true, false), ofContainers(true, true)]).toEqual([["1Gi"], ["2Gi"], ["1Gi"]]);
  });
});

describe("allocatableOf()", () => {
  it("takes off what is reserved and what eviction keeps free", () => {
    const capacity = { cpu: "4", memory: "8041980Ki", "ephemeral-storage": "10485760Ki", pods: "110" };
    const { protection } = resolveOptions({
      ...{ nodeName: "n", rootDirectory: "/r" },
      systemReserved: { cpu: "250m", memory: "1Gi" },
      kubeReserved: { cpu: "250m" },
    });
    expect(allocatableOf(capacity, protection)).toEqual({
      cpu: "3500m",
      memory: "6891004Ki",
      "ephemeral-storage": "9663676400",
      pods: "110",
    });
  });

  it("leaves nothing rather than less", () => {
    expect(allocatableOf({ memory: "50Mi" }, { systemReserved: {}, kubeReserved: {}, thresholds: parseThresholds({}) })).toEqual({
      memory: "0",
    });
  });
});

describe("resolveOptions()", () => {
  const at = { nodeName: "n", rootDirectory: "/r" };

  it("makes groups of the two simple shutdown periods, and sorts finer ones", () => {
    expect(resolveOptions(at).protection.shutdownGracePeriods).toEqual([]);
    expect(
      resolveOptions({ ...at, shutdownGracePeriod: "30s", shutdownGracePeriodCriticalPods: "10s" }).protection.shutdownGracePeriods,
    ).toEqual([
      { priority: 0, shutdownGracePeriodSeconds: 20 },
      { priority: 2_000_000_000, shutdownGracePeriodSeconds: 10 },
    ]);
    const fine = [
      { priority: 1000, shutdownGracePeriodSeconds: 5 },
      { priority: 0, shutdownGracePeriodSeconds: 9 },
    ];
    expect(
      resolveOptions({ ...at, shutdownGracePeriodByPodPriority: fine }).protection.shutdownGracePeriods.map((p) => p.priority),
    ).toEqual([0, 1000]);
  });

  it.each([
    [{ imageGCLowThresholdPercent: 90 }, "imageGCLowThresholdPercent (90) must not be more than imageGCHighThresholdPercent (85)"],
    [{ imageGCHighThresholdPercent: 101 }, "imageGCHighThresholdPercent must be between 0 and 100, not 101"],
    [{ imageMinimumGCAge: "soon" }, 'imageMinimumGCAge must be a duration like "1m30s", not "soon"'],
    [{ shutdownGracePeriodCriticalPods: "1s" }, "shutdownGracePeriodCriticalPods must not be longer than shutdownGracePeriod"],
  ])("refuses %j", (options, message) => expect(() => resolveOptions({ ...at, ...options })).toThrow(message));
});
