// Garbage collection, namespaces and quotas as upstream's conformance tests see them, in a whole cluster with simulated
// containers, on virtual time.
import { describe, expect, test } from "vitest";
import type { KubernetesObject } from "../../src/api/meta/object.ts";
import { isStatus } from "../../src/api/meta/status-error.ts";
import {
  configmaps,
  deployments,
  namespaces,
  pods,
  replicasets,
  replicationcontrollers,
  resourcequotas,
  secrets,
  services,
} from "../../src/api/resources.generated.ts";
import type { ResourceQuotaSpec, ResourceRequirements } from "../../src/api/types/core-v1.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import { container, controllerOf, isReady, podsOf, readyPods, rewrite, template, workload } from "./workloads.ts";

const cluster = conformanceCluster();

describe("garbage collector", () => {
  const labels = { app: "collected" };
  const controller = async (namespace: string, name: string, replicas: number) => {
    const spec = { replicas, selector: { app: name }, template: template({ app: name }) };
    const made = await cluster.client.create(replicationcontrollers, { metadata: { name, namespace }, spec });
    await readyPods(cluster, namespace, { labels: { app: name }, count: replicas });
    return made;
  };
  const deployed = async (namespace: string) => {
    await cluster.client.create(deployments, { metadata: { name: "web", namespace }, spec: { replicas: 2, ...workload(labels) } });
    await readyPods(cluster, namespace, { count: 2 });
    return { namespace, name: "web" };
  };
  const settings = { gracePeriodSeconds: 0 };

  test("Background: the pods of a deleted controller go", async () => {
    const namespace = await cluster.namespace("gc-background");
    const { metadata } = await controller(namespace, "owner", 2);
    await cluster.client.delete(replicationcontrollers, { namespace, name: "owner" }, { body: { propagationPolicy: "Background" } });
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
    expect(metadata.uid).toBeDefined();
  });

  test("Orphan: they stay, with nobody who owns them", async () => {
    const namespace = await cluster.namespace("gc-orphan");
    await controller(namespace, "owner", 10);
    await cluster.client.delete(replicationcontrollers, { namespace, name: "owner" }, { body: { propagationPolicy: "Orphan" } });
    await cluster.until("nobody owns them", async () => {
      const gone = (await cluster.client.list(replicationcontrollers, { namespace })).items.length === 0;
      return gone && (await podsOf(cluster, namespace)).every((pod) => controllerOf(pod) === undefined);
    });
    await cluster.pass(30_000);
    expect((await podsOf(cluster, namespace)).filter(isReady)).toHaveLength(10);
  });

  test("a Deployment's ReplicaSets and pods go in the background, or stay as orphans", async () => {
    const namespace = await cluster.namespace("gc-deployment");
    await cluster.client.delete(deployments, await deployed(namespace), { body: { propagationPolicy: "Background" } });
    const setsOf = async () => (await cluster.client.list(replicasets, { namespace })).items;
    await cluster.until("nothing is left", async () => (await setsOf()).length === 0 && (await podsOf(cluster, namespace)).length === 0);
    await cluster.client.delete(deployments, await deployed(namespace), { body: { propagationPolicy: "Orphan" } });
    await cluster.until("the deployment is gone", async () => (await cluster.client.list(deployments, { namespace })).items.length === 0);
    await cluster.pass(30_000);
    expect((await setsOf()).map(controllerOf)).toEqual([undefined]);
    expect(await podsOf(cluster, namespace)).toHaveLength(2);
  });

  test("Foreground: the controller stays until the last of its pods is gone", async () => {
    const namespace = await cluster.namespace("gc-foreground");
    await controller(namespace, "owner", 10);
    for (const { metadata } of (await podsOf(cluster, namespace)).slice(0, 1))
      await cluster.client.patch(
        pods,
        { namespace, name: metadata.name ?? "" },
        { metadata: { finalizers: ["example.com/hold"] } },
        { type: "merge" },
      );
    const at = { namespace, name: "owner" };
    await cluster.client.delete(replicationcontrollers, at, { body: { propagationPolicy: "Foreground" } });
    await cluster.until("one pod is left", async () => (await podsOf(cluster, namespace)).length === 1);
    await cluster.pass(10_000);
    expect((await cluster.client.get(replicationcontrollers, at)).metadata).toMatchObject({
      finalizers: ["foregroundDeletion"],
      deletionTimestamp: expect.any(String),
    });
    const [held] = await podsOf(cluster, namespace);
    await cluster.client.patch(pods, { namespace, name: held?.metadata.name ?? "" }, { metadata: { finalizers: null } }, { type: "merge" });
    await cluster.until(
      "the controller is gone",
      async () => (await cluster.client.list(replicationcontrollers, { namespace })).items.length === 0,
    );
  });

  test("a pod with another owner that stays, stays, and no longer names the one that goes", async () => {
    const namespace = await cluster.namespace("gc-two-owners");
    const [first, second] = [await controller(namespace, "goes", 6), await controller(namespace, "stays", 0)];
    const shared = (await podsOf(cluster, namespace)).slice(0, 3);
    const { name, uid } = second.metadata;
    const owner = { apiVersion: "v1", kind: "ReplicationController", name, uid };
    for (const { metadata } of shared)
      await cluster.client.patch(
        pods,
        { namespace, name: metadata.name ?? "" },
        { metadata: { ownerReferences: [...(metadata.ownerReferences ?? []), owner] } },
        { type: "merge" },
      );
    await cluster.client.delete(replicationcontrollers, { namespace, name: "goes" }, { body: { propagationPolicy: "Foreground" } });
    await cluster.until(
      "the first is gone",
      async () => (await cluster.client.list(replicationcontrollers, { namespace })).items.length === 1,
    );
    const left = await podsOf(cluster, namespace);
    expect(left.map(({ metadata }) => metadata.uid).sort()).toEqual(shared.map(({ metadata }) => metadata.uid).sort());
    for (const { metadata } of left) {
      expect(metadata.deletionTimestamp).toBeUndefined();
      expect(metadata.ownerReferences?.map((each) => each.uid)).toEqual([uid]);
    }
    expect(first.metadata.uid).not.toBe(uid);
  });

  test("pods that own each other in a circle go when one is deleted", async () => {
    const namespace = await cluster.namespace("gc-circle");
    const made: KubernetesObject[] = [];
    for (const name of ["pod1", "pod2", "pod3"])
      made.push(await cluster.client.create(pods, { metadata: { name, namespace }, spec: { containers: [container()] } }));
    for (const [i, { metadata }] of made.entries()) {
      const owner = made[(i + 2) % 3]?.metadata;
      const reference = { apiVersion: "v1", kind: "Pod", name: owner?.name, uid: owner?.uid, controller: true, blockOwnerDeletion: true };
      await cluster.client.patch(
        pods,
        { namespace, name: metadata.name ?? "" },
        { metadata: { ownerReferences: [reference] } },
        { type: "merge" },
      );
    }
    await readyPods(cluster, namespace, { count: 3 });
    await cluster.client.delete(pods, { namespace, name: "pod1" }, { body: { ...settings, propagationPolicy: "Foreground" } });
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
  });
});

describe("namespace", () => {
  const untilGone = (name: string) =>
    cluster.until(`${name} is gone`, async () =>
      (await cluster.client.list(namespaces)).items.every(({ metadata }) => metadata.name !== name),
    );

  test("its pods and services go with it, and the next of its name is empty", async () => {
    const namespace = await cluster.namespace("emptied");
    await cluster.client.create(pods, { metadata: { name: "one", namespace }, spec: { containers: [container()] } });
    await cluster.client.create(services, {
      metadata: { name: "one", namespace },
      spec: { ports: [{ port: 80 }], selector: { app: "one" } },
    });
    await readyPods(cluster, namespace, { count: 1 });
    await cluster.client.delete(namespaces, { name: namespace });
    await untilGone(namespace);
    await cluster.namespace(namespace);
    expect(await podsOf(cluster, namespace)).toEqual([]);
    expect((await cluster.client.list(services, { namespace })).items).toEqual([]);
  });

  test("its pods go before everything else, however long they take", async () => {
    const namespace = await cluster.namespace("ordered");
    const metadata = { name: "held", namespace, finalizers: ["example.com/hold"] };
    await cluster.client.create(pods, { metadata, spec: { containers: [container()] } });
    await cluster.client.create(configmaps, { metadata: { name: "later", namespace }, data: { a: "b" } });
    await readyPods(cluster, namespace, { count: 1 });
    await cluster.client.delete(namespaces, { name: namespace });
    await cluster.until("it says how far it has come", async () => {
      const { status } = await cluster.client.get(namespaces, { name: namespace });
      return status?.phase === "Terminating" && status.conditions?.some(({ type }) => type === "NamespaceDeletionContentFailure");
    });
    await cluster.pass(30_000);
    expect((await cluster.client.get(configmaps, { namespace, name: "later" })).metadata.deletionTimestamp).toBeUndefined();
    expect((await cluster.client.get(pods, { namespace, name: "held" })).metadata.deletionTimestamp).toBeDefined();
    await cluster.client.patch(pods, { namespace, name: "held" }, { metadata: { finalizers: null } }, { type: "merge" });
    await untilGone(namespace);
  });

  test("is patched and updated, its status too, and takes a finalizer", async () => {
    const at = { name: await cluster.namespace("changed") };
    expect(
      (await cluster.client.patch(namespaces, at, { metadata: { labels: { test: "patched" } } }, { type: "merge" })).metadata.labels,
    ).toMatchObject({
      test: "patched",
      "kubernetes.io/metadata.name": "changed",
    });
    const current = await cluster.client.get(namespaces, at);
    const updated = { ...current, metadata: { ...current.metadata, labels: { ...current.metadata.labels, test: "updated" } } };
    expect((await cluster.client.update(namespaces, updated)).metadata.labels?.test).toBe("updated");

    const status = await cluster.client.getSubresource<typeof current>(namespaces, { ...at, subresource: "status" });
    expect(status.status?.phase).toBe("Active");
    const condition = { type: "StatusPatch", status: "True", reason: "E2E", message: "patched by a test" };
    const patched = await cluster.client.patch(
      namespaces,
      at,
      { status: { conditions: [condition] } },
      { type: "merge", subresource: "status" },
    );
    expect(patched.status?.conditions).toEqual([expect.objectContaining(condition)]);
    const second = { ...condition, type: "StatusUpdate" };
    const written = await cluster.client.updateStatus(namespaces, {
      ...patched,
      status: { ...patched.status, conditions: [...(patched.status?.conditions ?? []), second] } as NonNullable<typeof patched.status>,
    });
    expect(written.status?.conditions?.map(({ type }) => type)).toEqual(["StatusPatch", "StatusUpdate"]);

    const finalize = (body: unknown) =>
      cluster.client.raw("PUT", `/api/v1/namespaces/${at.name}/finalize`, { body }) as Promise<typeof current>;
    const held = await finalize({ ...written, spec: { finalizers: ["kubernetes", "e2e.example.com/fake"] } });
    expect(held.spec?.finalizers).toEqual(["kubernetes", "e2e.example.com/fake"]);
    expect((await finalize({ ...held, spec: { finalizers: ["kubernetes"] } })).spec?.finalizers).toEqual(["kubernetes"]);
    await cluster.client.delete(namespaces, at);
    await untilGone(at.name);
  });
});

describe("ResourceQuota", () => {
  const quota = async (
    namespace: string,
    hard: NonNullable<ResourceQuotaSpec["hard"]>,
    more: Partial<ResourceQuotaSpec> & { name?: string } = {},
  ) => {
    const { name = "quota", ...spec } = more;
    await cluster.client.create(resourcequotas, { metadata: { name, namespace, labels: { quota: namespace } }, spec: { hard, ...spec } });
    await untilUsed(namespace, Object.fromEntries(Object.keys(hard).map((key) => [key, expect.anything()])), name);
    return { namespace, name };
  };
  const usedOf = async (namespace: string, name = "quota") => {
    const { spec, status } = await cluster.client.get(resourcequotas, { namespace, name });
    return JSON.stringify(status?.hard) === JSON.stringify(spec?.hard) ? status?.used : undefined;
  };
  /** The quota's status says that just so much is used, of what is named. */
  const untilUsed = (namespace: string, wanted: Readonly<Record<string, unknown>>, name = "quota") =>
    cluster.until(`${namespace}/${name} counts ${JSON.stringify(wanted)}`, async () => {
      const used = await usedOf(namespace, name);
      const isAsWanted = ([key, value]: [string, unknown]): boolean =>
        typeof value === "string" ? used?.[key] === value : used?.[key] !== undefined;
      return used !== undefined && Object.entries(wanted).every(isAsWanted);
    });
  const forbidden = (error: unknown): boolean => isStatus(error, "Forbidden");
  const pod = (namespace: string, name: string, resources: ResourceRequirements = {}, more = {}) =>
    cluster.client.create(pods, {
      metadata: { name, namespace },
      spec: { containers: [container({ container: { resources } })], ...more },
    });

  test("its status is reckoned at once", async () => {
    const namespace = await cluster.namespace("quota-empty");
    const before = cluster.clock.now();
    await quota(namespace, { pods: "5", services: "10", secrets: "10", "requests.cpu": "1" });
    expect(cluster.clock.now() - before).toBeLessThanOrEqual(2_000);
    expect(await usedOf(namespace)).toEqual({ pods: "0", services: "0", secrets: "0", "requests.cpu": "0" });
  });

  test.for([
    ["ConfigMap", configmaps, "count/configmaps", { data: { a: "b" } }],
    ["Secret", secrets, "count/secrets", { stringData: { a: "b" } }],
    ["ReplicaSet", replicasets, "count/replicasets.apps", { spec: { replicas: 0, ...workload({ app: "a" }) } }],
    [
      "ReplicationController",
      replicationcontrollers,
      "count/replicationcontrollers",
      { spec: { replicas: 0, selector: { app: "a" }, template: template({ app: "a" }) } },
    ],
    ["Service", services, "count/services", { spec: { ports: [{ port: 80 }] } }],
  ] as const)("follows the life of a %s", async ([kind, type, counted, fields]) => {
    const namespace = await cluster.namespace(`quota-${kind.toLowerCase()}`);
    await quota(namespace, { [counted]: "2" });
    const before = Number((await usedOf(namespace))?.[counted]);
    const create = (name: string) =>
      cluster.client.create(type as typeof configmaps, { metadata: { name, namespace }, ...fields } as never);
    for (let i = before; i < 2; i++) await create(`counted-${i}`);
    await untilUsed(namespace, { [counted]: "2" });
    await expect(create("one-too-many")).rejects.toSatisfy(forbidden);
    for (let i = before; i < 2; i++) await cluster.client.delete(type, { namespace, name: `counted-${i}` });
    await untilUsed(namespace, { [counted]: String(before) });
    await create("again");
    await untilUsed(namespace, { [counted]: String(before + 1) });
  });

  test("counts ports of nodes and load balancers of services apart", async () => {
    const namespace = await cluster.namespace("quota-ports");
    await quota(namespace, { services: "3", "services.nodeports": "1", "services.loadbalancers": "0" });
    const service = (name: string, type: "ClusterIP" | "NodePort" | "LoadBalancer") =>
      cluster.client.create(services, { metadata: { name, namespace }, spec: { type, ports: [{ port: 80 }] } });
    await service("inside", "ClusterIP");
    await service("outside", "NodePort");
    await untilUsed(namespace, { services: "2", "services.nodeports": "1", "services.loadbalancers": "0" });
    await expect(service("balanced", "LoadBalancer")).rejects.toSatisfy(forbidden);
    await expect(service("outside-too", "NodePort")).rejects.toSatisfy(forbidden);
    for (const name of ["inside", "outside"]) await cluster.client.delete(services, { namespace, name });
    await untilUsed(namespace, { services: "0", "services.nodeports": "0" });
  });

  test("follows the life of a pod, and refuses what would be too much of anything", async () => {
    const namespace = await cluster.namespace("quota-pod");
    const scarce = "requests.example.com/scarce";
    await quota(namespace, { pods: "5", cpu: "1", memory: "500Mi", "requests.ephemeral-storage": "50Gi", [scarce]: "3" });
    const requests = { cpu: "500m", memory: "252Mi", "ephemeral-storage": "30Gi", "example.com/scarce": "2" };
    await pod(namespace, "fits", { requests, limits: requests });
    await untilUsed(namespace, { pods: "1", cpu: "500m", memory: "252Mi", "requests.ephemeral-storage": "30Gi", [scarce]: "2" });
    const small = { cpu: "100m", memory: "10Mi", "ephemeral-storage": "1Gi", "example.com/scarce": "1" };
    const tooMuch = { cpu: "600m", memory: "300Mi", "ephemeral-storage": "30Gi", "example.com/scarce": "2" };
    for (const [resource, amount] of Object.entries(tooMuch)) {
      const asked = { ...small, [resource]: amount };
      await expect(pod(namespace, `too-much-${resource.replaceAll(/\W/g, "-")}`, { requests: asked, limits: asked })).rejects.toSatisfy(
        forbidden,
      );
    }
    await expect(
      cluster.client.patch(
        pods,
        { namespace, name: "fits" },
        { spec: { containers: [{ name: "main", resources: { requests: { cpu: "100m" } } }] } },
        { type: "strategic" },
      ),
    ).rejects.toSatisfy((error) => isStatus(error, "Invalid"));
    await untilUsed(namespace, { pods: "1", cpu: "500m" });
    await cluster.client.delete(pods, { namespace, name: "fits" }, { body: { gracePeriodSeconds: 0 } });
    await untilUsed(namespace, { pods: "0", cpu: "0", memory: "0", "requests.ephemeral-storage": "0", [scarce]: "0" });
  });

  const resources = { requests: { cpu: "500m", memory: "200Mi" }, limits: { cpu: "1", memory: "400Mi" } };
  test.for([
    ["Terminating and NotTerminating", { activeDeadlineSeconds: 3600 }, {}, resources, resources],
    ["BestEffort and NotBestEffort", {}, {}, {}, resources],
  ] as const)("scopes: %s pods are counted apart", async ([scopes, firstSpec, secondSpec, firstResources, secondResources]) => {
    const [first = "", second = ""] = scopes.split(" and ");
    const namespace = await cluster.namespace(`quota-${first.toLowerCase()}`);
    for (const scope of [first, second]) await quota(namespace, { pods: "5" }, { name: scope.toLowerCase(), scopes: [scope] as never });
    const untilCounts = async (a: string, b: string): Promise<void> => {
      await untilUsed(namespace, { pods: a }, first.toLowerCase());
      await untilUsed(namespace, { pods: b }, second.toLowerCase());
    };
    await pod(namespace, "first", firstResources, firstSpec);
    await untilCounts("1", "0");
    await cluster.client.delete(pods, { namespace, name: "first" }, { body: { gracePeriodSeconds: 0 } });
    await untilCounts("0", "0");
    await pod(namespace, "second", secondResources, secondSpec);
    await untilCounts("0", "1");
    await cluster.client.delete(pods, { namespace, name: "second" }, { body: { gracePeriodSeconds: 0 } });
    await untilCounts("0", "0");
  });

  test("is updated, patched, listed everywhere and deleted, its status follows", async () => {
    const namespace = await cluster.namespace("quota-life");
    const at = await quota(namespace, { cpu: "1", memory: "500Mi" });
    await rewrite(cluster, resourcequotas, at, (current) => ({ ...current, spec: { hard: { cpu: "2", memory: "1Gi" } } }));
    await untilUsed(namespace, { cpu: "0", memory: "0" });
    expect((await cluster.client.get(resourcequotas, at)).status?.hard).toEqual({ cpu: "2", memory: "1Gi" });
    await cluster.client.patch(
      resourcequotas,
      at,
      { metadata: { labels: { patched: "yes" } }, spec: { hard: { memory: "2Gi" } } },
      { type: "strategic" },
    );
    const { items } = await cluster.client.list(resourcequotas, { labelSelector: "patched=yes" });
    expect(items.map(({ spec }) => spec?.hard)).toEqual([{ cpu: "2", memory: "2Gi" }]);
    // What clients write into the status stays until all quotas are counted again, every five minutes.
    const hard = { cpu: "4", memory: "4Gi" };
    const patched = await cluster.client.patch(resourcequotas, at, { status: { hard } }, { type: "merge", subresource: "status" });
    expect(patched).toMatchObject({ spec: { hard: { cpu: "2", memory: "2Gi" } }, status: { hard } });
    const isRight = async (): Promise<boolean> => {
      const { status } = await cluster.client.get(resourcequotas, at);
      return status?.hard?.cpu === "2" && status.hard.memory === "2Gi";
    };
    await cluster.until("the status is the quota's again", isRight, 6 * 60_000);
    await cluster.client.deleteCollection(resourcequotas, { namespace, labelSelector: "patched=yes" });
    expect((await cluster.client.list(resourcequotas, { namespace })).items).toEqual([]);
  });
});
