import { describe, expect, it } from "vitest";
import { SchedulerCache } from "./cache.ts";
import { explainScheduling } from "./explain.ts";
import type { Plugin, Profile } from "./framework.ts";
import { nodeAffinity, nodeUnschedulable, taintToleration } from "./plugins/node.ts";
import { schedulingGates } from "./plugins/queue.ts";
import { nodeResourcesFit } from "./plugins/resources.ts";
import { decide } from "./schedule.ts";
import { testNode, testPod } from "./test-objects.ts";

const profile: Profile = {
  schedulerName: "s",
  plugins: [schedulingGates, nodeUnschedulable, taintToleration, nodeAffinity, nodeResourcesFit],
  scoreWeights: { NodeAffinity: 2 },
};

function cycleOf(pod: ReturnType<typeof testPod>, nodes: readonly ReturnType<typeof testNode>[]) {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  return { pod, snapshot: cache, state: new Map<string, unknown>() };
}

describe("explainScheduling()", () => {
  it("names every plugin that refuses a node, not just the first", () => {
    const full = testNode("full", { cpu: "1", spec: { unschedulable: true } });
    const cycle = cycleOf(testPod("p", { cpu: "2" }), [full, testNode("free")]);
    const { nodes } = explainScheduling(cycle, profile);
    expect(nodes.map((node) => node.nodeName)).toEqual(["free", "full"]);
    expect(nodes[0]?.refusals).toEqual([]);
    expect(nodes[1]?.refusals).toEqual([
      { plugin: "NodeUnschedulable", reasons: ["node(s) were unschedulable"] },
      { plugin: "NodeResourcesFit", reasons: ["Insufficient cpu"] },
    ]);
  });

  it("says how each score comes about, best node first, as decide() chooses", () => {
    const preference = { matchExpressions: [{ key: "disk", operator: "In" as const, values: ["ssd"] }] };
    const affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7, preference }] } };
    const pod = testPod("p", { cpu: "1", memory: "2Gi", spec: { affinity } });
    const cycle = cycleOf(pod, [testNode("hdd"), testNode("ssd", { labels: { disk: "ssd" } })]);
    const [best, second] = explainScheduling(cycle, profile).nodes;
    expect(best).toEqual({
      nodeName: "ssd",
      refusals: [],
      scores: [
        { plugin: "NodeAffinity", raw: 7, normalized: 100, weight: 2 },
        { plugin: "NodeResourcesFit", raw: 75, normalized: 75, weight: 1 },
      ],
      total: 275,
    });
    expect(second).toMatchObject({ nodeName: "hdd", total: 75 });
    expect(decide(cycle, profile, { random: () => 0.5, startAt: 0 })).toMatchObject({ nodeName: "ssd" });
  });

  it("tells what holds a pod back and what PreFilter leaves out", () => {
    const term = { matchFields: [{ key: "metadata.name", operator: "In" as const, values: ["b"] }] };
    const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
    const pod = testPod("p", { spec: { schedulingGates: [{ name: "later" }], affinity: { nodeAffinity: required } } });
    const { heldBackBy, nodes } = explainScheduling(cycleOf(pod, [testNode("a"), testNode("b")]), profile);
    expect(heldBackBy).toEqual([{ plugin: "SchedulingGates", reasons: ["waiting for scheduling gates: [later]"] }]);
    expect(nodes[0]?.nodeName).toBe("b");
    expect(nodes[1]?.refusals[0]).toEqual({ plugin: "NodeAffinity", reasons: ["the pod names other nodes"] });
  });

  it("takes what would end an attempt to schedule the pod for a refusal", () => {
    const broken: Plugin = {
      name: "Broken",
      filter: () => (node) => {
        if (node.name === "a") throw new Error("no such key: model");
        return undefined;
      },
    };
    const { nodes } = explainScheduling(cycleOf(testPod("p"), [testNode("a"), testNode("b")]), { schedulerName: "x", plugins: [broken] });
    expect(nodes.map(({ nodeName, refusals }) => [nodeName, refusals])).toEqual([
      ["b", []],
      ["a", [{ plugin: "Broken", reasons: ["no such key: model"] }]],
    ]);
  });
});
