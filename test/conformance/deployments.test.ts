// Deployments, ReplicaSets and ReplicationControllers as upstream's conformance tests see them: adoption, release, scaling,
// rollouts and what becomes of the pods of before. A whole cluster with simulated containers, on virtual time.
import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import { isStatus } from "../../src/api/meta/status-error.ts";
import type { ResourceType } from "../../src/api/resource-type.ts";
import {
  daemonsets,
  deployments,
  jobs,
  pods,
  replicasets,
  replicationcontrollers,
  resourcequotas,
  statefulsets,
} from "../../src/api/resources.generated.ts";
import type { ReplicaSet } from "../../src/api/types/apps-v1.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import {
  container,
  controllerOf,
  image,
  imageNobodyHas,
  imageOf,
  isReady,
  missingImage,
  namesSeen,
  newImage,
  podsOf,
  readyPods,
  rewrite,
  scaleByAllMeans,
  template,
  watching,
  workload,
} from "./workloads.ts";

const cluster = conformanceCluster({ images: [imageNobodyHas] });

const setsOf = async (namespace: string): Promise<readonly ReplicaSet[]> => (await cluster.client.list(replicasets, { namespace })).items;
const ofImage = (sets: readonly ReplicaSet[], wanted: string) =>
  sets.find((set) => set.spec?.template?.spec?.containers[0]?.image === wanted);
const setImage = (name: string) => ({ spec: { template: { spec: { containers: [{ name: "main", image: name }] } } } });

function untilDeployed(namespace: string, name: string, wanted: string) {
  return cluster.until(`${namespace}/${name} runs ${wanted}`, async () => {
    const { metadata, spec, status } = await cluster.client.get(deployments, { namespace, name });
    const { replicas = 0, updatedReplicas = 0, availableReplicas = 0, observedGeneration = 0 } = status ?? {};
    const isDone = [replicas, updatedReplicas, availableReplicas].every((count) => count === spec?.replicas);
    const current = spec?.template.spec?.containers[0]?.image === wanted;
    return current && isDone && observedGeneration === metadata.generation;
  });
}

describe("Deployment", () => {
  test("RollingUpdate: adopts the pods of a ReplicaSet, replaces them, and counts revisions on from any number", async () => {
    const namespace = await cluster.namespace("rolling");
    const labels = { app: "rolling" };
    const revision = "deployment.kubernetes.io/revision";
    const old = { ...workload(labels), replicas: 1 };
    // Beyond what a JavaScript number holds exactly.
    const annotations = { [revision]: "3546343826724305832" };
    await cluster.client.create(replicasets, { metadata: { name: "before", namespace, labels, annotations }, spec: old });
    await readyPods(cluster, namespace, { count: 1 });
    await cluster.client.create(deployments, {
      metadata: { name: "web", namespace },
      spec: { replicas: 1, ...workload(labels, { image: newImage }) },
    });
    await untilDeployed(namespace, "web", newImage);
    const { metadata } = await cluster.client.get(deployments, { namespace, name: "web" });
    expect(metadata.annotations?.[revision]).toBe("3546343826724305833");
    const sets = await setsOf(namespace);
    expect(sets.map(({ spec }) => spec?.replicas).sort()).toEqual([0, 1]);
    for (const set of sets) expect(controllerOf(set)).toMatchObject({ kind: "Deployment", name: "web" });
    expect((await readyPods(cluster, namespace, { count: 1 })).map(imageOf)).toEqual([newImage]);
  });

  test("Recreate: no pod of the new template runs beside one of the old", async () => {
    const namespace = await cluster.namespace("recreate");
    const labels = { app: "recreate" };
    const spec = { replicas: 2, strategy: { type: "Recreate" as const }, ...workload(labels) };
    await cluster.client.create(deployments, { metadata: { name: "web", namespace }, spec });
    await readyPods(cluster, namespace, { count: 2 });
    const alive = new Map<string, string>();
    for (const { metadata } of await podsOf(cluster, namespace)) alive.set(metadata.name ?? "", image);
    const watch = await watching(cluster, pods, { namespace });
    await cluster.client.patch(deployments, { namespace, name: "web" }, setImage(newImage), { type: "strategic" });
    await untilDeployed(namespace, "web", newImage);
    watch.stop();
    let mixed = 0;
    for (const event of watch.events) {
      if (event.type === "BOOKMARK") continue;
      const { name = "" } = event.object.metadata;
      const hasEnded = ["Succeeded", "Failed"].includes(event.object.status?.phase ?? "");
      if (event.type === "DELETED" || hasEnded) alive.delete(name);
      else alive.set(name, imageOf(event.object) ?? "");
      if (new Set(alive.values()).size > 1) mixed++;
    }
    expect(namesSeen(watch.events, "ADDED")).toHaveLength(2);
    expect(mixed).toBe(0);
  });

  test("old ReplicaSets beyond revisionHistoryLimit are deleted", async () => {
    const namespace = await cluster.namespace("history");
    const labels = { app: "history" };
    await cluster.client.create(replicasets, {
      metadata: { name: "before", namespace, labels },
      spec: { replicas: 1, ...workload(labels) },
    });
    await readyPods(cluster, namespace, { count: 1 });
    await cluster.client.create(deployments, {
      metadata: { name: "web", namespace },
      spec: { replicas: 1, revisionHistoryLimit: 0, ...workload(labels, { image: newImage }) },
    });
    await untilDeployed(namespace, "web", newImage);
    const [only] = await cluster.until("one ReplicaSet", async () => {
      const sets = await setsOf(namespace);
      return sets.length === 1 && sets;
    });
    expect(only?.spec?.template?.spec?.containers[0]?.image).toBe(newImage);
  });

  test("rollover: a rollout that cannot end is overtaken by the next, and the pods of before serve until then", async () => {
    const namespace = await cluster.namespace("rollover");
    const labels = { app: "rollover" };
    await cluster.client.create(replicasets, {
      metadata: { name: "before", namespace, labels },
      spec: { replicas: 1, ...workload(labels) },
    });
    const [served] = await readyPods(cluster, namespace, { count: 1 });
    const rollingUpdate = { maxUnavailable: 0, maxSurge: 1 };
    await cluster.client.create(deployments, {
      metadata: { name: "web", namespace },
      spec: {
        replicas: 1,
        minReadySeconds: 10,
        strategy: { type: "RollingUpdate", rollingUpdate },
        ...workload(labels, { image: missingImage }),
      },
    });
    await cluster.until("the rollout has begun", async () => ofImage(await setsOf(namespace), missingImage)?.status?.replicas === 1);
    await cluster.pass(20_000);
    expect((await podsOf(cluster, namespace)).filter(isReady).map(({ metadata }) => metadata.name)).toEqual([served?.metadata.name]);
    await cluster.client.patch(deployments, { namespace, name: "web" }, setImage(newImage), { type: "strategic" });
    const startedMs = cluster.clock.now();
    await untilDeployed(namespace, "web", newImage);
    expect(cluster.clock.now() - startedMs).toBeGreaterThanOrEqual(9_000); // times of conditions are whole seconds
    const sets = await setsOf(namespace);
    expect(sets).toHaveLength(3);
    for (const old of [image, missingImage])
      await cluster.until(`no pod of ${old}`, async () => ofImage(await setsOf(namespace), old)?.status?.replicas === 0);
  });

  test("proportional scaling: during a rollout every ReplicaSet gets its share", async () => {
    const namespace = await cluster.namespace("proportional");
    const labels = { app: "proportional" };
    const strategy = { type: "RollingUpdate" as const, rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } };
    await cluster.client.create(deployments, {
      metadata: { name: "web", namespace },
      spec: { replicas: 10, strategy, ...workload(labels) },
    });
    await readyPods(cluster, namespace, { count: 10 });
    await cluster.client.patch(deployments, { namespace, name: "web" }, setImage(missingImage), { type: "strategic" });
    const sizes = async () => {
      const sets = await setsOf(namespace);
      return [ofImage(sets, image)?.spec?.replicas, ofImage(sets, missingImage)?.spec?.replicas];
    };
    await cluster.until("the rollout stands", async () => String(await sizes()) === "8,5");
    await cluster.client.patch(deployments, { namespace, name: "web" }, { spec: { replicas: 30 } }, { type: "merge" });
    await cluster.until("the larger rollout stands", async () => String(await sizes()) === "20,13");
    await cluster.pass(5_000);
    expect(await sizes()).toEqual([20, 13]);
    await cluster.client.delete(deployments, { namespace, name: "web" });
  });

  test("has a scale that is read, written and patched", async () => {
    const namespace = await cluster.namespace("deployment-scale");
    const at = { namespace, name: "web" };
    await cluster.client.create(deployments, { metadata: at, spec: { replicas: 1, ...workload({ app: "scaled" }) } });
    await readyPods(cluster, namespace, { count: 1 });
    const { read, replicas } = await scaleByAllMeans(cluster, deployments, at);
    expect(read).toMatchObject({ kind: "Scale", spec: { replicas: 1 }, status: { replicas: 1, selector: "app=scaled" } });
    expect(replicas).toEqual([2, 4]);
    await readyPods(cluster, namespace, { count: 4 });
  });

  test("life cycle: patched, scaled, its status patched and written, deleted with everything it owns", async () => {
    const namespace = await cluster.namespace("deployment-life");
    const at = { namespace, name: "web" };
    const labels = { app: "life" };
    const watch = await watching(cluster, deployments, { namespace });
    await cluster.client.create(deployments, { metadata: { ...at, labels }, spec: { replicas: 2, ...workload(labels) } });
    await readyPods(cluster, namespace, { count: 2 });
    const patched = { metadata: { labels: { patched: "yes" } }, spec: { replicas: 3, ...setImage(newImage).spec } };
    await cluster.client.patch(deployments, at, patched, { type: "strategic" });
    await untilDeployed(namespace, "web", newImage);
    expect((await cluster.client.list(deployments, { labelSelector: "patched=yes" })).items.map((d) => d.metadata.name)).toEqual(["web"]);
    // The controller knows better, and says so.
    await cluster.client.patch(
      deployments,
      at,
      { status: { readyReplicas: 0, availableReplicas: 0 } },
      { type: "merge", subresource: "status" },
    );
    await cluster.until("the controller has written the status", async () => {
      const { status } = await cluster.client.get(deployments, at);
      return status?.readyReplicas === 3;
    });
    await cluster.client.delete(deployments, at);
    await cluster.until("everything is gone", async () => {
      const [sets, left] = [await setsOf(namespace), await podsOf(cluster, namespace)];
      return sets.length === 0 && left.length === 0;
    });
    watch.stop();
    expect(namesSeen(watch.events, "ADDED")).toEqual(["web"]);
    expect(namesSeen(watch.events, "DELETED")).toEqual(["web"]);
  });
});

describe.each([
  { type: replicasets, kind: "ReplicaSet", spec: workload },
  {
    type: replicationcontrollers,
    kind: "ReplicationController",
    spec: (labels: Readonly<Record<string, string>>) => ({ selector: labels, template: template(labels) }),
  },
] as const)("$kind", ({ type, kind, spec }) => {
  const prefix = kind.toLowerCase();
  // The two kinds differ in how they say which pods are theirs, and in nothing that is looked at here.
  const kinds = type as typeof replicasets;
  const create = (namespace: string, name: string, labels: Readonly<Record<string, string>>, replicas: number) =>
    cluster.client.create(kinds, {
      metadata: { name, namespace, labels },
      spec: { replicas, ...(spec(labels) as ReturnType<typeof workload>) },
    });
  const get = (at: { readonly namespace: string; readonly name: string }) => cluster.client.get(kinds, at);

  test("runs as many pods as it should, of its image", async () => {
    const namespace = await cluster.namespace(`${prefix}-basic`);
    await create(namespace, "basic", { app: "basic" }, 3);
    const found = await readyPods(cluster, namespace, { count: 3 });
    expect(found.map(imageOf)).toEqual([image, image, image]);
    expect(new Set(found.map(({ status }) => status?.podIP)).size).toBe(3);
    for (const pod of found) expect(controllerOf(pod)).toMatchObject({ kind, name: "basic", blockOwnerDeletion: true });
  });

  test("adopts pods that match, and lets go of those that no longer do", async () => {
    const namespace = await cluster.namespace(`${prefix}-adopt`);
    const labels = { app: "adopt" };
    await cluster.client.create(pods, { metadata: { name: "orphan", namespace, labels }, spec: { containers: [container()] } });
    await readyPods(cluster, namespace, { count: 1 });
    await create(namespace, "parent", labels, 1);
    await cluster.until("adoption", async () => {
      const pod = await cluster.client.get(pods, { namespace, name: "orphan" });
      return controllerOf(pod)?.name === "parent";
    });
    expect(await podsOf(cluster, namespace)).toHaveLength(1);
    await cluster.client.patch(pods, { namespace, name: "orphan" }, { metadata: { labels: { app: "free" } } }, { type: "merge" });
    await cluster.until("release", async () => {
      const pod = await cluster.client.get(pods, { namespace, name: "orphan" });
      return controllerOf(pod) === undefined;
    });
    await readyPods(cluster, namespace, { labels, count: 1 });
  });

  test("has a scale that is read, written and patched", async () => {
    const namespace = await cluster.namespace(`${prefix}-scale`);
    const at = { namespace, name: "scaled" };
    await create(namespace, "scaled", { app: "scaled" }, 1);
    await readyPods(cluster, namespace, { count: 1 });
    const { read, replicas } = await scaleByAllMeans(cluster, kinds, at);
    expect(read).toMatchObject({ kind: "Scale", spec: { replicas: 1 }, status: { replicas: 1, selector: "app=scaled" } });
    expect(replicas).toEqual([2, 4]);
    await readyPods(cluster, namespace, { count: 4 });
  });

  test("is replaced and patched, follows, and is deleted with others by label", async () => {
    const namespace = await cluster.namespace(`${prefix}-life`);
    const at = { namespace, name: "first" };
    const watch = await watching(cluster, kinds, { namespace });
    await create(namespace, "first", { app: "life" }, 1);
    await readyPods(cluster, namespace, { count: 1 });
    await rewrite(cluster, kinds, at, (current) => ({ ...current, spec: { ...current.spec, replicas: 2 } }) as ReplicaSet);
    await readyPods(cluster, namespace, { count: 2 });
    const patch = {
      metadata: { annotations: { step: "patched" } },
      spec: {
        replicas: 3,
        template: { spec: { terminationGracePeriodSeconds: 1, containers: [{ name: "main", resources: { limits: { cpu: "1" } } }] } },
      },
    };
    const patched = await cluster.client.patch(kinds, at, patch, { type: "strategic" });
    expect(patched.metadata).toMatchObject({ annotations: { step: "patched" }, generation: 3 });
    const found = await readyPods(cluster, namespace, { count: 3 });
    expect(found.filter(({ spec }) => spec.containers[0]?.resources?.limits?.cpu === "1")).toHaveLength(1); // templates change no pod
    await create(namespace, "second", { app: "life", other: "yes" }, 1);
    expect((await cluster.client.list(kinds, { namespace, labelSelector: "app=life" })).items).toHaveLength(2);
    await cluster.client.deleteCollection(kinds, { namespace, labelSelector: "app=life", body: { propagationPolicy: "Background" } });
    await cluster.until("everything is gone", async () => (await podsOf(cluster, namespace)).length === 0);
    watch.stop();
    expect(namesSeen(watch.events, "DELETED").sort()).toEqual(["first", "second"]);
  });

  test("says that a quota keeps it from making pods, and no longer when it has room", async () => {
    const namespace = await cluster.namespace(`${prefix}-quota`);
    const at = { namespace, name: "limited" };
    await cluster.client.create(resourcequotas, { metadata: { name: "two", namespace }, spec: { hard: { pods: "2" } } });
    await cluster.until("the quota is reckoned", async () => {
      const { status } = await cluster.client.get(resourcequotas, { namespace, name: "two" });
      return status?.hard?.pods === "2";
    });
    await create(namespace, "limited", { app: "limited" }, 3);
    const failure = await cluster.until("the failure is told", async () =>
      (await get(at)).status?.conditions?.find((condition) => condition.type === "ReplicaFailure"),
    );
    expect(failure).toMatchObject({ status: "True", reason: "FailedCreate", message: expect.stringContaining("exceeded quota") });
    await cluster.client.patch(kinds, at, { spec: { replicas: 2 } }, { type: "merge" });
    await cluster.until("it is well again", async () => {
      const { status } = await get(at);
      return status?.readyReplicas === 2 && (status.conditions ?? []).every((condition) => condition.type !== "ReplicaFailure");
    });
  });
});

describe.each([
  { type: deployments, spec: { replicas: 1, ...workload({ app: "status" }) } },
  { type: replicasets, spec: { replicas: 1, ...workload({ app: "status" }) } },
  { type: replicationcontrollers, spec: { replicas: 1, selector: { app: "status" }, template: template({ app: "status" }) } },
  { type: statefulsets, spec: { replicas: 1, serviceName: "none", ...workload({ app: "status" }) } },
  { type: daemonsets, spec: workload({ app: "status" }) },
  { type: jobs, spec: { template: template({ app: "status" }, { spec: { restartPolicy: "Never" } }) } },
] as const)("the status of a $type.kind", ({ type, spec }) => {
  type WithConditions = KubernetesObject & { readonly status?: { readonly conditions?: readonly { readonly type: string }[] } };
  // They differ in what they are about, not in how their status is written.
  const kind = type as unknown as ResourceType<WithConditions>;
  const condition = { type: "Remarked", status: "True", reason: "E2E", message: "by a client" };

  test("is read, written and patched by clients while the controller writes it too", async () => {
    const namespace = await cluster.namespace(`status-${kind.resource}`);
    const at = { namespace, name: "shared" };
    await cluster.client.create(kind, { metadata: at, spec } as never);
    await cluster.until("its pods are ready", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length > 0 && found.every(isReady);
    });
    const patch = { metadata: { annotations: { patched: "yes" } }, status: { conditions: [condition] } };
    const patched = await cluster.client.patch(kind, at, patch, { type: "merge", subresource: "status" });
    expect(patched.metadata.annotations).toMatchObject({ patched: "yes" });
    expect(patched.status?.conditions).toContainEqual(expect.objectContaining(condition));
    await cluster.until("the status is written", async () => {
      const current = await cluster.client.get(kind, at);
      const conditions = (current.status?.conditions ?? []).map((each) =>
        each.type === condition.type ? { ...each, reason: "Updated" } : each,
      );
      return cluster.client.updateStatus(kind, { ...current, status: { ...current.status, conditions } }).catch((error: unknown) => {
        if (!isStatus(error, "Conflict")) throw error;
        return undefined;
      });
    });
    // The controller goes on with what it finds.
    await cluster.client.patch(kind, at, { metadata: { labels: { changed: "yes" } } }, { type: "merge" });
    await cluster.pass(2_000);
    const read = await cluster.client.getSubresource<WithConditions>(kind, { ...at, subresource: "status" });
    expect(read.status?.conditions).toContainEqual(expect.objectContaining({ ...condition, reason: "Updated" }));
  });
});
