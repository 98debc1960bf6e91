// Longer stories of pods: static pods, hooks, sidecars, tokens, updates, logs of former instances.
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configmaps, nodes, persistentvolumeclaims, persistentvolumes, pods } from "../api/resources.generated.ts";
import type { ContainerStatus, Pod } from "../api/types/core-v1.ts";
import type { Client } from "../client/client.ts";
import type { CriRuntime } from "../cri/cri.ts";
import type { SimulatedRuntime } from "../cri/simulated.ts";
import { RpcError } from "../rpc/rpc-error.ts";
import { container, type KubeletFixture, nodeName, startKubelet } from "../testing/kubelet-fixture.ts";
import { directoriesOnly } from "./volumes/host-mounts.ts";
import { createPersistentVolumePlugin } from "./volumes/persistent-volumes.ts";

const statusOf = async (f: KubeletFixture, name: string, index = 0): Promise<ContainerStatus | undefined> =>
  (await f.pod(name))?.status?.containerStatuses?.[index];

async function logOf(f: KubeletFixture, pod: string, previous = false): Promise<string> {
  const options = { follow: false, previous, timestamps: false };
  const at = { namespace: "default", pod, container: "main" };
  const pieces: Uint8Array[] = [];
  for await (const piece of await f.kubelet.access.containerLog(at, options, new AbortController().signal)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

describe("kubelet: static pods", () => {
  it("runs pods of its manifest directory, mirrors them, and ends them with their file", async () => {
    const manifests = await mkdtemp(join(tmpdir(), "coracle-manifests-"));
    const file = join(manifests, "web.yaml");
    await writeFile(
      file,
      "apiVersion: v1\nkind: Pod\nmetadata: { name: web }\nspec: { containers: [{ name: main, image: 'busybox:1' }] }\n",
    );
    await using f = await startKubelet({ options: { podManifestPath: manifests } });
    const mirror = await f.untilPhase(`web-${nodeName}`, "Running");
    expect(mirror.metadata.annotations?.["kubernetes.io/config.source"]).toBe("file");
    expect(mirror.metadata.annotations?.["kubernetes.io/config.mirror"]).toBe(mirror.metadata.annotations?.["kubernetes.io/config.hash"]);
    expect(mirror.metadata.ownerReferences?.[0]).toMatchObject({ kind: "Node", name: nodeName });

    for (const gracePeriodSeconds of [0, 30]) {
      const old = (await f.pod(mirror.metadata.name)) as Pod;
      await f.client.delete(pods, old.metadata, { body: { gracePeriodSeconds } });
      // For a while there is none: who looks for the old one by its name must see that it has gone.
      await f.until(async () => (await f.pod(mirror.metadata.name)) === undefined);
      const goneMs = f.clock.now();
      await f.until(async () => (await f.pod(mirror.metadata.name)) !== undefined);
      expect((await f.pod(mirror.metadata.name))?.metadata.uid).not.toBe(old.metadata.uid);
      expect(f.clock.now() - goneMs).toBeGreaterThan(500);
      expect(f.clock.now() - goneMs).toBeLessThan(2_000);
    }
    expect((await f.cri.listContainers({})).containers).toHaveLength(1);

    await rm(manifests, { recursive: true });
    await f.until(async () => (await f.pod(mirror.metadata.name)) === undefined && (await f.cri.listPodSandbox({})).items.length === 0);
  });
});

describe("kubelet: the end of a pod", () => {
  it("runs preStop before it stops the container, within the grace period", async () => {
    const calls: string[] = [];
    const app = {
      exec: async (command: readonly string[]) => {
        calls.push(command.join(" "));
        return {};
      },
    };
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": app } } });
    const lifecycle = { preStop: { exec: { command: ["say", "bye"] } } };
    await f.createPod("web", { containers: [container({ image: "app:1", lifecycle })] });
    await f.untilPhase("web", "Running");
    await f.client.delete(pods, { namespace: "default", name: "web" });
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(calls).toEqual(["say bye"]);
  });

  it("kills what does not end within the grace period", async () => {
    await using f = await startKubelet({ runtime: { images: ["deaf:1"], behaviours: { "deaf:1": { onTerminate: "ignore" } } } });
    const pod = await f.createPod("web", { terminationGracePeriodSeconds: 5, containers: [container({ image: "deaf:1" })] });
    await f.untilPhase("web", "Running");
    const body = { gracePeriodSeconds: 5, preconditions: { uid: pod.metadata.uid } };
    const beganMs = f.clock.now();
    await f.client.delete(pods, pod.metadata, { body });
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(f.clock.now() - beganMs).toBeGreaterThanOrEqual(5_000);
    expect(f.clock.now() - beganMs).toBeLessThan(10_000);
  });

  it("tells that a pod is no longer ready while its containers are being stopped", async () => {
    let healthy = true;
    const app = { onTerminate: "ignore" as const, exec: async () => ({ exitCode: healthy ? 0 : 1 }) };
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": app } } });
    const readinessProbe = { exec: { command: ["check"] }, periodSeconds: 1, failureThreshold: 1 };
    const pod = await f.createPod("web", {
      terminationGracePeriodSeconds: 600,
      containers: [container({ image: "app:1", readinessProbe })],
    });
    const isReady = async (): Promise<boolean> => (await statusOf(f, "web"))?.ready === true;
    await f.until(isReady);
    const deletedMs = f.clock.now();
    await f.client.delete(pods, pod.metadata);
    await f.until(async () => f.reasons("web").includes("Killing"));
    expect(await isReady()).toBe(true);
    healthy = false;
    await f.until(async () => (await statusOf(f, "web"))?.ready === false);
    expect(f.clock.now() - deletedMs).toBeLessThan(60_000);
    expect((await f.pod("web"))?.status?.conditions?.find(({ type }) => type === "Ready")?.status).toBe("False");
  });

  it("hurries when a pod that is being ended is deleted by force", async () => {
    await using f = await startKubelet({ runtime: { images: ["deaf:1"], behaviours: { "deaf:1": { onTerminate: "ignore" } } } });
    const pod = await f.createPod("web", { terminationGracePeriodSeconds: 600, containers: [container({ image: "deaf:1" })] });
    await f.untilPhase("web", "Running");
    await f.client.delete(pods, pod.metadata);
    await f.until(async () => f.reasons("web").includes("Killing"));
    const beganMs = f.clock.now();
    await f.client.delete(pods, pod.metadata, { body: { gracePeriodSeconds: 0 } });
    await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0);
    expect(f.clock.now() - beganMs).toBeLessThan(5_000);
  });

  it("removes a pod that was deleted by force", async () => {
    await using f = await startKubelet();
    const pod = await f.createPod("web", { terminationGracePeriodSeconds: 1 });
    await f.untilPhase("web", "Running");
    await f.client.delete(pods, pod.metadata, { body: { gracePeriodSeconds: 0 } });
    await f.until(async () => (await f.cri.listPodSandbox({})).items.length === 0);
  });
});

describe("kubelet: containers", () => {
  it("replaces a container whose image is changed", async () => {
    await using f = await startKubelet({ runtime: { images: ["busybox:1", "busybox:2"] } });
    const pod = await f.createPod("web", { terminationGracePeriodSeconds: 1 });
    const running = await f.untilPhase("web", "Running");
    const containers = pod.spec.containers.map((c) => ({ ...c, image: "busybox:2" }));
    await f.client.update(pods, { ...running, spec: { ...running.spec, containers } });
    await f.until(async () => (await statusOf(f, "web"))?.restartCount === 1 && (await statusOf(f, "web"))?.ready === true);
    expect((await statusOf(f, "web"))?.image).toContain("busybox:2");
    expect(f.events.find((e) => e.reason === "Killing")?.message).toBe("Container main definition changed, will be restarted");
  });

  it("keeps the log of the instance before", async () => {
    let instance = 0;
    const app = {
      run: (process: { print(text: string): void; exit(code: number): void }) => {
        process.print(`instance ${++instance}`);
        if (instance === 1) process.exit(1);
      },
    };
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": app } } });
    await f.createPod("web", { containers: [container({ image: "app:1" })] });
    await f.until(async () => (await statusOf(f, "web"))?.ready === true && (await statusOf(f, "web"))?.restartCount === 1);
    expect(await logOf(f, "web")).toBe("instance 2\n");
    expect(await logOf(f, "web", true)).toBe("instance 1\n");
    await expect(
      f.kubelet.access.execUrl({ namespace: "default", pod: "web", container: "none" }, ["sh"], {
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false,
      }),
    ).rejects.toMatchObject({ reason: "BadRequest" });
    await expect(
      f.kubelet.access.containerLog(
        { namespace: "default", pod: "no", container: "main" },
        { follow: false, previous: false, timestamps: false },
        new AbortController().signal,
      ),
    ).rejects.toMatchObject({ reason: "NotFound" });
  });

  it("kills a container whose postStart hook fails", async () => {
    await using f = await startKubelet({ runtime: { images: ["app:1"], behaviours: { "app:1": { exec: () => ({ exitCode: 1 }) } } } });
    const lifecycle = { postStart: { exec: { command: ["prepare"] } } };
    await f.createPod("web", { terminationGracePeriodSeconds: 1, containers: [container({ image: "app:1", lifecycle })] });
    await f.until(async () => f.reasons("web").includes("FailedPostStartHook"));
    await f.until(async () => ((await statusOf(f, "web"))?.restartCount ?? 0) > 0);
  });

  it("gives containers a token, and a new one when four fifths of its life are over", async () => {
    let tokens = 0;
    let askedSeconds = 0;
    const withTokens = (client: Client, now: () => number): Client => ({
      ...client,
      createSubresource: async <R>(_type: unknown, _at: unknown, body: unknown): Promise<R> => {
        const { spec } = body as { spec: { expirationSeconds: number } };
        askedSeconds = spec.expirationSeconds;
        const expirationTimestamp = new Date(now() + askedSeconds * 1000).toISOString();
        return { status: { token: `token-${++tokens}`, expirationTimestamp } } as R;
      },
    });
    await using f = await startKubelet({ wrapClient: withTokens });
    const source = { sources: [{ serviceAccountToken: { path: "token", expirationSeconds: 600 } }] };
    const pod = await f.createPod("web", {
      volumes: [{ name: "auth", projected: source }],
      containers: [container({ volumeMounts: [{ name: "auth", mountPath: "/auth" }] })],
    });
    await f.untilPhase("web", "Running");
    const path = join(f.directory, "root", "pods", pod.metadata.uid, "volumes", "kubernetes.io~projected", "auth", "token");
    expect(await readFile(path, "utf8")).toBe("token-1");
    expect(askedSeconds).toBe(600);
    await f.clock.advance(400_000);
    expect(await readFile(path, "utf8")).toBe("token-1");
    await f.until(async () => (await readFile(path, "utf8")) === "token-2", 200_000);
  });
});

describe("kubelet: the node's pod network", () => {
  it("sets up the network once the node has its range, and only then starts pods that need one", async () => {
    const ranges: string[] = [];
    await using f = await startKubelet({ deps: { configureNetwork: async (cidrs) => void ranges.push(...cidrs) } });
    await f.until(async () => (await f.client.list(nodes)).items.length === 1);
    await f.client.patch(nodes, { name: nodeName }, { spec: { podCIDR: "10.200.1.0/24" } }, { type: "merge" });
    await f.until(async () => ranges.length > 0);
    await f.createPod("web");
    const pod: Pod = await f.untilPhase("web", "Running");
    expect(ranges).toEqual(["10.200.1.0/24"]);
    expect(pod.status?.podIP).toMatch(/^10\.200\.1\./);
  });
});

describe("kubelet: persistent volumes", () => {
  it("waits until the claim is bound, then mounts the directory of its volume", async () => {
    await using f = await startKubelet({ plugins: (client) => [createPersistentVolumePlugin(client, directoriesOnly)] });
    const claim = await f.client.create(persistentvolumeclaims, {
      metadata: { name: "data", namespace: "default" },
      spec: { volumeName: "pv" },
    });
    const path = join(f.directory, "pv");
    const spec = { hostPath: { path, type: "DirectoryOrCreate" as const }, claimRef: { uid: claim.metadata.uid } };
    await f.client.create(persistentvolumes, { metadata: { name: "pv" }, spec });
    await f.createPod("web", {
      volumes: [{ name: "data", persistentVolumeClaim: { claimName: "data" } }],
      containers: [container({ volumeMounts: [{ name: "data", mountPath: "/data" }] })],
    });
    await f.until(async () => f.reasons("web").includes("FailedMount"));
    expect(f.events.find((e) => e.reason === "FailedMount")?.message).toContain("PVC is not bound");
    await f.client.updateStatus(persistentvolumeclaims, { ...claim, status: { phase: "Bound" } });
    await f.untilPhase("web", "Running");
    const { containers } = await f.cri.listContainers({});
    const { status } = await f.cri.containerStatus({ containerId: containers[0]?.id ?? "" });
    expect(status?.mounts.find((m) => m.containerPath === "/data")?.hostPath).toBe(path);
  });
});

describe("kubelet: a container that cannot be started", () => {
  it("is tried again every ten seconds, however often its message changes", async () => {
    let tries = 0;
    const beforeCall = (method: string): void => {
      if (method === "createContainer") throw new RpcError("UNKNOWN", `failed to generate container ${++tries}`);
    };
    await using f = await startKubelet({ runtime: { beforeCall } });
    await f.createPod("web");
    await f.until(async () => (await statusOf(f, "web"))?.state?.waiting?.reason === "CreateContainerError");
    const beganMs = f.clock.now();
    await f.until(async () => tries >= 4);
    expect(f.clock.now() - beganMs).toBeGreaterThan(25_000);
    expect(f.clock.now() - beganMs).toBeLessThan(40_000);
  });

  it("is tried at once when what it lacks is there", async () => {
    await using f = await startKubelet();
    const env = [{ name: "A", valueFrom: { configMapKeyRef: { name: "settings", key: "a" } } }];
    await f.createPod("web", { containers: [container({ env })] });
    await f.until(async () => (await statusOf(f, "web"))?.state?.waiting?.reason === "CreateContainerConfigError");
    await f.client.create(configmaps, { metadata: { name: "settings", namespace: "default" }, data: { a: "1" } });
    const beganMs = f.clock.now();
    await f.until(async () => (await statusOf(f, "web"))?.ready === true);
    // Sooner than the ten seconds after which it is tried again anyway; files take their real time meanwhile.
    expect(f.clock.now() - beganMs).toBeLessThan(9_000);
  });

  it("is started to the end when its pod is deleted meanwhile: a start that is interrupted would be a failure of the container", async () => {
    let asked = false;
    const wrapRuntime = (cri: SimulatedRuntime): CriRuntime => ({
      ...cri,
      startContainer: async (request, options) => {
        asked = true;
        try {
          await f.clock.sleep(3_000, options?.signal);
        } catch {
          throw new RpcError("CANCELLED", "failed to start containerd task: context canceled");
        }
        return cri.startContainer(request, options);
      },
    });
    await using f: KubeletFixture = await startKubelet({ wrapRuntime });
    await f.createPod("web");
    await f.until(async () => asked);
    await f.client.delete(pods, { namespace: "default", name: "web" }, { body: { gracePeriodSeconds: 5 } });
    await f.until(async () => (await f.pod("web")) === undefined);
    expect(f.reasons("web")).toEqual(expect.arrayContaining(["Started", "Killing"]));
    expect(f.reasons("web")).not.toContain("Failed");
  });
});
