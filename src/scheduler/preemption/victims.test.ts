import { describe, expect, it } from "vitest";
import type { Pod } from "../../api/types/core-v1.ts";
import type { PodDisruptionBudget } from "../../api/types/policy-v1.ts";
import { SchedulerCache } from "../cache.ts";
import { createInterPodAffinity } from "../plugins/inter-pod-affinity.ts";
import { nodeResourcesFit } from "../plugins/resources.ts";
import { testNode, testPod } from "../test-objects.ts";
import { bestCandidate, type Candidate, victimsOn } from "./victims.ts";

const profile = { schedulerName: "s", plugins: [nodeResourcesFit, createInterPodAffinity({ namespaceLabels: () => ({}) })] };

const placed = (
  name: string,
  cpu: string,
  priority: number,
  more: { startTime?: string; labels?: Record<string, string>; spec?: Partial<Pod["spec"]> } = {},
): Pod => ({
  ...testPod(name, { cpu, labels: more.labels ?? { app: name }, spec: { nodeName: "a", priority, ...more.spec } }),
  status: { phase: "Running", ...(more.startTime ? { startTime: more.startTime } : {}) },
});

function victims(pods: readonly Pod[], incoming: Pod, budgets: readonly PodDisruptionBudget[] = []) {
  const cache = new SchedulerCache();
  cache.setNode(testNode("a", { cpu: "4" }));
  for (const pod of pods) cache.setPod(pod);
  const node = cache.byName("a");
  if (!node) throw new Error("no node a");
  const result = victimsOn({ pod: incoming, snapshot: cache, state: new Map() }, node, { profile, budgets });
  if ("reasons" in result) return result.reasons.join();
  return { victims: result.victims.map((p) => p.metadata.name), violations: result.violations };
}

const high = (cpu: string, spec: Partial<Pod["spec"]> = {}): Pod =>
  testPod("high", { cpu, labels: { app: "high" }, spec: { priority: 100, ...spec } });

describe("victimsOn()", () => {
  it("evicts no more than necessary, the least important first", () => {
    const pods = [placed("ten", "1", 10), placed("twenty", "1", 20), placed("thirty", "2", 30)];
    expect(victims(pods, high("1"))).toEqual({ victims: ["ten"], violations: 0 });
    expect(victims(pods, high("2"))).toEqual({ victims: ["twenty", "ten"], violations: 0 });
  });

  it("among equals evicts what has started last", () => {
    const pods = [
      placed("old", "2", 10, { startTime: "2026-01-01T00:00:00Z" }),
      placed("young", "2", 10, { startTime: "2026-02-01T00:00:00Z" }),
    ];
    expect(victims(pods, high("2"))).toEqual({ victims: ["young"], violations: 0 });
  });

  it("says when nobody may be evicted, and when it would not help", () => {
    expect(victims([placed("equal", "4", 100)], high("1"))).toBe("No preemption victims found for incoming pod");
    expect(victims([placed("low", "1", 1)], high("5"))).toBe("Insufficient cpu");
  });

  it("spares protected pods first, and counts those it cannot spare", () => {
    const budget = {
      metadata: { name: "b", namespace: "default" },
      spec: { selector: { matchLabels: { app: "guarded" } } },
      status: { disruptionsAllowed: 0 },
    } as unknown as PodDisruptionBudget;
    const guarded = placed("guarded", "2", 1);
    expect(victims([guarded, placed("free", "2", 50)], high("2"), [budget])).toEqual({ victims: ["free"], violations: 0 });
    expect(victims([guarded], high("4"), [budget])).toEqual({ victims: ["guarded"], violations: 1 });
  });

  it("sees that a pod with anti-affinity must go, whatever is free", () => {
    const away = {
      affinity: {
        podAntiAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "high" } } },
          ],
        },
      },
    };
    expect(victims([placed("shy", "1", 1, { spec: away }), placed("calm", "1", 1)], high("1"))).toEqual({
      victims: ["shy"],
      violations: 0,
    });
  });
});

describe("bestCandidate()", () => {
  const candidate = (nodeName: string, victims: Pod[], violations = 0): Candidate => ({ nodeName, victims, violations });
  const best = (...candidates: Candidate[]): string | undefined => bestCandidate(candidates)?.nodeName;

  it("weighs violations, then priorities, then numbers, then age", () => {
    const at = (priority: number, startTime?: string): Pod => placed(`p${priority}`, "1", priority, startTime ? { startTime } : {});
    expect(best(candidate("violating", [at(1)], 1), candidate("dear", [at(50)]))).toBe("dear");
    expect(best(candidate("dear", [at(50)]), candidate("cheap", [at(10), at(10)]))).toBe("cheap");
    expect(best(candidate("two", [at(10), at(1)]), candidate("one", [at(10)]))).toBe("one");
    expect(best(candidate("old", [at(1, "2026-01-01T00:00:00Z")]), candidate("young", [at(1, "2026-02-01T00:00:00Z")]))).toBe("young");
    expect(best()).toBeUndefined();
  });
});
