import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Container, Pod } from "../../api/types/core-v1.ts";
import { VirtualClock } from "../../base/clock.ts";
import { silentLogger } from "../../base/log.ts";
import { MetricsRegistry } from "../../base/metrics.ts";
import { SampleDevicePlugin, type SampleDevicePluginOptions } from "../../testing/sample-device-plugin.ts";
import { containersOf } from "../resource-managers/provider.ts";
import { deviceCheckpointFormat } from "./device-allocations.ts";
import { DeviceManager } from "./device-manager.ts";
import { registerDeviceMetrics } from "./device-metrics.ts";

const resource = "example.com/widget";
const patience = { timeout: 10_000 };
const healthy = (id: string, ...nodes: readonly number[]) => ({
  ...{ id, health: "Healthy" },
  ...(nodes.length > 0 ? { topology: { nodes: nodes.map((node) => ({ id: node })) } } : {}),
});

let directory: string;
let clock: VirtualClock;
let registry: MetricsRegistry;
let manager: DeviceManager;
let active: Set<string>;
let changedPods: string[];
const plugins: SampleDevicePlugin[] = [];

function create(): DeviceManager {
  registry = new MetricsRegistry();
  return new DeviceManager(
    {
      ...{ clock, logger: silentLogger, metrics: registerDeviceMetrics(registry) },
      isActive: (uid) => active.has(uid),
      onNodeChange: () => undefined,
      onPodChange: (uid) => changedPods.push(uid),
    },
    { directory, numaNodes: [0, 1] },
  );
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "coracle-devices-"));
  clock = new VirtualClock();
  active = new Set();
  changedPods = [];
  manager = create();
  await manager.start();
});
afterEach(async () => {
  await manager.stop();
  await Promise.all(plugins.splice(0).map((p) => p.stop()));
  await rm(directory, { recursive: true });
});

async function startPlugin(options: Partial<SampleDevicePluginOptions> = {}): Promise<SampleDevicePlugin> {
  const devices = [healthy("a"), healthy("b"), healthy("c")];
  const plugin = new SampleDevicePlugin({ directory, resource, devices, ...options });
  plugins.push(plugin);
  await plugin.start();
  await untilCounts(String(options.devices?.length ?? devices.length));
  return plugin;
}

const untilCounts = async (capacity: string, allocatable?: string): Promise<void> =>
  vi.waitFor(() => {
    const counts = manager.nodeDevices();
    expect(counts.capacity[resource]).toBe(capacity);
    if (allocatable !== undefined) expect(counts.allocatable[resource]).toBe(allocatable);
  }, patience);

const using = (name: string, count: number, fields: Partial<Container> = {}): Container => ({
  ...{ name, image: "i", resources: { limits: { [resource]: String(count) } } },
  ...fields,
});

function podOf(uid: string, containers: readonly Container[], initContainers: readonly Container[] = []): Pod {
  active.add(uid);
  return { metadata: { name: uid, namespace: "default", uid }, spec: { containers, initContainers } } as unknown as Pod; // what is looked at
}

/** As at admission: container by container. */
async function give(pod: Pod, affinity?: number): Promise<void> {
  const part = manager.begin(pod);
  for (const container of containersOf(pod)) await part.allocate(container, { nodes: affinity, preferred: false });
}

const idsOf = (pod: Pod, container: string): readonly string[] =>
  [...manager.devicesOf(pod.metadata.uid, container).values()].flat().map((d) => d.id);

test("devices of a plugin are counted, and only healthy ones can be had", async () => {
  const plugin = await startPlugin();
  await untilCounts("3", "3");
  plugin.setHealth("b", "Unhealthy");
  await untilCounts("3", "2");
  plugin.list([healthy("a")]);
  await untilCounts("1", "1");
  expect(registry.text()).toContain('kubelet_device_plugin_registration_total{resource_name="example.com/widget"} 1');
});

test("the checkpoint's checksum is upstream's", () => {
  // Found by a format that reads what upstream's kubelets have written.
  const entry = {
    PodUID: "u1",
    ContainerName: "main",
    ResourceName: resource,
    DeviceIDs: { "0": ["b"], "-1": ["a"] },
    AllocResp: "CgYKAUESAUI=",
  };
  const checkpoint = { PodDeviceEntries: [entry], RegisteredDevices: { [resource]: ["a", "b"] } };
  const written = deviceCheckpointFormat.encode(checkpoint);
  expect(JSON.parse(written)).toEqual({ Data: checkpoint, Checksum: 1506851355 });
  expect(deviceCheckpointFormat.decode(written)).toEqual(checkpoint);
  const none = { PodDeviceEntries: null, RegisteredDevices: {} };
  expect(JSON.parse(deviceCheckpointFormat.encode(none))).toEqual({ Data: none, Checksum: 3467439661 });
});

test("a plugin of another version, or of a resource without a domain, is refused", async () => {
  const plugin = new SampleDevicePlugin({ directory, resource, devices: [] });
  await plugin.serve();
  plugins.push(plugin);
  await expect(plugin.register({ version: "v1alpha" })).rejects.toThrow(
    'requested API version "v1alpha" is not supported by kubelet. Supported version is ["v1beta1"]',
  );
  await expect(plugin.register({ resourceName: "cpu" })).rejects.toThrow('the ResourceName "cpu" is invalid');
});

test("a container gets what its plugin says", async () => {
  const mount = { containerPath: "/widget", hostPath: "/srv/widget", readOnly: true };
  const device = { containerPath: "/dev/widget", hostPath: "/dev/null", permissions: "rw" };
  const cdiDevices = [{ name: "example.com/widget=a" }];
  await startPlugin({ answer: { mounts: [mount], devices: [device], annotations: { note: "x" }, cdiDevices } });
  const pod = podOf("p1", [using("main", 2), { name: "other", image: "i" }]);
  expect(manager.concerns(pod)).toBe(true);
  expect(manager.concerns(podOf("p2", [{ name: "other", image: "i" }]))).toBe(false);
  await give(pod);
  const [main, other] = pod.spec.containers as [Container, Container];
  const given = await manager.containerDevices(pod, main);
  expect(given?.envs.get("WIDGETS")).toBe("a,b");
  expect(given).toMatchObject({
    mounts: [{ containerPath: "/widget", hostPath: "/srv/widget", readonly: true }],
    devices: [device],
    annotations: { note: "x" },
    cdiDevices,
  });
  expect(await manager.containerDevices(pod, other)).toBeUndefined();
  expect(registry.text()).toContain('kubelet_device_plugin_alloc_duration_seconds_count{resource_name="example.com/widget"} 1');
});

test("what is not there is refused with the reason", async () => {
  const plugin = await startPlugin();
  await give(podOf("p1", [using("main", 2)]));
  await expect(give(podOf("p2", [using("main", 2)]))).rejects.toThrow(
    "requested number of devices unavailable for example.com/widget. Requested: 2, Available: 1",
  );
  plugin.list([{ id: "a", health: "Unhealthy" }]);
  await untilCounts("1", "0");
  await expect(give(podOf("p3", [using("main", 1)]))).rejects.toThrow(
    "no healthy devices present; cannot allocate unhealthy devices example.com/widget",
  );
});

test("devices of pods that are over can be had again", async () => {
  await startPlugin();
  await give(podOf("p1", [using("main", 3)]));
  active.delete("p1");
  const next = podOf("p2", [using("main", 3)]);
  await give(next);
  expect(idsOf(next, "main")).toEqual(["a", "b", "c"]);
});

test("a plugin's failure is the pod's", async () => {
  await startPlugin({ failAllocate: "it is broken" });
  await expect(give(podOf("p1", [using("main", 1)]))).rejects.toThrow("rpc error: code = Internal desc = it is broken");
});

test("what init containers had goes on to those after them, and sidecars keep theirs", async () => {
  await startPlugin();
  const sidecar = using("sidecar", 1, { restartPolicy: "Always" });
  const pod = podOf("p1", [using("main", 2)], [using("first", 2), sidecar]);
  await give(pod);
  expect([...idsOf(pod, "first")].sort()).toEqual(["a", "b"]);
  expect(idsOf(pod, "sidecar")).toEqual(["a"]);
  expect([...idsOf(pod, "main")].sort()).toEqual(["b", "c"]);
});

test("the plugin's preference counts", async () => {
  const prefer = (available: readonly string[], size: number): readonly string[] => [...available].sort().reverse().slice(0, size);
  await startPlugin({ prefer });
  const pod = podOf("p1", [using("main", 2)]);
  await give(pod);
  expect(idsOf(pod, "main")).toEqual(["c", "b"]);
});

test("devices on the chosen NUMA node come first", async () => {
  await startPlugin({ devices: [healthy("a"), healthy("b", 0), healthy("c", 1), healthy("d", 1)] });
  const pod = podOf("p1", [using("main", 2)]);
  expect(manager.begin(pod).hints(pod.spec.containers[0] as Container)).toEqual({
    [resource]: [
      { nodes: 2, preferred: true },
      { nodes: 3, preferred: false },
    ],
  });
  await give(pod, 0b10);
  expect(idsOf(pod, "main")).toEqual(["c", "d"]);
  expect(manager.devicesOf("p1", "main").get(resource)).toMatchObject([
    { id: "c", nodes: [1] },
    { id: "d", nodes: [1] },
  ]);
  // Nothing is left there: the rest is taken from where it is.
  const next = podOf("p2", [using("main", 2)]);
  await give(next, 0b10);
  expect(idsOf(next, "main")).toEqual(["b", "a"]);
});

test("PreStartContainer is called before every start, and its failure keeps the container from starting", async () => {
  const started: (readonly string[])[] = [];
  await startPlugin({
    preStart(ids) {
      started.push(ids);
      if (started.length === 2) throw new Error("cannot reset");
    },
  });
  const pod = podOf("p1", [using("main", 1)]);
  const main = pod.spec.containers[0] as Container;
  await give(pod);
  await manager.containerDevices(pod, main);
  expect(started).toEqual([["a"]]);
  await expect(manager.containerDevices(pod, main)).rejects.toThrow(
    "device plugin PreStartContainer rpc failed with err: rpc error: code = Unknown desc = cannot reset",
  );
});

test("a changed health is told for the pods that have the device", async () => {
  const plugin = await startPlugin();
  await give(podOf("p1", [using("main", 1)]));
  expect(manager.healthOf("p1", "main")).toEqual([{ name: resource, resources: [{ resourceID: "a", health: "Healthy" }] }]);
  plugin.setHealth("a", "Unhealthy");
  await vi.waitFor(() => expect(changedPods).toEqual(["p1"]), patience);
  expect(manager.healthOf("p1", "main")).toEqual([{ name: resource, resources: [{ resourceID: "a", health: "Unhealthy" }] }]);
});

test("without its plugin devices cannot be had; after five minutes there are none", async () => {
  const plugin = await startPlugin();
  await plugin.stop();
  await untilCounts("3", "0");
  await expect(give(podOf("p1", [using("main", 1)]))).rejects.toThrow("no healthy devices present");
  await clock.advance(5 * 60_000 + 20_000);
  await untilCounts("0", "0");
  await startPlugin();
  await untilCounts("3", "3");
});

test("a plugin that comes again takes the place of the one before", async () => {
  await startPlugin();
  const again = new SampleDevicePlugin({ directory, resource, devices: [healthy("x")], socket: "again.sock" });
  plugins.push(again);
  await again.start();
  await untilCounts("1", "1");
});

test("after a restart pods have what they had, and plugins have to register again", async () => {
  await startPlugin();
  const pod = podOf("p1", [using("main", 2)]);
  await give(pod);
  const written = await readFile(join(directory, "kubelet_internal_checkpoint"), "utf8");
  expect(JSON.parse(written)).toMatchObject({
    Data: {
      PodDeviceEntries: [{ PodUID: "p1", ContainerName: "main", ResourceName: resource, DeviceIDs: { "-1": ["a", "b"] } }],
      RegisteredDevices: { [resource]: ["a", "b", "c"] },
    },
    Checksum: expect.any(Number),
  });
  expect(() => deviceCheckpointFormat.decode(written.replace('"main"', '"mean"'))).toThrow("checkpoint is corrupted");
  await manager.stop();
  manager = create();
  await manager.start();
  await untilCounts("0", "0");
  expect(idsOf(pod, "main")).toEqual(["a", "b"]);
  // The container may be started again without its plugin.
  expect((await manager.containerDevices(pod, pod.spec.containers[0] as Container))?.envs.get("WIDGETS")).toBe("a,b");
  await expect(give(podOf("p2", [using("main", 1)]))).rejects.toThrow("no healthy devices present");
  await startPlugin();
  await expect(give(podOf("p3", [using("main", 2)]))).rejects.toThrow("Requested: 2, Available: 1");
});
