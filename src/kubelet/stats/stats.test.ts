// The statistics of a whole kubelet on a simulated runtime: what it measures, and what its server's paths answer with.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pods } from "../../api/resources.generated.ts";
import { container, type KubeletFixture, nodeName, startKubelet } from "../../testing/kubelet-fixture.ts";
import type { KubeletStats } from "./stats-provider.ts";

let fixture: KubeletFixture;
let calls: string[] = [];
let isBroken = false;
const stats = (): KubeletStats => {
  const found = fixture.kubelet.stats;
  if (!found) throw new Error("the kubelet has no statistics");
  return found;
};
const text = async (path: string): Promise<string> => {
  const answer = await fixture.kubelet.access.stats(new URL(path, "https://kubelet"), "GET");
  return answer?.body ?? "";
};
const numberAt = async (path: string, series: string): Promise<number> => {
  const line = (await text(path)).split("\n").find((l) => l.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.split(" ").at(1));
};
const running = async (name: string): Promise<string> => {
  const { containers } = await fixture.cri.listContainers({ filter: { state: { state: "CONTAINER_RUNNING" } } });
  return containers.find((c) => c.labels["io.kubernetes.pod.name"] === name)?.id ?? "";
};

beforeEach(async () => {
  calls = [];
  isBroken = false;
  fixture = await startKubelet({
    runtime: {
      beforeCall: (method) => {
        calls.push(method);
        if (isBroken && method === "listContainerStats") throw new Error("no");
      },
    },
    options: { capacity: { memoryBytes: 2 ** 30 } },
  });
});
afterEach(() => fixture[Symbol.asyncDispose]());

describe("the summary", () => {
  test("tells of running containers, their pod and the node, with rates from two measurements", async () => {
    await fixture.createPod("busy", { containers: [container({ name: "a" }), container({ name: "b" })] });
    await fixture.createPod("over", { restartPolicy: "Never" });
    await fixture.untilPhase("busy", "Running");
    await fixture.untilPhase("over", "Running");
    fixture.cri.exitContainer(await running("over"), 0);
    await fixture.untilPhase("over", "Succeeded");
    fixture.cri.setUsage(await running("busy"), { cpuMillicores: 300, memoryBytes: 5_000_000, diskBytes: 4096, diskInodes: 2 });
    await stats().summary({ maxAgeMs: 0 });
    await fixture.clock.advance(10_000);
    const { node, pods } = await stats().summary({ maxAgeMs: 0 });
    expect(pods.map((p) => p.podRef.name)).toEqual(["busy"]);
    const [busy] = pods;
    expect(busy?.containers.map((c) => c.cpu?.usageNanoCores)).toEqual(
      [300e6, 1e6].sort((a, b) => (busy?.containers[0]?.cpu?.usageNanoCores === a ? -1 : b - a)),
    );
    expect(busy?.cpu?.usageNanoCores).toBe(301e6);
    expect(busy?.memory?.workingSetBytes).toBe(5_000_000 + 10 * 2 ** 20);
    expect(node).toMatchObject({ nodeName, cpu: { usageNanoCores: 301e6 }, memory: { workingSetBytes: 5_000_000 + 10 * 2 ** 20 } });
    expect(node.memory?.availableBytes).toBe(2 ** 30 - 5_000_000 - 10 * 2 ** 20);
    expect(node.fs?.capacityBytes).toBeGreaterThan(0);
    expect(node.runtime?.imageFs?.usedBytes).toBe(1_000_000);
    expect(node.rlimit?.maxpid).toBeGreaterThan(0);
    const rootfs = busy?.containers.find((c) => c.cpu?.usageNanoCores === 300e6)?.rootfs;
    expect(rootfs).toMatchObject({ usedBytes: 4096, inodesUsed: 2, capacityBytes: node.fs?.capacityBytes });
  });

  test("counts logs and the volumes on disk as ephemeral storage, volumes as last measured", async () => {
    const claim = { name: "data", emptyDir: {} };
    await fixture.createPod("disky", { volumes: [claim], containers: [container({ volumeMounts: [{ name: "data", mountPath: "/d" }] })] });
    const pod = await fixture.untilPhase("disky", "Running");
    const directory = join(fixture.directory, "root/pods", pod.metadata.uid, "volumes/kubernetes.io~empty-dir/data");
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "file"), Buffer.alloc(50_000, 1));
    expect((await stats().summary({ maxAgeMs: 0 })).pods[0]?.volume).toBeUndefined();
    await stats().measureVolumes();
    const { pods } = await stats().summary({ maxAgeMs: 0 });
    const volume = pods[0]?.volume?.find((v) => v.name === "data");
    expect(volume?.usedBytes).toBeGreaterThanOrEqual(50_000);
    expect(volume?.inodesUsed).toBe(2);
    const storage = pods[0]?.["ephemeral-storage"];
    expect(storage?.usedBytes).toBeGreaterThanOrEqual(volume?.usedBytes ?? Infinity);
    expect(pods[0]?.containers[0]?.logs?.inodesUsed).toBe(1);
  });

  test("measures volumes by itself once a minute", async () => {
    await fixture.createPod("v", {
      volumes: [{ name: "data", emptyDir: {} }],
      containers: [container({ volumeMounts: [{ name: "data", mountPath: "/data" }] })],
    });
    const pod = await fixture.untilPhase("v", "Running");
    await fixture.until(async () => stats().volumesOf(pod.metadata.uid)?.length === 1, 90_000);
  });

  test("of some pods tells of these alone, and of the node as it is with all of them", async () => {
    for (const name of ["one", "two"]) await fixture.createPod(name);
    for (const name of ["one", "two"]) await fixture.untilPhase(name, "Running");
    const { uid } = (await fixture.pod("one"))?.metadata ?? {};
    const all = await stats().summary({ maxAgeMs: 0 });
    const some = await stats().summary({ maxAgeMs: 0, pods: new Set([uid ?? ""]) });
    expect(some.pods.map(({ podRef }) => podRef.name)).toEqual(["one"]);
    expect(some.pods[0]?.containers[0]).toMatchObject({ name: "main", memory: { workingSetBytes: 10 * 2 ** 20 } });
    expect(some.node.memory).toMatchObject({ workingSetBytes: all.node.memory?.workingSetBytes });
    expect((await stats().summary({ pods: new Set() })).pods).toEqual([]);
  });

  test("is measured once for all who ask at the same time, and kept as long as they accept", async () => {
    await fixture.createPod("one");
    await fixture.untilPhase("one", "Running");
    const count = (): number => calls.filter((c) => c === "listContainerStats").length;
    const before = count();
    await Promise.all(Array.from({ length: 20 }, () => stats().summary({ maxAgeMs: 0 })));
    expect(count()).toBe(before + 1);
    await fixture.clock.advance(9_000);
    await stats().summary();
    expect(count()).toBe(before + 1);
    await fixture.clock.advance(2_000);
    await stats().summary();
    expect(count()).toBe(before + 2);
  });

  test("a caller that leaves does not end the measurement of the others", async () => {
    const abort = new AbortController();
    const left = stats().summary({ maxAgeMs: 0, signal: abort.signal });
    const stayed = stats().summary({ maxAgeMs: 0 });
    abort.abort(new Error("left"));
    await expect(left).rejects.toThrow("left");
    expect((await stayed).node.nodeName).toBe(nodeName);
  });
});

describe("the kubelet's server", () => {
  test("/stats/summary answers with everything, or CPU and memory alone", async () => {
    await fixture.createPod("one");
    await fixture.untilPhase("one", "Running");
    const all = JSON.parse(await text("/stats/summary"));
    expect(all.pods[0].podRef).toMatchObject({ name: "one", namespace: "default" });
    expect(all.node.fs).toBeDefined();
    const some = JSON.parse(await text("/stats/summary?only_cpu_and_memory=true"));
    expect(some.pods[0].containers[0].memory.workingSetBytes).toBe(10 * 2 ** 20);
    expect(some.node.fs).toBeUndefined();
  });

  test("/metrics/resource has readings with their times", async () => {
    await fixture.createPod("one");
    await fixture.untilPhase("one", "Running");
    fixture.cri.setUsage(await running("one"), { cpuMillicores: 250 });
    const at = `{container="main",pod="one",namespace="default"}`;
    const first = await numberAt("/metrics/resource", `container_cpu_usage_seconds_total${at}`);
    await fixture.clock.advance(20_000);
    const second = await numberAt("/metrics/resource", `container_cpu_usage_seconds_total${at}`);
    expect(second - first).toBeCloseTo(5, 2);
    const body = await text("/metrics/resource");
    expect(body).toContain(`container_memory_working_set_bytes${at} ${10 * 2 ** 20} ${fixture.clock.now()}\n`);
    expect(body).toMatch(/^pod_memory_working_set_bytes\{pod="one",namespace="default"\} \d+ \d+$/m);
    expect(body).toMatch(/^node_cpu_usage_seconds_total [\d.]+ \d+$/m);
    expect(body).toMatch(/^container_start_time_seconds\{container="main",pod="one",namespace="default"\} [\d.]+$/m);
    expect(body).toContain("\nresource_scrape_error 0\n");
  });

  test("tells by a metric that the runtime could not be asked", async () => {
    await fixture.createPod("one");
    await fixture.untilPhase("one", "Running");
    await fixture.clock.advance(15_000);
    isBroken = true;
    expect(await text("/metrics/resource")).toContain("\nresource_scrape_error 1\n");
    expect(await text("/metrics/cadvisor")).toContain("\ncontainer_scrape_error 1\n");
    await expect(text("/stats/summary")).rejects.toThrow();
    expect(await numberAt("/metrics", 'kubelet_runtime_operations_errors_total{operation_type="list_container_stats"}')).toBeGreaterThan(0);
  });

  test("/metrics/cadvisor has the families of containers, pods and the machine", async () => {
    await fixture.createPod("one");
    const pod = await fixture.untilPhase("one", "Running");
    const id = await running("one");
    const body = await text("/metrics/cadvisor");
    const path = `/kubepods/pod${pod.metadata.uid}`;
    const labels = `container="main",id="${path}/${id}",image="busybox:1",name="${id}",namespace="default",pod="one"`;
    expect(body).toContain(`container_memory_working_set_bytes{${labels}} ${10 * 2 ** 20} `);
    expect(body).toContain(`container_cpu_usage_seconds_total{${labels},cpu="total"} `);
    expect(body).toContain(
      `container_cpu_usage_seconds_total{container="",id="${path}",image="",name="",namespace="default",pod="one",cpu="total"} `,
    );
    expect(body).toMatch(/^machine_memory_bytes\{.*\} \d+$/m);
    expect(body).toContain("\ncontainer_scrape_error 0\n");
  });

  test("/metrics counts pods, containers, calls of the runtime and starts", async () => {
    await fixture.createPod("one", { initContainers: [container({ name: "first" })] });
    await fixture.until(async () => (await running("one")) !== "");
    fixture.cri.exitContainer(await running("one"), 0);
    await fixture.untilPhase("one", "Running");
    await fixture.until(async () => (await numberAt("/metrics", "kubelet_pod_start_duration_seconds_count")) === 1);
    const value = (series: string): Promise<number> => numberAt("/metrics", series);
    expect(await value(`kubelet_node_name{node="${nodeName}"}`)).toBe(1);
    expect(await value("kubelet_running_pods")).toBe(1);
    expect(await value('kubelet_running_containers{container_state="running"}')).toBe(1);
    expect(await value("kubelet_started_pods_total")).toBe(1);
    expect(await value('kubelet_started_containers_total{container_type="init_container"}')).toBe(1);
    expect(await value('kubelet_started_containers_total{container_type="container"}')).toBe(1);
    expect(await value('kubelet_runtime_operations_total{operation_type="run_podsandbox"}')).toBe(1);
    expect(await value('kubelet_runtime_operations_duration_seconds_count{operation_type="run_podsandbox"}')).toBe(1);
    expect(await value("kubelet_pleg_relist_duration_seconds_count")).toBeGreaterThan(0);
    expect(await value('kubelet_pod_worker_duration_seconds_count{operation_type="create"}')).toBe(1);
    expect(await value("process_resident_memory_bytes")).toBeGreaterThan(0);
    expect(await value("kubelet_containers_per_pod_count_sum")).toBe(1);
    expect(await value('rest_client_requests_total{code="200",host="",method="PATCH"}')).toBeGreaterThan(0);
  });

  test("/metrics tells what was done with volumes, of images and logs", async () => {
    await fixture.createPod("v", {
      volumes: [{ name: "data", emptyDir: {} }],
      containers: [container({ imagePullPolicy: "IfNotPresent", volumeMounts: [{ name: "data", mountPath: "/data" }] })],
    });
    const pod = await fixture.untilPhase("v", "Running");
    await stats().measureVolumes();
    const value = (series: string): Promise<number> => numberAt("/metrics", series);
    const plugin = "kubernetes.io/empty-dir";
    const operation = (name: string): string =>
      `storage_operation_duration_seconds_count{migrated="false",operation_name="${name}",status="success",volume_plugin="${plugin}"}`;
    expect(await value(operation("volume_mount"))).toBeGreaterThan(0);
    for (const state of ["desired", "actual"])
      expect(await value(`volume_manager_total_volumes{plugin_name="${plugin}",state="${state}_state_of_world"}`)).toBe(1);
    expect(await value('kubelet_volume_metric_collection_duration_seconds_count{metric_source="du"}')).toBeGreaterThan(0);
    const asked = '{present_locally="true",pull_policy="ifnotpresent",pull_required="false"}';
    expect(await value(`kubelet_image_manager_ensure_image_requests_total${asked}`)).toBe(1);
    const labels = `{container="main",namespace="default",pod="v",uid="${pod.metadata.uid}"}`;
    expect(await value(`kubelet_container_log_filesystem_used_bytes${labels}`)).toBeGreaterThanOrEqual(0);
    await fixture.client.delete(pods, { namespace: "default", name: "v" });
    await fixture.until(async () => (await value(operation("volume_unmount"))) === 1);
  });

  test("/metrics/probes counts probes by result until their pod is gone", async () => {
    const probe = { exec: { command: ["true"] }, periodSeconds: 1 };
    await fixture.createPod("probed", { containers: [container({ livenessProbe: probe })] });
    const pod = await fixture.untilPhase("probed", "Running");
    const { uid } = pod.metadata;
    const series = `prober_probe_total{probe_type="Liveness",result="successful",container="main",pod="probed",namespace="default",pod_uid="${uid}"}`;
    await fixture.until(async () => (await numberAt("/metrics/probes", series)) >= 2);
    expect(await text("/metrics/probes")).toContain('prober_probe_duration_seconds_count{probe_type="Liveness",container="main"');
    await fixture.client.delete(pods, { namespace: "default", name: "probed" });
    await fixture.until(async () => !(await text("/metrics/probes")).includes('pod="probed"'));
  });

  test("leaves other paths and methods alone", async () => {
    const answer = (path: string, method = "GET") => fixture.kubelet.access.stats(new URL(path, "https://kubelet"), method);
    expect(await answer("/metrics/nothing")).toBeUndefined();
    expect(await answer("/stats")).toBeUndefined();
    expect((await answer("/stats/summary/"))?.contentType).toBe("application/json");
    await expect(answer("/metrics", "DELETE")).rejects.toMatchObject({ code: 405 });
  });
});
