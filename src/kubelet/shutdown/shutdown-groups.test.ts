import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import { shutdownGroups, shutdownSeconds } from "./shutdown-groups.ts";

const podOf = (name: string, priority?: number, terminationGracePeriodSeconds = 30): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "d", uid: name } as Pod["metadata"],
  spec: { containers: [], terminationGracePeriodSeconds, ...(priority === undefined ? {} : { priority }) },
});

const periods = [
  { priority: 0, shutdownGracePeriodSeconds: 10 },
  { priority: 1000, shutdownGracePeriodSeconds: 20 },
  { priority: 2_000_000_000, shutdownGracePeriodSeconds: 60 },
];

describe("shutdownGroups()", () => {
  it("ends the least important first, each in the highest group it reaches", () => {
    const pods = [
      podOf("critical", 2_000_001_000),
      podOf("none"),
      podOf("below", -5),
      podOf("at", 1000),
      podOf("above", 1001),
      podOf("almost", 999),
    ];
    const groups = shutdownGroups(periods, pods).map((g) => [g.seconds, g.pods.map((p) => p.pod.metadata.name).join(" ")]);
    expect(groups).toEqual([
      [10, "none below almost"],
      [20, "at above"],
      [60, "critical"],
    ]);
  });

  it("gives no pod more time than it asks for, nor than its group has", () => {
    const [group] = shutdownGroups(periods, [podOf("long", 0, 30), podOf("short", 0, 3)]);
    expect(group?.pods.map((p) => p.graceSeconds)).toEqual([10, 3]);
  });

  it("waits for no empty group, and altogether for all periods", () => {
    expect(shutdownGroups(periods, [podOf("a", 1000)]).map((g) => g.seconds)).toEqual([20]);
    expect(shutdownGroups([], [podOf("a")])).toEqual([]);
    expect(shutdownSeconds(periods)).toBe(90);
  });
});
