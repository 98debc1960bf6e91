import { describe, expect, it } from "vitest";
import type { New } from "../api/meta/object.ts";
import { leases, nodes, pods } from "../api/resources.generated.ts";
import type { Node, Pod, Taint } from "../api/types/core-v1.ts";
import { formatMicroTime, formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { CidrPool } from "./node-ipam/cidr-pool.ts";
import { nodeIpamController } from "./node-ipam/node-ipam.ts";
import { nodeLifecycleController } from "./node-lifecycle/node-lifecycle.ts";
import { evictionRate, ZoneQueue, zoneState } from "./node-lifecycle/zone-eviction.ts";
import { nodeTtlController, ttlStep } from "./node-ttl.ts";
import { planPodGc, podGarbageCollector } from "./pod-gc.ts";
import { taintEvictionController, tolerationMs } from "./taint-eviction.ts";

async function addNode(
  fixture: ControllerFixture,
  name: string,
  more: { readonly ready?: string; readonly zone?: string } = {},
): Promise<void> {
  const now = formatTime(fixture.clock.now());
  const conditions = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"].map((type) => ({
    type,
    status: type === "Ready" ? (more.ready ?? "True") : "False",
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  }));
  const node: New<Node> = {
    metadata: { name, labels: { "topology.kubernetes.io/zone": more.zone ?? "z" } },
    spec: {},
    status: { conditions },
  };
  await fixture.client.create(nodes, node);
  await fixture.client.create(leases, {
    metadata: { namespace: "kube-node-lease", name },
    spec: { renewTime: formatMicroTime(fixture.clock.now()) },
  });
}

/** Lets time pass in which these nodes renew their leases. */
async function live(fixture: ControllerFixture, ms: number, ...names: string[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10_000) {
    for (const name of names) {
      const spec = { renewTime: formatMicroTime(fixture.clock.now()) };
      await fixture.client.patch(leases, { namespace: "kube-node-lease", name }, { spec }, { type: "merge" });
    }
    await fixture.clock.advance(10_000);
  }
}

const getNode = (fixture: ControllerFixture, name: string): Promise<Node> => fixture.client.get(nodes, { name });
const taintsOf = async (fixture: ControllerFixture, name: string): Promise<readonly string[]> =>
  ((await getNode(fixture, name)).spec?.taints ?? []).map((taint: Taint) => `${taint.key}:${taint.effect}`).sort();
const setCondition = (fixture: ControllerFixture, name: string, type: string, status: string): Promise<Node> =>
  fixture.client.patch(
    nodes,
    { name },
    { status: { conditions: [{ type, status, lastHeartbeatTime: formatTime(fixture.clock.now()) }] } },
    { type: "strategic", subresource: "status" },
  );

function podOn(name: string, nodeName: string, more: Partial<Pod["spec"]> = {}): New<Pod> {
  const conditions = [{ type: "Ready", status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" }];
  return {
    metadata: { name, namespace: "default" },
    spec: { containers: [], nodeName, ...more },
    status: { phase: "Running", conditions },
  };
}

describe("node-lifecycle-controller", () => {
  async function started(): Promise<ControllerFixture> {
    const fixture = createControllerFixture();
    fixture.start(nodeLifecycleController);
    await addNode(fixture, "keep");
    await addNode(fixture, "n");
    await live(fixture, 10_000, "keep", "n");
    return fixture;
  }

  it("tells of nodes that come and go", async () => {
    await using fixture = await started();
    await fixture.client.delete(nodes, { name: "n" });
    await live(fixture, 10_000, "keep");
    expect(await fixture.eventsOf("n")).toEqual([
      "RegisteredNode: Node n event: Registered Node n in Controller",
      "RemovingNode: Node n event: Removing Node n from Controller",
    ]);
  });

  it("declares a node unknown whose lease is not renewed for 50 s, taints it, and marks its pods", async () => {
    await using fixture = await started();
    await fixture.client.create(pods, podOn("p", "n"));
    await live(fixture, 40_000, "keep");
    expect(await taintsOf(fixture, "n")).toEqual([]);
    await live(fixture, 30_000, "keep");
    const node = await getNode(fixture, "n");
    for (const type of ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"]) {
      expect(node.status?.conditions?.find((c) => c.type === type)).toMatchObject({
        status: "Unknown",
        reason: "NodeStatusUnknown",
        message: "Kubelet stopped posting node status.",
      });
    }
    expect(await taintsOf(fixture, "n")).toEqual(["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"]);
    const pod = await fixture.client.get(pods, { namespace: "default", name: "p" });
    expect(pod.status?.conditions?.[0]?.status).toBe("False");
    expect(await fixture.eventsOf("p")).toEqual(["NodeNotReady: Node is not ready"]);
    expect(await taintsOf(fixture, "keep")).toEqual([]);

    await setCondition(fixture, "n", "Ready", "True");
    await live(fixture, 20_000, "keep", "n");
    expect(await taintsOf(fixture, "n")).toEqual([]);
    expect(fixture.problems.filter((line) => line.startsWith("E"))).toEqual([]);
  });

  it("swaps the taints of a node that reports that it is not ready", async () => {
    await using fixture = await started();
    await setCondition(fixture, "n", "Ready", "False");
    await live(fixture, 20_000, "keep", "n");
    expect(await taintsOf(fixture, "n")).toEqual(["node.kubernetes.io/not-ready:NoExecute", "node.kubernetes.io/not-ready:NoSchedule"]);
    await setCondition(fixture, "n", "Ready", "Unknown");
    await live(fixture, 20_000, "keep", "n");
    expect(await taintsOf(fixture, "n")).toEqual(["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"]);
  });

  it("turns conditions and cordons into taints at once, and leaves others' taints alone", async () => {
    await using fixture = await started();
    await fixture.client.patch(
      nodes,
      { name: "n" },
      { spec: { unschedulable: true, taints: [{ key: "mine", effect: "NoSchedule" }] } },
      { type: "merge" },
    );
    await setCondition(fixture, "n", "DiskPressure", "True");
    await fixture.settle();
    expect(await taintsOf(fixture, "n")).toEqual([
      "mine:NoSchedule",
      "node.kubernetes.io/disk-pressure:NoSchedule",
      "node.kubernetes.io/unschedulable:NoSchedule",
    ]);
    await fixture.client.patch(nodes, { name: "n" }, { spec: { unschedulable: false } }, { type: "merge" });
    await setCondition(fixture, "n", "DiskPressure", "False");
    await fixture.settle();
    expect(await taintsOf(fixture, "n")).toEqual(["mine:NoSchedule"]);
  });

  it("evicts from nobody when every node is down", async () => {
    await using fixture = await started();
    await live(fixture, 90_000);
    for (const name of ["keep", "n"]) expect(await taintsOf(fixture, name)).toEqual(["node.kubernetes.io/unreachable:NoSchedule"]);
  });

  it("taints the nodes of a zone one every ten seconds", async () => {
    await using fixture = createControllerFixture();
    fixture.start(nodeLifecycleController);
    const names = ["a", "b", "c", "d", "e"];
    for (const name of [...names, "keep1", "keep2", "keep3", "keep4", "keep5"]) await addNode(fixture, name);
    await live(fixture, 10_000, ...names, "keep1", "keep2", "keep3", "keep4", "keep5");
    for (const name of names) await setCondition(fixture, name, "Ready", "False");
    const counts: number[] = [];
    for (let i = 0; i < 5; i++) {
      await live(fixture, 10_000, ...names, "keep1", "keep2", "keep3", "keep4", "keep5");
      const all = await Promise.all(names.map((name) => taintsOf(fixture, name)));
      counts.push(all.filter((taints) => taints.some((taint) => taint.endsWith("NoExecute"))).length);
    }
    expect(counts).toEqual([1, 2, 3, 4, 5]);
  });

  it("says of a node that never reported that its kubelet never posted status", async () => {
    await using fixture = await started();
    await fixture.client.create(nodes, { metadata: { name: "mute" }, spec: {} });
    await live(fixture, 70_000, "keep", "n");
    expect((await getNode(fixture, "mute")).status?.conditions?.find((c) => c.type === "Ready")).toMatchObject({
      status: "Unknown",
      reason: "NodeStatusNeverUpdated",
      message: "Kubelet never posted node status.",
    });
  });
});

describe("zones", () => {
  it("are disrupted by upstream's thresholds", () => {
    expect(zoneState({ ready: 0, notReady: 1 })).toBe("FullDisruption");
    expect(zoneState({ ready: 2, notReady: 3 })).toBe("PartialDisruption");
    expect(zoneState({ ready: 1, notReady: 2 })).toBe("Normal");
    expect([
      evictionRate({ state: "Normal", size: 5 }),
      evictionRate({ state: "PartialDisruption", size: 5 }),
      evictionRate({ state: "PartialDisruption", size: 51 }),
      evictionRate({ state: "FullDisruption", size: 5 }),
    ]).toEqual([0.1, 0, 0.01, 0.1]);
  });

  it("let one node through at a time", () => {
    const queue = new ZoneQueue(0);
    for (const name of ["a", "b", "c"]) queue.add(name);
    queue.remove("b");
    expect([queue.take(0), queue.take(1_000), queue.take(10_000)]).toEqual(["a", undefined, "c"]);
    queue.add("d");
    queue.setRate(0, 20_000);
    expect(queue.take(100_000)).toBeUndefined();
  });
});

describe("tolerationMs()", () => {
  const taint: Taint = { key: "k", effect: "NoExecute" };
  it("is how long a pod may stay", () => {
    expect(tolerationMs([taint], [])).toBe(0);
    expect(tolerationMs([taint], [{ key: "k", operator: "Exists" }])).toBeUndefined();
    expect(tolerationMs([taint, { key: "l", effect: "NoExecute" }], [{ operator: "Exists", tolerationSeconds: 30 }])).toBe(30_000);
    expect(tolerationMs([taint], [{ operator: "Exists", tolerationSeconds: -1 }])).toBe(0);
  });
});

describe("taint-eviction-controller", () => {
  const taint = (fixture: ControllerFixture, taints: Taint[]) =>
    fixture.client.patch(nodes, { name: "n" }, { spec: { taints } }, { type: "merge" });
  const noExecute: Taint = { key: "k", effect: "NoExecute" };

  async function started(...objects: New<Pod>[]): Promise<ControllerFixture> {
    const fixture = createControllerFixture();
    await addNode(fixture, "n");
    for (const object of objects) await fixture.client.create(pods, object);
    fixture.start(taintEvictionController);
    await fixture.settle();
    return fixture;
  }
  const isGoing = async (fixture: ControllerFixture, name: string): Promise<boolean> =>
    (await fixture.client.get(pods, { namespace: "default", name })).metadata.deletionTimestamp !== undefined;

  it("evicts pods that do not tolerate a NoExecute taint, and says why", async () => {
    await using fixture = await started(podOn("out", "n"), podOn("in", "n", { tolerations: [{ key: "k", operator: "Exists" }] }));
    await taint(fixture, [noExecute, { key: "other", effect: "NoSchedule" }]);
    await fixture.settle();
    expect([await isGoing(fixture, "out"), await isGoing(fixture, "in")]).toEqual([true, false]);
    const out = await fixture.client.get(pods, { namespace: "default", name: "out" });
    expect(out.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: "DisruptionTarget",
        status: "True",
        reason: "DeletionByTaintManager",
        message: "Taint manager: deleting due to NoExecute taint",
        observedGeneration: 1,
      }),
    );
    expect(await fixture.eventsOf("out")).toEqual(["TaintManagerEviction: Marking for deletion Pod default/out"]);
  });

  it("evicts a pod that is being deleted already, and only once", async () => {
    await using fixture = await started(podOn("going", "n"));
    const at = { namespace: "default", name: "going" };
    await fixture.client.patch(pods, at, { metadata: { finalizers: ["example.com/x"] } }, { type: "merge" });
    await fixture.client.delete(pods, at);
    await taint(fixture, [noExecute]);
    await fixture.settle();
    await fixture.client.patch(pods, at, { metadata: { labels: { seen: "again" } } }, { type: "merge" });
    await fixture.settle();
    const { status } = await fixture.client.get(pods, at);
    expect(status?.conditions).toContainEqual(expect.objectContaining({ reason: "DeletionByTaintManager" }));
    expect(await fixture.eventsOf("going")).toEqual(["TaintManagerEviction: Marking for deletion Pod default/going"]);
  });

  it("keeps the time of an eviction when another taint is tolerated for less, and evicts at once where one is not tolerated", async () => {
    const tolerations = [
      { key: "k", operator: "Exists" as const, tolerationSeconds: 600 },
      { key: "short", operator: "Exists" as const, tolerationSeconds: 3 },
    ];
    await using fixture = await started(podOn("patient", "n", { tolerations }));
    await taint(fixture, [noExecute]);
    await fixture.clock.advance(1_000);
    await taint(fixture, [noExecute, { key: "short", effect: "NoExecute" }]);
    await fixture.clock.advance(60_000);
    expect(await isGoing(fixture, "patient")).toBe(false);
    await taint(fixture, [noExecute, { key: "other", effect: "NoExecute" }]);
    await fixture.settle();
    expect(await isGoing(fixture, "patient")).toBe(true);
    expect(new Set(await fixture.eventsOf("patient"))).toEqual(
      new Set(["Cancelling deletion of", "Marking for deletion"].map((what) => `TaintManagerEviction: ${what} Pod default/patient`)),
    );
  });

  it("waits as long as tolerationSeconds says, and forgets when the taint goes", async () => {
    const tolerations = [{ key: "k", operator: "Exists" as const, tolerationSeconds: 60 }];
    await using fixture = await started(podOn("late", "n", { tolerations }));
    await taint(fixture, [noExecute]);
    await fixture.clock.advance(50_000);
    await taint(fixture, []);
    await fixture.clock.advance(60_000);
    expect(await isGoing(fixture, "late")).toBe(false);
    expect(await fixture.eventsOf("late")).toEqual(["TaintManagerEviction: Cancelling deletion of Pod default/late"]);
    await taint(fixture, [noExecute]);
    await fixture.clock.advance(59_000);
    expect(await isGoing(fixture, "late")).toBe(false);
    await fixture.clock.advance(2_000);
    expect(await isGoing(fixture, "late")).toBe(true);
  });
});

describe("node-ipam-controller", () => {
  it("gives every node a range of its own, respects those in use, and uses freed ones again", async () => {
    await using fixture = createControllerFixture({ clusterCidrs: ["10.244.0.0/22"] });
    await fixture.client.create(nodes, { metadata: { name: "old" }, spec: { podCIDR: "10.244.1.0/24", podCIDRs: ["10.244.1.0/24"] } });
    fixture.start(nodeIpamController);
    for (const name of ["a", "b", "c"]) await fixture.client.create(nodes, { metadata: { name }, spec: {} });
    await fixture.settle();
    const ranges = (await fixture.client.list(nodes)).items.map((node) => node.spec?.podCIDR);
    expect(ranges.sort()).toEqual(["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24", "10.244.3.0/24"]);
    await fixture.client.create(nodes, { metadata: { name: "none-left" }, spec: {} });
    await fixture.settle();
    expect((await getNode(fixture, "none-left")).spec?.podCIDR).toBeUndefined();
    await fixture.recorder.flushed();
    expect((await fixture.eventsOf("none-left"))[0]).toMatch(/^CIDRNotAvailable: Node none-left status is now: CIDRNotAvailable/);
    await fixture.client.delete(nodes, { name: "old" });
    await fixture.clock.advance(30_000);
    expect((await getNode(fixture, "none-left")).spec?.podCIDR).toBe("10.244.1.0/24");
  });

  it("gives dual-stack nodes one range of each family", async () => {
    await using fixture = createControllerFixture({ clusterCidrs: ["10.244.0.0/16", "fd00:10:244::/56"] });
    fixture.start(nodeIpamController);
    await fixture.client.create(nodes, { metadata: { name: "a" }, spec: {} });
    await fixture.settle();
    expect((await getNode(fixture, "a")).spec).toMatchObject({ podCIDR: "10.244.0.0/24", podCIDRs: ["10.244.0.0/24", "fd00:10:244::/64"] });
  });
});

describe("CidrPool", () => {
  it("refuses blocks that do not fit", () => {
    expect(() => new CidrPool("10.0.0.0/24", 16)).toThrow("do not fit");
    expect(() => new CidrPool("nonsense", 24)).toThrow("expected an address range");
  });

  it("marks every block that a larger range touches", () => {
    const pool = new CidrPool("10.0.0.0/22", 24);
    pool.occupy("10.0.0.0/23");
    pool.occupy("192.168.0.0/16");
    expect([pool.allocate(), pool.allocate(), pool.allocate()]).toEqual(["10.0.2.0/24", "10.0.3.0/24", undefined]);
  });
});

describe("ttl-controller", () => {
  it("annotates nodes", async () => {
    await using fixture = createControllerFixture();
    fixture.start(nodeTtlController);
    await fixture.client.create(nodes, { metadata: { name: "a" }, spec: {} });
    await fixture.settle();
    expect((await getNode(fixture, "a")).metadata.annotations).toEqual({ "node.alpha.kubernetes.io/ttl": "0" });
  });

  it("does not flip at a boundary", () => {
    expect([ttlStep(100, 0), ttlStep(101, 0), ttlStep(95, 1), ttlStep(89, 1), ttlStep(5000, 0)]).toEqual([0, 1, 1, 0, 4]);
  });
});

describe("pod-garbage-collector-controller", () => {
  it("plans to remove the oldest ended pods beyond the threshold, evicted ones first", () => {
    const ended = (name: string, second: number, reason?: string): Pod =>
      ({
        metadata: { name, creationTimestamp: `2026-01-01T00:00:0${second}Z` },
        spec: {},
        status: { phase: "Failed", ...(reason ? { reason } : {}) },
      }) as Pod;
    const all = [ended("new", 5), ended("old", 1), ended("evicted", 9, "Evicted")];
    const plan = (threshold: number) => planPodGc({ pods: all, node: () => undefined, threshold }).remove.map((pod) => pod.metadata.name);
    expect([plan(1), plan(2), plan(3), plan(0)]).toEqual([["evicted", "old"], ["evicted"], [], []]);
  });

  it("removes pods of nodes that are gone for good, after a quarantine", async () => {
    await using fixture = createControllerFixture();
    fixture.start(podGarbageCollector);
    await fixture.client.create(nodes, { metadata: { name: "here" }, spec: {} });
    await fixture.client.create(pods, podOn("kept", "here"));
    await fixture.client.create(pods, podOn("orphan", "gone"));
    const changes: (string | undefined)[] = [];
    fixture.informers.informer(pods).addHandler({
      onUpdate: (pod) => void changes.push(pod.status?.phase, pod.status?.conditions?.find((c) => c.type === "DisruptionTarget")?.reason),
    });
    await fixture.clock.advance(39_000);
    expect((await fixture.client.list(pods)).items).toHaveLength(2);
    await fixture.clock.advance(40_000);
    expect((await fixture.client.list(pods)).items.map((pod) => pod.metadata.name)).toEqual(["kept"]);
    expect(changes).toEqual(["Failed", "DeletionByPodGC"]);
  });

  it("finishes terminating pods of nodes that are out of service, or that have no node", async () => {
    await using fixture = createControllerFixture();
    fixture.start(podGarbageCollector);
    await fixture.client.create(nodes, {
      metadata: { name: "n" },
      spec: { taints: [{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }] },
    });
    await fixture.client.create(pods, podOn("stuck", "n"));
    await fixture.client.create(pods, podOn("lives", "n"));
    await fixture.client.delete(pods, { namespace: "default", name: "stuck" });
    await fixture.clock.advance(25_000);
    expect((await fixture.client.list(pods)).items.map((pod) => pod.metadata.name)).toEqual(["lives"]);
  });
});
