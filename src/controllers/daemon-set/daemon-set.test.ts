import { describe, expect, it } from "vitest";
import type { New } from "../../api/meta/object.ts";
import { controllerrevisions, daemonsets, nodes, pods } from "../../api/resources.generated.ts";
import { canonicalJson } from "../../api/semantics/template-hash.ts";
import type { DaemonSet } from "../../api/types/apps-v1.ts";
import type { Node, Pod, Taint } from "../../api/types/core-v1.ts";
import { formatTime } from "../../base/clock.ts";
import { type ControllerFixture, createControllerFixture } from "../../testing/controller-fixture.ts";
import { daemonSetController } from "./daemon-set.ts";

const at = { namespace: "default", name: "agent" };

function daemonSet(spec: Partial<DaemonSet["spec"]> = {}): New<DaemonSet> {
  return {
    metadata: { ...at, annotations: { "deprecated.daemonset.template.generation": "1" } },
    spec: {
      selector: { matchLabels: { app: "a" } },
      template: template("img:1"),
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      revisionHistoryLimit: 10,
      ...spec,
    },
  };
}

const template = (image: string) => ({ metadata: { labels: { app: "a" } }, spec: { containers: [{ name: "c", image }] } });

const addNode = (f: ControllerFixture, name: string, more: { labels?: Record<string, string>; taints?: readonly Taint[] } = {}) =>
  f.client.create(nodes, {
    metadata: { name, ...(more.labels ? { labels: more.labels } : {}) },
    spec: more.taints ? { taints: more.taints } : {},
  } as New<Node>);

async function started(set: New<DaemonSet>, nodeNames: readonly string[]): Promise<ControllerFixture> {
  const fixture = createControllerFixture();
  for (const name of nodeNames) await addNode(fixture, name);
  fixture.start(daemonSetController);
  await fixture.client.create(daemonsets, set);
  await fixture.settle();
  return fixture;
}

const listPods = async (f: ControllerFixture): Promise<readonly Pod[]> => (await f.client.list(pods, { namespace: "default" })).items;

const nodeOf = (pod: Pod): string =>
  pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0]?.matchFields?.[0]?.values?.[0] ??
  "";

/** "node:image", with a "-" before those that are terminating. */
async function layout(f: ControllerFixture): Promise<readonly string[]> {
  const shown = (await listPods(f)).map(
    (pod) => `${pod.metadata.deletionTimestamp ? "-" : ""}${nodeOf(pod)}:${pod.spec.containers[0]?.image ?? ""}`,
  );
  return shown.sort();
}

/** Binds and starts every pod that waits. */
async function run(f: ControllerFixture): Promise<void> {
  for (const pod of await listPods(f)) {
    if (pod.metadata.deletionTimestamp || pod.status?.phase === "Running") continue;
    const target = { namespace: "default", name: pod.metadata.name };
    await f.client.patch(pods, target, { spec: { nodeName: nodeOf(pod) } }, { type: "merge" });
    const ready = { type: "Ready", status: "True", lastTransitionTime: formatTime(f.clock.now()) };
    await f.client.patch(pods, target, { status: { phase: "Running", conditions: [ready] } }, { type: "merge", subresource: "status" });
  }
  await f.settle();
}

/** Removes the pods that are terminating, as their kubelets do. */
async function reap(f: ControllerFixture): Promise<void> {
  for (const { metadata } of await listPods(f)) {
    if (!metadata.deletionTimestamp) continue;
    await f.client.delete(pods, { namespace: "default", name: metadata.name }, { body: { gracePeriodSeconds: 0 } });
  }
  await f.settle();
}

async function setImage(f: ControllerFixture, image: string, generation: string): Promise<void> {
  const annotations = { "deprecated.daemonset.template.generation": generation };
  await f.client.patch(daemonsets, at, { metadata: { annotations }, spec: { template: template(image) } }, { type: "merge" });
  await f.settle();
}

describe("daemonset-controller", () => {
  it("puts a pod on every node that fits, pinned to it, and counts them", async () => {
    await using f = await started(daemonSet(), ["n1", "n2"]);
    await addNode(f, "closed", { taints: [{ key: "dedicated", effect: "NoSchedule" }] });
    await addNode(f, "sick", { taints: [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute" }] });
    await f.settle();
    expect(await layout(f)).toEqual(["n1:img:1", "n2:img:1", "sick:img:1"]);
    const [pod] = await listPods(f);
    const [revision] = (await f.client.list(controllerrevisions)).items;
    const hash = revision?.metadata.labels?.["controller-revision-hash"];
    expect(revision?.metadata.name).toBe(`agent-${hash}`);
    const data = { spec: { template: { ...template("img:1"), $patch: "replace" } } };
    expect(revision?.data).toEqual(data);
    // Byte for byte what clients make of the daemon set, to find its revision.
    expect(JSON.stringify(revision?.data)).toBe(canonicalJson(data));
    expect(pod?.metadata.labels).toEqual({ app: "a", "controller-revision-hash": hash, "pod-template-generation": "1" });
    expect(pod?.spec.tolerations?.map((t) => `${t.key}:${t.effect}`)).toContain("node.kubernetes.io/disk-pressure:NoSchedule");
    await run(f);
    expect((await f.client.get(daemonsets, at)).status).toEqual({
      observedGeneration: 1,
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      numberMisscheduled: 0,
      numberReady: 3,
      updatedNumberScheduled: 3,
      numberAvailable: 3,
      numberUnavailable: 0,
    });
    expect(f.problems).toEqual([]);
  });

  it("follows labels and NoExecute taints of nodes, and leaves pods where only new ones are kept out", async () => {
    const set = daemonSet();
    const spec = { ...set.spec.template.spec, containers: [{ name: "c", image: "img:1" }], nodeSelector: { disk: "ssd" } };
    await using f = await started({ ...set, spec: { ...set.spec, template: { ...set.spec.template, spec } } }, []);
    for (const name of ["n1", "n2", "n3"]) await addNode(f, name, { labels: { disk: "ssd" } });
    await f.settle();
    await run(f);
    await f.client.patch(nodes, { name: "n1" }, { metadata: { labels: { disk: "hdd" } } }, { type: "merge" });
    await f.client.patch(nodes, { name: "n2" }, { spec: { taints: [{ key: "x", effect: "NoExecute" }] } }, { type: "merge" });
    await f.client.patch(nodes, { name: "n3" }, { spec: { taints: [{ key: "x", effect: "NoSchedule" }] } }, { type: "merge" });
    await f.settle();
    expect(await layout(f)).toEqual(["-n1:img:1", "-n2:img:1", "n3:img:1"]);
    await reap(f);
    expect((await f.client.get(daemonsets, at)).status).toMatchObject({ desiredNumberScheduled: 0, numberMisscheduled: 1 });
  });

  it("takes back pods that wait for a node which is no more", async () => {
    await using f = await started(daemonSet(), ["n1", "n2"]);
    await f.client.delete(nodes, { name: "n2" });
    await f.settle();
    expect(await layout(f)).toEqual(["n1:img:1"]);
  });

  it("rolls an update over one unavailable node at a time", async () => {
    await using f = await started(daemonSet(), ["n1", "n2"]);
    await run(f);
    await setImage(f, "img:2", "2");
    expect(await layout(f)).toEqual(["-n1:img:1", "n2:img:1"]);
    await reap(f);
    expect(await layout(f)).toEqual(["n1:img:2", "n2:img:1"]);
    await run(f);
    expect(await layout(f)).toEqual(["-n2:img:1", "n1:img:2"]);
    await reap(f);
    await run(f);
    expect(await layout(f)).toEqual(["n1:img:2", "n2:img:2"]);
    expect((await f.client.get(daemonsets, at)).status).toMatchObject({ updatedNumberScheduled: 2, numberAvailable: 2 });
    const revisions = (await f.client.list(controllerrevisions)).items;
    expect(revisions.map((r) => r.revision).sort()).toEqual([1, 2]);
  });

  it("with surge keeps the old pod until the new one is available", async () => {
    const updateStrategy = { type: "RollingUpdate" as const, rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
    await using f = await started(daemonSet({ updateStrategy, minReadySeconds: 10 }), ["n1", "n2"]);
    await run(f);
    await f.clock.advance(11_000);
    await setImage(f, "img:2", "2");
    expect(await layout(f)).toEqual(["n1:img:1", "n1:img:2", "n2:img:1"]);
    await run(f);
    expect(await layout(f)).toEqual(["n1:img:1", "n1:img:2", "n2:img:1"]);
    await f.clock.advance(11_000);
    await f.settle();
    expect(await layout(f)).toEqual(["-n1:img:1", "n1:img:2", "n2:img:1", "n2:img:2"]);
  });

  it("updates only where pods are deleted by hand when told so", async () => {
    await using f = await started(daemonSet({ updateStrategy: { type: "OnDelete" } }), ["n1", "n2"]);
    await run(f);
    await setImage(f, "img:2", "2");
    expect(await layout(f)).toEqual(["n1:img:1", "n2:img:1"]);
    const [first] = await listPods(f);
    await f.client.delete(pods, { namespace: "default", name: first?.metadata.name ?? "" }, { body: { gracePeriodSeconds: 0 } });
    await f.settle();
    expect([...(await layout(f))].filter((pod) => pod.endsWith("img:2"))).toHaveLength(1);
  });

  it("goes back to an old template under a new number, and forgets what is beyond the limit", async () => {
    await using f = await started(daemonSet({ revisionHistoryLimit: 1 }), []);
    await setImage(f, "img:2", "2");
    await setImage(f, "img:1", "3");
    const images = async (): Promise<Record<string, number>> => {
      const { items } = await f.client.list(controllerrevisions);
      const imageOf = (data: unknown) =>
        (data as { spec: { template: ReturnType<typeof template> } }).spec.template.spec.containers[0]?.image;
      return Object.fromEntries(items.map((r) => [imageOf(r.data) ?? "", r.revision]));
    };
    expect(await images()).toEqual({ "img:2": 2, "img:1": 3 });
    await setImage(f, "img:3", "4");
    expect(await images()).toEqual({ "img:1": 3, "img:3": 4 });
  });

  it("replaces a failed pod at once, and then ever more slowly", async () => {
    await using f = await started(daemonSet(), ["n1"]);
    const fail = async (): Promise<void> => {
      const [pod] = await listPods(f);
      const target = { namespace: "default", name: pod?.metadata.name ?? "" };
      await f.client.patch(pods, target, { status: { phase: "Failed" } }, { type: "merge", subresource: "status" });
      await f.settle();
    };
    const phases = async (): Promise<readonly unknown[]> => (await listPods(f)).map((pod) => pod.status?.phase);
    await fail();
    expect(await phases()).toEqual(["Pending"]);
    await fail();
    expect(await phases()).toEqual(["Failed"]);
    await f.clock.advance(1000);
    expect(await phases()).toEqual(["Pending"]);
    const told = (await f.eventsOf("agent")).filter((text) => text.startsWith("FailedDaemonPod"));
    expect(told).toHaveLength(2);
    expect(told[0]).toMatch(/^FailedDaemonPod: Found failed daemon pod default\/agent-\w+ on node n1, will try to kill it$/);
  });

  it("makes no second pod while the cache lags behind", async () => {
    const f = createControllerFixture();
    await using _ = f;
    await addNode(f, "n1");
    f.api.watchDelayMs = (path) => (path.endsWith("/pods") ? 500 : 0);
    f.start(daemonSetController);
    await f.client.create(daemonsets, daemonSet());
    await f.settle();
    await f.client.patch(daemonsets, at, { metadata: { labels: { again: "1" } } }, { type: "merge" });
    await f.clock.advance(2000);
    expect(await layout(f)).toEqual(["n1:img:1"]);
  });
});
