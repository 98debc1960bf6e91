// Claims as the whole kubelet deals with them, with a driver and a simulated runtime.
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pods, resourceclaims, resourceslices } from "../../api/resources.generated.ts";
import type { Pod } from "../../api/types/core-v1.ts";
import type { Device } from "../../api/types/resource-v1.ts";
import type { ContainerConfig } from "../../cri/generated/runtime-v1.ts";
import { connectRpc } from "../../rpc/client.ts";
import type { Input } from "../../rpc/protocol.ts";
import { container, type FixtureOptions, type KubeletFixture, nodeName, startKubelet } from "../../testing/kubelet-fixture.ts";
import { SampleDraDriver, type SampleDraDriverOptions } from "../../testing/sample-dra-driver.ts";
import { type PodResourcesLister, podResourcesV1 } from "../devices/generated/pod-resources-v1.ts";
import { topologyOf } from "../resource-managers/cpu-topology.ts";

const driverName = "gpu.example.com";
const cpus = topologyOf([{ id: 0, core: 0, socket: 0, node: 0 }]);
const readTopology = async () => ({ cpus, nodes: [{ id: 0, memoryBytes: 2 ** 33, hugePages: [], distances: [10] }] });
const devices: readonly Device[] = [{ name: "d1" }, { name: "d2" }];

interface Setup {
  readonly f: KubeletFixture;
  /** What the runtime was asked to create, by container. */
  readonly created: Map<string, Input<ContainerConfig>>;
  driver(options?: Partial<SampleDraDriverOptions>): Promise<SampleDraDriver>;
}

async function withKubelet(run: (setup: Setup) => Promise<void>, options: FixtureOptions = {}): Promise<void> {
  const created: Setup["created"] = new Map();
  const drivers: SampleDraDriver[] = [];
  await using f = await startKubelet({
    deps: { readTopology },
    ...options,
    wrapRuntime: (cri) => ({
      ...cri,
      createContainer: (request, callOptions) => {
        if (request.config) created.set(request.config.metadata?.name ?? "", request.config);
        return cri.createContainer(request, callOptions);
      },
    }),
  });
  const driver: Setup["driver"] = async (more = {}) => {
    const made = new SampleDraDriver({
      client: f.client,
      clock: f.clock,
      rootDirectory: join(f.directory, "root"),
      nodeName,
      driver: driverName,
      devices,
      ...more,
    });
    drivers.push(made);
    await made.start();
    return made;
  };
  try {
    await run({ f, created, driver });
  } finally {
    for (const each of drivers) await each.stop();
  }
}

/** A claim that is allocated, and reserved for these pods. */
async function allocatedClaim(f: KubeletFixture, name: string, device: string, reserved: readonly Pod[] = []): Promise<void> {
  const reservedFor = reserved.map(({ metadata }) => ({ resource: "pods", name: metadata.name, uid: metadata.uid }));
  const results = [{ request: "gpu", driver: driverName, pool: nodeName, device }];
  const status = { allocation: { devices: { results } }, reservedFor };
  const spec = { devices: { requests: [{ name: "gpu", exactly: { deviceClassName: "gpu" } }] } };
  const claim = await f.client.create(resourceclaims, { metadata: { name, namespace: "default" }, spec });
  await f.client.updateStatus(resourceclaims, { ...claim, status });
}

const reserve = async (f: KubeletFixture, name: string, pod: Pod): Promise<void> => {
  const claim = await f.client.get(resourceclaims, { namespace: "default", name });
  const consumer = { resource: "pods", name: pod.metadata.name, uid: pod.metadata.uid };
  await f.client.updateStatus(resourceclaims, {
    ...claim,
    status: { ...claim.status, reservedFor: [...(claim.status?.reservedFor ?? []), consumer] },
  });
};

const using = (claim: string, request?: string) => ({
  resourceClaims: [{ name: "c", resourceClaimName: claim }],
  containers: [container({ resources: { claims: [{ name: "c", ...(request ? { request } : {}) }] } }), container({ name: "other" })],
});

const registered = (f: KubeletFixture, driver: SampleDraDriver) => f.until(async () => driver.told.some((each) => each.pluginRegistered));

test("a pod's claim is prepared before it starts, its devices go to the containers that ask for them, and it is undone before the pod has ended", async () => {
  await withKubelet(async ({ f, created, driver }) => {
    const drv = await driver();
    await registered(f, drv);
    await allocatedClaim(f, "c1", "d1");
    const pod = await f.createPod("web", using("c1", "gpu"));
    await reserve(f, "c1", pod);
    await f.untilPhase("web", "Running");
    expect(drv.calls).toEqual(["prepare c1"]);
    expect(created.get("main")?.cdiDevices).toEqual([{ name: `${driverName}/device=d1` }]);
    expect(created.get("other")?.cdiDevices).toEqual([]);
    const { Data } = JSON.parse(await readFile(join(f.directory, "root", "dra_manager_state"), "utf8"));
    expect(JSON.parse(Data)).toMatchObject({
      kind: "DRACheckpoint",
      ClaimInfoStateList: [{ ClaimName: "c1", Namespace: "default", PodUIDs: { [pod.metadata.uid]: {} } }],
    });
    const connection = connectRpc({ endpoint: join(f.directory, "root", "pod-resources", "kubelet.sock"), timeoutMs: 15_000 });
    const { podResources } = await connection.service<PodResourcesLister>(podResourcesV1, "PodResourcesLister").list({});
    connection.close();
    expect(podResources[0]?.containers.map(({ dynamicResources }) => dynamicResources)).toEqual([
      [
        {
          claimName: "c1",
          claimNamespace: "default",
          claimResources: [{ cdiDevices: [{ name: `${driverName}/device=d1` }], driverName, poolName: nodeName, deviceName: "d1" }],
        },
      ],
      [],
    ]);
    await f.client.delete(pods, { namespace: "default", name: "web" });
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(drv.calls).toEqual(["prepare c1", "unprepare c1"]);
    expect(drv.prepared.size).toBe(0);
  });
});

test("a pod waits, with an event, for its driver and for the driver's success", async () => {
  await withKubelet(async ({ f, driver }) => {
    await allocatedClaim(f, "c1", "d1");
    const pod = await f.createPod("web", using("c1"));
    const message = (why: string) => `Failed to prepare dynamic resources: prepare dynamic resources: ${why}`;
    const heard = (why: string) =>
      f.until(async () => f.events.some((e) => e.reason === "FailedPrepareDynamicResources" && e.message === message(why)));
    const claim = await f.client.get(resourceclaims, { namespace: "default", name: "c1" });
    await heard(`pod web (${pod.metadata.uid}) is not allowed to use ResourceClaim c1 (${claim.metadata.uid})`);
    await reserve(f, "c1", pod);
    await heard(`DRA driver ${driverName} is not registered`);
    const drv = await driver({ version: "v1beta1" });
    drv.failure = "no firmware";
    await heard("NodePrepareResources failed for ResourceClaim c1: no firmware");
    expect((await f.pod("web"))?.status?.phase).toBe("Pending");
    drv.failure = undefined;
    await f.untilPhase("web", "Running");
    drv.failure = "device is busy";
    await f.client.delete(pods, { namespace: "default", name: "web" });
    await f.until(async () => drv.calls.filter((call) => call === "unprepare c1").length > 1);
    expect(await f.pod("web")).toBeDefined();
    drv.failure = undefined;
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(drv.prepared.size).toBe(0);
  });
});

test("a claim that two pods share is prepared once, and undone with the last of them", async () => {
  await withKubelet(async ({ f, created, driver }) => {
    const drv = await driver();
    await registered(f, drv);
    await allocatedClaim(f, "c1", "d1");
    const [a, b] = [await f.createPod("a", using("c1")), await f.createPod("b", using("c1"))];
    await reserve(f, "c1", a);
    await reserve(f, "c1", b);
    await f.untilPhase("a", "Running");
    await f.untilPhase("b", "Running");
    expect(created.get("main")?.cdiDevices).toEqual([{ name: `${driverName}/device=d1` }]);
    expect(drv.calls).toEqual(["prepare c1"]);
    await f.client.delete(pods, { namespace: "default", name: "a" });
    await f.until(async () => (await f.pod("a")) === undefined);
    expect(drv.calls).toEqual(["prepare c1"]);
    await f.client.delete(pods, { namespace: "default", name: "b" });
    await f.until(async () => (await f.pod("b")) === undefined);
    expect(drv.calls).toEqual(["prepare c1", "unprepare c1"]);
  });
});

test("a kubelet that starts anew still knows the devices, and undoes what pods left that went meanwhile", async () => {
  await withKubelet(async ({ f, created, driver }) => {
    const drv = await driver();
    await registered(f, drv);
    await allocatedClaim(f, "c1", "d1");
    await allocatedClaim(f, "c2", "d2");
    const [stays, goes] = [await f.createPod("stays", using("c1")), await f.createPod("goes", using("c2"))];
    await reserve(f, "c1", stays);
    await reserve(f, "c2", goes);
    await f.untilPhase("stays", "Running");
    await f.untilPhase("goes", "Running");
    created.clear();
    await f.kubelet.stop();
    await f.client.delete(pods, { namespace: "default", name: "goes" }, { body: { gracePeriodSeconds: 0 } });
    await f.restart();
    await f.until(async () => drv.calls.includes("unprepare c2"));
    expect(drv.calls.filter((call) => call.endsWith("c1"))).toEqual(["prepare c1"]);
    const [main] = (await f.cri.listContainers({})).containers.filter(({ metadata }) => metadata?.name === "main");
    f.cri.exitContainer(main?.id ?? "", 1);
    await f.until(async () => created.has("main"));
    expect(created.get("main")?.cdiDevices).toEqual([{ name: `${driverName}/device=d1` }]);
    expect(drv.calls.filter((call) => call.endsWith("c1"))).toEqual(["prepare c1"]);
  });
});

test("slices of the node are removed while no driver stands behind them", async () => {
  await withKubelet(async ({ f, driver }) => {
    const slices = async () => (await f.client.list(resourceslices)).items.map(({ metadata }) => metadata.name);
    const old = { driver: "gone.example.com", nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 } };
    await f.client.create(resourceslices, { metadata: { name: "elsewhere" }, spec: { ...old, nodeName: "n2" } });
    await f.client.create(resourceslices, { metadata: { name: "old" }, spec: old });
    await f.restart();
    await f.until(async () => !(await slices()).includes("old"));
    const drv = await driver();
    await registered(f, drv);
    await f.until(async () => (await slices()).length === 2);
    expect(await slices()).toEqual(["elsewhere", `${nodeName}-${driverName}`]);
    await f.clock.advance(60_000);
    expect(await slices()).toEqual(["elsewhere", `${nodeName}-${driverName}`]);
    await drv.stop();
    await f.until(async () => (await slices()).length === 1);
    expect(await slices()).toEqual(["elsewhere"]);
  });
});

test("the health that a driver tells is in the container's status, until it is no longer told", async () => {
  await withKubelet(async ({ f, driver }) => {
    const drv = await driver({ tellsHealth: true });
    await registered(f, drv);
    await allocatedClaim(f, "c1", "d1");
    const pod = await f.createPod("web", using("c1", "gpu"));
    await reserve(f, "c1", pod);
    await f.untilPhase("web", "Running");
    const health = async () =>
      (await f.pod("web"))?.status?.containerStatuses?.find(({ name }) => name === "main")?.allocatedResourcesStatus;
    const resourceID = `${driverName}/device=d1`;
    const until = (resources: object) =>
      f.until(async () => JSON.stringify(await health()) === JSON.stringify([{ name: "claim:c/gpu", resources: [resources] }]));
    drv.tellHealth("d1", "UNHEALTHY", "it is too hot");
    await until({ resourceID, health: "Unhealthy", message: "it is too hot" });
    drv.tellHealth("d1", "HEALTHY");
    await until({ resourceID, health: "Healthy" });
    await drv.stop();
    await until({ resourceID, health: "Unknown" });
  });
});

test("a driver whose service is not known is refused, with the reason", async () => {
  await withKubelet(async ({ f, driver }) => {
    const drv = await driver({ version: "v9" as "v1" }); // as one from the future would
    await f.until(async () => drv.told.length > 0);
    expect(drv.told[0]).toMatchObject({ pluginRegistered: false });
    expect(drv.told[0]?.error).toContain(
      'none of services supported by the plugin (["v9.DRAPlugin"]) are supported by the kubelet (["v1.DRAPlugin" "v1beta1.DRAPlugin"])',
    );
  });
});

test("a kubelet does not start with a state of prepared claims that it cannot read", async () => {
  await withKubelet(async ({ f }) => {
    await f.kubelet.stop();
    const path = join(f.directory, "root", "dra_manager_state");
    await rm(path, { force: true });
    const { writeFile } = await import("node:fs/promises");
    await writeFile(path, JSON.stringify({ Data: "{}", Checksum: 1 }));
    await expect(f.restart()).rejects.toThrow("please drain node and remove DRA state file");
  });
});
