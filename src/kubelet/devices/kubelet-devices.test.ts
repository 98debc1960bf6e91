// Devices as the whole kubelet deals with them, on a simulated runtime: the node's status, admission, the container's
// configuration and its status.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nodes, pods } from "../../api/resources.generated.ts";
import type { Container, NodeStatus } from "../../api/types/core-v1.ts";
import { container, type KubeletFixture, nodeName, startKubelet } from "../../testing/kubelet-fixture.ts";
import { SampleDevicePlugin } from "../../testing/sample-device-plugin.ts";
import { topologyOf } from "../resource-managers/cpu-topology.ts";

const resource = "example.com/widget";
const cpus = topologyOf([0, 1].map((id) => ({ id, core: id, socket: 0, node: 0 })));
const readTopology = async () => ({ cpus, nodes: [{ id: 0, memoryBytes: 2 ** 33, hugePages: [], distances: [10] }] });
const asking = (count: number): Container => container({ resources: { limits: { [resource]: String(count) } } });

async function startPlugin({ directory }: KubeletFixture): Promise<SampleDevicePlugin> {
  const devices = ["a", "b"].map((id) => ({ id, health: "Healthy" }));
  const plugin = new SampleDevicePlugin({ directory: join(directory, "root", "device-plugins"), resource, devices });
  await plugin.start();
  return plugin;
}

const statusOf = async (f: KubeletFixture): Promise<NodeStatus> => (await f.client.get(nodes, { name: nodeName })).status ?? {};

test("a pod that asks for too many devices is refused, with an event; one that does not gets its own", async () => {
  await withPlugin(async (f) => {
    await f.until(async () => (await statusOf(f)).allocatable?.[resource] === "2");
    await f.createPod("greedy", { containers: [asking(3)] });
    const greedy = await f.untilPhase("greedy", "Failed");
    const why = `Allocate failed due to requested number of devices unavailable for ${resource}. Requested: 3, Available: 2, which is unexpected`;
    expect(greedy.status).toMatchObject({ reason: "UnexpectedAdmissionError", message: `Pod was rejected: ${why}` });
    expect(f.events).toContainEqual({ about: "greedy", type: "Warning", reason: "UnexpectedAdmissionError", message: why });
    await f.createPod("modest", { containers: [asking(1)] });
    const modest = await f.untilPhase("modest", "Running");
    expect(modest.status?.containerStatuses?.[0]?.allocatedResourcesStatus).toEqual([
      { name: resource, resources: [{ resourceID: "a", health: "Healthy" }] },
    ]);
  });
});

test("what others write into the node's capacity is kept, and is all for pods", async () => {
  await withPlugin(async (f) => {
    const capacity = { "example.com/dongle": "4" };
    await f.until(async () => (await statusOf(f)).capacity?.[resource] === "2");
    await f.client.patch(nodes, { name: nodeName }, { status: { capacity } }, { type: "merge", subresource: "status" });
    await f.until(async () => (await statusOf(f)).allocatable?.["example.com/dongle"] === "4");
    expect((await statusOf(f)).capacity).toMatchObject({ ...capacity, [resource]: "2" });
    const gone = { "example.com/dongle": null };
    await f.client.patch(nodes, { name: nodeName }, { status: { capacity: gone } }, { type: "merge", subresource: "status" });
    await f.until(async () => (await statusOf(f)).allocatable?.["example.com/dongle"] === undefined);
  });
});

test("a guaranteed pod has its CPUs for itself; it cannot be resized, nor get more than there are", async () => {
  const options = { cpuManagerPolicy: "static", systemReserved: { cpu: "1" } };
  await using f = await startKubelet({ deps: { readTopology }, options: { ...options, capacity: { cpus: 4 } } });
  const amounts = { cpu: "1", memory: "1Mi" };
  const own = container({ resources: { requests: amounts, limits: amounts } });
  await f.createPod("own", { containers: [own] });
  await f.untilPhase("own", "Running");
  const state = JSON.parse(await readFile(join(f.directory, "root", "cpu_manager_state"), "utf8"));
  expect(Object.values(state.entries)).toEqual([{ main: "1" }]);
  await f.createPod("more", { containers: [own] });
  expect((await f.untilPhase("more", "Failed")).status).toMatchObject({
    reason: "UnexpectedAdmissionError",
    message:
      "Pod was rejected: Allocate failed due to not enough cpus available to satisfy request: requested=1, available=0, which is unexpected",
  });
  const bigger = { ...amounts, cpu: "2" };
  const spec = { containers: [{ name: "main", resources: { requests: bigger, limits: bigger } }] };
  await f.client.patch(pods, { name: "own", namespace: "default" }, { spec }, { type: "strategic" });
  await f.until(async () => {
    const pending = (await f.pod("own"))?.status?.conditions?.find((c) => c.type === "PodResizePending");
    return pending?.reason === "Infeasible" && pending.message?.includes('CPU Manager policy "static"') === true;
  });
});

test("a node without real CPUs gives none away", async () => {
  await expect(startKubelet({ options: { cpuManagerPolicy: "static", systemReserved: { cpu: "1" } } })).rejects.toThrow(
    "static policies of CPUs and memory need a real machine",
  );
});

/** With a kubelet and a plugin, which end with it. */
async function withPlugin(run: (f: KubeletFixture) => Promise<void>): Promise<void> {
  await using f = await startKubelet({ deps: { readTopology } });
  const plugin = await startPlugin(f);
  try {
    await run(f);
  } finally {
    await plugin.stop();
  }
}
