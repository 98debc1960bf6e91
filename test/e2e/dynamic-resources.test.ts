// Dynamic resources on a whole cluster with real containers: with the permissions that the scheduler, the controllers and the
// node really have, and with what kubectl shows. The driver runs in the test; containerd 1.6 knows no CDI devices, so what
// the container gets of them is not looked at here.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ResourceClaim } from "../../src/api/types/resource-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { SampleDraDriver } from "../../src/testing/sample-dra-driver.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, TestBed } from "../support/namespace.ts";
import { until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`dynamic resources are not tried with real containers: ${reason}`);

const driver = "gpu.example.com";

describe.runIf(reason === undefined)("dynamic resources", { timeout: 120_000 }, () => {
  let bed: TestBed;
  let drv: SampleDraDriver | undefined;
  beforeAll(async () => {
    bed = await TestBed.start("dra");
  }, 180_000);
  afterAll(async () => {
    await drv?.stop();
    await bed?.remove();
  }, 180_000);

  it("allocates and prepares the device of a pod, shows it, and gives it back", async () => {
    const { client, cluster } = bed;
    const ns = await bed.namespace("claims");
    const nodeName = (await cluster.kubectl("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")).trim();
    const rootDirectory = join(cluster.dataDir, "kubelet");
    const devices = [{ name: "d1", attributes: { model: { string: "a100" } }, capacity: { memory: { value: "40Gi" } } }];
    drv = new SampleDraDriver({ client, clock: realClock, rootDirectory, nodeName, driver, devices });
    await drv.start();
    const exactly = {
      deviceClassName: "gpu.example.com",
      selectors: [{ cel: { expression: `device.capacity["${driver}"].memory.compareTo(quantity("20Gi")) >= 0` } }],
    };
    await ns.apply(
      {
        apiVersion: "resource.k8s.io/v1",
        kind: "DeviceClass",
        metadata: { name: "gpu.example.com" },
        spec: { selectors: [{ cel: { expression: `device.driver == "${driver}"` } }] },
      },
      {
        apiVersion: "resource.k8s.io/v1",
        kind: "ResourceClaimTemplate",
        metadata: { name: "gpu" },
        spec: { spec: { devices: { requests: [{ name: "gpu", exactly }] } } },
      },
    );
    const resourceClaims = [{ name: "gpu", resourceClaimTemplateName: "gpu" }];
    await ns.pod("web", shell(idle, { resources: { claims: [{ name: "gpu" }] } }), { resourceClaims });
    await until("the pod runs", async () => (await ns.getPod("web")).status?.phase === "Running");
    const [claim] = (await cluster.get<{ items: ResourceClaim[] }>("resourceclaims", "-n", ns.name)).items;
    expect(claim?.status?.allocation?.devices?.results).toEqual([{ request: "gpu", driver, pool: nodeName, device: "d1" }]);
    expect(drv.calls).toEqual([`prepare ${claim?.metadata.name}`]);
    expect(await ns.kubectl("get", "resourceclaims")).toMatch(/web-gpu-\w+\s+allocated,reserved/);
    expect(await ns.kubectl("describe", "resourceclaim", claim?.metadata.name ?? "")).toContain(`Driver:   ${driver}`);
    expect(await cluster.kubectl("get", "resourceslices")).toMatch(new RegExp(`${nodeName}\\s+${driver}\\s+${nodeName}`));
    await ns.pod("next", shell(idle, { resources: { claims: [{ name: "gpu" }] } }), { resourceClaims });
    await until("the next pod waits", async () => (await ns.kubectl("describe", "pod", "next")).includes("cannot allocate all claims"));
    await ns.kubectl("delete", "pod", "web", "--grace-period=1");
    await until("the next pod has the device", async () => (await ns.getPod("next")).status?.phase === "Running");
    expect(drv.calls.slice(0, 2)).toEqual([`prepare ${claim?.metadata.name}`, `unprepare ${claim?.metadata.name}`]);
    await ns.kubectl("delete", "pod", "next", "--grace-period=1");
    await until("no claim is left", async () => (await ns.kubectl("get", "resourceclaims", "-o", "name")).trim() === "");
    expect(drv.prepared.size).toBe(0);
  });
});
