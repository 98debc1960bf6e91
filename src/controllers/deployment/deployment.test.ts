import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { deployments, pods, replicasets } from "../../api/resources.generated.ts";
import { isPodReady } from "../../api/semantics/pod-status.ts";
import type { Deployment, ReplicaSet } from "../../api/types/apps-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { replicaSetController } from "../replica-set.ts";
import { deploymentController } from "./deployment.ts";

const at = { namespace: "default", name: "web" };

function deployment(replicas: number, spec: Partial<Deployment["spec"]> = {}): New<Deployment> {
  return {
    metadata: { ...at },
    spec: {
      replicas,
      selector: { matchLabels: { app: "a" } },
      template: { metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image: "img:1" }] } },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...spec,
    },
  };
}

const get = (f: ControllerFixture): Promise<Deployment> => f.client.get(deployments, at);
const patchSpec = (f: ControllerFixture, spec: object): Promise<Deployment> => f.client.patch(deployments, at, { spec }, { type: "merge" });
const setImage = (f: ControllerFixture, image: string): Promise<Deployment> =>
  patchSpec(f, { template: { spec: { containers: [{ name: "c", image }] } } });

/** Replica sets by image: "img:1" → 4. */
async function sizes(f: ControllerFixture): Promise<Record<string, number>> {
  const { items } = await f.client.list(replicasets, { namespace: "default" });
  return Object.fromEntries(items.map((set: ReplicaSet) => [set.spec.template?.spec?.containers[0]?.image ?? "", set.spec.replicas ?? 0]));
}

/** Makes up to `count` pods ready that are not. */
async function makeReady(f: ControllerFixture, count = Number.POSITIVE_INFINITY): Promise<void> {
  const { items } = await f.client.list(pods, { namespace: "default" });
  const waiting = items.filter((pod) => !isPodReady(pod) && !pod.metadata.deletionTimestamp).slice(0, count);
  for (const pod of waiting) {
    const condition = { type: "Ready", status: "True", lastTransitionTime: formatTime(f.clock.now()) };
    const status = { phase: "Running", conditions: [condition] };
    await f.client.patch(pods, { namespace: "default", name: pod.metadata.name }, { status }, { type: "merge", subresource: "status" });
  }
  await f.settle();
}

async function started(wanted: New<Deployment>): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(replicaSetController, deploymentController);
  await fixture.client.create(deployments, wanted);
  await fixture.settle();
  return fixture;
}

const conditions = (d: Deployment): readonly string[] =>
  (d.status?.conditions ?? []).map((c) => `${c.type}=${c.status} ${c.reason}: ${c.message}`).sort();

describe("deployment-controller", () => {
  it("makes a replica set, reports progress, and completes", async () => {
    await using fixture = await started(deployment(3));
    const { items } = await fixture.client.list(replicasets, { namespace: "default" });
    const name = items[0]?.metadata.name ?? "";
    expect(name).toMatch(/^web-[bcdfghjklmnpqrstvwxz2456789]+$/);
    const hash = name.slice("web-".length);
    expect(items[0]?.metadata.labels).toEqual({ app: "a", "pod-template-hash": hash });
    expect(items[0]?.spec.selector).toEqual({ matchLabels: { app: "a", "pod-template-hash": hash } });
    expect(items[0]?.metadata.annotations).toEqual({
      "deployment.kubernetes.io/desired-replicas": "3",
      "deployment.kubernetes.io/max-replicas": "4",
      "deployment.kubernetes.io/revision": "1",
    });
    expect(conditions(await get(fixture))).toEqual([
      "Available=False MinimumReplicasUnavailable: Deployment does not have minimum availability.",
      `Progressing=True ReplicaSetUpdated: ReplicaSet "${name}" is progressing.`,
    ]);
    await makeReady(fixture);
    const done = await get(fixture);
    expect(conditions(done)).toEqual([
      "Available=True MinimumReplicasAvailable: Deployment has minimum availability.",
      `Progressing=True NewReplicaSetAvailable: ReplicaSet "${name}" has successfully progressed.`,
    ]);
    expect(done.metadata.annotations).toEqual({ "deployment.kubernetes.io/revision": "1" });
    expect(done.status).toMatchObject({
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      unavailableReplicas: 0,
      terminatingReplicas: 0,
    });
    expect(await fixture.eventsOf("web")).toEqual([`ScalingReplicaSet: Scaled up replica set ${name} from 0 to 3`]);
    expect(fixture.problems).toEqual([]);
  });

  it("rolls an update within surge and unavailability, step by step", async () => {
    await using fixture = await started(deployment(5));
    await makeReady(fixture);
    await setImage(fixture, "img:2");
    await fixture.settle();
    // 25% of 5 is a surge of 2 (rounded up) and 1 missing (rounded down).
    expect(await sizes(fixture)).toEqual({ "img:1": 4, "img:2": 3 });
    await makeReady(fixture, 1);
    expect(await sizes(fixture)).toEqual({ "img:1": 3, "img:2": 4 });
    for (let i = 0; i < 6; i++) await makeReady(fixture);
    expect(await sizes(fixture)).toEqual({ "img:1": 0, "img:2": 5 });
    expect((await get(fixture)).status).toMatchObject({ replicas: 5, updatedReplicas: 5, availableReplicas: 5 });
    expect(fixture.problems).toEqual([]);
  });

  it("takes away old pods that are not available first", async () => {
    await using fixture = await started(
      deployment(3, { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 0, maxUnavailable: 2 } } }),
    );
    await makeReady(fixture, 1);
    await setImage(fixture, "img:2");
    await fixture.settle();
    const { items } = await fixture.client.list(pods, { namespace: "default" });
    expect(items.filter(isPodReady)).toHaveLength(1);
  });

  it("spreads a change of scale over the replica sets of a rollout", async () => {
    await using fixture = await started(
      deployment(10, { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } }),
    );
    await makeReady(fixture);
    await setImage(fixture, "img:2");
    await fixture.settle();
    expect(await sizes(fixture)).toEqual({ "img:1": 8, "img:2": 5 });
    await patchSpec(fixture, { replicas: 15 });
    await fixture.settle();
    expect(await sizes(fixture)).toEqual({ "img:1": 11, "img:2": 7 });
  });

  it("with Recreate makes new pods only when all old ones have ended", async () => {
    await using fixture = await started(deployment(2, { strategy: { type: "Recreate" } }));
    for (const pod of (await fixture.client.list(pods)).items) {
      await fixture.client.createSubresource(
        pods,
        { namespace: "default", name: pod.metadata.name, subresource: "binding" },
        { target: { name: "n1" } },
      );
    }
    await makeReady(fixture);
    await setImage(fixture, "img:2");
    await fixture.settle();
    // The pods have a node: their deletion waits for the kubelet.
    expect(await sizes(fixture)).toEqual({ "img:1": 0 });
    expect((await get(fixture)).status?.terminatingReplicas).toBe(2);
    for (const pod of (await fixture.client.list(pods)).items) {
      await fixture.client.delete(pods, { namespace: "default", name: pod.metadata.name }, { body: { gracePeriodSeconds: 0 } });
    }
    await fixture.settle();
    expect(await sizes(fixture)).toEqual({ "img:1": 0, "img:2": 2 });
  });

  it("while paused follows its size but not its template", async () => {
    await using fixture = await started(deployment(1));
    await makeReady(fixture);
    await patchSpec(fixture, { paused: true, replicas: 2, template: { spec: { containers: [{ name: "c", image: "img:2" }] } } });
    await fixture.settle();
    expect(await sizes(fixture)).toEqual({ "img:1": 2 });
    expect(conditions(await get(fixture))).toContain("Progressing=Unknown DeploymentPaused: Deployment is paused");
    await patchSpec(fixture, { paused: false });
    await fixture.settle();
    expect(Object.keys(await sizes(fixture))).toContain("img:2");
  });

  it("uses the replica set of an earlier template again, under a new revision", async () => {
    await using fixture = await started(deployment(1));
    await makeReady(fixture);
    for (const image of ["img:2", "img:1"]) {
      await setImage(fixture, image);
      for (let i = 0; i < 4; i++) await makeReady(fixture);
    }
    expect(await sizes(fixture)).toEqual({ "img:1": 1, "img:2": 0 });
    const { items } = await fixture.client.list(replicasets);
    const first = items.find((set) => set.spec.replicas === 1);
    expect(first?.metadata.annotations).toMatchObject({
      "deployment.kubernetes.io/revision": "3",
      "deployment.kubernetes.io/revision-history": "1",
    });
    expect((await get(fixture)).metadata.annotations?.["deployment.kubernetes.io/revision"]).toBe("3");
  });

  it("deletes the oldest replica sets beyond its history limit", async () => {
    await using fixture = await started(deployment(1, { revisionHistoryLimit: 1 }));
    await makeReady(fixture);
    for (const image of ["img:2", "img:3", "img:4"]) {
      await setImage(fixture, image);
      for (let i = 0; i < 4; i++) await makeReady(fixture);
    }
    expect(await sizes(fixture)).toEqual({ "img:3": 0, "img:4": 1 });
  });

  it("reports that its deadline has passed, once", async () => {
    await using fixture = await started(deployment(1, { progressDeadlineSeconds: 60 }));
    await fixture.clock.advance(59_000);
    expect(conditions(await get(fixture)).join()).toContain("ReplicaSetUpdated");
    await fixture.clock.advance(5_000);
    const { items } = await fixture.client.list(replicasets);
    expect(conditions(await get(fixture))).toContain(
      `Progressing=False ProgressDeadlineExceeded: ReplicaSet "${items[0]?.metadata.name}" has timed out progressing.`,
    );
    const { resourceVersion } = (await get(fixture)).metadata;
    await fixture.clock.advance(3_600_000);
    expect((await get(fixture)).metadata.resourceVersion).toBe(resourceVersion);
  });

  it("takes over a matching replica set and copies annotations except its own", async () => {
    await using fixture = createControllerFixture();
    const wanted = deployment(2);
    const template = wanted.spec.template;
    await fixture.client.create(replicasets, {
      metadata: { name: "old", namespace: "default", labels: { app: "a" } },
      spec: { replicas: 2, selector: { matchLabels: { app: "a" } }, template },
    });
    fixture.start(replicaSetController, deploymentController);
    const annotations = { team: "x", "kubectl.kubernetes.io/last-applied-configuration": "{}" };
    await fixture.client.create(deployments, { ...wanted, metadata: { ...at, annotations } });
    await fixture.settle();
    const { items } = await fixture.client.list(replicasets);
    expect(items.map((set) => [set.metadata.name, set.spec.replicas])).toEqual([["old", 2]]);
    expect(items[0]?.metadata.annotations).toEqual({ team: "x", "deployment.kubernetes.io/revision": "1" });
  });

  it("resolves a name that another replica set has by counting a collision", async () => {
    await using fixture = await started(deployment(1));
    const { items } = await fixture.client.list(replicasets);
    const name = items[0]?.metadata.name ?? "";
    await fixture.client.delete(deployments, at);
    await fixture.client.delete(replicasets, { namespace: "default", name });
    await fixture.client.create(replicasets, {
      metadata: { name, namespace: "default" },
      spec: { replicas: 0, selector: { matchLabels: { other: "x" } } },
    });
    await fixture.client.create(deployments, deployment(1));
    await fixture.settle();
    expect((await get(fixture)).status?.collisionCount).toBe(1);
    expect((await fixture.client.list(replicasets)).items).toHaveLength(2);
  });

  it("settles: nothing is written when nothing changes", async () => {
    await using fixture = await started(deployment(3));
    await makeReady(fixture);
    const before = (await fixture.client.list(deployments)).metadata.resourceVersion;
    await fixture.clock.advance(3_600_000);
    expect((await fixture.client.list(deployments)).metadata.resourceVersion).toBe(before);
  });
});
