// A node of `coracle up` with a configuration of its own, on real containers: pods are bounded as it says, static pods come from
// where it says, logs are rotated at its size, and the kubelet's endpoints do what they are for.
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodes } from "../../src/api/resources.generated.ts";
import { whyNoContainers } from "../support/cluster.ts";
import { idle, shell, TestBed, type TestNamespace } from "../support/namespace.ts";
import { freePort, temporaryDirectory, until } from "../support/processes.ts";

const reason = await whyNoContainers();
if (reason) console.log(`the node's configuration is not tried with real containers: ${reason}`);

const pidsLimit = 50;

describe.runIf(reason === undefined)("a node's configuration", { timeout: 120_000 }, () => {
  let bed: TestBed;
  let ns: TestNamespace;
  let node = "";
  let port = 0;
  const closing: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    const directory = await temporaryDirectory("node-config");
    closing.push(() => directory.remove());
    port = await freePort();
    const manifests = join(directory.path, "manifests");
    await mkdir(manifests);
    const fixed = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "fixed" },
      spec: { containers: [shell(idle)], terminationGracePeriodSeconds: 1 },
    };
    await writeFile(join(manifests, "fixed.json"), JSON.stringify(fixed));
    const config = join(directory.path, "kubelet.json");
    const configuration = {
      ...{ apiVersion: "kubelet.config.k8s.io/v1beta1", kind: "KubeletConfiguration", port, healthzPort: 0 },
      ...{ podPidsLimit: pidsLimit, maxPods: 23, systemReserved: { cpu: "150m", memory: "64Mi" }, staticPodPath: manifests },
      ...{ containerLogMaxSize: "20Ki", containerLogMaxFiles: 3, containerLogMonitorInterval: "3s", enableSystemLogQuery: true },
      nodeStatusUpdateFrequency: "3s",
    };
    await writeFile(config, JSON.stringify(configuration));
    bed = await TestBed.start("node-config", [`--kubelet-config=${config}`]);
    closing.push(() => bed.remove());
    ns = await bed.namespace("configured");
    node = (await bed.client.list(nodes)).items[0]?.metadata.name ?? "";
  }, 180_000);

  afterAll(async () => {
    for (const close of closing.reverse()) await close();
  }, 180_000);

  const raw = (path: string): Promise<string> => bed.cluster.kubectl("get", "--raw", `/api/v1/nodes/${node}/proxy${path}`);

  it("is what the node reports and shows", async () => {
    const { status } = await bed.client.get(nodes, { name: node });
    expect([status?.capacity?.pods, status?.daemonEndpoints?.kubeletEndpoint?.Port]).toEqual(["23", port]);
    const cpus = Number(status?.capacity?.cpu);
    expect(status?.allocatable?.cpu).toBe(`${cpus * 1000 - 150}m`);
    const { kubeletconfig } = JSON.parse(await raw("/configz"));
    expect(kubeletconfig).toMatchObject({ podPidsLimit: pidsLimit, containerLogMaxSize: "20Ki", nodeStatusReportFrequency: "3s" });
    expect(await raw("/statusz")).toContain("kubelet statusz");
  });

  it("keeps a fork bomb in its pod", async () => {
    await ns.pod("bomb", shell("i=0; while [ $i -lt 200 ]; do sleep 60 & i=$((i+1)); done; wait"));
    // The shell ends when it cannot fork: its pod is restarted, the node stays what it is.
    const ended = await ns.untilPod("bomb", "a shell that cannot fork", (pod) => {
      const [status] = pod.status?.containerStatuses ?? [];
      return (status?.state?.terminated ?? status?.lastState?.terminated) !== undefined;
    });
    const [status] = ended.status?.containerStatuses ?? [];
    expect((status?.lastState?.terminated ?? status?.state?.terminated)?.exitCode).not.toBe(0);
    await ns.kubectl("delete", "pod", "bomb", "--wait=false");
    await ns.pod("calm", shell(idle));
    await ns.untilPod("calm", "a pod beside it runs", (pod) => pod.status?.phase === "Running");
  });

  it("runs static pods from its directory, rotates logs at its size", async () => {
    await until("the static pod's mirror", async () =>
      (await bed.cluster.kubectl("get", "pods", "-A", "-o", "name")).includes(`fixed-${node}`),
    );
    await ns.pod(
      "talks",
      shell(`i=0; while [ $i -lt 1500 ]; do echo "line $i of a log that has become too long"; i=$((i+1)); done; ${idle}`),
    );
    const { metadata } = await ns.untilPod("talks", "it runs", (pod) => pod.status?.phase === "Running");
    const logs = join(bed.cluster.dataDir, "kubelet", "logs", `${metadata.namespace}_talks_${metadata.uid}`, "main");
    await until("the log is moved aside", async () => (await readdir(logs)).some((name) => /^0\.log\.\d/.test(name)));
  });

  it("runs commands, lists what runs, reads the node's logs, and says what the runtime says of checkpoints", async () => {
    await ns.pod("target", shell(idle));
    await ns.untilPod("target", "it runs", (pod) => pod.status?.phase === "Running");
    const post = (path: string) => bed.cluster.tryKubectl(["create", "--raw", `/api/v1/nodes/${node}/proxy${path}`, "-f", "/dev/null"]);
    const run = await post("/run/configured/target/main?cmd=echo+hello");
    expect([run.code, run.stdout.trim()]).toEqual([0, "hello"]);
    const running = JSON.parse(await raw("/runningpods/"));
    const names = running.items.map((pod: { readonly metadata: { readonly name: string } }) => pod.metadata.name);
    expect(names).toContain("target");
    const checkpoint = await post("/checkpoint/configured/target/main");
    // With criu in the runtime it is a path; without, what the runtime says.
    if (checkpoint.code === 0) expect(checkpoint.stdout).toContain("/checkpoints/checkpoint-target_configured-main-");
    else expect(checkpoint.stderr).toContain("checkpointing of configured/target/main failed");
    expect((await post("/checkpoint/configured/target/nosuch")).stderr).toContain("(NotFound)");
    expect(await raw("/logs/")).toContain("<pre>");
    expect(await raw("/logs/?query=no-such-service")).toContain("log not found for no-such-service");
  });
});
