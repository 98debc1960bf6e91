import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { daemonsets, deployments, poddisruptionbudgets, pods, replicasets } from "../../api/resources.generated.ts";
import type { Deployment, ReplicaSet } from "../../api/types/apps-v1.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { OwnerReference } from "../../api/types/meta-v1.ts";
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from "../../api/types/policy-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { selectorText } from "./budget-status.ts";
import { disruptionController } from "./disruption.ts";

const at = { namespace: "default", name: "b" };
const selector = { matchLabels: { app: "a" } };

async function started(spec: Partial<PodDisruptionBudgetSpec>): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(disruptionController);
  await fixture.client.create(poddisruptionbudgets, { metadata: { ...at }, spec: { selector, ...spec } });
  return fixture;
}

const addPod = (f: ControllerFixture, name: string, owner?: OwnerReference) =>
  f.client.create(pods, {
    metadata: { namespace: "default", name, labels: { app: "a" }, ...(owner ? { ownerReferences: [owner] } : {}) },
    spec: { nodeName: "n1", containers: [] },
  });

async function setReady(f: ControllerFixture, name: string, status: "True" | "False"): Promise<void> {
  const conditions = [{ type: "Ready", status }];
  await f.client.patch(pods, { namespace: "default", name }, { status: { conditions } }, { type: "merge", subresource: "status" });
}

const owner = (
  kind: string,
  { metadata: { name, uid } }: { readonly metadata: { readonly name: string; readonly uid: string } },
): OwnerReference => ({
  apiVersion: "apps/v1",
  kind,
  name,
  uid,
  controller: true,
});

const replicaSet = (f: ControllerFixture, name: string, replicas: number, ownerReferences: readonly OwnerReference[] = []) =>
  f.client.create(replicasets, {
    metadata: { namespace: "default", name, ownerReferences },
    spec: { replicas, selector },
  } as New<ReplicaSet>);

const get = (f: ControllerFixture): Promise<PodDisruptionBudget> => f.client.get(poddisruptionbudgets, at);
const reasonOf = ({ status }: PodDisruptionBudget): string => `${status?.conditions?.[0]?.status} ${status?.conditions?.[0]?.reason}`;

describe("disruption-controller", () => {
  it("allows as many disruptions as there are healthy pods beyond a number", async () => {
    await using f = await started({ minAvailable: 2 });
    for (const name of ["p1", "p2", "p3"]) await addPod(f, name);
    await f.settle();
    expect(reasonOf(await get(f))).toBe("False InsufficientPods");
    for (const name of ["p1", "p2", "p3"]) await setReady(f, name, "True");
    await f.settle();
    expect((await get(f)).status).toEqual({
      currentHealthy: 3,
      desiredHealthy: 2,
      expectedPods: 3,
      disruptionsAllowed: 1,
      observedGeneration: 1,
      conditions: [
        {
          type: "DisruptionAllowed",
          status: "True",
          reason: "SufficientPods",
          message: "",
          observedGeneration: 1,
          lastTransitionTime: formatTime(f.clock.now()),
        },
      ],
    });
    await setReady(f, "p1", "False");
    await f.settle();
    expect((await get(f)).status).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 0 });
  });

  it("counts by what the controllers of the pods ask for, replica sets of one deployment together", async () => {
    await using f = await started({ maxUnavailable: "50%" });
    const deployment = await f.client.create(deployments, {
      metadata: { namespace: "default", name: "web" },
      spec: { replicas: 5, selector, template: {} },
    } as New<Deployment>);
    for (const name of ["old", "new"]) {
      const set = await replicaSet(f, name, 4, [owner("Deployment", deployment)]);
      await addPod(f, `${name}-1`, owner("ReplicaSet", set));
    }
    const lone = await replicaSet(f, "lone", 2);
    await addPod(f, "lone-1", owner("ReplicaSet", lone));
    await f.settle();
    // 5 of the deployment and 2 of the lone set; of 7 half rounded up may be missing.
    expect((await get(f)).status).toMatchObject({ expectedPods: 7, desiredHealthy: 3 });
  });

  it("asks a controller that it does not know for its scale", async () => {
    await using f = await started({ minAvailable: "100%" });
    await f.settle();
    f.api.watchDelayMs = (path) => (path.endsWith("/replicasets") ? 60_000 : 0);
    // The watch that is already waiting tells of the first change at once.
    await replicaSet(f, "first", 1);
    await f.settle();
    const set = await replicaSet(f, "unseen", 4);
    await addPod(f, "p", owner("ReplicaSet", set));
    await f.settle();
    expect((await get(f)).status).toMatchObject({ expectedPods: 4, desiredHealthy: 4 });
  });

  it("allows nothing where the number of pods cannot be found out", async () => {
    await using f = await started({ maxUnavailable: 1 });
    const set = await f.client.create(daemonsets, { metadata: { namespace: "default", name: "d" }, spec: {} } as never);
    await addPod(f, "p", owner("DaemonSet", set));
    await f.settle();
    expect((await get(f)).status).toMatchObject({ disruptionsAllowed: 0 });
    const text = "daemonsets.apps does not implement the scale subresource";
    expect(reasonOf(await get(f))).toBe("False SyncFailed");
    expect((await get(f)).status?.conditions?.[0]?.message).toBe(text);
    expect((await f.eventsOf("b")).join()).toContain(
      `CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: ${text}`,
    );
  });

  it("says that pods without a controller cannot be counted", async () => {
    await using f = await started({ maxUnavailable: 1 });
    await addPod(f, "p");
    await setReady(f, "p", "True");
    await f.settle();
    expect((await get(f)).status).toMatchObject({ expectedPods: 0, currentHealthy: 1, disruptionsAllowed: 0 });
    expect((await f.eventsOf("b")).some((text) => text.startsWith("UnmanagedPods: Pods selected by this PodDisruptionBudget"))).toBe(true);
  });

  it("does not count pods that were let go, until they should have been deleted", async () => {
    await using f = await started({ minAvailable: 1 });
    for (const name of ["p1", "p2", "p3"]) {
      await addPod(f, name);
      await setReady(f, name, "True");
    }
    await f.settle();
    const status = { ...(await get(f)).status, disruptionsAllowed: 1, disruptedPods: { p1: formatTime(f.clock.now()) } };
    await f.client.updateStatus(poddisruptionbudgets, { ...(await get(f)), status });
    await f.settle();
    expect((await get(f)).status).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1, disruptedPods: status.disruptedPods });
    await f.clock.advance(121_000);
    const after = (await get(f)).status;
    expect(after).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 2 });
    expect(after?.disruptedPods).toBeUndefined();
    expect(await f.eventsOf("p1")).toEqual(["NotDeleted: Pod was expected by PDB default/b to be deleted but it wasn't"]);
  });

  it("takes back the announcement of a deletion that never came", async () => {
    const f = createControllerFixture();
    await using _ = f;
    f.start(disruptionController);
    const conditionOf = async (name: string): Promise<string | undefined> =>
      (await f.client.get(pods, { namespace: "default", name })).status?.conditions?.find((c) => c.type === "DisruptionTarget")?.status;
    for (const [name, reason] of [
      ["evicted", "EvictionByEvictionAPI"],
      ["kubelet", "TerminationByKubelet"],
    ] as const) {
      await addPod(f, name);
      const conditions = [{ type: "DisruptionTarget", status: "True", reason, lastTransitionTime: formatTime(f.clock.now()) }];
      const patch = { status: { conditions } } satisfies { status: Pod["status"] };
      await f.client.patch(pods, { namespace: "default", name }, patch, { type: "merge", subresource: "status" });
    }
    await f.clock.advance(119_000);
    expect(await conditionOf("evicted")).toBe("True");
    await f.clock.advance(2_000);
    expect(await conditionOf("evicted")).toBe("False");
    expect(await conditionOf("kubelet")).toBe("True");
  });
});

describe("selectorText()", () => {
  it("prints a selector as Go does", () => {
    const text = selectorText({
      matchLabels: { b: "2", a: "1" },
      matchExpressions: [{ key: "k", operator: "In", values: ["x", "y"] }],
    });
    expect(text).toBe(
      "&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:k,Operator:In,Values:[x y],},},}",
    );
  });
});
