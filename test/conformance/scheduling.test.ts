// The scheduler, priorities, limit ranges and disruption budgets as upstream's conformance tests see them, in a whole cluster
// with simulated containers. What is scarce is an extended resource, of which every node gets as much as the test says.
import { beforeAll, describe, expect, test } from "vitest";
import { isStatus } from "../../src/api/meta/status-error.ts";
import {
  deployments,
  events,
  limitranges,
  nodes,
  poddisruptionbudgets,
  pods,
  priorityclasses,
  replicasets,
} from "../../src/api/resources.generated.ts";
import type { Pod, PodSpec } from "../../src/api/types/core-v1.ts";
import type { PodDisruptionBudget } from "../../src/api/types/policy-v1.ts";
import { conformanceCluster } from "./conformance-cluster.ts";
import { container, namesSeen, podsOf, readyPods, rewrite, rewriteStatus, template, watching, workload } from "./workloads.ts";

const scarce = "scheduling.example.com/scarce";
const cluster = conformanceCluster();
beforeAll(async () => {
  await cluster.provide(scarce, "5");
  const values = { "low-priority": 1, "medium-priority": 100, "high-priority": 1000 };
  for (const [name, value] of Object.entries(values)) await cluster.client.create(priorityclasses, { metadata: { name }, value });
});

const asking = (amount: number) => ({ resources: { requests: { [scarce]: String(amount) }, limits: { [scarce]: String(amount) } } });

async function create(namespace: string, name: string, { amount = 0, ...spec }: Partial<PodSpec> & { readonly amount?: number } = {}) {
  const containers = [container(amount > 0 ? { container: asking(amount) } : {})];
  await cluster.client.create(pods, { metadata: { name, namespace }, spec: { containers, ...spec } });
  return { namespace, name };
}

type At = { readonly namespace: string; readonly name: string };
const conditionOf = (pod: Pod, type: string) => pod.status?.conditions?.find((condition) => condition.type === type);
const untilScheduled = (at: At): Promise<Pod> =>
  cluster.until(`${at.name} has a node`, async () => {
    const pod = await cluster.client.get(pods, at);
    return pod.spec.nodeName !== undefined && pod;
  });
const untilUnschedulable = (at: At): Promise<string> =>
  cluster.until(`${at.name} fits nowhere`, async () => {
    const condition = conditionOf(await cluster.client.get(pods, at), "PodScheduled");
    return condition?.reason === "Unschedulable" && condition.message;
  });
async function emptied(namespace: string): Promise<void> {
  await cluster.client.deleteCollection(pods, { namespace });
  await cluster.until(`no pods in ${namespace}`, async () => (await podsOf(cluster, namespace)).length === 0);
}

describe("what a pod asks for", () => {
  test("resources that no node has left: it waits, and says so in an event", async () => {
    const namespace = await cluster.namespace("resources");
    for (const name of await cluster.nodeNames()) await untilScheduled(await create(namespace, `fills-${name}`, { amount: 5 }));
    const at = await create(namespace, "additional", { amount: 1 });
    expect(await untilUnschedulable(at)).toBe(
      `0/2 nodes are available: 2 Insufficient ${scarce}. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.`,
    );
    await cluster.until("the event", async () => {
      const { items } = await cluster.client.list(events, { namespace, fieldSelector: "involvedObject.name=additional" });
      return items.some(({ reason }) => reason === "FailedScheduling");
    });
    await emptied(namespace);
  });

  test("a node selector that no node meets, and one that a node comes to meet", async () => {
    const namespace = await cluster.namespace("selectors");
    const at = await create(namespace, "picky", { nodeSelector: { "example.com/kind": "special" } });
    expect(await untilUnschedulable(at)).toContain("2 node(s) didn't match Pod's node affinity/selector");
    await cluster.client.patch(nodes, { name: "node-2" }, { metadata: { labels: { "example.com/kind": "special" } } }, { type: "merge" });
    expect((await untilScheduled(at)).spec.nodeName).toBe("node-2");
    expect(
      (await untilScheduled(await create(namespace, "picky-too", { nodeSelector: { "example.com/kind": "special" } }))).spec.nodeName,
    ).toBe("node-2");
  });

  test("a port of the node: 0.0.0.0 stands for all addresses, other addresses and protocols do not clash", async () => {
    const namespace = await cluster.namespace("host-ports");
    const on = (nodeName: string) => ({ nodeSelector: { "kubernetes.io/hostname": nodeName } });
    const port = (hostIP: string, protocol: "TCP" | "UDP" = "TCP") => ({
      containers: [container({ container: { ports: [{ containerPort: 8080, hostPort: 54321, hostIP, protocol }] } })],
    });
    await untilScheduled(await create(namespace, "everywhere", { ...on("node-1"), ...port("") }));
    expect(await untilUnschedulable(await create(namespace, "clashes", { ...on("node-1"), ...port("127.0.0.1") }))).toContain(
      "1 node(s) didn't have free ports for the requested pod ports",
    );
    await untilScheduled(await create(namespace, "first", { ...on("node-2"), ...port("127.0.0.1") }));
    await untilScheduled(await create(namespace, "other-address", { ...on("node-2"), ...port("192.0.2.2") }));
    await untilScheduled(await create(namespace, "other-protocol", { ...on("node-2"), ...port("192.0.2.2", "UDP") }));
    await emptied(namespace);
  });
});

describe("priority", () => {
  test.for([
    ["a pod of higher priority", "high-priority", "preemption"],
    ["a critical pod", "system-cluster-critical", "kube-system"],
  ] as const)("%s takes the place of one of the lowest", async ([, priorityClassName, namespace]) => {
    if (namespace !== "kube-system") await cluster.namespace(namespace);
    const low = await create(namespace, "low", { amount: 2, priorityClassName: "low-priority" });
    await untilScheduled(low);
    const others = [];
    for (const name of ["medium-1", "medium-2", "medium-3"])
      others.push(await create(namespace, name, { amount: 2, priorityClassName: "medium-priority" }));
    for (const at of others) await untilScheduled(at);
    const victim = await cluster.client.get(pods, low);
    const high = await create(namespace, "high", { amount: 3, priorityClassName });
    await untilScheduled(high);
    // Its containers have ended by then; its object goes when the kubelet has cleaned up.
    const { items } = await cluster.client.list(pods, { namespace });
    const running = items.filter(({ status }) => status?.phase !== "Succeeded" && status?.phase !== "Failed");
    expect(running.map(({ metadata }) => metadata.name).sort()).toEqual(["high", "medium-1", "medium-2", "medium-3"]);
    await cluster.until("the victim is gone", async () =>
      (await podsOf(cluster, namespace)).every(({ metadata }) => metadata.name !== "low"),
    );
    expect((await cluster.client.get(pods, high)).spec.nodeName).toBe(victim.spec.nodeName);
    const { items: told } = await cluster.client.list(events, { namespace, fieldSelector: "involvedObject.name=low" });
    expect(told.some(({ reason }) => reason === "Preempted")).toBe(true);
    await cluster.client.delete(pods, high);
    for (const at of others) await cluster.client.delete(pods, at);
    await cluster.until("the pods are gone", async () => {
      const left = await podsOf(cluster, namespace);
      return left.every(({ spec }) => spec.priorityClassName === undefined);
    });
  });

  test("who is preempted has the condition DisruptionTarget", async () => {
    const namespace = await cluster.namespace("victim");
    const on = { nodeSelector: { "kubernetes.io/hostname": "node-1" } };
    const metadata = { name: "victim", namespace, finalizers: ["example.com/test"] };
    const containers = [container({ container: asking(5) })];
    await cluster.client.create(pods, { metadata, spec: { ...on, containers, priorityClassName: "low-priority" } });
    await readyPods(cluster, namespace, { count: 1 });
    await create(namespace, "preemptor", { ...on, amount: 5, priorityClassName: "high-priority" });
    const victim = await cluster.until("the condition", async () => {
      const pod = await cluster.client.get(pods, { namespace, name: "victim" });
      return pod.metadata.deletionTimestamp !== undefined && conditionOf(pod, "DisruptionTarget") && pod;
    });
    expect(conditionOf(victim as Pod, "DisruptionTarget")).toMatchObject({
      status: "True",
      reason: "PreemptionByScheduler",
      message: "default-scheduler: preempting to accommodate a higher priority pod",
    });
    await cluster.client.patch(pods, { namespace, name: "victim" }, { metadata: { finalizers: null } }, { type: "merge" });
    await untilScheduled({ namespace, name: "preemptor" });
    await emptied(namespace);
  });

  test("ReplicaSets: as few victims as will do, of the lowest priorities, and no more later", async () => {
    const namespace = await cluster.namespace("replicas");
    await cluster.provide(scarce, "1000");
    const on = { nodeSelector: { "kubernetes.io/hostname": "node-1" } };
    for (const n of [1, 2, 3, 4]) await cluster.client.create(priorityclasses, { metadata: { name: `p${n}` }, value: n });
    const watch = await watching(cluster, pods, { namespace });
    for (const [i, amount] of [200, 300, 450].entries()) {
      const name = `set${i + 1}`;
      const labels = { name };
      const spec = { ...on, priorityClassName: `p${i + 1}` };
      await cluster.client.create(replicasets, {
        metadata: { name, namespace },
        spec: { replicas: 1, ...workload(labels, { container: asking(amount), spec }) },
      });
      await readyPods(cluster, namespace, { labels, count: 1 });
    }
    await untilScheduled(await create(namespace, "preemptor", { ...on, amount: 500, priorityClassName: "p4" }));
    await cluster.pass(10_000);
    const made = namesSeen(watch.events, "ADDED").map((name) => name.split("-")[0]);
    watch.stop();
    expect(made.sort()).toEqual(["preemptor", "set1", "set1", "set2", "set2", "set3"]);
    for (const name of ["set1", "set2", "set3"]) await cluster.client.delete(replicasets, { namespace, name });
    await cluster.provide(scarce, "5");
  });

  test("PriorityClasses: what may change may be patched and written, the value may not", async () => {
    const at = { name: "p1" };
    const patched = await cluster.client.patch(
      priorityclasses,
      at,
      { description: "first", metadata: { labels: { a: "b" } } },
      { type: "merge" },
    );
    expect(patched).toMatchObject({ description: "first", metadata: { labels: { a: "b" } } });
    const updated = await cluster.client.update(priorityclasses, { ...patched, description: "second" });
    expect(updated.description).toBe("second");
    await expect(cluster.client.update(priorityclasses, { ...updated, value: 10 })).rejects.toSatisfy((e) => isStatus(e, "Invalid"));
    await expect(cluster.client.patch(priorityclasses, at, { value: 7 }, { type: "merge" })).rejects.toSatisfy((e) =>
      isStatus(e, "Invalid"),
    );
    expect((await cluster.client.list(priorityclasses, { labelSelector: "a=b" })).items.map(({ value }) => value)).toEqual([1]);
  });
});

describe("LimitRange", () => {
  const limits = [
    {
      type: "Container" as const,
      min: { cpu: "50m", memory: "100Mi" },
      max: { cpu: "500m", memory: "500Mi" },
      default: { cpu: "500m", memory: "500Mi" },
      defaultRequest: { cpu: "100m", memory: "200Mi" },
    },
  ];
  const made = (namespace: string, name: string, resources = {}): Promise<Pod> =>
    cluster.client.create(pods, { metadata: { name, namespace }, spec: { containers: [container({ container: { resources } })] } });
  const forbidden = (error: unknown): boolean => isStatus(error, "Forbidden");

  test("fills in what a pod does not say, refuses what is outside, and follows its changes", async () => {
    const namespace = await cluster.namespace("limits");
    const at = { namespace, name: "limits" };
    await cluster.client.create(limitranges, { metadata: at, spec: { limits } });
    const defaulted = await made(namespace, "nothing-said");
    expect(defaulted.spec.containers[0]?.resources).toEqual({
      requests: { cpu: "100m", memory: "200Mi" },
      limits: { cpu: "500m", memory: "500Mi" },
    });
    const partly = await made(namespace, "something-said", { requests: { cpu: "200m" }, limits: { memory: "300Mi" } });
    expect(partly.spec.containers[0]?.resources).toEqual({
      requests: { cpu: "200m", memory: "300Mi" }, // a limit is the request, before limit ranges are looked at
      limits: { cpu: "500m", memory: "300Mi" },
    });
    await expect(made(namespace, "too-small", { requests: { cpu: "10m" } })).rejects.toSatisfy(forbidden);
    await expect(made(namespace, "too-large", { limits: { cpu: "600m" } })).rejects.toSatisfy(forbidden);
    const min = { spec: { limits: [{ ...limits[0], min: { cpu: "9m" } }] } };
    expect((await cluster.client.patch(limitranges, at, min, { type: "merge" })).spec?.limits[0]?.min).toEqual({ cpu: "9m" });
    await made(namespace, "no-longer-too-small", { requests: { cpu: "10m" } });
    await cluster.client.delete(limitranges, at);
    await made(namespace, "anything-goes", { limits: { cpu: "600m" } });
  });

  test("is listed everywhere by label, patched, and deleted in one namespace", async () => {
    const [first, second] = [await cluster.namespace("limits-1"), await cluster.namespace("limits-2")];
    const labels = { ranges: "listed" };
    for (const namespace of [first, second])
      await cluster.client.create(limitranges, { metadata: { name: "range", namespace, labels }, spec: { limits } });
    const everywhere = async () => (await cluster.client.list(limitranges, { labelSelector: "ranges=listed" })).items;
    expect(await everywhere()).toHaveLength(2);
    const patch = { metadata: { labels: { patched: "yes" } }, spec: { limits: [{ ...limits[0], defaultRequest: { cpu: "60m" } }] } };
    const patched = await cluster.client.patch(limitranges, { namespace: first, name: "range" }, patch, { type: "strategic" });
    expect(patched.spec?.limits[0]?.defaultRequest).toMatchObject({ cpu: "60m" });
    await cluster.client.deleteCollection(limitranges, { namespace: first, labelSelector: "patched=yes" });
    expect((await everywhere()).map(({ metadata }) => metadata.namespace)).toEqual([second]);
  });
});

describe("PodDisruptionBudget", () => {
  const selector = { matchLabels: { app: "guarded" } };
  const budget = async (namespace: string, spec: PodDisruptionBudget["spec"]) => {
    const at = { namespace, name: "budget" };
    await cluster.client.create(poddisruptionbudgets, { metadata: { ...at, labels: { special: "yes" } }, spec: { selector, ...spec } });
    return at;
  };
  const untilAllowed = (at: At, disruptions: number): Promise<PodDisruptionBudget> =>
    cluster.until(`${disruptions} disruptions allowed`, async () => {
      const found = await cluster.client.get(poddisruptionbudgets, at);
      const { observedGeneration, disruptionsAllowed } = found.status ?? {};
      return observedGeneration === found.metadata.generation && disruptionsAllowed === disruptions && found;
    });
  const evict = ({ metadata: { namespace = "", name = "" } }: Pod): Promise<unknown> =>
    cluster.client.createSubresource(
      pods,
      { namespace, name, subresource: "eviction" },
      { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } },
    );
  const run = async (namespace: string, count: number): Promise<readonly Pod[]> => {
    for (let i = 0; i < count; i++)
      await cluster.client.create(pods, {
        metadata: { name: `guarded-${i}`, namespace, labels: selector.matchLabels },
        spec: template({}).spec,
      });
    return readyPods(cluster, namespace, { labels: selector.matchLabels, count });
  };

  test("is created, updated, patched, listed everywhere and deleted as a collection", async () => {
    const [namespace, other] = [await cluster.namespace("budgets"), await cluster.namespace("budgets-2")];
    const at = await budget(namespace, { minAvailable: "1%" });
    await budget(other, { minAvailable: 1 });
    await untilAllowed(at, 0);
    const loosened = (current: PodDisruptionBudget) => ({ ...current, spec: { ...current.spec, minAvailable: "2%" } });
    await rewrite(cluster, poddisruptionbudgets, at, loosened);
    const patched = await cluster.client.patch(poddisruptionbudgets, at, { spec: { minAvailable: "3%" } }, { type: "strategic" });
    expect(patched.spec?.minAvailable).toBe("3%");
    expect((await cluster.client.list(poddisruptionbudgets, { labelSelector: "special=yes" })).items).toHaveLength(2);
    await cluster.client.deleteCollection(poddisruptionbudgets, { namespace, labelSelector: "special=yes" });
    expect((await cluster.client.list(poddisruptionbudgets, { labelSelector: "special=yes" })).items).toHaveLength(1);
  });

  test("its status tells how many pods may go, and is written and patched by clients too", async () => {
    const namespace = await cluster.namespace("budget-status");
    const at = await budget(namespace, { minAvailable: 1 });
    await untilAllowed(at, 0);
    await run(namespace, 2);
    const { status } = await untilAllowed(at, 1);
    expect(status).toMatchObject({ currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 });
    const disruptedPods = { "some-pod": "2026-01-01T00:00:00Z" };
    const disrupted = (read: PodDisruptionBudget) => ({ ...read, status: { ...read.status, disruptedPods } }) as PodDisruptionBudget;
    const written = await rewriteStatus(cluster, poddisruptionbudgets, at, disrupted);
    expect(written.status?.disruptedPods).toEqual(disruptedPods);
    const patched = await cluster.client.patch(
      poddisruptionbudgets,
      at,
      { status: { disruptedPods: { "other-pod": "2026-01-01T00:00:00Z" } } },
      { type: "merge", subresource: "status" },
    );
    expect(patched.status?.disruptedPods).toHaveProperty("other-pod");
  });

  test("an eviction that it forbids is refused until it allows it", async () => {
    const namespace = await cluster.namespace("budget-eviction");
    const at = await budget(namespace, { minAvailable: 3 });
    const guarded = await run(namespace, 3);
    await untilAllowed(at, 0);
    const [first, second] = guarded as [Pod, Pod];
    await expect(evict(first)).rejects.toMatchObject({ code: 429, reason: "TooManyRequests" });
    await cluster.client.patch(poddisruptionbudgets, at, { spec: { minAvailable: 2 } }, { type: "merge" });
    await untilAllowed(at, 1);
    await evict(first);
    await expect(evict(second)).rejects.toMatchObject({ code: 429 });
    await cluster.until("the pod is gone", async () => (await podsOf(cluster, namespace)).length === 2);
    await cluster.client.patch(poddisruptionbudgets, at, { spec: { minAvailable: null, maxUnavailable: "100%" } }, { type: "merge" });
    await cluster.client.delete(poddisruptionbudgets, at);
    await evict(second);
    await cluster.until("the second pod is gone", async () => (await podsOf(cluster, namespace)).length === 1);
  });

  test("counts by the scale of a pod's controller", async () => {
    const namespace = await cluster.namespace("budget-scale");
    const at = await budget(namespace, { maxUnavailable: "50%" });
    await cluster.client.create(deployments, {
      metadata: { name: "web", namespace },
      spec: { replicas: 4, ...workload(selector.matchLabels) },
    });
    await readyPods(cluster, namespace, { count: 4 });
    expect((await untilAllowed(at, 2)).status).toMatchObject({ expectedPods: 4, desiredHealthy: 2 });
  });
});
