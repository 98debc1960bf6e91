import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../api/types/core-v1.ts";
import { SchedulerCache } from "./cache.ts";
import type { Plugin, Profile } from "./framework.ts";
import { nodeAffinity, nodeName, nodePorts, nodeUnschedulable, taintToleration } from "./plugins/node.ts";
import { imageLocality, nodeResourcesBalancedAllocation, nodeResourcesFit } from "./plugins/resources.ts";
import { decide, feasibleNodesToFind } from "./schedule.ts";
import { testNode, testPod } from "./test-objects.ts";

const plugins: Plugin[] = [
  nodeUnschedulable,
  nodeName,
  taintToleration,
  nodeAffinity,
  nodePorts,
  nodeResourcesFit,
  nodeResourcesBalancedAllocation,
  imageLocality,
];
const profile: Profile = { schedulerName: "default-scheduler", plugins, scoreWeights: { TaintToleration: 3, NodeAffinity: 2 } };

function decideOn(nodes: readonly Node[], pod: Pod, bound: readonly Pod[] = []) {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  for (const other of bound) cache.setPod(other);
  return decide({ pod, snapshot: cache, state: new Map() }, profile, { random: () => 0.99, startAt: 0 });
}

const chosen = (...args: Parameters<typeof decideOn>): string => {
  const result = decideOn(...args);
  return result.kind === "node" ? result.nodeName : result.message;
};

describe("decide()", () => {
  it("says that there are no nodes", () => {
    expect(chosen([], testPod("p"))).toBe("no nodes available to schedule pods");
  });

  it("counts each reason over the nodes, sorted", () => {
    const nodes = [testNode("a", { cpu: "1" }), testNode("b", { cpu: "1" }), testNode("c", { spec: { unschedulable: true } })];
    expect(chosen(nodes, testPod("p", { cpu: "2" }))).toBe("0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.");
  });

  it("names every resource that is short", () => {
    expect(
      chosen([testNode("a", { cpu: "1", memory: "1Gi", pods: "1" })], testPod("p", { cpu: "2", memory: "2Gi" }), [
        testPod("q", { spec: { nodeName: "a" } }),
      ]),
    ).toBe("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods.");
  });

  it("fits a pod exactly into what is left, and not a thousandth more", () => {
    const bound = [testPod("q", { cpu: "1500m", spec: { nodeName: "a" } })];
    expect(chosen([testNode("a", { cpu: "2" })], testPod("p", { cpu: "500m" }), bound)).toBe("a");
    expect(chosen([testNode("a", { cpu: "2" })], testPod("p", { cpu: "501m" }), bound)).toMatch("Insufficient cpu");
  });

  it("keeps pods off tainted nodes unless they tolerate the taint", () => {
    const tainted = testNode("a", { spec: { taints: [{ key: "k", value: "v", effect: "NoSchedule" }] } });
    expect(chosen([tainted], testPod("p"))).toBe("0/1 nodes are available: 1 node(s) had untolerated taint(s).");
    expect(
      chosen([tainted], testPod("p", { spec: { tolerations: [{ key: "k", operator: "Equal", value: "v", effect: "NoSchedule" }] } })),
    ).toBe("a");
    expect(chosen([tainted], testPod("p", { spec: { tolerations: [{ operator: "Exists" }] } }))).toBe("a");
    expect(chosen([tainted], testPod("p", { spec: { tolerations: [{ key: "k", operator: "Equal", value: "other" }] } }))).toMatch(
      "untolerated",
    );
  });

  it("avoids nodes with taints that only discourage", () => {
    const discouraged = testNode("a", { spec: { taints: [{ key: "k", effect: "PreferNoSchedule" }] } });
    expect(chosen([discouraged, testNode("b")], testPod("p"))).toBe("b");
  });

  it("matches nodeSelector and required node affinity", () => {
    const nodes = [testNode("a", { labels: { disk: "hdd" } }), testNode("b", { labels: { disk: "ssd" } })];
    expect(chosen(nodes, testPod("p", { spec: { nodeSelector: { disk: "ssd" } } }))).toBe("b");
    expect(chosen(nodes, testPod("p", { spec: { nodeSelector: { disk: "tape" } } }))).toBe(
      "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
    );
  });

  it("looks only at the nodes an affinity names", () => {
    const byName = (name: string): Pod =>
      testPod("p", {
        spec: {
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: [name] }] }],
              },
            },
          },
        },
      });
    expect(chosen([testNode("a"), testNode("b")], byName("b"))).toBe("b");
    expect(chosen([testNode("a")], byName("gone"))).toBe("0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity].");
  });

  it("weighs preferred node affinity", () => {
    const nodes = [testNode("a"), testNode("b", { labels: { zone: "z" } })];
    const preferred = [{ weight: 10, preference: { matchExpressions: [{ key: "zone", operator: "In" as const, values: ["z"] }] } }];
    expect(
      chosen(nodes, testPod("p", { spec: { affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } } } })),
    ).toBe("b");
  });

  it("does not give a host port away twice", () => {
    const withPort = (name: string, hostIP?: string): Pod =>
      testPod(name, {
        spec: { containers: [{ name: "c", image: "i", ports: [{ containerPort: 80, hostPort: 8080, ...(hostIP ? { hostIP } : {}) }] }] },
      });
    const taken = { ...withPort("q", "10.0.0.1"), spec: { ...withPort("q", "10.0.0.1").spec, nodeName: "a" } };
    expect(chosen([testNode("a")], withPort("p"), [taken])).toMatch("didn't have free ports");
    expect(chosen([testNode("a")], withPort("p", "10.0.0.2"), [taken])).toBe("a");
  });

  it("prefers the node with more room", () => {
    expect(chosen([testNode("a"), testNode("b")], testPod("p"), [testPod("q", { cpu: "2", memory: "4Gi", spec: { nodeName: "a" } })])).toBe(
      "b",
    );
  });

  it("prefers the node that has the image", () => {
    const images = [{ names: ["app:latest"], sizeBytes: 900 * 1024 * 1024 }];
    expect(chosen([testNode("a"), testNode("b", { images })], testPod("p"))).toBe("b");
  });

  it("searches a share of a large cluster", () => {
    expect(feasibleNodesToFind(99, 0)).toBe(99);
    expect(feasibleNodesToFind(1000, 0)).toBe(420);
    expect(feasibleNodesToFind(10_000, 0)).toBe(500);
    expect(feasibleNodesToFind(1000, 30)).toBe(300);
  });
});

describe("SchedulerCache", () => {
  it("gives room back when an assumed pod is forgotten, and keeps it when it has been confirmed", () => {
    const cache = new SchedulerCache();
    cache.setNode(testNode("a", { cpu: "1" }));
    const pod = testPod("p", { cpu: "1" });
    cache.assume(pod, "a");
    expect(cache.byName("a")?.requested.cpu).toBe(1000);
    cache.forget(pod);
    expect(cache.byName("a")?.requested.cpu).toBe(0);
    cache.assume(pod, "a");
    cache.setPod({ ...pod, spec: { ...pod.spec, nodeName: "a" } });
    cache.forget(pod);
    expect(cache.byName("a")?.requested.cpu).toBe(1000);
  });

  it("remembers the pods of a node that is reported after them", () => {
    const cache = new SchedulerCache();
    cache.setPod(testPod("p", { cpu: "1", spec: { nodeName: "late" } }));
    expect(cache.nodes).toHaveLength(0);
    cache.setNode(testNode("late"));
    expect(cache.byName("late")?.requested.cpu).toBe(1000);
  });

  it("does not mix up the columns of nodes that come and go", () => {
    const cache = new SchedulerCache();
    cache.setNode(testNode("a", { cpu: "1" }));
    cache.removeNode("a");
    cache.setNode(testNode("b", { cpu: "7" }));
    const b = cache.byName("b");
    expect(b && cache.columns.allocatableCpu[b.index]).toBe(7000);
    expect(cache.byName("a")).toBeUndefined();
  });

  it("takes nodes from each zone in turn", () => {
    const cache = new SchedulerCache();
    for (const [name, zone] of [
      ["a1", "a"],
      ["a2", "a"],
      ["b1", "b"],
    ] as const)
      cache.setNode(testNode(name, { labels: { "topology.kubernetes.io/zone": zone } }));
    expect(cache.nodes.map((n) => n.name)).toEqual(["a1", "b1", "a2"]);
  });
});
