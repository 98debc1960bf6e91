// Pods that are resized while they run, with kubectl, on a real node: what the cgroups hold, what the status says, and that
// nothing is restarted that need not be. Covers upstream's conformance tests "Pod InPlace Resize Container".
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pod, ResourceRequirements } from "../../src/api/types/core-v1.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, type Manifest, shell, statusOf, TestBed, type TestNamespace } from "../support/namespace.ts";

const reason = await whyNoContainers();
if (reason) console.log(`resizing is not tried with real containers: ${reason}`);

/** "100m 200m 32Mi 64Mi": CPU and memory, requests and limits; "-" for none. */
function resources(text: string): ResourceRequirements {
  const [cpu = "-", cpuLimit = "-", memory = "-", memoryLimit = "-"] = text.split(" ");
  const list = (entries: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== "-"));
  return { requests: list({ cpu, memory }), limits: list({ cpu: cpuLimit, memory: memoryLimit }) };
}

const container = (name: string, text: string, fields: Manifest = {}): Manifest =>
  shell(idle, { name, resources: resources(text), ...fields });

/** `kubectl patch --subresource resize`. */
async function resize(ns: TestNamespace, pod: string, wanted: Readonly<Record<string, string>>): Promise<void> {
  const containers = Object.entries(wanted).map(([name, text]) => ({ name, resources: resources(text) }));
  await ns.kubectl("patch", "pod", pod, "--subresource", "resize", "-p", JSON.stringify({ spec: { containers } }));
}

const resizing = (pod: Pod): boolean => pod.status?.conditions?.some((c) => c.type.startsWith("PodResize")) === true;

/** The pod, once nothing of its resize is left to do and its containers have what they ask for. */
function untilResized(ns: TestNamespace, name: string): Promise<Pod> {
  const done = (pod: Pod): boolean =>
    !resizing(pod) &&
    pod.status?.observedGeneration === pod.metadata.generation &&
    pod.spec.containers.every((c) => {
      const status = statusOf(pod, c.name);
      return status?.ready === true && JSON.stringify(status.allocatedResources ?? {}) === JSON.stringify(c.resources?.requests ?? {});
    });
  return ns.untilPod(name, "is resized", done);
}

/** What the kernel has for a container: "quota shares memory", in either version of cgroups. */
async function cgroup(ns: TestNamespace, pod: string, name: string): Promise<string> {
  const script =
    "cd /sys/fs/cgroup; if [ -f cpu.max ]; then echo $(cut -d' ' -f1 cpu.max) $(cat cpu.weight memory.max); " +
    "else echo $(cat cpu/cpu.cfs_quota_us cpu/cpu.shares memory/memory.limit_in_bytes); fi";
  return (await ns.exec(pod, script, name)).trim();
}

const mib = 2 ** 20;

describe.runIf(reason === undefined)("resizing pods on real containers", { timeout: 120_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  beforeAll(async () => {
    bed = await TestBed.start("resize");
    ns = await bed.namespace("resize");
  }, 180_000);
  afterAll(() => bed?.remove(), 180_000);

  /** Quota, shares and memory of a container, where the machine has version 1. */
  const expectCgroup = async (pod: string, name: string, milliCpu: number, memoryMib: number): Promise<void> => {
    const [quota, , memory] = (await cgroup(ns, pod, name)).split(" ");
    expect([name, quota, memory]).toEqual([name, String(milliCpu * 100), String(memoryMib * mib)]);
  };

  it("guaranteed pods of three containers: some grow while others shrink, in place", async () => {
    await ns.pod("three", [
      container("c1", "100m 100m 32Mi 32Mi"),
      container("c2", "100m 100m 32Mi 32Mi"),
      container("c3", "150m 150m 64Mi 64Mi"),
    ]);
    await ns.untilReady("three");
    const before = await ns.getPod("three");

    await resize(ns, "three", { c1: "150m 150m 48Mi 48Mi", c2: "200m 200m 64Mi 64Mi", c3: "100m 100m 32Mi 32Mi" });
    await untilResized(ns, "three");
    await expectCgroup("three", "c1", 150, 48);
    await expectCgroup("three", "c2", 200, 64);
    await expectCgroup("three", "c3", 100, 32);

    await resize(ns, "three", { c1: "200m 200m 64Mi 64Mi", c2: "100m 100m 32Mi 32Mi", c3: "50m 50m 24Mi 24Mi" });
    await untilResized(ns, "three");
    await expectCgroup("three", "c1", 200, 64);
    await expectCgroup("three", "c3", 50, 24);

    await resize(ns, "three", { c1: "250m 250m 64Mi 64Mi", c2: "50m 50m 48Mi 48Mi", c3: "100m 100m 48Mi 48Mi" });
    const after = await untilResized(ns, "three");
    await expectCgroup("three", "c2", 50, 48);
    await expectCgroup("three", "c3", 100, 48);
    expect(after.status?.resources).toEqual({
      requests: { cpu: "400m", memory: "160Mi" },
      limits: { cpu: "400m", memory: "160Mi" },
    });
    expect(after.status?.containerStatuses?.map((s) => [s.containerID, s.restartCount])).toEqual(
      before.status?.containerStatuses?.map((s) => [s.containerID, 0]),
    );
    expect(after.status?.qosClass).toBe("Guaranteed");
  });

  it("burstable pods: requests and limits that are added, and amounts that are written differently", async () => {
    await ns.pod("burstable", [
      container("c1", "100m - 32Mi -"),
      container("c2", "50m 200m - -"),
      container("c3", "- - 32Mi 64Mi"),
      container("c4", "- - - -"),
    ]);
    await ns.untilReady("burstable");
    await resize(ns, "burstable", {
      c1: "100m 200m 32Mi 64Mi",
      c2: "100m 300m 32Mi -",
      c3: "50m - 48Mi 96Mi",
      c4: "20m 40m 16Mi 32Mi",
    });
    const pod = await untilResized(ns, "burstable");
    await expectCgroup("burstable", "c1", 200, 64);
    await expectCgroup("burstable", "c4", 40, 32);
    expect((await cgroup(ns, "burstable", "c3")).split(" ").at(-1)).toBe(String(96 * mib));
    expect(statusOf(pod, "c4")).toMatchObject({ restartCount: 0, allocatedResources: { cpu: "20m", memory: "16Mi" } });

    await resize(ns, "burstable", { c1: "0.1 0.2 33554432 67108864" });
    const same = await untilResized(ns, "burstable");
    expect(same.status?.observedGeneration).toBe(same.metadata.generation);
    expect(statusOf(same, "c1")?.containerID).toBe(statusOf(pod, "c1")?.containerID);
  });

  it("containers whose policy asks for it are restarted, the others are not", async () => {
    const restart = { resizePolicy: [{ resourceName: "memory", restartPolicy: "RestartContainer" }] };
    await ns.pod("restarted", [container("main", "50m 100m 32Mi 32Mi", restart), container("other", "50m 100m 32Mi 32Mi")]);
    await ns.untilReady("restarted");
    await resize(ns, "restarted", { main: "60m 120m 32Mi 32Mi" });
    expect(statusOf(await untilResized(ns, "restarted"))?.restartCount).toBe(0);
    await resize(ns, "restarted", { main: "60m 120m 64Mi 64Mi", other: "50m 100m 64Mi 64Mi" });
    const pod = await untilResized(ns, "restarted");
    expect([statusOf(pod)?.restartCount, statusOf(pod, "other")?.restartCount]).toEqual([1, 0]);
    await expectCgroup("restarted", "main", 120, 64);
    await ns.untilEvent("restarted", /Normal Killing: Container main resize requires restart/);
  });

  it("by the replace endpoint, with events that say what was done", async () => {
    await ns.pod("replaced", container("main", "50m 100m 32Mi 32Mi"));
    const { apiVersion, kind, metadata, spec } = await ns.untilReady("replaced");
    const containers = spec.containers.map((c) => ({ ...c, resources: resources("80m 160m 48Mi 48Mi") }));
    const input = JSON.stringify({ apiVersion, kind, metadata, spec: { ...spec, containers } });
    const result = await ns.tryKubectl(["replace", "--subresource", "resize", "-f", "-"], { input });
    expect(result).toMatchObject({ code: 0 });
    await untilResized(ns, "replaced");
    const summary = '\\{"containers":\\[\\{"name":"main","resources":\\{"limits":\\{"cpu":"160m","memory":"48Mi"\\}';
    await ns.untilEvent("replaced", new RegExp(`Normal ResizeStarted: Pod resize started: ${summary}`));
    await ns.untilEvent("replaced", new RegExp(`Normal ResizeCompleted: Pod resize completed: ${summary}`));
  });

  it("memory that is in use is not taken away, until it is free", async () => {
    await ns.pod(
      "full",
      shell(idle, { resources: resources("50m 100m 128Mi 128Mi"), volumeMounts: [{ name: "ram", mountPath: "/ram" }] }),
      {
        volumes: [{ name: "ram", emptyDir: { medium: "Memory" } }],
      },
    );
    await ns.untilReady("full");
    await ns.exec("full", "head -c 60m /dev/zero > /ram/file");
    await resize(ns, "full", { main: "50m 100m 32Mi 32Mi" });
    const pod = await ns.untilPod("full", "cannot be resized", (p) =>
      p.status?.conditions?.some((c) => c.type === "PodResizeInProgress" && c.reason === "Error"),
    );
    expect(pod.status?.conditions?.find((c) => c.type === "PodResizeInProgress")?.message).toMatch(
      /^cannot decrease memory limits: .*attempting to set container "main" memory limit \(33554432\) below current usage \(\d+\)/,
    );
    await ns.untilEvent("full", /Warning ResizeError: Pod resize error: .*"error":"cannot decrease memory limits/);
    await expectCgroup("full", "main", 100, 128);
    await ns.exec("full", "rm /ram/file");
    await untilResized(ns, "full");
    await expectCgroup("full", "main", 100, 32);
  });

  it("what does not fit beside the other pods is deferred, and done when there is room", async () => {
    const [node] = (await bed.cluster.get<{ items: { status: { allocatable: { memory: string } } }[] }>("nodes")).items;
    const free = Math.floor(Number.parseInt(node?.status.allocatable.memory ?? "", 10) / 1024);
    await ns.kubectl("delete", "pods", "--all");
    await ns.pod("hog", container("main", `- - ${Math.floor(free / 2)}Mi -`));
    await ns.pod("patient", container("main", "- - 32Mi -"));
    await Promise.all([ns.untilReady("hog"), ns.untilReady("patient")]);
    await resize(ns, "patient", { main: `- - ${Math.floor(free * 0.7)}Mi -` });
    const pod = await ns.untilPod("patient", "is deferred", (p) => p.status?.conditions?.some((c) => c.type === "PodResizePending"));
    expect(pod.status?.conditions?.find((c) => c.type === "PodResizePending")).toMatchObject({
      reason: "Deferred",
      message: expect.stringMatching(/^Node didn't have enough resource: memory, requested: \d+, used: \d+, capacity: \d+$/),
    });
    expect(statusOf(pod)?.allocatedResources).toEqual({ memory: "32Mi" });
    await ns.untilEvent("patient", /Warning ResizeDeferred: Pod resize Deferred: /);
    await ns.kubectl("delete", "pod", "hog");
    await untilResized(ns, "patient");
    const beyond = await ns.tryKubectl([
      ...["patch", "pod", "patient", "--subresource", "resize", "-p"],
      JSON.stringify({ spec: { containers: [{ name: "main", resources: { requests: { memory: `${free * 2}Mi` } } }] } }),
    ]);
    expect(beyond.stderr).toMatch(/node didn't have enough allocatable resources: memory, requested: \d+, allocatable: \d+/);
  });

  it("the resources of a whole pod", async () => {
    await ns.pod("whole", [shell(idle, { name: "a" }), shell(idle, { name: "b" })], { resources: resources("100m 200m 64Mi 64Mi") });
    await ns.untilReady("whole");
    await ns.kubectl(
      "patch",
      "pod",
      "whole",
      "--subresource",
      "resize",
      "-p",
      JSON.stringify({ spec: { resources: resources("150m 300m 96Mi 96Mi") } }),
    );
    const pod = await ns.untilPod("whole", "is resized", (p) => p.status?.resources?.limits?.memory === "96Mi" && !resizing(p));
    expect(pod.status?.allocatedResources).toEqual({ cpu: "150m", memory: "96Mi" });
    await expectCgroup("whole", "a", 300, 96);
  });
});
