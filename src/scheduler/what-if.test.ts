import { describe, expect, it } from "vitest";
import { SchedulerCache } from "./cache.ts";
import type { Profile } from "./framework.ts";
import { schedulingGates } from "./plugins/queue.ts";
import { nodeResourcesFit } from "./plugins/resources.ts";
import { testNode, testPod } from "./test-objects.ts";
import { placeInTurn } from "./what-if.ts";

const profile: Profile = { schedulerName: "s", plugins: [schedulingGates, nodeResourcesFit] };

function placed(pods: readonly ReturnType<typeof testPod>[]) {
  const cache = new SchedulerCache();
  for (const node of [testNode("large", { cpu: "4" }), testNode("small", { cpu: "2" })]) cache.setNode(node);
  return placeInTurn(pods, cache, () => profile).map(({ pod, nodeName }) => [pod.metadata.name, nodeName]);
}

describe("placeInTurn()", () => {
  it("puts each pod where it scores best, with room for one less each time", () => {
    const pods = ["a", "b", "c", "d", "e"].map((name) => testPod(name, { cpu: "1500m" }));
    expect(placed(pods)).toEqual([
      ["a", "large"],
      ["b", "small"],
      ["c", "large"],
      ["d", undefined],
      ["e", undefined],
    ]);
  });

  it("goes on after a pod that fits nowhere, or is not to be tried", () => {
    const gated = testPod("gated", { cpu: "1", spec: { schedulingGates: [{ name: "later" }] } });
    expect(placed([testPod("huge", { cpu: "9" }), gated, testPod("fits", { cpu: "4" })])).toEqual([
      ["huge", undefined],
      ["gated", undefined],
      ["fits", "large"],
    ]);
  });
});
