import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configmaps, leases, nodes, pods, secrets } from "../api/resources.generated.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import { container, nodeName, startKubelet } from "../testing/kubelet-fixture.ts";

describe("kubelet: the node", () => {
  it("registers the node, becomes ready, and keeps its lease", async () => {
    await using f = await startKubelet();
    await f.until(
      async () =>
        (await f.client.list(nodes)).items[0]?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false,
    );
    const node = await f.client.get(nodes, { name: nodeName });
    expect(node.metadata.labels).toMatchObject({ "kubernetes.io/hostname": nodeName, "kubernetes.io/os": "linux" });
    expect(node.status?.addresses).toEqual([
      { type: "InternalIP", address: "192.0.2.1" },
      { type: "Hostname", address: nodeName },
    ]);
    expect(node.status?.conditions?.find((c) => c.type === "Ready")).toMatchObject({
      reason: "KubeletReady",
      message: "kubelet is posting ready status",
    });
    const lease = await f.client.get(leases, { namespace: "kube-node-lease", name: nodeName });
    expect(lease.spec).toMatchObject({ holderIdentity: nodeName, leaseDurationSeconds: 40 });
    await f.clock.advance(10_100);
    const renewed = await f.client.get(leases, { namespace: "kube-node-lease", name: nodeName });
    expect(renewed.spec.renewTime).not.toBe(lease.spec.renewTime);
  });

  it("is not ready while the runtime is away, and ready again afterwards", async () => {
    let away = false;
    await using f = await startKubelet({
      runtime: {
        beforeCall: () => {
          if (away) throw new RpcError("UNAVAILABLE", "connection refused");
        },
      },
    });
    const ready = async (): Promise<string | undefined> =>
      (await f.client.list(nodes)).items[0]?.status?.conditions?.find((c) => c.type === "Ready")?.status;
    await f.until(async () => (await ready()) === "True");
    away = true;
    await f.until(async () => (await ready()) === "False");
    away = false;
    await f.until(async () => (await ready()) === "True");
  });
});

describe("kubelet: pods", () => {
  it("runs a pod that is bound to the node", async () => {
    await using f = await startKubelet();
    await f.createPod("web");
    const pod = await f.untilPhase("web", "Running");
    expect(pod.status?.podIP).toMatch(/^10\./);
    expect(pod.status).toMatchObject({ hostIP: "192.0.2.1", qosClass: "BestEffort" });
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({ name: "main", ready: true, started: true, restartCount: 0 });
    expect(Object.fromEntries((pod.status?.conditions ?? []).map((c) => [c.type, c.status]))).toEqual({
      PodReadyToStartContainers: "True",
      Initialized: "True",
      Ready: "True",
      ContainersReady: "True",
      PodScheduled: "True",
    });
    expect(f.reasons("web")).toEqual(["Pulled", "Created", "Started"]);
  });

  it("stops a deleted pod, then deletes its object and leaves nothing in the runtime", async () => {
    await using f = await startKubelet();
    const pod = await f.createPod("web");
    await f.untilPhase("web", "Running");
    await f.client.delete(pods, { namespace: "default", name: "web" });
    await f.until(async () => (await f.pod("web")) === undefined);
    await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0);
    expect((await f.cri.listContainers({})).containers).toEqual([]);
    expect(f.reasons("web")).toContain("Killing");
    const hosts = join(f.directory, "root", "pods", pod.metadata.uid, "etc-hosts");
    await f.until(() =>
      readFile(hosts).then(
        () => false,
        () => true,
      ),
    );
  });

  it("runs init containers one after the other before the regular ones", async () => {
    await using f = await startKubelet({ runtime: { images: ["busybox:1", "init:1"], behaviours: { "init:1": { exitAfterMs: 500 } } } });
    await f.createPod("web", { initContainers: [container({ name: "a", image: "init:1" }), container({ name: "b", image: "init:1" })] });
    await f.until(async () => (await f.pod("web"))?.status?.initContainerStatuses?.[0]?.state?.terminated !== undefined);
    const pending = await f.pod("web");
    expect(pending?.status?.containerStatuses?.[0]?.state?.waiting?.reason).toBe("PodInitializing");
    const pod = await f.untilPhase("web", "Running");
    expect(pod.status?.initContainerStatuses?.map((s) => s.state?.terminated?.exitCode)).toEqual([0, 0]);
    expect(f.events.filter((e) => e.reason === "Started")).toHaveLength(3);
  });

  it("succeeds when all containers end well and are not to be restarted", async () => {
    await using f = await startKubelet({ runtime: { images: ["job:1"], behaviours: { "job:1": { exitAfterMs: 1000 } } } });
    await f.createPod("job", { restartPolicy: "Never", containers: [container({ image: "job:1" })] });
    const pod = await f.untilPhase("job", "Succeeded");
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 0, reason: "Completed" });
    expect(pod.status?.conditions?.find((c) => c.type === "Ready")).toMatchObject({ status: "False", reason: "PodCompleted" });
  });

  it("restarts a crashing container with growing delays", async () => {
    await using f = await startKubelet({ runtime: { images: ["crash:1"], behaviours: { "crash:1": { exitAfterMs: 1000, exitCode: 3 } } } });
    await f.createPod("web", { containers: [container({ image: "crash:1" })] });
    await f.until(async () => (await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff");
    const status = (await f.pod("web"))?.status;
    expect(status?.phase).toBe("Running");
    expect(status?.containerStatuses?.[0]).toMatchObject({ restartCount: 1, lastState: { terminated: { exitCode: 3, reason: "Error" } } });
    expect(status?.containerStatuses?.[0]?.state?.waiting?.message).toMatch(
      /^back-off 10s restarting failed container=main pod=web_default\(/,
    );
    await f.until(async () => ((await f.pod("web"))?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 3, 60_000);
    expect(f.reasons("web")).toContain("BackOff");
  });

  it("shows ErrImagePull, then ImagePullBackOff, for an image that cannot be pulled", async () => {
    await using f = await startKubelet({
      runtime: {
        beforePull: (image) => {
          throw new RpcError("NOT_FOUND", `failed to resolve reference "${image}": not found`);
        },
      },
    });
    await f.createPod("web", { containers: [container({ image: "missing:1" })] });
    const reason = async (): Promise<string | undefined> => (await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.reason;
    await f.until(async () => (await reason()) === "ErrImagePull");
    await f.until(async () => (await reason()) === "ImagePullBackOff");
    expect((await f.pod("web"))?.status?.phase).toBe("Pending");
    expect(f.reasons("web").slice(0, 3)).toEqual(["Pulling", "Failed", "Failed"]);
    expect(f.reasons("web")).toContain("BackOff");
  });

  it("mounts a ConfigMap, waits for a missing one, and follows its changes", async () => {
    await using f = await startKubelet();
    const pod = await f.createPod("web", {
      volumes: [{ name: "config", configMap: { name: "settings" } }],
      containers: [container({ volumeMounts: [{ name: "config", mountPath: "/config" }] })],
    });
    await f.until(async () => f.reasons("web").includes("FailedMount"));
    expect(f.events.find((e) => e.reason === "FailedMount")?.message).toBe(
      'MountVolume.SetUp failed for volume "config" : configmap "settings" not found',
    );
    const created = await f.client.create(configmaps, { metadata: { name: "settings", namespace: "default" }, data: { color: "red" } });
    await f.untilPhase("web", "Running");
    const path = join(f.directory, "root", "pods", pod.metadata.uid, "volumes", "kubernetes.io~configmap", "config", "color");
    expect(await readFile(path, "utf8")).toBe("red");
    await f.client.update(configmaps, { ...created, data: { color: "blue" } });
    await f.until(async () => (await readFile(path, "utf8")) === "blue");
  });

  it("does not make a volume that no container mounts, and does not wait for what it names", async () => {
    await using f = await startKubelet();
    const pod = await f.createPod("web", { volumes: [{ name: "config", configMap: { name: "none" } }] });
    await f.untilPhase("web", "Running");
    expect(f.reasons("web")).not.toContain("FailedMount");
    await expect(readFile(join(f.directory, "root", "pods", pod.metadata.uid, "volumes"))).rejects.toThrow("ENOENT");
  });

  it("fills the environment from secrets and refuses to start without", async () => {
    await using f = await startKubelet();
    const env = [
      { name: "PASSWORD", valueFrom: { secretKeyRef: { name: "login", key: "password" } } },
      { name: "GREETING", value: "hi $(PASSWORD)" },
    ];
    await f.createPod("web", { containers: [container({ env })] });
    await f.until(
      async () => (await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "CreateContainerConfigError",
    );
    expect((await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.message).toBe('secret "login" not found');
    const data = { password: Buffer.from("sesame").toString("base64") };
    await f.client.create(secrets, { metadata: { name: "login", namespace: "default" }, data });
    await f.untilPhase("web", "Running");
  });

  it("replaces a container whose liveness probe fails", async () => {
    let healthy = true;
    await using f = await startKubelet({
      runtime: { images: ["app:1"], behaviours: { "app:1": { exec: () => ({ exitCode: healthy ? 0 : 1, stdout: "sick" }) } } },
    });
    const livenessProbe = { exec: { command: ["check"] }, periodSeconds: 1, failureThreshold: 2 };
    await f.createPod("web", { terminationGracePeriodSeconds: 1, containers: [container({ image: "app:1", livenessProbe })] });
    await f.untilPhase("web", "Running");
    await f.clock.advance(3_000);
    expect((await f.pod("web"))?.status?.containerStatuses?.[0]?.restartCount).toBe(0);
    healthy = false;
    await f.until(async () => f.reasons("web").includes("Killing"));
    healthy = true;
    await f.until(async () => (await f.pod("web"))?.status?.containerStatuses?.[0]?.restartCount === 1);
    expect(f.events.find((e) => e.reason === "Unhealthy")?.message).toBe("Liveness probe failed: sick");
    expect(f.events.find((e) => e.reason === "Killing")?.message).toBe("Container main failed liveness probe, will be restarted");
  });

  it("delays the restarts of a container whose liveness probe keeps failing", async () => {
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": { exec: () => ({ exitCode: 1 }) } } } });
    const livenessProbe = { exec: { command: ["check"] }, periodSeconds: 1, failureThreshold: 1 };
    await f.createPod("web", { terminationGracePeriodSeconds: 1, containers: [container({ image: "app:1", livenessProbe })] });
    await f.until(async () => (await f.pod("web"))?.status?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff");
    await f.clock.advance(60_000);
    // Killed at once three times, then after 10, 20 and 40 seconds at the earliest.
    expect((await f.pod("web"))?.status?.containerStatuses?.[0]?.restartCount).toBeLessThanOrEqual(5);
  });

  it("is ready only while the readiness probe succeeds", async () => {
    let healthy = false;
    await using f = await startKubelet({
      runtime: { images: ["app:1"], behaviours: { "app:1": { exec: () => ({ exitCode: healthy ? 0 : 1 }) } } },
    });
    const readinessProbe = { exec: { command: ["check"] }, periodSeconds: 1, failureThreshold: 1 };
    await f.createPod("web", { containers: [container({ image: "app:1", readinessProbe })] });
    await f.untilPhase("web", "Running");
    const ready = async (): Promise<boolean | undefined> => (await f.pod("web"))?.status?.containerStatuses?.[0]?.ready;
    expect(await ready()).toBe(false);
    healthy = true;
    await f.until(async () => (await ready()) === true);
    healthy = false;
    await f.until(async () => (await ready()) === false);
    expect((await f.pod("web"))?.status?.conditions?.find((c) => c.type === "Ready")?.message).toBe(
      "containers with unready status: [main]",
    );
  });

  it("starts sidecars before and stops them after the regular containers", async () => {
    await using f = await startKubelet({ runtime: { images: ["busybox:1", "job:1"], behaviours: { "job:1": { exitAfterMs: 1000 } } } });
    await f.createPod("job", {
      restartPolicy: "Never",
      initContainers: [container({ name: "side", restartPolicy: "Always" })],
      containers: [container({ image: "job:1" })],
    });
    const pod = await f.untilPhase("job", "Succeeded");
    expect(f.events.filter((e) => e.reason === "Started")).toHaveLength(2);
    expect(pod.status?.initContainerStatuses?.[0]?.state?.terminated).toBeDefined();
  });

  it("refuses a pod that does not fit", async () => {
    await using f = await startKubelet({ options: { capacity: { cpus: 1 } } });
    await f.createPod("big", { containers: [container({ resources: { requests: { cpu: "2" } } })] });
    const pod = await f.untilPhase("big", "Failed");
    expect(pod.status).toMatchObject({ reason: "OutOfcpu", observedGeneration: 1 });
    expect(pod.status?.message).toBe("Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 0, capacity: 1000");
  });

  it("fails a pod that runs longer than its deadline", async () => {
    await using f = await startKubelet();
    await f.createPod("slow", { activeDeadlineSeconds: 5, terminationGracePeriodSeconds: 1 });
    await f.untilPhase("slow", "Running");
    const pod = await f.untilPhase("slow", "Failed");
    expect(pod.status).toMatchObject({
      reason: "DeadlineExceeded",
      message: "Pod was active on the node longer than the specified deadline",
    });
  });

  it("fails a pod past its deadline also when its containers take that well", async () => {
    await using f = await startKubelet({ runtime: { images: ["polite:1"], behaviours: { "polite:1": { onTerminate: 0 } } } });
    await f.createPod("polite", { activeDeadlineSeconds: 5, restartPolicy: "Never", containers: [container({ image: "polite:1" })] });
    const pod = await f.untilPhase("polite", "Failed");
    expect(pod.status).toMatchObject({ reason: "DeadlineExceeded", containerStatuses: [{ state: { terminated: { exitCode: 0 } } }] });
  });

  it("takes over running pods after a restart without touching their containers", async () => {
    await using f = await startKubelet();
    await f.createPod("web");
    await f.untilPhase("web", "Running");
    const before = (await f.cri.listContainers({})).containers.map((c) => c.id);
    await f.restart();
    await f.clock.advance(5_000);
    expect((await f.cri.listContainers({})).containers.map((c) => c.id)).toEqual(before);
    expect((await f.pod("web"))?.status?.phase).toBe("Running");
    expect(f.events.filter((e) => e.reason === "Started")).toHaveLength(1);
  });

  it("ends pods that were deleted while it was down", async () => {
    await using f = await startKubelet();
    await f.createPod("web");
    await f.untilPhase("web", "Running");
    await f.kubelet.stop();
    await f.client.delete(pods, { namespace: "default", name: "web" }, { body: { gracePeriodSeconds: 0 } });
    await f.restart();
    await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0);
  });
});
