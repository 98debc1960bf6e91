import { describe, expect, it } from "vitest";
import type { Node, Pod } from "../../api/types/core-v1.ts";
import { SchedulerCache } from "../cache.ts";
import { defaultPluginArgs, type ScoringStrategy } from "../configuration/plugin-args.ts";
import { extensionPoints, knownPlugins } from "../configuration/plugin-names.ts";
import type { Plugin } from "../framework.ts";
import { decide, scoreNodes } from "../schedule.ts";
import { testNode, testPod } from "../test-objects.ts";
import { arrange } from "./configured-profile.ts";
import { createInterPodAffinity } from "./inter-pod-affinity.ts";
import { createNodeAffinity } from "./node.ts";
import { createPodTopologySpread } from "./pod-topology-spread.ts";
import { brokenLine } from "./resource-scoring.ts";
import { createNodeResourcesBalancedAllocation, createNodeResourcesFit } from "./resources.ts";

interface Scene {
  readonly nodes: readonly Node[];
  readonly bound?: readonly Pod[];
}

function cycleFor({ nodes, bound = [] }: Scene, pod: Pod) {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  for (const other of bound) cache.setPod(other);
  return { pod, snapshot: cache, state: new Map<string, unknown>() };
}

/** Scores by node name. */
function scores(plugin: Plugin, scene: Scene, pod: Pod): Record<string, number> {
  const cycle = cycleFor(scene, pod);
  const totals = scoreNodes(cycle, { schedulerName: "s", plugins: [plugin] }, cycle.snapshot.nodes);
  return Object.fromEntries(cycle.snapshot.nodes.map((node, i) => [node.name, totals[i] ?? Number.NaN]));
}

function verdict(plugin: Plugin, scene: Scene, pod: Pod): string {
  const result = decide(cycleFor(scene, pod), { schedulerName: "s", plugins: [plugin] }, { random: () => 0.5, startAt: 0 });
  return result.kind === "node" ? result.nodeName : result.message;
}

const withResource = (node: Node, name: string, amount: string): Node => ({
  ...node,
  status: { ...node.status, allocatable: { ...node.status?.allocatable, [name]: amount } },
});

function asking(name: string, requests: Record<string, string>, spec: object = {}): Pod {
  return testPod(name, { spec: { containers: [{ name: "c", image: "app", resources: { requests } }], ...spec } });
}

const fitting = (scoringStrategy: ScoringStrategy, more: object = {}) =>
  createNodeResourcesFit({ ...defaultPluginArgs().NodeResourcesFit, scoringStrategy, ...more });
const both = [
  { name: "cpu", weight: 1 },
  { name: "memory", weight: 1 },
];

describe("NodeResourcesFit with arguments", () => {
  const bound = [asking("q", { cpu: "2", memory: "2Gi" }, { nodeName: "a" })];
  const scene = { nodes: [testNode("a"), testNode("b")], bound };
  const pod = asking("p", { cpu: "1", memory: "2Gi" });

  it("prefers full nodes by MostAllocated, empty ones by LeastAllocated", () => {
    // a: cpu 3 of 4, memory 4 of 8; b: cpu 1 of 4, memory 2 of 8.
    expect(scores(fitting({ type: "MostAllocated", resources: both }), scene, pod)).toEqual({ a: 62, b: 25 });
    expect(scores(fitting({ type: "LeastAllocated", resources: both }), scene, pod)).toEqual({ a: 37, b: 75 });
  });

  it("weighs resources", () => {
    const resources = [
      { name: "cpu", weight: 3 },
      { name: "memory", weight: 1 },
    ];
    expect(scores(fitting({ type: "LeastAllocated", resources }), scene, pod)).toEqual({ a: 31, b: 75 });
  });

  it("scores by the shape of RequestedToCapacityRatio", () => {
    const shape = [
      { utilization: 0, score: 0 },
      { utilization: 50, score: 10 },
      { utilization: 100, score: 0 },
    ];
    // a: cpu 75 % → 50, memory 50 % → 100; b: cpu and memory 25 % → 50.
    expect(scores(fitting({ type: "RequestedToCapacityRatio", resources: both, shape }), scene, pod)).toEqual({ a: 75, b: 50 });
  });

  it("counts an extended resource only for pods that ask for it", () => {
    const resources = [{ name: "example.com/gpu", weight: 1 }];
    const gpus = { nodes: [withResource(testNode("a"), "example.com/gpu", "4"), testNode("b")] };
    const plugin = fitting({ type: "MostAllocated", resources });
    expect(scores(plugin, gpus, asking("p", { "example.com/gpu": "3" }))).toEqual({ a: 75, b: 0 });
    expect(scores(plugin, gpus, asking("p", { cpu: "1" }))).toEqual({ a: 0, b: 0 });
  });

  it("does not look at ignored resources and groups", () => {
    const wanting = asking("p", { "example.com/gpu": "1" });
    const nodes = [testNode("a")];
    const strategy: ScoringStrategy = { type: "LeastAllocated", resources: both };
    expect(verdict(fitting(strategy), { nodes }, wanting)).toMatch("Insufficient example.com/gpu");
    expect(verdict(fitting(strategy, { ignoredResources: ["example.com/gpu"] }), { nodes }, wanting)).toBe("a");
    expect(verdict(fitting(strategy, { ignoredResourceGroups: ["example.com"] }), { nodes }, wanting)).toBe("a");
    expect(verdict(fitting(strategy, { ignoredResources: ["example.com/other"] }), { nodes }, wanting)).toMatch("Insufficient");
  });
});

describe("brokenLine()", () => {
  it("is level outside of the points and cut towards zero between them", () => {
    const line = brokenLine([
      { utilization: 10, score: 0 },
      { utilization: 40, score: 100 },
      { utilization: 70, score: 0 },
    ]);
    expect([0, 10, 20, 40, 50, 70, 100].map(line)).toEqual([0, 0, 33, 100, 67, 0, 0]);
  });
});

describe("NodeResourcesBalancedAllocation with arguments", () => {
  it("balances any number of resources", () => {
    const resources = [...both, { name: "example.com/gpu", weight: 1 }];
    const plugin = createNodeResourcesBalancedAllocation({ resources });
    const nodes = [withResource(testNode("a"), "example.com/gpu", "2"), withResource(testNode("b"), "example.com/gpu", "4")];
    const got = scores(plugin, { nodes }, asking("p", { cpu: "1", memory: "2Gi", "example.com/gpu": "1" }));
    // On b everything is used to a quarter; on a half of the devices would be.
    expect(got.b).toBe(100 / 2 + 50 / 2);
    expect(got.a).toBeLessThan(75);
    expect(scores(plugin, { nodes }, testPod("idle"))).toEqual({ a: 0, b: 0 });
  });
});

describe("NodeAffinity with addedAffinity", () => {
  const nodes = [testNode("a", { labels: { pool: "x" } }), testNode("b", { labels: { pool: "y" } })];
  const inPool = (pool: string) => ({ matchExpressions: [{ key: "pool", operator: "In" as const, values: [pool] }] });

  it("keeps every pod on the nodes that the profile asks for, and says so", () => {
    const plugin = createNodeAffinity({ requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [inPool("y")] } });
    expect(verdict(plugin, { nodes }, testPod("p"))).toBe("b");
    expect(verdict(plugin, { nodes }, testPod("p", { spec: { nodeSelector: { pool: "x" } } }))).toBe(
      "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match scheduler-enforced node affinity.",
    );
  });

  it("adds its preferences to the pod's", () => {
    const plugin = createNodeAffinity({ preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 5, preference: inPool("y") }] });
    expect(scores(plugin, { nodes }, testPod("p"))).toEqual({ a: 0, b: 100 });
  });
});

describe("PodTopologySpread with defaultConstraints", () => {
  const services = [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "s", uid: "s", resourceVersion: "1", creationTimestamp: "" },
      spec: { selector: { app: "x" } },
    },
  ];
  const nothing = { replicationController: () => undefined, replicaSet: () => undefined, statefulSet: () => undefined };
  const workloads = { ...nothing, services: () => services as never };
  const nodes = [testNode("a", { labels: { zone: "1" } }), testNode("b", { labels: { zone: "2" } }), testNode("c")];
  const bound = [testPod("q", { labels: { app: "x" }, spec: { nodeName: "a" } })];

  it("spreads pods of a service as the profile says, over nodes with the label", () => {
    const constraints = [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" as const }];
    const plugin = createPodTopologySpread(workloads, { constraints, needsAllLabels: true });
    expect(verdict(plugin, { nodes, bound }, testPod("p", { labels: { app: "x" } }))).toBe("b");
    expect(verdict(plugin, { nodes: nodes.slice(2), bound: [] }, testPod("p", { labels: { app: "x" } }))).toMatch("missing required label");
  });
});

describe("InterPodAffinity with arguments", () => {
  const near = {
    podAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "x" } } },
      ],
    },
  };
  const likes = {
    podAffinity: {
      preferredDuringSchedulingIgnoredDuringExecution: [
        { weight: 10, podAffinityTerm: { topologyKey: "kubernetes.io/hostname", labelSelector: { matchLabels: { app: "x" } } } },
      ],
    },
  };
  const pod = testPod("p", { labels: { app: "x" } });
  const nodes = [testNode("a"), testNode("b")];
  const plugin = (more: object) => createInterPodAffinity({ namespaceLabels: () => ({}), ...more });

  it("lets a placed pod's required affinity count by hardPodAffinityWeight", () => {
    const bound = [testPod("q", { spec: { nodeName: "a", affinity: near } })];
    expect(scores(plugin({ hardPodAffinityWeight: 5 }), { nodes, bound }, pod)).toEqual({ a: 100, b: 0 });
    expect(scores(plugin({ hardPodAffinityWeight: 0 }), { nodes, bound }, pod)).toEqual({ a: 0, b: 0 });
  });

  it("can ignore what placed pods prefer", () => {
    const bound = [testPod("q", { spec: { nodeName: "a", affinity: likes } })];
    expect(scores(plugin({}), { nodes, bound }, pod)).toEqual({ a: 100, b: 0 });
    expect(scores(plugin({ ignorePreferredTermsOfExistingPods: true }), { nodes, bound }, pod)).toEqual({ a: 0, b: 0 });
  });
});

describe("arrange()", () => {
  const nowhere = Object.fromEntries(extensionPoints.map((point) => [point, []])) as unknown as Parameters<typeof arrange>[1];
  const plugins: readonly Plugin[] = [
    {
      name: "VolumeBinding",
      filter: () => undefined,
      reserve: () => undefined,
      postBind: () => undefined,
      queueingHints: [{ event: "NodeAdd" }],
    },
    { name: "NodeName", filter: () => undefined },
    { name: "ImageLocality", score: () => undefined, normalizeScore: () => undefined },
  ];

  it("runs each point in its own order, and what a point does not name not at all", () => {
    const parts = arrange(plugins, { ...nowhere, filter: ["NodeName", "VolumeBinding"], score: ["ImageLocality"] }, knownPlugins);
    expect(parts.filter((p) => p.filter).map((p) => p.name)).toEqual(["NodeName", "VolumeBinding"]);
    expect(parts.filter((p) => p.score && p.normalizeScore).map((p) => p.name)).toEqual(["ImageLocality"]);
    expect(parts.some((p) => p.reserve)).toBe(false);
  });

  it("keeps hints, and what upstream's plugin of the name does elsewhere, once", () => {
    const parts = arrange(plugins, { ...nowhere, filter: ["VolumeBinding"], reserve: ["VolumeBinding"] }, knownPlugins);
    expect(parts.filter((p) => p.queueingHints)).toHaveLength(1);
    expect(parts.filter((p) => p.postBind)).toHaveLength(1);
    expect(parts.filter((p) => p.reserve)).toHaveLength(1);
  });
});
