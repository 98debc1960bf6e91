// What predicates and priorities did before the scheduling framework, each under the name it had then. docs/scheduler-names.md
// says which plugin does it now.
import { describe, expect, it } from "vitest";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, Service, Volume } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import type { Client } from "../client/client.ts";
import { SchedulerCache } from "./cache.ts";
import { defaultPluginArgs } from "./configuration/plugin-args.ts";
import type { Plugin } from "./framework.ts";
import { createInterPodAffinity } from "./plugins/inter-pod-affinity.ts";
import { nodeAffinity, nodeName, nodePorts, taintToleration } from "./plugins/node.ts";
import { createPodTopologySpread } from "./plugins/pod-topology-spread.ts";
import { createNodeResourcesFit, imageLocality, nodeResourcesBalancedAllocation, nodeResourcesFit } from "./plugins/resources.ts";
import { createVolumeBinding } from "./plugins/volume-binding.ts";
import { createVolumeRestrictions } from "./plugins/volume-restrictions.ts";
import { createVolumeZone } from "./plugins/volume-zone.ts";
import { decide, scoreNodes } from "./schedule.ts";
import { noWorkloads, testNode, testPod } from "./test-objects.ts";

const hostname = "kubernetes.io/hostname";
const meta = (name: string) => ({ name, namespace: "default", uid: name, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" });

interface Scene {
  readonly plugin: Plugin;
  readonly pod: Pod;
  readonly nodes: readonly Node[];
  readonly bound?: readonly Pod[];
}

function cycleOf({ pod, nodes, bound = [] }: Scene) {
  const cache = new SchedulerCache();
  for (const node of nodes) cache.setNode(node);
  for (const other of bound) cache.setPod(other);
  return { pod, snapshot: cache, state: new Map<string, unknown>() };
}

/** Nodes on which the pod may go, and the message when it is told of the others alone. */
function judge(scene: Scene): { readonly fits: readonly string[]; readonly message: string } {
  const fits = scene.nodes.filter((node) => run({ ...scene, nodes: [node] }).kind === "node").map((node) => node.metadata.name);
  const refusing = run({ ...scene, nodes: scene.nodes.filter((node) => !fits.includes(node.metadata.name)) });
  return { fits, message: refusing.kind === "unschedulable" ? refusing.message : "" };
}

const run = (scene: Scene) => decide(cycleOf(scene), { schedulerName: "s", plugins: [scene.plugin] }, { random: () => 0.5, startAt: 0 });

function scoresOf(scene: Scene): Record<string, number> {
  const cycle = cycleOf(scene);
  const totals = scoreNodes(cycle, { schedulerName: "s", plugins: [scene.plugin] }, cycle.snapshot.nodes);
  return Object.fromEntries(cycle.snapshot.nodes.map((node, i) => [node.name, totals[i] ?? Number.NaN]));
}

/** That the first node is better than the second. */
function expectBetter(scene: Scene, better: string, worse: string): void {
  const scores = scoresOf(scene);
  expect(scores[better]).toBeGreaterThan(scores[worse] ?? Number.POSITIVE_INFINITY);
}

const ab = [testNode("a"), testNode("b")];
const on = (node: string, name: string, more: Parameters<typeof testPod>[1] = {}) =>
  testPod(name, { ...more, spec: { ...more?.spec, nodeName: node } });
const refusal = (count: number, reason: string) => `0/${count} nodes are available: ${count} ${reason}.`;

function storageWith(volume: PersistentVolume) {
  const claim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { ...meta("c"), annotations: { "pv.kubernetes.io/bind-completed": "yes" } },
    spec: { accessModes: ["ReadWriteOnce"], volumeName: volume.metadata.name, resources: { requests: { storage: "1Gi" } } },
  } as PersistentVolumeClaim;
  return {
    claim: (key: string) => (key === "default/c" ? claim : undefined),
    volume: (name: string) => (name === volume.metadata.name ? volume : undefined),
    volumes: () => [volume],
    storageClass: () => undefined,
  };
}

const usingClaim = testPod("p", { spec: { volumes: [{ name: "v", persistentVolumeClaim: { claimName: "c" } }] } });

const persistentVolume = (labels: Record<string, string>, more: object = {}): PersistentVolume =>
  ({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { ...meta("v"), labels },
    spec: { accessModes: ["ReadWriteOnce"], capacity: { storage: "1Gi" }, ...more },
    status: { phase: "Bound" },
  }) as PersistentVolume;

describe("predicates by their historic names", () => {
  it("PodFitsHostPorts: a host port is for one pod of a node", () => {
    const spec = { containers: [{ name: "c", image: "i", ports: [{ containerPort: 80, hostPort: 8080 }] }] };
    const { fits, message } = judge({ plugin: nodePorts, pod: testPod("p", { spec }), nodes: ab, bound: [on("a", "q", { spec })] });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) didn't have free ports for the requested pod ports"));
  });

  it("PodFitsResources: what the pod asks for must be free", () => {
    const { fits, message } = judge({
      plugin: nodeResourcesFit,
      pod: testPod("p", { cpu: "2" }),
      nodes: ab,
      bound: [on("a", "q", { cpu: "3" })],
    });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "Insufficient cpu"));
  });

  it("HostName: the node that the pod names", () => {
    const { fits, message } = judge({ plugin: nodeName, pod: testPod("p", { spec: { nodeName: "b" } }), nodes: ab });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) didn't match the requested node name"));
  });

  it("MatchNodeSelector: the labels that the pod selects", () => {
    const nodes = [testNode("a", { labels: { disk: "hdd" } }), testNode("b", { labels: { disk: "ssd" } })];
    const { fits, message } = judge({ plugin: nodeAffinity, pod: testPod("p", { spec: { nodeSelector: { disk: "ssd" } } }), nodes });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) didn't match Pod's node affinity/selector"));
  });

  it("NoVolumeZoneConflict: the zone of the pod's volumes", () => {
    const zone = "topology.kubernetes.io/zone";
    const nodes = [testNode("a", { labels: { [zone]: "east" } }), testNode("b", { labels: { [zone]: "west" } })];
    const plugin = createVolumeZone(storageWith(persistentVolume({ [zone]: "west" })));
    const { fits, message } = judge({ plugin, pod: usingClaim, nodes });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) had no available volume zone"));
  });

  it("MatchInterPodAffinity: near the pods and away from the pods that it names", () => {
    const plugin = createInterPodAffinity({ namespaceLabels: () => ({}) });
    const terms = {
      requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: hostname, labelSelector: { matchLabels: { app: "x" } } }],
    };
    const bound = [on("a", "q", { labels: { app: "x" } })];
    const near = testPod("near", { spec: { affinity: { podAffinity: terms } } });
    const away = testPod("away", { spec: { affinity: { podAntiAffinity: terms } } });
    const result = run({ plugin, pod: near, nodes: ab, bound });
    expect(result).toMatchObject({ kind: "node", nodeName: "a" });
    expect(run({ plugin, pod: away, nodes: ab, bound })).toMatchObject({ kind: "node", nodeName: "b" });
    expect(run({ plugin, pod: away, nodes: ab.slice(0, 1), bound })).toMatchObject({
      message: refusal(1, "node(s) didn't match pod anti-affinity rules"),
    });
  });

  it("NoDiskConflict: a disk that cannot be shared is for one pod of a node", () => {
    const volumes: Volume[] = [{ name: "d", gcePersistentDisk: { pdName: "disk" } }];
    const plugin = createVolumeRestrictions({ claim: () => undefined });
    const bound = [on("a", "q", { spec: { volumes } })];
    const { fits, message } = judge({ plugin, pod: testPod("p", { spec: { volumes } }), nodes: ab, bound });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) had no available disk"));
  });

  it("PodToleratesNodeTaints: no taint that the pod does not tolerate", () => {
    const nodes = [testNode("a", { spec: { taints: [{ key: "k", effect: "NoExecute" }] } }), testNode("b")];
    const { fits, message } = judge({ plugin: taintToleration, pod: testPod("p"), nodes });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) had untolerated taint(s)"));
    const tolerant = testPod("t", { spec: { tolerations: [{ key: "k", operator: "Exists" }] } });
    expect(judge({ plugin: taintToleration, pod: tolerant, nodes }).fits).toEqual(["a", "b"]);
  });

  it.each([
    ["CheckNodeMemoryPressure", "node.kubernetes.io/memory-pressure"],
    ["CheckNodeDiskPressure", "node.kubernetes.io/disk-pressure"],
  ])("%s: the node's condition is a taint", (_name, key) => {
    const nodes = [testNode("a", { spec: { taints: [{ key, effect: "NoSchedule" }] } }), testNode("b")];
    expect(judge({ plugin: taintToleration, pod: testPod("p"), nodes }).fits).toEqual(["b"]);
    const tolerant = testPod("t", { spec: { tolerations: [{ key, operator: "Exists", effect: "NoSchedule" }] } });
    expect(judge({ plugin: taintToleration, pod: tolerant, nodes }).fits).toEqual(["a", "b"]);
  });

  it("NoVolumeNodeConflict: where the pod's volumes can be reached", () => {
    const required = { nodeSelectorTerms: [{ matchExpressions: [{ key: hostname, operator: "In", values: ["b"] }] }] };
    const storage = storageWith(persistentVolume({}, { nodeAffinity: { required } }));
    // Bound volumes need no call.
    const plugin = createVolumeBinding({ storage, clock: new VirtualClock(), client: {} as Client });
    const { fits, message } = judge({ plugin, pod: usingClaim, nodes: ab });
    expect(fits).toEqual(["b"]);
    expect(message).toBe(refusal(1, "node(s) didn't match PersistentVolume's node affinity"));
  });
});

const fitting = (type: string) => {
  const args = defaultPluginArgs().NodeResourcesFit;
  return createNodeResourcesFit({ ...args, scoringStrategy: { ...args.scoringStrategy, type } });
};

describe("priorities by their historic names", () => {
  it("SelectorSpread: away from the pods of the same workload", () => {
    const owner = { apiVersion: "v1", kind: "ReplicationController", name: "rc", uid: "rc", controller: true };
    const controller = { apiVersion: "v1", kind: "ReplicationController", metadata: meta("rc"), spec: { selector: { app: "x" } } };
    const plugin = createPodTopologySpread({ ...noWorkloads, replicationController: () => controller as never });
    const plain = testPod("p", { labels: { app: "x" } });
    const pod: Pod = { ...plain, metadata: { ...plain.metadata, ownerReferences: [owner] } };
    expectBetter({ plugin, pod, nodes: ab, bound: [on("a", "q", { labels: { app: "x" } })] }, "b", "a");
  });

  it("ServiceSpreading: away from the pods of the same service", () => {
    const service = { apiVersion: "v1", kind: "Service", metadata: meta("s"), spec: { selector: { app: "x" } } } as Service;
    const plugin = createPodTopologySpread({ ...noWorkloads, services: () => [service] });
    const bound = [on("a", "q", { labels: { app: "x" } })];
    expectBetter({ plugin, pod: testPod("p", { labels: { app: "x" } }), nodes: ab, bound }, "b", "a");
  });

  it("InterPodAffinity: near the pods that it prefers", () => {
    const term = { weight: 10, podAffinityTerm: { topologyKey: hostname, labelSelector: { matchLabels: { app: "x" } } } };
    const affinity = { podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [term] } };
    const plugin = createInterPodAffinity({ namespaceLabels: () => ({}) });
    const bound = [on("a", "q", { labels: { app: "x" } })];
    expect(scoresOf({ plugin, pod: testPod("p", { spec: { affinity } }), nodes: ab, bound })).toEqual({ a: 100, b: 0 });
  });

  it("LeastRequested: where more is left", () => {
    const bound = [on("a", "q", { cpu: "2", memory: "4Gi" })];
    const pod = testPod("p", { cpu: "1", memory: "2Gi" });
    expect(scoresOf({ plugin: nodeResourcesFit, pod, nodes: ab, bound })).toEqual({ a: 25, b: 75 });
  });

  it("MostRequested: where less is left", () => {
    const bound = [on("a", "q", { cpu: "2", memory: "4Gi" })];
    const pod = testPod("p", { cpu: "1", memory: "2Gi" });
    expect(scoresOf({ plugin: fitting("MostAllocated"), pod, nodes: ab, bound })).toEqual({ a: 75, b: 25 });
  });

  it("BalancedResourceAllocation: where cpu and memory are used alike", () => {
    const bound = [on("a", "q", { memory: "4Gi" }), on("b", "r", { cpu: "2" })];
    expectBetter({ plugin: nodeResourcesBalancedAllocation, pod: testPod("p", { cpu: "2" }), nodes: ab, bound }, "a", "b");
  });

  it("NodePreferAvoidPods: a taint that discourages does it, the annotation does nothing", () => {
    const discouraged = testNode("a", { spec: { taints: [{ key: "avoid", effect: "PreferNoSchedule" }] } });
    expectBetter({ plugin: taintToleration, pod: testPod("p"), nodes: [discouraged, testNode("b")] }, "b", "a");
    const plain = testNode("a");
    const annotations = { "scheduler.alpha.kubernetes.io/preferAvoidPods": '{"preferAvoidPods":[]}' };
    const annotated: Node = { ...plain, metadata: { ...plain.metadata, annotations } };
    const scores = scoresOf({ plugin: taintToleration, pod: testPod("p"), nodes: [annotated, testNode("b")] });
    expect(scores.a).toBe(scores.b);
  });

  it("NodeAffinity: the nodes that the pod prefers", () => {
    const preference = { matchExpressions: [{ key: hostname, operator: "In" as const, values: ["b"] }] };
    const affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference }] } };
    expect(scoresOf({ plugin: nodeAffinity, pod: testPod("p", { spec: { affinity } }), nodes: ab })).toEqual({ a: 0, b: 100 });
  });

  it("TaintToleration: fewer taints that discourage are better", () => {
    const taint = (key: string) => ({ key, effect: "PreferNoSchedule" as const });
    const nodes = [
      testNode("a", { spec: { taints: [taint("k"), taint("l")] } }),
      testNode("b", { spec: { taints: [taint("k")] } }),
      testNode("c"),
    ];
    expect(scoresOf({ plugin: taintToleration, pod: testPod("p"), nodes })).toEqual({ a: 0, b: 50, c: 100 });
  });

  it("Equal: without scores chance decides among all nodes", () => {
    const plugin: Plugin = { name: "Nothing" };
    const chosen = (random: number) =>
      decide(
        cycleOf({ plugin, pod: testPod("p"), nodes: ab }),
        { schedulerName: "s", plugins: [plugin] },
        { random: () => random, startAt: 0 },
      );
    expect(scoresOf({ plugin, pod: testPod("p"), nodes: ab })).toEqual({ a: 0, b: 0 });
    expect([chosen(0), chosen(0.99)]).toMatchObject([{ nodeName: "b" }, { nodeName: "a" }]);
  });

  it("ImageLocality: where the pod's large images are", () => {
    const images = [{ names: ["app:latest"], sizeBytes: 900 * 1024 * 1024 }];
    expectBetter(
      { plugin: imageLocality, pod: testPod("p", { image: "app" }), nodes: [testNode("a"), testNode("b", { images })] },
      "b",
      "a",
    );
  });
});
