import { describe, expect, it } from "vitest";
import { keyOf, type New } from "../api/meta/object.ts";
import { forbidden } from "../api/meta/status-error.ts";
import { pods, replicasets, replicationcontrollers } from "../api/resources.generated.ts";
import type { ReplicaSet } from "../api/types/apps-v1.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { formatTime } from "../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../testing/controller-fixture.ts";
import { planReplicas, replicaSetController, replicationController } from "./replica-set.ts";

const nowMs = Date.UTC(2026, 0, 1, 12);

function replicaSet(replicas: number): New<ReplicaSet> {
  return {
    metadata: { name: "web", namespace: "default" },
    spec: {
      replicas,
      selector: { matchLabels: { app: "a" } },
      template: { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image: "img:1" }] } },
    },
  };
}

function pod(
  name: string,
  more: { readonly spec?: object; readonly status?: object; readonly annotations?: Record<string, string>; readonly ageMs?: number } = {},
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      uid: name,
      resourceVersion: "1",
      creationTimestamp: formatTime(nowMs - (more.ageMs ?? 3_600_000)),
      ...(more.annotations ? { annotations: more.annotations } : {}),
    },
    spec: { containers: [], nodeName: "n1", ...more.spec },
    status: {
      phase: "Running",
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: formatTime(nowMs - 3_600_000) }],
      ...more.status,
    },
  };
}

async function makeReady(fixture: ControllerFixture, which: Pod): Promise<void> {
  const ready = { type: "Ready", status: "True", lastTransitionTime: formatTime(fixture.clock.now()) };
  await fixture.client.patch(
    pods,
    { namespace: "default", name: which.metadata.name },
    { status: { phase: "Running", conditions: [ready] } },
    { type: "merge", subresource: "status" },
  );
}

const listPods = async (fixture: ControllerFixture): Promise<readonly Pod[]> =>
  (await fixture.client.list(pods, { namespace: "default" })).items;

describe("planReplicas()", () => {
  const set = (replicas: number): ReplicaSet =>
    ({ ...replicaSet(replicas), metadata: { name: "web", namespace: "default", uid: "u" } }) as ReplicaSet;
  const plan = (replicas: number, active: readonly Pod[], related = active): readonly string[] =>
    planReplicas(set(replicas), active, { related: () => related, nowMs }).remove.map((p) => p.metadata.name);

  it("makes what is missing, at most 500 at a time", () => {
    expect(planReplicas(set(3), [pod("a")], { related: () => [], nowMs })).toEqual({ create: 2, remove: [] });
    expect(planReplicas(set(900), [], { related: () => [], nowMs }).create).toBe(500);
  });

  it("removes pods without a node first, then pending, then unready ones", () => {
    const active = [
      pod("ready"),
      pod("unready", { status: { conditions: [] } }),
      pod("pending", { status: { phase: "Pending", conditions: [] } }),
      pod("nowhere", { spec: { nodeName: "" } }),
    ];
    expect(plan(0, active)).toHaveLength(4);
    expect(plan(3, active)).toEqual(["nowhere"]);
    expect(plan(2, active)).toEqual(["nowhere", "pending"]);
    expect(plan(1, active)).toEqual(["nowhere", "pending", "unready"]);
  });

  it("removes pods of lower deletion cost before those of higher", () => {
    const cost = (n: string) => ({ annotations: { "controller.kubernetes.io/pod-deletion-cost": n } });
    expect(plan(2, [pod("dear", cost("10")), pod("cheap", cost("-3")), pod("default")])).toEqual(["cheap"]);
  });

  it("removes from nodes with more pods of the same application", () => {
    const active = [pod("alone", { spec: { nodeName: "n2" } }), pod("x"), pod("y")];
    expect(plan(2, active)).not.toContain("alone");
    expect(plan(2, active, [...active, pod("o1", { spec: { nodeName: "n2" } }), pod("o2", { spec: { nodeName: "n2" } })])).toEqual([
      "alone",
    ]);
  });

  it("removes pods with more restarts, then younger ones by orders of magnitude", () => {
    const restarted = pod("restarted", { status: { containerStatuses: [{ restartCount: 3 }] } });
    expect(plan(2, [pod("x"), restarted, pod("y")])).toEqual(["restarted"]);
    const young = pod("young", {
      ageMs: 60_000,
      status: { conditions: [{ type: "Ready", status: "True", lastTransitionTime: formatTime(nowMs - 50_000) }] },
    });
    expect(plan(2, [pod("x"), young, pod("y")])).toEqual(["young"]);
  });
});

describe("replicaset-controller", () => {
  it("makes pods, counts ready ones, and scales down", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    await fixture.client.create(replicasets, replicaSet(3));
    await fixture.settle();
    const made = await listPods(fixture);
    expect(made).toHaveLength(3);
    expect(made[0]?.metadata.ownerReferences).toMatchObject([
      { kind: "ReplicaSet", name: "web", controller: true, blockOwnerDeletion: true },
    ]);
    for (const each of made) await makeReady(fixture, each);
    await fixture.settle();
    const set = await fixture.client.get(replicasets, { namespace: "default", name: "web" });
    expect(set.status).toEqual({
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      terminatingReplicas: 0,
      observedGeneration: 1,
      conditions: [],
    });

    await fixture.client.update(replicasets, { ...set, spec: { ...set.spec, replicas: 1 } });
    await fixture.settle();
    expect(await listPods(fixture)).toHaveLength(1);
    const reasons = (await fixture.eventsOf("web")).map((text) => text.split(":")[0]);
    expect(reasons.sort()).toEqual([...Array(3).fill("SuccessfulCreate"), ...Array(2).fill("SuccessfulDelete")]);
    expect(fixture.problems).toEqual([]);
  });

  it("never makes more pods than asked for, even when its cache lags behind", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    await fixture.settle();
    fixture.api.watchDelayMs = (path) => (path.endsWith("/pods") ? 300 : 0);
    await fixture.client.create(replicasets, replicaSet(5));
    let most = 0;
    for (let i = 0; i < 20; i++) {
      await fixture.clock.advance(50);
      // A change of the set makes the controller look again, at a cache that does not show its own pods yet.
      const patch = { metadata: { annotations: { round: String(i) } } };
      await fixture.client.patch(replicasets, { namespace: "default", name: "web" }, patch, { type: "merge" });
      most = Math.max(most, (await listPods(fixture)).length);
    }
    await fixture.settle();
    expect(most).toBe(5);
    expect(await listPods(fixture)).toHaveLength(5);
  });

  it("takes over matching pods without a controller and gives up pods that no longer match", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    const orphan = (name: string, app: string): New<Pod> => ({
      metadata: { name, namespace: "default", labels: { app } },
      spec: { containers: [] },
    });
    await fixture.client.create(pods, orphan("orphan", "a"));
    await fixture.client.create(pods, orphan("other", "b"));
    await fixture.client.create(replicasets, replicaSet(2));
    await fixture.settle();
    const owners = new Map((await listPods(fixture)).map((p) => [p.metadata.name, p.metadata.ownerReferences?.length ?? 0]));
    expect(owners.get("orphan")).toBe(1);
    expect(owners.get("other")).toBe(0);
    expect(owners.size).toBe(3);

    await fixture.client.patch(
      pods,
      { namespace: "default", name: "orphan" },
      { metadata: { labels: { app: "mine-no-more" } } },
      { type: "merge" },
    );
    await fixture.settle();
    const released = await fixture.client.get(pods, { namespace: "default", name: "orphan" });
    expect(released.metadata.ownerReferences ?? []).toEqual([]);
    expect(await listPods(fixture)).toHaveLength(4);
  });

  it("replaces a pod that has failed and leaves it where it is", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    await fixture.client.create(replicasets, replicaSet(1));
    await fixture.settle();
    const [first] = await listPods(fixture);
    await fixture.client.patch(
      pods,
      { namespace: "default", name: first?.metadata.name ?? "" },
      { status: { phase: "Failed" } },
      { type: "merge", subresource: "status" },
    );
    await fixture.settle();
    expect((await listPods(fixture)).map((p) => p.status?.phase).sort()).toEqual(["Failed", "Pending"]);
  });

  it("says in its status that pods cannot be made, tries few of them, and recovers", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    let tried = 0;
    let isFull = true;
    fixture.api.intercept = (request) => {
      if (request.method !== "POST" || !request.path.endsWith("/pods") || !isFull) return;
      tried++;
      throw forbidden(pods, "web-x", "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1");
    };
    await fixture.client.create(replicasets, replicaSet(100));
    await fixture.clock.advance(4);
    const failing = await fixture.client.get(replicasets, { namespace: "default", name: "web" });
    expect(failing.status?.conditions).toMatchObject([
      {
        type: "ReplicaFailure",
        status: "True",
        reason: "FailedCreate",
        message: 'pods "web-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
      },
    ]);
    expect(tried).toBeLessThan(5);
    isFull = false;
    await fixture.clock.advance(60_000);
    const healed = await fixture.client.get(replicasets, { namespace: "default", name: "web" });
    expect(healed.status).toMatchObject({ replicas: 100, conditions: [] });
    expect((await fixture.eventsOf("web")).some((text) => text.startsWith("FailedCreate: Error creating: pods"))).toBe(true);
  });

  it("counts a pod as available only after minReadySeconds", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    const wanted = replicaSet(1);
    await fixture.client.create(replicasets, { ...wanted, spec: { ...wanted.spec, minReadySeconds: 10 } });
    await fixture.settle();
    for (const each of await listPods(fixture)) await makeReady(fixture, each);
    await fixture.settle();
    const available = async (): Promise<number | undefined> =>
      (await fixture.client.get(replicasets, { namespace: "default", name: "web" })).status?.availableReplicas;
    expect(await available()).toBe(0);
    await fixture.clock.advance(10_000);
    expect(await available()).toBe(1);
  });

  it("goes on after its watches broke and history was lost", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicaSetController);
    await fixture.client.create(replicasets, replicaSet(2));
    await fixture.settle();
    fixture.api.breakWatches();
    const [first] = await listPods(fixture);
    await fixture.client.delete(pods, { namespace: "default", name: first?.metadata.name ?? "" });
    fixture.api.compact();
    await fixture.clock.advance(5_000);
    const now = await listPods(fixture);
    expect(now).toHaveLength(2);
    expect(now.map(keyOf)).not.toContain(first && keyOf(first));
  });
});

describe("replicationcontroller-controller", () => {
  it("makes pods by a plain selector", async () => {
    await using fixture = createControllerFixture();
    fixture.start(replicationController);
    const template = { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image: "img:1" }] } };
    await fixture.client.create(replicationcontrollers, {
      metadata: { name: "rc", namespace: "default" },
      spec: { replicas: 2, selector: { app: "a" }, template },
    });
    await fixture.settle();
    expect((await listPods(fixture)).map((p) => p.metadata.ownerReferences?.[0]?.kind)).toEqual([
      "ReplicationController",
      "ReplicationController",
    ]);
    const { status } = await fixture.client.get(replicationcontrollers, { namespace: "default", name: "rc" });
    expect(status).toEqual({
      replicas: 2,
      fullyLabeledReplicas: 2,
      readyReplicas: 0,
      availableReplicas: 0,
      observedGeneration: 1,
      conditions: [],
    });
  });
});
