// Resizes on a whole kubelet: the specification changes, the node allocates, the runtime is told, the status says so.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pods } from "../../api/resources.generated.ts";
import type { ContainerStatus, Pod, PodCondition, ResourceRequirements } from "../../api/types/core-v1.ts";
import { RpcError } from "../../rpc/rpc-error.ts";
import { container, type FixtureOptions, type KubeletFixture, startKubelet } from "../../testing/kubelet-fixture.ts";

const cpu = (request: string, limit?: string): ResourceRequirements => ({
  requests: { cpu: request },
  ...(limit === undefined ? {} : { limits: { cpu: limit } }),
});
const memory = (amount: string): ResourceRequirements => ({ requests: { memory: amount }, limits: { memory: amount } });
const fourCpus: FixtureOptions = { options: { capacity: { cpus: 4, memoryBytes: 2 ** 33 } } };

async function resize(f: KubeletFixture, name: string, resources: ResourceRequirements): Promise<void> {
  const pod = (await f.pod(name)) as Pod;
  const containers = pod.spec.containers.map((c) => ({ ...c, resources }));
  await f.client.update(pods, { ...pod, spec: { ...pod.spec, containers } });
}

async function statusOf(f: KubeletFixture, name: string): Promise<ContainerStatus | undefined> {
  return (await f.pod(name))?.status?.containerStatuses?.[0];
}

async function condition(f: KubeletFixture, name: string, type: string): Promise<PodCondition | undefined> {
  return (await f.pod(name))?.status?.conditions?.find((c) => c.type === type);
}

async function untilCpu(f: KubeletFixture, name: string, request: string): Promise<void> {
  await f.until(async () => (await statusOf(f, name))?.resources?.requests?.cpu === request);
}

/** What the runtime has of the pod's containers: CPU shares and memory limits. */
async function shares(f: KubeletFixture): Promise<readonly number[]> {
  const { containers } = await f.cri.listContainers({ filter: { state: { state: "CONTAINER_RUNNING" } } });
  const all = await Promise.all(containers.map(({ id }) => f.cri.containerStatus({ containerId: id })));
  return all.map(({ status }) => status?.resources?.linux?.cpuShares ?? 0).sort((a, b) => a - b);
}

describe("kubelet: resizing a pod", () => {
  it("sets running containers in place, with conditions and events, and no restart", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("100m", "200m") })] });
    await f.untilPhase("web", "Running");
    expect((await f.pod("web"))?.status?.allocatedResources).toEqual({ cpu: "100m" });
    await resize(f, "web", cpu("500m", "1"));
    await untilCpu(f, "web", "500m");
    await f.until(async () => (await condition(f, "web", "PodResizeInProgress")) === undefined);
    expect(await statusOf(f, "web")).toMatchObject({
      restartCount: 0,
      allocatedResources: { cpu: "500m" },
      resources: { requests: { cpu: "500m" }, limits: { cpu: "1" } },
    });
    expect((await f.pod("web"))?.status).toMatchObject({
      observedGeneration: 2,
      allocatedResources: { cpu: "500m" },
      resources: { requests: { cpu: "500m" }, limits: { cpu: "1" } },
    });
    expect(await shares(f)).toEqual([512]);
    const messages = f.events.filter((e) => e.reason.startsWith("Resize")).map((e) => `${e.type} ${e.reason} ${e.message}`);
    const summary = '{"containers":[{"name":"main","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"500m"}}}],"generation":2}';
    expect(messages).toEqual([
      `Normal ResizeStarted Pod resize started: ${summary}`,
      `Normal ResizeCompleted Pod resize completed: ${summary}`,
    ]);
  });

  it("restarts containers whose policy asks for it", async () => {
    await using f = await startKubelet(fourCpus);
    const resizePolicy = [{ resourceName: "cpu", restartPolicy: "RestartContainer" }];
    await f.createPod("web", { containers: [container({ resources: cpu("100m"), resizePolicy })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", cpu("500m"));
    await f.until(async () => (await statusOf(f, "web"))?.restartCount === 1 && (await statusOf(f, "web"))?.ready === true);
    await untilCpu(f, "web", "500m");
    expect(f.events.find((e) => e.reason === "Killing")?.message).toBe("Container main resize requires restart");
    expect(await shares(f)).toEqual([512]);
  });

  it("defers what does not fit, and does it when another pod goes", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    const other = await f.createPod("other", { containers: [container({ resources: cpu("2") })], terminationGracePeriodSeconds: 1 });
    await f.untilPhase("web", "Running");
    await f.untilPhase("other", "Running");
    await resize(f, "web", cpu("3"));
    await f.until(async () => (await condition(f, "web", "PodResizePending")) !== undefined);
    expect(await condition(f, "web", "PodResizePending")).toMatchObject({
      status: "True",
      reason: "Deferred",
      message: "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000",
      observedGeneration: 2,
    });
    expect((await statusOf(f, "web"))?.allocatedResources).toEqual({ cpu: "1" });
    expect(f.events.filter((e) => e.reason === "ResizeDeferred")).toHaveLength(1);
    await f.client.delete(pods, other.metadata);
    await untilCpu(f, "web", "3");
    await f.until(async () => (await condition(f, "web", "PodResizePending")) === undefined);
    expect(await shares(f)).toEqual([3072]);
  });

  it("forgets a resize that is taken back before it was done", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", cpu("5"));
    await f.until(async () => (await condition(f, "web", "PodResizePending")) !== undefined);
    await resize(f, "web", cpu("1"));
    await f.until(async () => (await condition(f, "web", "PodResizePending")) === undefined);
    expect(f.events.some((e) => e.reason === "ResizeStarted")).toBe(false);
  });

  it("a node that can never do it says Infeasible", async () => {
    const message = 'Resize is infeasible for Guaranteed Pods alongside CPU Manager policy "static"';
    await using f = await startKubelet({
      ...fourCpus,
      deps: { infeasibleResize: () => ({ message, detail: "guaranteed_pod_cpu_manager_static_policy" }) },
    });
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", cpu("2"));
    await f.until(async () => (await condition(f, "web", "PodResizePending"))?.reason === "Infeasible");
    expect((await condition(f, "web", "PodResizePending"))?.message).toBe(message);
    expect(f.events.find((e) => e.reason === "ResizeInfeasible")?.message).toMatch(
      /^Pod resize Infeasible: \{.*"error":"Resize is infeasible/,
    );
  });

  it("does not take memory that is in use, says so, and does it once it is free", async () => {
    const used = 60 * 2 ** 20;
    const behaviour = { usage: { cpuMillicores: 1, memoryBytes: used } };
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": behaviour } } });
    await f.createPod("web", { containers: [container({ image: "app:1", resources: memory("100Mi") })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", memory("50Mi"));
    await f.until(async () => (await condition(f, "web", "PodResizeInProgress"))?.reason === "Error");
    expect((await condition(f, "web", "PodResizeInProgress"))?.message).toBe(
      `cannot decrease memory limits: [attempting to set pod memory limit (${50 * 2 ** 20}) below current usage (${used}), ` +
        `attempting to set container "main" memory limit (${50 * 2 ** 20}) below current usage (${used})]`,
    );
    expect((await statusOf(f, "web"))?.resources?.limits?.memory).toBe("100Mi");
    const [running] = (await f.cri.listContainers({})).containers;
    f.cri.setUsage(running?.id ?? "", { memoryBytes: 10 * 2 ** 20 });
    await f.until(async () => (await statusOf(f, "web"))?.resources?.limits?.memory === "50Mi");
    await f.until(async () => (await condition(f, "web", "PodResizeInProgress")) === undefined);
    expect(f.reasons("web").filter((r) => r.startsWith("Resize"))).toEqual(["ResizeStarted", "ResizeError", "ResizeCompleted"]);
  });

  it("tries again what the runtime refuses", async () => {
    let refuse = true;
    const beforeCall = (method: string): void => {
      if (refuse && method === "updateContainerResources") throw new RpcError("UNKNOWN", "no");
    };
    await using f = await startKubelet({ ...fourCpus, runtime: { beforeCall } });
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", cpu("2"));
    await f.until(async () => (await condition(f, "web", "PodResizeInProgress"))?.reason === "Error");
    expect((await condition(f, "web", "PodResizeInProgress"))?.message).toBe("rpc error: code = Unknown desc = no");
    refuse = false;
    await untilCpu(f, "web", "2");
  });

  it("a change while no kubelet runs waits for room on the next one; what was allocated is kept", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.createPod("other", { containers: [container({ resources: cpu("2") })] });
    await f.untilPhase("web", "Running");
    await f.untilPhase("other", "Running");
    await f.kubelet.stop();
    await resize(f, "web", cpu("3"));
    await f.restart();
    await f.until(async () => (await condition(f, "web", "PodResizePending"))?.reason === "Deferred");
    expect((await statusOf(f, "web"))?.allocatedResources).toEqual({ cpu: "1" });
    expect(await shares(f)).toEqual([1024, 2048]);
    await resize(f, "web", cpu("2"));
    await untilCpu(f, "web", "2");
    expect((await statusOf(f, "web"))?.restartCount).toBe(0);
  });

  it("without a checkpoint a pod keeps what its status says, and is then resized", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1", "2") })] });
    await f.until(async () => (await statusOf(f, "web"))?.ready === true);
    await f.kubelet.stop();
    for (const name of ["allocated_pods_state", "actuated_pods_state"]) await rm(join(f.directory, "root", name));
    await resize(f, "web", cpu("2", "2"));
    await f.restart();
    await untilCpu(f, "web", "2");
    expect(await shares(f)).toEqual([2048]);
    expect((await statusOf(f, "web"))?.restartCount).toBe(0);
  });

  it("starts without a checkpoint that is damaged", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.untilPhase("web", "Running");
    await f.kubelet.stop();
    const file = join(f.directory, "root", "allocated_pods_state");
    expect(JSON.parse((JSON.parse(await readFile(file, "utf8")) as { data: string }).data).entries).toBeDefined();
    await writeFile(file, "{");
    await f.restart();
    await resize(f, "web", cpu("2"));
    await untilCpu(f, "web", "2");
  });

  it("new pods are admitted beside what others were allocated, not beside what they ask for", async () => {
    await using f = await startKubelet(fourCpus);
    await f.createPod("web", { containers: [container({ resources: cpu("1") })] });
    await f.createPod("big", { containers: [container({ resources: cpu("2") })] });
    await f.untilPhase("web", "Running");
    await resize(f, "web", cpu("4"));
    await f.until(async () => (await condition(f, "web", "PodResizePending"))?.reason === "Deferred");
    await f.createPod("small", { containers: [container({ resources: cpu("1") })] });
    await f.untilPhase("small", "Running");
  });

  it("counts what was asked for, what waits and what became of it", async () => {
    await using f = await startKubelet(fourCpus);
    const metrics = async (): Promise<string> => (await f.kubelet.access.stats(new URL("https://n1/metrics"), "GET"))?.body ?? "";
    await f.createPod("web", { containers: [container({ resources: cpu("100m", "200m") })] });
    await f.createPod("other", { containers: [container({ resources: cpu("3") })] });
    await f.untilPhase("web", "Running");
    await f.untilPhase("other", "Running");
    await resize(f, "web", cpu("500m"));
    await untilCpu(f, "web", "500m");
    await resize(f, "web", cpu("2"));
    await f.until(async () => (await condition(f, "web", "PodResizePending"))?.reason === "Deferred");
    expect(await metrics()).toContain('kubelet_pod_pending_resizes{reason="deferred"} 1');
    await f.client.delete(pods, { name: "other", namespace: "default" });
    await untilCpu(f, "web", "2");
    const text = await metrics();
    for (const line of [
      'kubelet_container_requested_resizes_total{resource="cpu",requirement="requests",operation="increase"} 2',
      'kubelet_container_requested_resizes_total{resource="cpu",requirement="limits",operation="remove"} 1',
      'kubelet_pod_resize_duration_milliseconds_count{success="true"} 2',
      'kubelet_pod_deferred_accepted_resizes_total{retry_trigger="pod_terminated"} 1',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain("kubelet_pod_pending_resizes{");
  });
});
