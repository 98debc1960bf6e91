// Pods of a kubelet with real containers and a small API in memory, through restarts of the kubelet and of containerd.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configmaps, pods, secrets } from "../../src/api/resources.generated.ts";
import { realClock } from "../../src/base/clock.ts";
import { listMounts } from "../../src/linux/mounts.ts";
import { findProcesses, signalProcess } from "../../src/linux/processes.ts";
import { until } from "../support/processes.ts";
import { RealKubelet, shell, whyNoRealKubelet } from "../support/real-kubelet.ts";

const reason = await whyNoRealKubelet();
if (reason) console.log(`the kubelet is not tried with containerd: ${reason}`);

describe.runIf(reason === undefined)("a kubelet with containerd", () => {
  let bed: RealKubelet;

  beforeAll(async () => {
    bed = await RealKubelet.start("10.247");
  }, 60_000);
  afterAll(() => bed?.remove(), 60_000);

  test("a pod runs with its environment, files and address, and is gone when it is deleted", async () => {
    const env = [
      { name: "POD_IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      { name: "GREETING", value: "hello $(POD_IP)" },
    ];
    await bed.create("web", [shell('echo "$GREETING"; cat /etc/hosts; echo done >/dev/termination-log; sleep 3600', { env })]);
    const pod = await bed.untilPhase("web", "Running");
    expect(pod.status?.podIP).toMatch(/^10\.247\.0\./);
    await until("the log is there", async () => (await bed.log("web")).includes("web"));
    expect(await bed.log("web")).toContain(`hello ${pod.status?.podIP}\n# Kubernetes-managed hosts file.`);
    await bed.delete("web");
  });

  test("a job's pod succeeds, and its termination message is kept", async () => {
    await bed.create("job", [shell("echo bye > /dev/termination-log; exit 0")], { restartPolicy: "Never" });
    const pod = await bed.untilPhase("job", "Succeeded");
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed", message: "bye\n" });
    await bed.delete("job");
  });

  test("an image that cannot be pulled is reported as such", async () => {
    await bed.create("missing", [{ name: "main", image: "registry.invalid/none:1" }]);
    await until("ErrImagePull", async () => {
      const { items } = await bed.client.list(pods, { namespace: "default" });
      return items.find((p) => p.metadata.name === "missing")?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "ErrImagePull";
    });
    await bed.delete("missing");
  });

  test("pods live on while the kubelet is restarted", async () => {
    await bed.create("stays", [shell("sleep 3600")]);
    const before = await bed.untilPhase("stays", "Running");
    await bed.restartKubelet();
    await realClock.sleep(1500);
    const after = await bed.client.get(pods, { namespace: "default", name: "stays" });
    expect(after.status?.containerStatuses?.[0]?.containerID).toBe(before.status?.containerStatuses?.[0]?.containerID);
    expect(after.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    await bed.delete("stays");
  });

  test("volumes, probes and users are as the pod says", async () => {
    await bed.client.create(configmaps, { metadata: { name: "page", namespace: "default" }, data: { "index.html": "hello from a file" } });
    await bed.client.create(secrets, {
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
    await bed.create("full", [web], { volumes, securityContext: { fsGroup: 2000 } });
    await bed.untilPhase("full", "Running");
    await until("the pod is ready", async () => {
      const pod = await bed.client.get(pods, { namespace: "default", name: "full" });
      return pod.status?.containerStatuses?.[0]?.ready === true;
    });
    expect(await bed.log("full")).toBe("1000\n0 2000\nsesame\nx\n");
    await realClock.sleep(2_500);
    expect((await bed.client.get(pods, { namespace: "default", name: "full" })).status?.containerStatuses?.[0]?.restartCount).toBe(0);
    await bed.delete("full");
    expect((await listMounts()).filter((m) => m.mountPoint.includes(`${bed.dataDir}/kubelet/pods`))).toEqual([]);
  });

  test("pods outlive containerd, and new ones start when it is back", async () => {
    await bed.create("stays", [shell("sleep 3600")]);
    const before = await bed.untilPhase("stays", "Running");
    const [containerd] = await findProcesses((args) => args.some((arg) => arg.includes(bed.dataDir)) && /containerd$/.test(args[0] ?? ""));
    if (!containerd) throw new Error("containerd is not running");
    await signalProcess(containerd, "SIGKILL");
    await bed.create("next", [shell("sleep 3600")]);
    await bed.untilPhase("next", "Running");
    const after = await bed.client.get(pods, { namespace: "default", name: "stays" });
    expect(after.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 0,
      containerID: before.status?.containerStatuses?.[0]?.containerID,
    });
    await Promise.all([bed.delete("stays"), bed.delete("next")]);
  });

  test("many pods start at once", async () => {
    const count = Number(process.env.CORACLE_TEST_PODS ?? 10);
    await Promise.all(Array.from({ length: count }, (_, i) => bed.create(`many-${i}`, [shell("sleep 3600")])));
    await until(
      "all run",
      async () =>
        (await bed.client.list(pods, { namespace: "default" })).items.filter((p) => p.status?.phase === "Running").length === count,
    );
    await Promise.all(Array.from({ length: count }, (_, i) => bed.delete(`many-${i}`)));
  });
});
