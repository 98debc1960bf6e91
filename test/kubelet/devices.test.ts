// Devices in real containers: a plugin that is a process registers, and containers get its variable, mount, annotation and
// device node; health, restarts of plugin and kubelet, refusals, the pod-resources API, and CPUs of one's own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import type { Container, NodeStatus } from "../../src/api/types/core-v1.ts";
import { podNetworkName } from "../../src/cni/network-config.ts";
import { type PodResourcesLister, podResourcesV1 } from "../../src/kubelet/devices/generated/pod-resources-v1.ts";
import { cgroupfsNames } from "../../src/linux/cgroup-names.ts";
import { detectCgroups } from "../../src/linux/cgroups.ts";
import { connectRpc } from "../../src/rpc/client.ts";
import { until } from "../support/processes.ts";
import { RealKubelet, shell, whyNoRealKubelet } from "../support/real-kubelet.ts";

const reason = await whyNoRealKubelet();
if (reason) console.log(`devices are not tried with containerd: ${reason}`);

const resource = "example.com/widget";
const idle = "trap 'exit 0' TERM; sleep 3600 & wait";
const using = (script: string, count = 1): Container => shell(script, { resources: { limits: { [resource]: String(count) } } });

describe.runIf(reason === undefined)("devices with containerd", () => {
  let bed: RealKubelet;
  let program: string;
  let plugin: ChildProcess | undefined;

  const root = (): string => join(bed.dataDir, "kubelet");

  beforeAll(async () => {
    bed = await RealKubelet.start("10.248");
    program = join(bed.dataDir, "device-plugin.mjs");
    const grpc = import.meta.resolve("@grpc/grpc-js");
    const entry = join(import.meta.dirname, "device-plugin-process.ts");
    await build({
      ...{ entryPoints: [entry], outfile: program, bundle: true, platform: "node", format: "esm" },
      ...{ external: [grpc], alias: { "@grpc/grpc-js": grpc } },
    });
    await mkdir(join(bed.dataDir, "widgets"));
    await writeFile(join(bed.dataDir, "widgets", "greeting"), "hello");
  }, 60_000);
  afterAll(async () => {
    await stopPlugin();
    await bed?.remove();
  }, 60_000);

  async function startPlugin(): Promise<void> {
    const answer = {
      mounts: [{ containerPath: "/widgets", hostPath: join(bed.dataDir, "widgets"), readOnly: true }],
      devices: [{ containerPath: "/dev/widget", hostPath: "/dev/zero", permissions: "rwm" }],
      annotations: { "example.com/note": "given" },
    };
    const child = spawn(process.execPath, [program, join(root(), "device-plugins"), resource, "w1,w2", JSON.stringify(answer)], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    plugin = child;
    await untilCounts("2", "2");
  }

  async function stopPlugin(): Promise<void> {
    const child = plugin;
    plugin = undefined;
    if (!child) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await ended;
  }

  const nodeStatus = async (): Promise<NodeStatus> => (await bed.client.list(nodes)).items[0]?.status ?? {};
  const untilCounts = (capacity: string, allocatable: string): Promise<unknown> =>
    until(`the node has ${capacity} devices, ${allocatable} of them to give`, async () => {
      const status = await nodeStatus();
      return status.capacity?.[resource] === capacity && status.allocatable?.[resource] === allocatable;
    });
  const untilHealth = (name: string, health: string): Promise<unknown> =>
    until(`the device of pod ${name} is ${health}`, async () => {
      const [main] = (await bed.get(name)).status?.containerStatuses ?? [];
      return main?.allocatedResourcesStatus?.[0]?.resources?.[0]?.health === health;
    });

  /** Of the pod-resources API. */
  async function asking<T>(call: (lister: PodResourcesLister) => Promise<T>): Promise<T> {
    const connection = connectRpc({ endpoint: join(root(), "pod-resources", "kubelet.sock"), timeoutMs: 10_000 });
    try {
      return await call(connection.service<PodResourcesLister>(podResourcesV1, "PodResourcesLister"));
    } finally {
      connection.close();
    }
  }

  test("a container has what the plugin gives for its device", async () => {
    await startPlugin();
    const script = 'echo "$WIDGETS $(cat /widgets/greeting) $(head -c 3 /dev/widget | od -An -tx1)"; touch /widgets/x || echo read-only';
    await bed.create("user", [using(script, 2)], { restartPolicy: "Never" });
    await bed.untilPhase("user", "Succeeded");
    expect(await bed.log("user")).toMatch(/w1,w2 hello {2}00 00 00\n(touch: .*\n)?read-only/);
    const [container] = (await bed.runtime.cri.listContainers({})).containers.filter((c) => c.metadata?.name === "main");
    expect(container?.annotations["example.com/note"]).toBe("given");
    expect((await bed.get("user")).status?.containerStatuses?.[0]?.allocatedResourcesStatus).toEqual([
      { name: resource, resources: [w("w1"), w("w2")] },
    ]);
    await bed.delete("user");
  });

  const w = (resourceID: string) => ({ resourceID, health: "Healthy" });

  test("what is left is too little: the pod is refused, and who has what can be asked", async () => {
    await bed.create("first", [using(idle)]);
    await bed.untilPhase("first", "Running");
    await bed.create("second", [using(idle, 2)]);
    const second = await bed.untilPhase("second", "Failed");
    expect(second.status).toMatchObject({
      reason: "UnexpectedAdmissionError",
      message: `Pod was rejected: Allocate failed due to requested number of devices unavailable for ${resource}. Requested: 2, Available: 1, which is unexpected`,
    });
    const { podResources } = await asking((lister) => lister.list({}));
    expect(podResources).toMatchObject([
      { name: "first", namespace: "default", containers: [{ name: "main", devices: [{ resourceName: resource, deviceIds: ["w1"] }] }] },
    ]);
    const { devices, cpuIds } = await asking((lister) => lister.getAllocatableResources({}));
    expect(devices.flatMap((d) => d.deviceIds)).toEqual(["w1", "w2"]);
    expect(cpuIds.length).toBeGreaterThan(0);
    await bed.delete("second");
  });

  test("an unhealthy device is told in the pod's status, and cannot be given", async () => {
    plugin?.stdin?.write("unhealthy w1\n");
    await untilCounts("2", "1");
    await untilHealth("first", "Unhealthy");
    plugin?.stdin?.write("healthy w1\n");
    await untilCounts("2", "2");
    await untilHealth("first", "Healthy");
  });

  test("plugin and kubelet may be restarted, the container runs on with its device", async () => {
    const before = (await bed.get("first")).status?.containerStatuses?.[0]?.containerID;
    await stopPlugin();
    await untilCounts("2", "0");
    await startPlugin();
    await bed.restartKubelet();
    // Not by the node's status, which is still that of the kubelet before.
    await until("the plugin has registered again", async () => (await asking((l) => l.getAllocatableResources({}))).devices.length === 2);
    await bed.create("third", [using("echo $WIDGETS")], { restartPolicy: "Never" });
    await bed.untilPhase("third", "Succeeded");
    expect((await bed.log("third")).trim()).toBe("w2");
    expect((await bed.get("first")).status?.containerStatuses?.[0]?.containerID).toBe(before);
    const written = await readFile(join(root(), "device-plugins", "kubelet_internal_checkpoint"), "utf8");
    expect(JSON.parse(written).Data.RegisteredDevices[resource]).toEqual(["w1", "w2"]);
    await Promise.all([bed.delete("first"), bed.delete("third")]);
  });

  test("with the static policies a guaranteed container has its CPUs for itself, and memory of certain nodes", async (context) => {
    if ((await nodeStatus()).capacity?.cpu === "1") context.skip();
    await bed.running.stop();
    await rm(join(root(), "cpu_manager_state"));
    await rm(join(root(), "memory_manager_state"));
    await bed.startKubelet({
      ...{ cpuManagerPolicy: "static", memoryManagerPolicy: "Static", topologyManagerPolicy: "single-numa-node" },
      ...{ systemReserved: { cpu: "500m", memory: "64Mi" }, reservedMemory: [{ numaNode: 0, limits: { memory: "64Mi" } }] },
    });
    const allowed = "while true; do grep Cpus_allowed_list /proc/self/status; sleep 0.2; done";
    await bed.create("shared", [shell(allowed)]);
    await bed.untilPhase("shared", "Running");
    const amounts = { cpu: "1", memory: "64Mi" };
    await bed.create("own", [shell(`${allowed}`, { resources: { requests: amounts, limits: amounts } })]);
    await bed.untilPhase("own", "Running");
    const listOf = async (name: string): Promise<string | undefined> =>
      [...(await bed.log(name)).matchAll(/Cpus_allowed_list:\s*(\S+)/g)].at(-1)?.[1];
    await until("the container says where it runs", async () => (await listOf("own")) !== undefined);
    expect(await listOf("own")).toMatch(/^\d+$/);
    const own = await listOf("own");
    await until("the other keeps away from there", async () => {
      const shared = (await listOf("shared")) ?? "";
      return shared !== "" && !expand(shared).includes(Number(own));
    });
    const state = JSON.parse(await readFile(join(root(), "cpu_manager_state"), "utf8"));
    expect(Object.values(state.entries)).toEqual([{ main: own }]);
    const { memory, podResources } = await asking(async (l) => ({ ...(await l.getAllocatableResources({})), ...(await l.list({})) }));
    expect(memory).toContainEqual(expect.objectContaining({ memoryType: "memory", topology: { nodes: [{ id: 0 }] } }));
    expect(podResources.find((p) => p.name === "own")?.containers[0]?.memory).toEqual([
      { memoryType: "memory", size: 64 * 2 ** 20, topology: { nodes: [{ id: 0 }] } },
    ]);
    expect(await cpusetOf(bed, "own", "cpuset.mems")).toBe("0");
    expect(await cpusetOf(bed, "own", "cpuset.cpus")).toBe(own);
    await bed.delete("own");
    await until("the CPU is shared again", async () => expand((await listOf("shared")) ?? "").includes(Number(own)));
    await bed.delete("shared");
  });
});

/** What the control group of the pod's container says. */
async function cpusetOf(bed: RealKubelet, name: string, file: string): Promise<string> {
  const { metadata, status } = await bed.get(name);
  const id = status?.containerStatuses?.[0]?.containerID?.replace(/^.*:\/\//, "") ?? "";
  const { controllers } = await detectCgroups();
  const group = cgroupfsNames.container(cgroupfsNames.pod(podNetworkName(bed.dataDir), "Guaranteed", metadata.uid), id);
  return (await readFile(join(controllers.get("cpuset") ?? "", group, file), "utf8")).trim();
}

function expand(list: string): readonly number[] {
  return list.split(",").flatMap((part) => {
    const [first = NaN, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
