// What a pod that is being resized counts for: the most of what it asks for, what it was allocated and what it has.
import { describe, expect, it } from "vitest";
import type { Pod, PodStatus } from "../types/core-v1.ts";
import { podQuantities } from "./pod-quantities.ts";
import { podAmounts, resizingStatus } from "./pod-resources.ts";

function podOf(asked: string, status: Partial<PodStatus> & { readonly allocated?: string; readonly has?: string }): Pod {
  const { allocated = "1", has = "1", ...rest } = status;
  return {
    metadata: { name: "p", generation: 2 },
    spec: { containers: [{ name: "main", resources: { requests: { cpu: asked }, limits: { cpu: asked } } }], overhead: { cpu: "100m" } },
    status: {
      observedGeneration: 2,
      ...rest,
      containerStatuses: [
        { name: "main", allocatedResources: { cpu: allocated }, resources: { requests: { cpu: has }, limits: { cpu: has } } },
      ],
    },
  } as unknown as Pod; // as far as it matters
}

const cpu = (pod: Pod): number | undefined => podAmounts(pod.spec, { status: resizingStatus(pod) }).cpu;
const pending = (reason: string): Partial<PodStatus> => ({ conditions: [{ type: "PodResizePending", status: "True", reason }] });

describe("the resources of a pod that is resized", () => {
  it("its specification says it all while nothing is resized", () => {
    const pod = podOf("1", { has: "2" });
    expect(resizingStatus(pod)).toBeUndefined();
    expect(cpu(pod)).toBe(1100);
  });

  it("it keeps what it has until it has shrunk, also before its node has seen the change", () => {
    expect(cpu(podOf("1", { allocated: "2", has: "2", observedGeneration: 1 }))).toBe(2100);
    expect(cpu(podOf("1", { has: "2", conditions: [{ type: "PodResizeInProgress", status: "True" }] }))).toBe(2100);
  });

  it("it has reserved what it waits for, unless it can never have it", () => {
    expect(cpu(podOf("3", pending("Deferred")))).toBe(3100);
    expect(cpu(podOf("3", pending("Infeasible")))).toBe(1100);
  });

  it("quotas reckon alike, limits too", () => {
    const pod = podOf("1", { has: "2", ...pending("Deferred") });
    const status = resizingStatus(pod);
    expect(podQuantities(pod, "requests", status).cpu?.toString()).toBe("2");
    expect(podQuantities(pod, "limits", status).cpu?.toString()).toBe("2");
    expect(podQuantities(podOf("3", pending("Infeasible")), "limits", podOf("3", pending("Infeasible")).status).cpu?.toString()).toBe("1");
  });
});
