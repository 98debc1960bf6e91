// Dynamic resources from end to end, in one process: the controller makes a claim from its template, the scheduler allocates
// devices that a driver has published, the kubelet has the driver prepare them, and everything is given back at the end.
import { join } from "node:path";
import { expect, test } from "vitest";
import type { New } from "../../src/api/meta/object.ts";
import { deviceclasses, pods, resourceclaims, resourceclaimtemplates, resourceslices } from "../../src/api/resources.generated.ts";
import type { Pod } from "../../src/api/types/core-v1.ts";
import { silentLogger } from "../../src/base/log.ts";
import { createEventRecorder } from "../../src/client/event-recorder.ts";
import { createInformerFactory } from "../../src/client/informer-factory.ts";
import { deviceTaintEvictionController } from "../../src/controllers/device-taint-eviction.ts";
import { resourceClaimController } from "../../src/controllers/resource-claim/resource-claim.ts";
import { startController } from "../../src/controllers/start-controllers.ts";
import { topologyOf } from "../../src/kubelet/resource-managers/cpu-topology.ts";
import { defaultProfile } from "../../src/scheduler/plugins/defaults.ts";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { type KubeletFixture, nodeName, startKubelet } from "../../src/testing/kubelet-fixture.ts";
import { SampleDraDriver } from "../../src/testing/sample-dra-driver.ts";

const driver = "gpu.example.com";
const namespace = "default";
const cpus = topologyOf([{ id: 0, core: 0, socket: 0, node: 0 }]);
const readTopology = async () => ({ cpus, nodes: [{ id: 0, memoryBytes: 2 ** 33, hugePages: [], distances: [10] }] });

/** A kubelet with a driver, and the control loops that have to do with claims. */
async function withCluster(run: (f: KubeletFixture, drv: SampleDraDriver) => Promise<void>): Promise<void> {
  await using f = await startKubelet({ deps: { readTopology } });
  const { client, clock } = f;
  const logger = silentLogger;
  const informers = createInformerFactory(client, { clock, logger, deepFreeze: true });
  const recorder = createEventRecorder({ client, clock, logger, component: "test" });
  const controllers = [resourceClaimController, deviceTaintEvictionController].map((each) =>
    startController(each, { client, informers, clock, recorder, logger }, {}),
  );
  const events = { record: () => undefined, flushed: async () => undefined, stop: async () => undefined };
  const deps = { client, informers, clock, logger, recorder: events };
  const scheduler = new Scheduler(deps, { profiles: [defaultProfile(deps)] });
  const devices = [
    { name: "d1", attributes: { model: { string: "a100" } } },
    { name: "d2", attributes: { model: { string: "h100" } } },
  ];
  const drv = new SampleDraDriver({ client, clock, rootDirectory: join(f.directory, "root"), nodeName, driver, devices });
  try {
    const started = scheduler.start();
    await clock.advance(50);
    await started;
    await drv.start();
    await f.until(async () => drv.told.some(({ pluginRegistered }) => pluginRegistered));
    await client.create(deviceclasses, { metadata: { name: "gpu" }, spec: {} });
    await run(f, drv);
  } finally {
    const stopped = Promise.all([...controllers, scheduler, recorder, informers].map((part) => part.stop()));
    await clock.advance(10_000);
    await stopped;
    await drv.stop();
  }
}

const spec = (expression: string) => ({
  devices: {
    requests: [
      {
        name: "gpu",
        exactly: { deviceClassName: "gpu", allocationMode: "ExactCount" as const, count: 1, selectors: [{ cel: { expression } }] },
      },
    ],
  },
});

const pod = (name: string): New<Pod> => ({
  metadata: { name, namespace, uid: "" },
  spec: {
    containers: [{ name: "main", image: "busybox:1", resources: { claims: [{ name: "c" }] } }],
    resourceClaims: [{ name: "c", resourceClaimTemplateName: "t" }],
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 1,
  },
});

test("a pod with a claim from a template runs with its device, and leaves nothing when it is deleted", async () => {
  await withCluster(async (f, drv) => {
    const { client } = f;
    const claims = async () => (await client.list(resourceclaims)).items;
    const expression = `device.attributes["${driver}"].model == "h100"`;
    await client.create(resourceclaimtemplates, { metadata: { name: "t", namespace }, spec: { spec: spec(expression) } });
    const { metadata } = await client.create(pods, pod("web"));
    const { uid } = metadata;
    await f.untilPhase("web", "Running");
    const [claim] = await claims();
    expect(claim?.metadata.ownerReferences?.[0]).toMatchObject({ kind: "Pod", name: "web", uid, controller: true });
    expect(claim?.metadata.finalizers).toEqual(["resource.kubernetes.io/delete-protection"]);
    expect(claim?.status).toMatchObject({
      allocation: { devices: { results: [{ request: "gpu", driver, pool: nodeName, device: "d2" }] } },
      reservedFor: [{ resource: "pods", name: "web", uid }],
    });
    expect(drv.calls).toEqual([`prepare ${claim?.metadata.name}`]);
    // The device is taken: the next pod waits for it.
    await client.create(pods, pod("next"));
    await f.until(async () => (await f.pod("next"))?.status?.conditions?.some(({ reason }) => reason === "Unschedulable") === true);
    await client.delete(pods, { namespace, name: "web" });
    await f.until(async () => (await f.pod("web")) === undefined);
    await f.untilPhase("next", "Running");
    expect(drv.calls.slice(0, 2)).toEqual([`prepare ${claim?.metadata.name}`, `unprepare ${claim?.metadata.name}`]);
    expect((await claims()).map(({ status }) => status?.reservedFor?.map(({ name }) => name))).toEqual([["next"]]);
    await client.delete(pods, { namespace, name: "next" });
    await f.until(async () => (await f.pod("next")) === undefined);
    await f.until(async () => (await claims()).every(({ status }) => !status?.allocation));
    expect(drv.prepared.size).toBe(0);
  });
});

test("a pod is evicted from a device that gets a taint, and its successor gets another one", async () => {
  await withCluster(async (f, drv) => {
    const { client } = f;
    await client.create(resourceclaimtemplates, { metadata: { name: "t", namespace }, spec: { spec: spec("true") } });
    await client.create(pods, pod("web"));
    await f.untilPhase("web", "Running");
    const [slice] = (await client.list(resourceslices)).items;
    if (!slice) throw new Error("the driver has published nothing");
    const taints = [{ key: "hot", effect: "NoExecute" as const, timeAdded: "2026-01-01T00:00:00Z" }];
    const devices = slice.spec.devices?.map((device) => (device.name === "d1" ? { ...device, taints } : device)) ?? [];
    drv.devices = devices;
    await client.update(resourceslices, { ...slice, spec: { ...slice.spec, devices } });
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(drv.prepared.size).toBe(0);
    await client.create(pods, pod("again"));
    await f.untilPhase("again", "Running");
    const results = (await client.list(resourceclaims)).items.flatMap(({ status }) => status?.allocation?.devices?.results ?? []);
    expect(results.map(({ device }) => device)).toEqual(["d2"]);
  });
});
