import { describe, expect, it } from "vitest";
import type { Node, PodSpec } from "../../api/types/core-v1.ts";
import { SchedulerCache } from "../cache.ts";
import { nodeEvents } from "../cluster-events.ts";
import { decide } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { nodeDeclaredFeatures, requiredFeatures } from "./node-declared-features.ts";

const declaring = (name: string, ...declaredFeatures: string[]): Node => {
  const node = testNode(name);
  return { ...node, status: { ...node.status, declaredFeatures } };
};
const rule = { action: "RestartAllContainers" as const, exitCodes: { operator: "In" as const, values: [42] } };
const restarting: Partial<PodSpec> = { containers: [{ name: "c", image: "app", restartPolicyRules: [rule] }] };
const feature = "RestartAllContainersOnContainerExits";

function decided(spec: Partial<PodSpec>, nodes: readonly Node[]) {
  const snapshot = new SchedulerCache();
  for (const node of nodes) snapshot.setNode(node);
  const profile = { schedulerName: "s", plugins: [nodeDeclaredFeatures] };
  return decide({ pod: testPod("p", { spec }), snapshot, state: new Map() }, profile, { random: () => 0.5, startAt: 0 });
}

describe("NodeDeclaredFeatures", () => {
  it("reads off a pod what its node has to be able to do", () => {
    const spec = testPod("p").spec;
    expect(requiredFeatures(spec)).toEqual([]);
    expect(requiredFeatures({ ...spec, ...restarting })).toEqual([feature]);
    expect(requiredFeatures({ ...spec, initContainers: restarting.containers ?? [] })).toEqual([feature]);
    expect(requiredFeatures({ ...spec, hostNetwork: true, hostUsers: false })).toEqual(["UserNamespacesHostNetworkSupport"]);
    expect(requiredFeatures({ ...spec, hostNetwork: true })).toEqual([]);
  });

  it("leaves the nodes that have declared it, and all of them to other pods", () => {
    const nodes = [testNode("old"), declaring("other", "Something"), declaring("new", "Another", feature)];
    expect(decided(restarting, nodes)).toMatchObject({ nodeName: "new" });
    expect(decided({}, [testNode("old")])).toMatchObject({ nodeName: "old" });
    expect(decided(restarting, nodes.slice(0, 2))).toMatchObject({
      kind: "unschedulable",
      message: expect.stringContaining("0/2 nodes are available: 2 node(s) didn't match Pod's required features."),
    });
  });

  it("tries a pod again when a node comes to declare what it needs", () => {
    const events = nodeEvents(declaring("n"), declaring("n", feature));
    expect(events).toEqual(["NodeDeclaredFeature"]);
    const [onAdd, onChange] = nodeDeclaredFeatures.queueingHints ?? [];
    const pod = testPod("p", { spec: restarting });
    for (const hint of [onAdd, onChange]) {
      expect(hint?.concerns?.(pod, declaring("n"), declaring("n", feature))).toBe(true);
      expect(hint?.concerns?.(pod, declaring("n"), declaring("n", "Something"))).toBe(false);
    }
  });
});
