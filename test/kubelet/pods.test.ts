// A kubelet with real containers: our containerd, images built on the spot, and a small API in memory. Runs as root on Linux where the
// packages containerd, runc, containernetworking-plugins and busybox-static are installed; leaves nothing behind.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultPod } from "../../src/api/defaults/pod.ts";
import { configmaps, nodes, pods, secrets } from "../../src/api/resources.generated.ts";
import type { Container, Pod, PodSpec } from "../../src/api/types/core-v1.ts";
import { realClock } from "../../src/base/clock.ts";
import { createLogger } from "../../src/base/log.ts";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create-client.ts";
import { type RunningKubelet, startKubelet } from "../../src/cmd/kubelet.ts";
import { type NodeRuntime, startNodeRuntime } from "../../src/cmd/node-runtime.ts";
import { podNetworkName } from "../../src/cni/network-config.ts";
import { removePodNetwork } from "../../src/cni/teardown.ts";
import { destroyContainerd, withContainerd } from "../../src/cri/containerd.ts";
import { importImage } from "../../src/cri/images.ts";
import { createCgroups, detectCgroups } from "../../src/linux/cgroups.ts";
import { findDirectoryWith, findExecutable } from "../../src/linux/find-executable.ts";
import { listMounts, unmountBelow } from "../../src/linux/mounts.ts";
import { findProcesses, signalProcess } from "../../src/linux/processes.ts";
import { createFakeApi } from "../../src/testing/fake-api.ts";
import { buildImage } from "../../src/testing/image-builder.ts";

const tools = await Promise.all(["containerd", "ctr", "runc", "busybox", "nft"].map(findExecutable));
const plugins = await findDirectoryWith(["bridge"], ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"]);
const canRun = process.platform === "linux" && process.getuid?.() === 0 && tools.every(Boolean) && plugins !== undefined;
if (!canRun)
  console.log(
    "the kubelet is not tried with containerd: it needs Linux, root, containerd, runc, busybox-static, nftables and the CNI plugins",
  );

const nodeName = "kubelet-test";
const image = "coracle.test/busybox:1";
const logger = createLogger("test", { verbosity: Number(process.env.CORACLE_TEST_V ?? -1) });
// Timers of the clock do not keep a process alive, and nothing else may be open while a test waits.
const keepAlive = setInterval(() => undefined, 1000);

describe.skipIf(!canRun)("a kubelet with containerd", () => {
  let dataDir: string;
  let runtime: NodeRuntime;
  let running: RunningKubelet;
  let client: Client;

  const start = async (): Promise<void> => {
    running = await startKubelet(
      { client, runtime, clock: realClock, logger },
      {
        nodeName,
        rootDirectory: join(dataDir, "kubelet"),
        logsDirectory: join(dataDir, "pods", "logs"),
        cgroupRoot: podNetworkName(dataDir),
        evictionHard: {},
      },
    );
  };

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "coracle-kubelet-"));
    client = createClient(createFakeApi(realClock));
    runtime = await startNodeRuntime({ dataDir, choice: "containerd", clusterCidrs: ["10.247.0.0/16"], clock: realClock, logger });
    const archive = await buildImage({ name: image });
    const deps = { clock: realClock, log: logger };
    await withContainerd({ dataDir }, deps, (containerd) => importImage({ ...containerd, clock: realClock }, archive));
    await start();
    await until("the node is registered", async () => (await client.list(nodes)).items.length === 1);
    await client.patch(nodes, { name: nodeName }, { spec: { podCIDR: "10.247.0.0/24", podCIDRs: ["10.247.0.0/24"] } }, { type: "merge" });
    await running.ready;
  }, 60_000);

  afterAll(async () => {
    clearInterval(keepAlive);
    await running?.stop();
    await runtime?.stop();
    await destroyContainerd(dataDir, { clock: realClock, log: logger });
    await createCgroups(await detectCgroups(), { clock: realClock }).remove(`/${podNetworkName(dataDir)}`);
    await removePodNetwork(dataDir);
    await unmountBelow(dataDir);
    await rm(dataDir, { recursive: true, force: true });
  }, 60_000);

  const shell = (script: string, fields: Partial<Container> = {}): Container => ({
    name: "main",
    image,
    command: ["/bin/sh", "-c", script],
    ...fields,
  });

  const create = async (name: string, containers: readonly Container[], spec: Partial<PodSpec> = {}): Promise<Pod> => {
    const full = { nodeName, terminationGracePeriodSeconds: 1, automountServiceAccountToken: false, ...spec, containers };
    const metadata = { name, namespace: "default" } as Pod["metadata"];
    return await client.create(pods, defaultPod({ apiVersion: "v1", kind: "Pod", metadata, spec: full }));
  };

  const untilPhase = async (name: string, phase: string): Promise<Pod> => {
    let found: Pod | undefined;
    await until(`pod ${name} is ${phase}`, async () => {
      found = await client.get(pods, { namespace: "default", name });
      return found.status?.phase === phase;
    });
    return found as Pod;
  };

  const remove = async (name: string): Promise<void> => {
    await client.delete(pods, { namespace: "default", name });
    await until(
      `pod ${name} is gone`,
      async () => !(await client.list(pods, { namespace: "default" })).items.some((p) => p.metadata.name === name),
    );
  };

  const logOf = async (name: string, container = "main"): Promise<string> => {
    const pieces: Uint8Array[] = [];
    const options = { follow: false, previous: false, timestamps: false };
    const log = await running.kubelet.access.containerLog(
      { namespace: "default", pod: name, container },
      options,
      new AbortController().signal,
    );
    for await (const piece of log) pieces.push(piece);
    return Buffer.concat(pieces).toString("utf8");
  };

  test("a pod runs with its environment, files and address, and is gone when it is deleted", async () => {
    const env = [
      { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      { name: "GREETING", value: "hello $(POD_IP)" },
    ];
    await create("web", [shell('echo "$GREETING"; cat /etc/hosts; echo done >/dev/termination-log; sleep 3600', { env })]);
    const pod = await untilPhase("web", "Running");
    expect(pod.status?.podIP).toMatch(/^10\.247\.0\./);
    await until("the log is there", async () => (await logOf("web")).includes("web"));
    expect(await logOf("web")).toContain(`hello ${pod.status?.podIP}\n# Kubernetes-managed hosts file.`);
    await remove("web");
  });

  test("a job's pod succeeds, and its termination message is kept", async () => {
    await create("job", [shell("echo bye > /dev/termination-log; exit 0")], { restartPolicy: "Never" });
    const pod = await untilPhase("job", "Succeeded");
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed", message: "bye\n" });
    await remove("job");
  });

  test("an image that cannot be pulled is reported as such", async () => {
    await create("missing", [{ name: "main", image: "registry.invalid/none:1" }]);
    await until("ErrImagePull", async () => {
      const { items } = await client.list(pods, { namespace: "default" });
      return items.find((p) => p.metadata.name === "missing")?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "ErrImagePull";
    });
    await remove("missing");
  });

  test("pods live on while the kubelet is restarted", async () => {
    await create("stays", [shell("sleep 3600")]);
    const before = await untilPhase("stays", "Running");
    await running.stop();
    await start();
    await realClock.sleep(1500);
    const after = await client.get(pods, { namespace: "default", name: "stays" });
    expect(after.status?.containerStatuses?.[0]?.containerID).toBe(before.status?.containerStatuses?.[0]?.containerID);
    expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    await remove("stays");
  });

  test("volumes, probes and users are as the pod says", async () => {
    await client.create(configmaps, { metadata: { name: "page", namespace: "default" }, data: { "index.html": "hello from a file" } });
    await client.create(secrets, {
      metadata: { name: "key", namespace: "default" },
      data: { key: Buffer.from("sesame").toString("base64") },
    });
    const script = "id -u; id -G; cat /secret/key; echo; touch /scratch/x && ls /scratch; exec httpd -f -p 8080 -h /www";
    const web = shell(script, {
      ports: [{ name: "http", containerPort: 8080 }],
      readinessProbe: { httpGet: { port: "http", path: "/index.html" }, periodSeconds: 1 },
      livenessProbe: { tcpSocket: { port: 8080 }, initialDelaySeconds: 1, periodSeconds: 1 },
      securityContext: { runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] }, readOnlyRootFilesystem: true },
      resources: { requests: { cpu: "50m", memory: "16Mi" }, limits: { cpu: "500m", memory: "64Mi" } },
      volumeMounts: [
        { name: "page", mountPath: "/www" },
        { name: "key", mountPath: "/secret", readOnly: true },
        { name: "scratch", mountPath: "/scratch" },
      ],
    });
    const volumes = [
      { name: "page", configMap: { name: "page" } },
      { name: "key", secret: { secretName: "key", defaultMode: 0o400 } },
      { name: "scratch", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
    ];
    await create("full", [web], { volumes, securityContext: { fsGroup: 2000 } });
    await untilPhase("full", "Running");
    await until("the pod is ready", async () => {
      const pod = await client.get(pods, { namespace: "default", name: "full" });
      return pod.status?.containerStatuses?.[0]?.ready === true;
    });
    expect(await logOf("full")).toBe("1000\n0 2000\nsesame\nx\n");
    await realClock.sleep(2_500);
    expect((await client.get(pods, { namespace: "default", name: "full" })).status?.containerStatuses?.[0]?.restartCount).toBe(0);
    await remove("full");
    expect((await listMounts()).filter((m) => m.mountPoint.includes(`${dataDir}/kubelet/pods`))).toEqual([]);
  });

  test("pods outlive containerd, and new ones start when it is back", async () => {
    await create("stays", [shell("sleep 3600")]);
    const before = await untilPhase("stays", "Running");
    const [containerd] = await findProcesses((args) => args.some((arg) => arg.includes(dataDir)) && /containerd$/.test(args[0] ?? ""));
    if (!containerd) throw new Error("containerd is not running");
    await signalProcess(containerd, "SIGKILL");
    await create("next", [shell("sleep 3600")]);
    await untilPhase("next", "Running");
    const after = await client.get(pods, { namespace: "default", name: "stays" });
    expect(after.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 0,
      containerID: before.status?.containerStatuses?.[0]?.containerID,
    });
    await Promise.all([remove("stays"), remove("next")]);
  });

  test("many pods start at once", async () => {
    const count = Number(process.env.CORACLE_TEST_PODS ?? 10);
    await Promise.all(Array.from({ length: count }, (_, i) => create(`many-${i}`, [shell("sleep 3600")])));
    await until(
      "all run",
      async () => (await client.list(pods, { namespace: "default" })).items.filter((p) => p.status?.phase === "Running").length === count,
    );
    await Promise.all(Array.from({ length: count }, (_, i) => remove(`many-${i}`)));
  });
});

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await realClock.sleep(10);
  }
}
