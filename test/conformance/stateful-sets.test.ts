// StatefulSets and DaemonSets as upstream's conformance tests see them: order, unhealthy pods, phased updates, roll-backs, nodes
// that come into question and no longer do, and the revisions both keep. A whole cluster with simulated containers, on virtual time.
import { describe, expect, test } from "vitest";
import { controllerrevisions, daemonsets, nodes, pods, services, statefulsets } from "../../src/api/resources.generated.ts";
import type { StatefulSetSpec } from "../../src/api/types/apps-v1.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
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
  scaleByAllMeans,
  watching,
  workload,
} from "./workloads.ts";

/** "namespace/name" of pods whose readiness probe fails. */
const unwell = new Set<string>();
const readinessProbe = { exec: { command: ["well"] }, periodSeconds: 1, failureThreshold: 1 };
const probed = { container: { readinessProbe } };
const probedImage = {
  exec: (_command: readonly string[], { config }: { readonly config: { readonly labels?: Readonly<Record<string, string>> } }) => ({
    exitCode: unwell.has(`${config.labels?.["io.kubernetes.pod.namespace"]}/${config.labels?.["io.kubernetes.pod.name"]}`) ? 1 : 0,
  }),
};

const cluster = conformanceCluster({ images: [{ name: image, ...probedImage }, { name: newImage, ...probedImage }, imageNobodyHas] });

const setImage = (name: string) => ({ spec: { template: { spec: { containers: [{ name: "main", image: name }] } } } });
const names = (found: readonly Pod[]): (string | undefined)[] => found.map(({ metadata }) => metadata.name);

describe("StatefulSet", () => {
  const labels = { app: "ordered" };
  async function create(namespace: string, spec: Partial<StatefulSetSpec> = {}): Promise<{ namespace: string; name: string }> {
    const at = { namespace, name: "web" };
    await cluster.client.create(services, { metadata: { name: "test", namespace }, spec: { clusterIP: "None", ports: [{ port: 80 }] } });
    await cluster.client.create(statefulsets, {
      metadata: { ...at, labels },
      spec: { serviceName: "test", replicas: 3, ...workload(labels, probed), ...spec },
    });
    return at;
  }
  const images = async (namespace: string) => (await podsOf(cluster, namespace)).map(imageOf);
  const get = (at: { readonly namespace: string; readonly name: string }) => cluster.client.get(statefulsets, at);
  /** All of one revision, which is then the current one. */
  const untilUpdated = (at: { readonly namespace: string; readonly name: string }, wanted: string) =>
    cluster.until(`all pods run ${wanted}`, async () => {
      const { status } = await get(at);
      const found = await podsOf(cluster, at.namespace);
      const isDone = status?.currentRevision === status?.updateRevision && status?.updatedReplicas === found.length;
      return isDone && found.every((pod) => isReady(pod) && imageOf(pod) === wanted) && status;
    });

  test("rolling updates and roll-backs: one pod at a time from the last, and a template that comes back is its old revision", async () => {
    const namespace = await cluster.namespace("sts-rolling");
    const at = await create(namespace);
    await readyPods(cluster, namespace, { count: 3 });
    const { status } = await get(at);
    const first = status?.currentRevision;
    const watch = await watching(cluster, pods, { namespace });
    await cluster.client.patch(statefulsets, at, setImage(newImage), { type: "strategic" });
    const updated = await untilUpdated(at, newImage);
    watch.stop();
    expect(updated?.currentRevision).not.toBe(first);
    expect(namesSeen(watch.events, "DELETED")).toEqual(["web-2", "web-1", "web-0"]);
    for (const { metadata } of await podsOf(cluster, namespace))
      expect(metadata.labels?.["controller-revision-hash"]).toBe(updated?.updateRevision);
    await cluster.client.patch(statefulsets, at, setImage(image), { type: "strategic" });
    expect((await untilUpdated(at, image))?.currentRevision).toBe(first);
    const { items } = await cluster.client.list(controllerrevisions, { namespace });
    expect(items.map(({ revision }) => revision).sort()).toEqual([2, 3]);
  });

  test("canary and phased updates: the partition holds, also for pods that are deleted meanwhile", async () => {
    const namespace = await cluster.namespace("sts-canary");
    const partition = (value: number) => ({ spec: { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: value } } } });
    const at = await create(namespace, { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 3 } } });
    await readyPods(cluster, namespace, { count: 3 });
    await cluster.client.patch(statefulsets, at, setImage(newImage), { type: "strategic" });
    const newer = await cluster.until("a new revision", async () => {
      const { status } = await get(at);
      return status?.updateRevision !== status?.currentRevision && status?.updateRevision;
    });
    await cluster.pass(5_000);
    expect(await images(namespace)).toEqual([image, image, image]);
    const untilImages = (...wanted: string[]) =>
      cluster.until(`images ${wanted}`, async () => {
        const found = await podsOf(cluster, namespace);
        return found.length === 3 && found.every(isReady) && String(found.map(imageOf)) === String(wanted);
      });
    await cluster.client.patch(statefulsets, at, partition(2), { type: "merge" });
    await untilImages(image, image, newImage);
    for (const name of ["web-0", "web-2"]) await cluster.client.delete(pods, { namespace, name });
    await cluster.until("the pods are going", async () => !(await podsOf(cluster, namespace)).every(isReady));
    await untilImages(image, image, newImage);
    await cluster.client.patch(statefulsets, at, partition(1), { type: "merge" });
    await untilImages(image, newImage, newImage);
    expect((await get(at)).status).toMatchObject({ updatedReplicas: 2, currentReplicas: 1 });
    await cluster.client.patch(statefulsets, at, partition(0), { type: "merge" });
    await untilUpdated(at, newImage);
    expect((await get(at)).status).toMatchObject({ currentRevision: newer, updateRevision: newer, currentReplicas: 3 });
  });

  test("scales in order, up and down, and stops at a pod that is not well", async () => {
    const namespace = await cluster.namespace("sts-order");
    const watch = await watching(cluster, pods, { namespace });
    const at = await create(namespace, { replicas: 1 });
    await readyPods(cluster, namespace, { count: 1 });
    unwell.add(`${namespace}/web-0`);
    await cluster.until("web-0 is not ready", async () => !(await podsOf(cluster, namespace)).some(isReady));
    await cluster.client.patch(statefulsets, at, { spec: { replicas: 3 } }, { type: "merge" });
    await cluster.pass(10_000);
    expect(names(await podsOf(cluster, namespace))).toEqual(["web-0"]);
    unwell.clear();
    await readyPods(cluster, namespace, { count: 3 });
    for (const name of ["web-0", "web-1", "web-2"]) unwell.add(`${namespace}/${name}`);
    await cluster.until("none is ready", async () => !(await podsOf(cluster, namespace)).some(isReady));
    await cluster.client.patch(statefulsets, at, { spec: { replicas: 0 } }, { type: "merge" });
    await cluster.pass(10_000);
    expect((await podsOf(cluster, namespace)).filter(({ metadata }) => !metadata.deletionTimestamp)).toHaveLength(3);
    unwell.clear();
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
    watch.stop();
    expect(namesSeen(watch.events, "ADDED")).toEqual(["web-0", "web-1", "web-2"]);
    expect(namesSeen(watch.events, "DELETED")).toEqual(["web-2", "web-1", "web-0"]);
  });

  test("Parallel: scales at once, whatever is unwell", async () => {
    const namespace = await cluster.namespace("sts-burst");
    const at = await create(namespace, { replicas: 1, podManagementPolicy: "Parallel" });
    await readyPods(cluster, namespace, { count: 1 });
    for (const name of ["web-0", "web-1", "web-2"]) unwell.add(`${namespace}/${name}`);
    await cluster.client.patch(statefulsets, at, { spec: { replicas: 3 } }, { type: "merge" });
    await cluster.until("three pods, none ready", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length === 3 && found.every((pod) => pod.status?.phase === "Running" && !isReady(pod));
    });
    await cluster.client.patch(statefulsets, at, { spec: { replicas: 0 } }, { type: "merge" });
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
    unwell.clear();
  });

  test("makes a pod again that its node has refused, until there is room", async () => {
    const namespace = await cluster.namespace("sts-evicted");
    const nodeName = "node-1";
    const ports = [{ containerPort: 21017, hostPort: 21017 }];
    await cluster.client.create(pods, {
      metadata: { name: "in-the-way", namespace },
      spec: { nodeName, containers: [container({ container: { ports } })] },
    });
    await readyPods(cluster, namespace, { count: 1 });
    const watch = await watching(cluster, pods, { namespace, labelSelector: "app=ordered" });
    await create(namespace, { replicas: 1, ...workload(labels, { container: { ports }, spec: { nodeName } }) });
    await cluster.until("web-0 has been made again", async () => namesSeen(watch.events, "DELETED").length > 0);
    const failed = watch.events.find((event) => event.type === "MODIFIED" && event.object.status?.phase === "Failed");
    expect(failed?.object).toMatchObject({ status: { reason: "NodePorts" } });
    await cluster.client.delete(pods, { namespace, name: "in-the-way" });
    await readyPods(cluster, namespace, { labels, count: 1 });
    watch.stop();
  });

  test("has a scale that is read, written and patched", async () => {
    const namespace = await cluster.namespace("sts-scale");
    const at = await create(namespace, { replicas: 1 });
    await readyPods(cluster, namespace, { count: 1 });
    const { read, replicas } = await scaleByAllMeans(cluster, statefulsets, at);
    expect(read).toMatchObject({ spec: { replicas: 1 }, status: { replicas: 1, selector: "app=ordered" } });
    expect(replicas).toEqual([2, 4]);
    await readyPods(cluster, namespace, { count: 4 });
  });

  test("is patched, listed and deleted with others by label", async () => {
    const namespace = await cluster.namespace("sts-list");
    const at = await create(namespace, { replicas: 1 });
    await readyPods(cluster, namespace, { count: 1 });
    const spec = { replicas: 2, template: { spec: { containers: [{ name: "main", image: newImage }] } } };
    await cluster.client.patch(statefulsets, at, { metadata: { labels: { test: "patched" } }, spec }, { type: "strategic" });
    await untilUpdated(at, newImage);
    expect((await cluster.client.list(statefulsets, { labelSelector: "test=patched" })).items).toHaveLength(1);
    await cluster.client.deleteCollection(statefulsets, { namespace, labelSelector: "test=patched", body: { gracePeriodSeconds: 1 } });
    await cluster.until("everything is gone", async () => (await podsOf(cluster, namespace)).length === 0);
    expect((await cluster.client.list(statefulsets, { namespace })).items).toEqual([]);
  });
});

describe("DaemonSet", () => {
  const labels = { daemonset: "daemon" };
  async function create(namespace: string, options: Parameters<typeof workload>[1] = {}) {
    const at = { namespace, name: "daemon" };
    await cluster.client.create(daemonsets, { metadata: { ...at, labels }, spec: workload(labels, options) });
    return at;
  }
  const onEveryNode = async (namespace: string) => {
    const found = await readyPods(cluster, namespace, { count: 2 });
    expect(found.map(({ spec }) => spec.nodeName).sort()).toEqual(["node-1", "node-2"]);
    return found;
  };
  const labelNode = (name: string, color: string | null) =>
    cluster.client.patch(nodes, { name }, { metadata: { labels: { color } } }, { type: "merge" });

  test("runs a pod on every node, and again where one was deleted", async () => {
    const namespace = await cluster.namespace("ds-simple");
    const at = await create(namespace);
    const [one] = await onEveryNode(namespace);
    for (const pod of await podsOf(cluster, namespace)) expect(controllerOf(pod)).toMatchObject({ kind: "DaemonSet", name: "daemon" });
    await cluster.client.delete(pods, { namespace, name: one?.metadata.name ?? "" });
    await cluster.until("another pod", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length === 2 && found.every(isReady) && found.every(({ metadata }) => metadata.uid !== one?.metadata.uid);
    });
    await cluster.client.delete(daemonsets, at);
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
  });

  test("follows the labels of nodes, and a selector that changes", async () => {
    const namespace = await cluster.namespace("ds-complex");
    const at = await create(namespace, { spec: { nodeSelector: { color: "blue" } } });
    await cluster.pass(3_000);
    expect(await podsOf(cluster, namespace)).toEqual([]);
    await labelNode("node-2", "blue");
    const [only] = await readyPods(cluster, namespace, { count: 1 });
    expect(only?.spec.nodeName).toBe("node-2");
    await labelNode("node-2", "green");
    await cluster.until("no pods", async () => (await podsOf(cluster, namespace)).length === 0);
    const patch = { spec: { template: { spec: { nodeSelector: { color: "green" } } }, updateStrategy: { type: "RollingUpdate" } } };
    await cluster.client.patch(daemonsets, at, patch, { type: "merge" });
    await readyPods(cluster, namespace, { count: 1 });
    await labelNode("node-2", null);
    await cluster.until("no pods again", async () => (await podsOf(cluster, namespace)).length === 0);
  });

  test("replaces a pod that has failed", async () => {
    const namespace = await cluster.namespace("ds-failed");
    await create(namespace);
    const [one] = await onEveryNode(namespace);
    const at = { namespace, name: one?.metadata.name ?? "" };
    await cluster.client.patch(pods, at, { status: { phase: "Failed" } }, { type: "merge", subresource: "status" });
    await cluster.until("another pod", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length === 2 && found.every(isReady) && found.every(({ metadata }) => metadata.uid !== one?.metadata.uid);
    });
  });

  test("RollingUpdate: replaces the pods of before, and keeps a revision of each version", async () => {
    const namespace = await cluster.namespace("ds-rolling");
    const at = await create(namespace);
    await onEveryNode(namespace);
    const revisions = async () => (await cluster.client.list(controllerrevisions, { namespace })).items;
    const [first] = await revisions();
    expect(first).toMatchObject({ revision: 1, metadata: { labels: { ...labels, "controller-revision-hash": expect.any(String) } } });
    await cluster.client.patch(daemonsets, at, setImage(newImage), { type: "strategic" });
    const updated = await cluster.until("new pods", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length === 2 && found.every((pod) => isReady(pod) && imageOf(pod) === newImage) && found;
    });
    const second = (await revisions()).find(({ revision }) => revision === 2);
    expect(updated.map(({ metadata }) => metadata.labels?.["controller-revision-hash"])).toEqual(
      Array(2).fill(second?.metadata.labels?.["controller-revision-hash"]),
    );
    expect((await cluster.client.get(daemonsets, at)).status).toMatchObject({ updatedNumberScheduled: 2, numberAvailable: 2 });
  });

  test("a roll-back before the end leaves pods alone that had not been updated", async () => {
    const namespace = await cluster.namespace("ds-rollback");
    const at = await create(namespace);
    const before = await onEveryNode(namespace);
    await cluster.client.patch(daemonsets, at, setImage(missingImage), { type: "strategic" });
    const kept = async () => (await podsOf(cluster, namespace)).filter((pod) => imageOf(pod) === image);
    const [one] = await cluster.until("the rollout stands", async () => {
      const found = await podsOf(cluster, namespace);
      return found.length === 2 && found.some((pod) => imageOf(pod) === missingImage) && (await kept());
    });
    await cluster.pass(5_000);
    expect((await kept()).map(({ metadata }) => metadata.uid)).toEqual([one?.metadata.uid]);
    await cluster.client.patch(daemonsets, at, setImage(image), { type: "strategic" });
    const after = await onEveryNode(namespace);
    expect(after.map(imageOf)).toEqual([image, image]);
    expect(after.filter(({ metadata }) => before.some((pod) => pod.metadata.uid === metadata.uid))).toHaveLength(1);
    const same = after.find(({ metadata }) => metadata.uid === one?.metadata.uid);
    expect(same?.status?.containerStatuses?.map(({ restartCount }) => restartCount)).toEqual([0]);
  });

  test("ControllerRevisions are listed, patched, made, replaced and deleted", async () => {
    const namespace = await cluster.namespace("ds-revisions");
    const at = await create(namespace);
    await onEveryNode(namespace);
    const list = async (labelSelector = "daemonset=daemon") =>
      [...(await cluster.client.list(controllerrevisions, { namespace, labelSelector })).items].sort((a, b) => a.revision - b.revision);
    const [first] = await list();
    expect(first?.revision).toBe(1);
    const own = { namespace, name: first?.metadata.name ?? "" };
    await cluster.client.patch(controllerrevisions, own, { metadata: { labels: { seen: "yes" } } }, { type: "strategic" });
    expect(names((await list("seen=yes")) as never)).toEqual([own.name]);
    const { metadata } = await cluster.client.get(daemonsets, at);
    const owner = { apiVersion: "apps/v1", kind: "DaemonSet", name: "daemon", uid: metadata.uid ?? "" };
    const made = { metadata: { name: "made", namespace, labels, ownerReferences: [owner] }, data: first?.data, revision: 2 };
    await cluster.client.create(controllerrevisions, made as never);
    expect((await list()).map(({ revision }) => revision)).toEqual([1, 2]);
    await cluster.client.delete(controllerrevisions, own);
    const remaining = await cluster.until("one is left, or the controller has made its own again", async () => {
      const found = await list();
      return found.length > 0 && !found.some(({ metadata }) => metadata.uid === first?.metadata.uid) && found;
    });
    const [kept] = remaining;
    const labelled = { ...kept?.metadata.labels, [kept?.metadata.name ?? ""]: "updated" };
    await cluster.client.update(controllerrevisions, { ...kept, metadata: { ...kept?.metadata, labels: labelled } } as NonNullable<
      typeof kept
    >);
    expect(await list(`${kept?.metadata.name}=updated`)).toHaveLength(1);
    const highest = Math.max(...(await list()).map(({ revision }) => revision));
    await cluster.client.patch(daemonsets, at, setImage(newImage), { type: "strategic" });
    await cluster.until("a revision of the new template", async () => (await list()).some(({ revision }) => revision === highest + 1));
    await cluster.client.deleteCollection(controllerrevisions, { namespace, labelSelector: `${kept?.metadata.name}=updated` });
    expect(await list(`${kept?.metadata.name}=updated`)).toEqual([]);
    expect((await list()).at(-1)?.revision).toBe(highest + 1);
  });

  test("are listed and deleted as a collection, with their pods", async () => {
    const namespace = await cluster.namespace("ds-list");
    await create(namespace);
    await onEveryNode(namespace);
    expect((await cluster.client.list(daemonsets, { namespace, labelSelector: "daemonset=daemon" })).items).toHaveLength(1);
    await cluster.client.deleteCollection(daemonsets, { namespace, labelSelector: "daemonset=daemon" });
    await cluster.until("everything is gone", async () => (await podsOf(cluster, namespace)).length === 0);
  });
});
