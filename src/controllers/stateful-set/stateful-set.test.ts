import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { controllerrevisions, persistentvolumeclaims, pods, statefulsets } from "../../api/resources.generated.ts";
import type { StatefulSet } from "../../api/types/apps-v1.ts";
import type { PersistentVolumeClaim, Pod } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { statefulSetController } from "./stateful-set.ts";

const at = { namespace: "default", name: "db" };

const template = (image: string) => ({
  metadata: { labels: { app: "a" } },
  // Bound pods are deleted gracefully.
  spec: { nodeName: "n1", containers: [{ name: "c", image }] },
});

function statefulSet(spec: Partial<StatefulSet["spec"]> = {}): New<StatefulSet> {
  return {
    metadata: { ...at },
    spec: {
      replicas: 3,
      serviceName: "db",
      selector: { matchLabels: { app: "a" } },
      template: template("img:1"),
      podManagementPolicy: "OrderedReady",
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } },
      revisionHistoryLimit: 10,
      ...spec,
    },
  };
}

const dataTemplate = {
  apiVersion: "v1",
  kind: "PersistentVolumeClaim",
  metadata: { name: "data", labels: { x: "y" } },
  spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
} as unknown as PersistentVolumeClaim; // the server sets the rest of the metadata

async function started(set: New<StatefulSet>): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  fixture.start(statefulSetController);
  await fixture.client.create(statefulsets, set);
  await fixture.settle();
  return fixture;
}

const listPods = async (f: ControllerFixture): Promise<readonly Pod[]> => (await f.client.list(pods, { namespace: "default" })).items;

/** "name:image", with a "-" before those that are terminating and a "!" after those that are ready. */
async function layout(f: ControllerFixture): Promise<readonly string[]> {
  const shown = (await listPods(f)).map(({ metadata, spec, status }) => {
    const ready = status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ? "!" : "";
    return `${metadata.deletionTimestamp ? "-" : ""}${metadata.name}:${spec.containers[0]?.image}${ready}`;
  });
  return shown.sort();
}

async function setStatus(f: ControllerFixture, name: string, status: object): Promise<void> {
  await f.client.patch(pods, { namespace: "default", name }, { status }, { type: "merge", subresource: "status" });
  await f.settle();
}

const run = (f: ControllerFixture, name: string): Promise<void> =>
  setStatus(f, name, {
    phase: "Running",
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: formatTime(f.clock.now()) }],
  });

async function reap(f: ControllerFixture): Promise<void> {
  for (const { metadata } of await listPods(f)) {
    if (!metadata.deletionTimestamp) continue;
    await f.client.delete(pods, { namespace: "default", name: metadata.name }, { body: { gracePeriodSeconds: 0 } });
  }
  await f.settle();
}

async function patchSpec(f: ControllerFixture, spec: object): Promise<void> {
  await f.client.patch(statefulsets, at, { spec }, { type: "merge" });
  await f.settle();
}

const statusOf = async (f: ControllerFixture) => (await f.client.get(statefulsets, at)).status;

const listClaims = async (f: ControllerFixture) => (await f.client.list(persistentvolumeclaims, { namespace: "default" })).items;

/** "claim: Kind/owner" of every claim. */
async function claimOwners(f: ControllerFixture): Promise<readonly string[]> {
  const shown = (await listClaims(f)).map(
    ({ metadata }) => `${metadata.name}: ${(metadata.ownerReferences ?? []).map((r) => `${r.kind}/${r.name}`).join(",")}`,
  );
  return shown.sort();
}

describe("statefulset-controller", () => {
  it("makes pods one after the other, each when the one before is ready", async () => {
    await using f = await started(statefulSet({ ordinals: { start: 5 } }));
    expect(await layout(f)).toEqual(["db-5:img:1"]);
    await run(f, "db-5");
    await run(f, "db-6");
    await run(f, "db-7");
    expect(await layout(f)).toEqual(["db-5:img:1!", "db-6:img:1!", "db-7:img:1!"]);
    const [pod] = await listPods(f);
    const revision = (await f.client.list(controllerrevisions)).items[0]?.metadata.name ?? "";
    expect(pod?.metadata.labels).toEqual({
      app: "a",
      "apps.kubernetes.io/pod-index": "5",
      "controller-revision-hash": revision,
      "statefulset.kubernetes.io/pod-name": "db-5",
    });
    expect(pod?.spec).toMatchObject({ hostname: "db-5", subdomain: "db" });
    expect(await statusOf(f)).toEqual({
      observedGeneration: 1,
      replicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
      currentRevision: revision,
      updateRevision: revision,
      collisionCount: 0,
    });
    expect(await f.eventsOf("db")).toEqual(
      ["db-5", "db-6", "db-7"].map((n) => `SuccessfulCreate: Create Pod ${n} in StatefulSet db successful`),
    );
    expect(f.problems).toEqual([]);
  });

  it("waits for minReadySeconds between pods", async () => {
    await using f = await started(statefulSet({ minReadySeconds: 10 }));
    await run(f, "db-0");
    expect(await layout(f)).toEqual(["db-0:img:1!"]);
    await f.clock.advance(10_000);
    await f.settle();
    expect(await layout(f)).toEqual(["db-0:img:1!", "db-1:img:1"]);
  });

  it("scales down from the highest ordinal, one at a time", async () => {
    await using f = await started(statefulSet());
    for (const name of ["db-0", "db-1", "db-2"]) await run(f, name);
    await patchSpec(f, { replicas: 1 });
    expect(await layout(f)).toEqual(["-db-2:img:1!", "db-0:img:1!", "db-1:img:1!"]);
    await reap(f);
    expect(await layout(f)).toEqual(["-db-1:img:1!", "db-0:img:1!"]);
    await reap(f);
    expect(await statusOf(f)).toMatchObject({ replicas: 1, readyReplicas: 1 });
  });

  it("in parallel makes and removes all at once", async () => {
    await using f = await started(statefulSet({ podManagementPolicy: "Parallel" }));
    expect(await layout(f)).toEqual(["db-0:img:1", "db-1:img:1", "db-2:img:1"]);
    await patchSpec(f, { replicas: 0 });
    expect(await layout(f)).toEqual(["-db-0:img:1", "-db-1:img:1", "-db-2:img:1"]);
  });

  it("updates downwards to the partition, and then the rest", async () => {
    await using f = await started(statefulSet({ updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1 } } }));
    for (const name of ["db-0", "db-1", "db-2"]) await run(f, name);
    const before = (await statusOf(f))?.currentRevision;
    await patchSpec(f, { template: template("img:2") });
    expect(await layout(f)).toEqual(["-db-2:img:1!", "db-0:img:1!", "db-1:img:1!"]);
    await reap(f);
    await run(f, "db-2");
    await reap(f);
    await run(f, "db-1");
    expect(await layout(f)).toEqual(["db-0:img:1!", "db-1:img:2!", "db-2:img:2!"]);
    expect(await statusOf(f)).toMatchObject({ currentReplicas: 1, updatedReplicas: 2, currentRevision: before });
    // A pod below the partition that is lost comes back in the old version.
    await f.client.delete(pods, { namespace: "default", name: "db-0" }, { body: { gracePeriodSeconds: 0 } });
    await f.settle();
    expect(await layout(f)).toEqual(["db-0:img:1", "db-1:img:2!", "db-2:img:2!"]);
    await run(f, "db-0");
    await patchSpec(f, { updateStrategy: { rollingUpdate: { partition: 0 } } });
    await reap(f);
    await run(f, "db-0");
    const after = await statusOf(f);
    expect(after?.currentRevision).toBe(after?.updateRevision);
    expect(after?.currentRevision).not.toBe(before);
    expect(after).toMatchObject({ currentReplicas: 3, updatedReplicas: 3 });
  });

  it("updates as many at once as may be unavailable", async () => {
    const updateStrategy = { type: "RollingUpdate" as const, rollingUpdate: { partition: 0, maxUnavailable: 2 } };
    await using f = await started(statefulSet({ podManagementPolicy: "Parallel", updateStrategy }));
    for (const name of ["db-0", "db-1", "db-2"]) await run(f, name);
    await patchSpec(f, { template: template("img:2") });
    expect(await layout(f)).toEqual(["-db-1:img:1!", "-db-2:img:1!", "db-0:img:1!"]);
    await reap(f);
    await run(f, "db-1");
    expect(await layout(f)).toEqual(["-db-0:img:1!", "db-1:img:2!", "db-2:img:2"]);
  });

  it("makes an ended pod again under its name, once", async () => {
    await using f = await started(statefulSet({ replicas: 1 }));
    f.api.watchDelayMs = (path) => (path.endsWith("/pods") ? 500 : 0);
    const before = (await listPods(f))[0]?.metadata.uid;
    await setStatus(f, "db-0", { phase: "Succeeded" });
    await f.clock.advance(2000);
    await reap(f);
    await f.clock.advance(2000);
    const [pod] = await listPods(f);
    expect(pod?.metadata.uid).not.toBe(before);
    expect(pod?.status?.phase).toBe("Pending");
    expect(await f.eventsOf("db")).toEqual([
      "SuccessfulCreate: Create Pod db-0 in StatefulSet db successful (2)",
      "SuccessfulDelete: Delete Pod db-0 in StatefulSet db successful",
    ]);
  });

  it("gives pods claims that stay when pods go", async () => {
    await using f = await started(statefulSet({ podManagementPolicy: "Parallel", replicas: 2, volumeClaimTemplates: [dataTemplate] }));
    expect(await claimOwners(f)).toEqual(["data-db-0: ", "data-db-1: "]);
    expect((await listClaims(f))[0]?.metadata.labels).toEqual({ app: "a", x: "y" });
    expect((await listPods(f)).map((pod) => pod.spec.volumes)).toEqual(
      ["data-db-0", "data-db-1"].map((claimName) => [{ name: "data", persistentVolumeClaim: { claimName } }]),
    );
    await patchSpec(f, { replicas: 1 });
    await reap(f);
    expect(await claimOwners(f)).toEqual(["data-db-0: ", "data-db-1: "]);
    expect(await f.eventsOf("db")).toContain("SuccessfulCreate: Create Claim data-db-0 Pod db-0 in StatefulSet db success");
  });

  it("makes a claim the set's or the leaving pod's, as its policy for claims says", async () => {
    const policy = { whenDeleted: "Delete", whenScaled: "Delete" };
    await using f = await started(
      statefulSet({
        podManagementPolicy: "Parallel",
        replicas: 2,
        volumeClaimTemplates: [dataTemplate],
        persistentVolumeClaimRetentionPolicy: policy,
      }),
    );
    for (const name of ["db-0", "db-1"]) await run(f, name);
    expect(await claimOwners(f)).toEqual(["data-db-0: StatefulSet/db", "data-db-1: StatefulSet/db"]);
    await patchSpec(f, { replicas: 1 });
    expect(await claimOwners(f)).toEqual(["data-db-0: StatefulSet/db", "data-db-1: Pod/db-1"]);
    // The claim is on its way out with its pod: a new pod waits for a new claim.
    await reap(f);
    await patchSpec(f, { replicas: 2 });
    expect(await layout(f)).toEqual(["db-0:img:1!"]);
    await f.client.delete(persistentvolumeclaims, { namespace: "default", name: "data-db-1" });
    await f.settle();
    expect(await layout(f)).toEqual(["db-0:img:1!", "db-1:img:1"]);
    await patchSpec(f, { persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" } });
    expect(await claimOwners(f)).toEqual(["data-db-0: ", "data-db-1: "]);
  });

  it("leaves claims alone that another controller manages", async () => {
    const f = createControllerFixture();
    await using _ = f;
    const ownerReferences = [{ apiVersion: "example.com/v1", kind: "Backup", name: "b", uid: "b", controller: true }];
    const { spec } = dataTemplate;
    await f.client.create(persistentvolumeclaims, { metadata: { namespace: "default", name: "data-db-0", ownerReferences }, spec });
    f.start(statefulSetController);
    const persistentVolumeClaimRetentionPolicy = { whenDeleted: "Delete", whenScaled: "Retain" };
    await f.client.create(
      statefulsets,
      statefulSet({ replicas: 1, volumeClaimTemplates: [dataTemplate], persistentVolumeClaimRetentionPolicy }),
    );
    await f.settle();
    expect(await claimOwners(f)).toEqual(["data-db-0: Backup/b"]);
    expect(await layout(f)).toEqual(["db-0:img:1"]);
    expect((await f.eventsOf("db"))[1]).toContain(
      "ConflictingController: PersistentVolumeClaim data-db-0 has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim",
    );
  });

  it("makes a claim that was deleted by hand again only with the next pod", async () => {
    await using f = await started(statefulSet({ replicas: 1, volumeClaimTemplates: [dataTemplate] }));
    await run(f, "db-0");
    await f.client.delete(persistentvolumeclaims, { namespace: "default", name: "data-db-0" });
    await f.settle();
    expect(await listClaims(f)).toEqual([]);
    await f.client.delete(pods, { namespace: "default", name: "db-0" }, { body: { gracePeriodSeconds: 0 } });
    await f.settle();
    expect((await listClaims(f)).map(({ metadata }) => metadata.name)).toEqual(["data-db-0"]);
  });

  it("labels revisions with their hash, and makes none any more when it is being deleted", async () => {
    await using f = await started({ ...statefulSet(), metadata: { ...at, finalizers: ["example.com/wait"] } });
    const [revision] = (await f.client.list(controllerrevisions)).items;
    expect(revision?.metadata.labels).toEqual({ app: "a", "controller.kubernetes.io/hash": revision?.metadata.name.slice("db-".length) });
    await f.client.delete(statefulsets, at);
    await f.client.delete(controllerrevisions, { namespace: "default", name: revision?.metadata.name ?? "" });
    await f.settle();
    expect((await f.client.list(controllerrevisions)).items).toEqual([]);
    // The status goes on telling of the pods.
    await reap(f);
    await f.client.delete(pods, { namespace: "default", name: "db-0" });
    await f.settle();
    expect(await statusOf(f)).toMatchObject({ replicas: 1, currentRevision: revision?.metadata.name });
    expect((await statusOf(f))?.currentReplicas ?? 0).toBe(0);
  });

  it("tells why a pod cannot be made, and tries again", async () => {
    const f = createControllerFixture();
    await using _ = f;
    f.api.intercept = ({ method, path }) => {
      if (method === "POST" && path.endsWith("/pods")) throw new Error("no pods today");
    };
    f.start(statefulSetController);
    await f.client.create(statefulsets, statefulSet({ replicas: 1 }));
    await f.settle();
    expect((await f.eventsOf("db"))[0]).toMatch(/^FailedCreate: Create Pod db-0 in StatefulSet db failed error: .*no pods today/);
    f.api.intercept = () => undefined;
    await f.clock.advance(10_000);
    expect(await layout(f)).toEqual(["db-0:img:1"]);
  });

  it("adopts pods of its members' names only", async () => {
    const f = createControllerFixture();
    await using _ = f;
    for (const name of ["db-0", "other-0"])
      await f.client.create(pods, { metadata: { namespace: "default", name, labels: { app: "a" } }, spec: template("img:0").spec });
    f.start(statefulSetController);
    await f.client.create(statefulsets, statefulSet({ replicas: 1, updateStrategy: { type: "OnDelete" } }));
    await f.settle();
    const owners = (await listPods(f)).map((pod) => `${pod.metadata.name}: ${pod.metadata.ownerReferences?.[0]?.name ?? ""}`);
    expect(owners.sort()).toEqual(["db-0: db", "other-0: "]);
  });
});
