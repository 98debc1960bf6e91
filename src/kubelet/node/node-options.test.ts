// What an administrator tells a node: its intervals, its size, whether it registers itself, and where static pods come from.
import { rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { leases, nodes, pods } from "../../api/resources.generated.ts";
import type { Container, Node, Pod, PodSpec } from "../../api/types/core-v1.ts";
import type { CgroupLimits, Cgroups } from "../../linux/cgroups.ts";
import { nodeName, startKubelet } from "../../testing/kubelet-fixture.ts";
import { createPodCgroups } from "../cgroups/pod-cgroups.ts";
import { podsLimits } from "../cgroups/pods-limits.ts";
import { swapBytes, swapResources } from "../containers/swap.ts";
import { swapRefusal } from "../resize/swap-resize.ts";

describe("kubelet: the node's options", () => {
  it("has so many pods as its CPUs allow, a provider's id, and as many images as it is told", async () => {
    const options = { maxPods: 50, podsPerCore: 10, capacity: { cpus: 3 }, providerID: "cloud://1", nodeStatusMaxImages: 0 };
    await using f = await startKubelet({ options });
    await f.until(async () => (await f.client.list(nodes)).items.length === 1);
    const node = await f.client.get(nodes, { name: nodeName });
    expect([node.status?.capacity?.pods, node.spec?.providerID, node.status?.images]).toEqual(["30", "cloud://1", []]);
  });

  it("renews its lease and reports its status as often as it is told", async () => {
    const options = { nodeLeaseDurationSeconds: 8, nodeStatusUpdateFrequencyMs: 1_000, nodeStatusReportFrequencyMs: 60_000 };
    await using f = await startKubelet({ options });
    await f.until(async () => f.kubelet.node?.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") ?? false);
    const lease = await f.client.get(leases, { namespace: "kube-node-lease", name: nodeName });
    expect(lease.spec.leaseDurationSeconds).toBe(8);
    const heartbeat = (node: Node | undefined): string | undefined => node?.status?.conditions?.[0]?.lastHeartbeatTime;
    const before = heartbeat(f.kubelet.node);
    await f.clock.advance(2_500);
    const renewed = await f.client.get(leases, { namespace: "kube-node-lease", name: nodeName });
    expect(renewed.spec.renewTime).not.toBe(lease.spec.renewTime);
    expect(heartbeat(f.kubelet.node)).toBe(before);
    await f.until(async () => heartbeat(f.kubelet.node) !== before, 65_000);
  });

  it("waits for its object where it does not register itself, and reports once it is there", async () => {
    await using f = await startKubelet({ options: { registerNode: false } });
    await f.clock.advance(30_000);
    expect((await f.client.list(nodes)).items).toEqual([]);
    await f.client.create(nodes, { metadata: { name: nodeName }, spec: {} });
    await f.until(async () => f.kubelet.node?.status?.conditions?.some((c) => c.type === "Ready") ?? false);
  });
});

const manifest = (name: string) => ({
  ...{ apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "default" } },
  spec: { containers: [{ name: "main", image: "busybox:1" }] },
});

async function serving(
  answer: () => readonly [status: number, text: string],
): Promise<{ readonly url: string; readonly headers: string[]; stop(): Promise<void> }> {
  const headers: string[] = [];
  const server: Server = createServer((request, response) => {
    headers.push(String(request.headers["x-who"]));
    const [status, text] = answer();
    response.writeHead(status);
    response.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pods`;
  return { url, headers, stop: () => new Promise((resolve) => void server.close(() => resolve()).closeAllConnections()) };
}

describe("kubelet: static pods from a URL and from a file", () => {
  it("runs what the URL says, and leaves it as it is while the URL cannot be read", async () => {
    let answer: readonly [number, string] = [
      200,
      JSON.stringify({ kind: "PodList", apiVersion: "v1", items: [manifest("a"), manifest("b")] }),
    ];
    const server = await serving(() => answer);
    try {
      const options = { staticPodURL: server.url, staticPodURLHeader: { "X-Who": ["me"] }, httpCheckFrequencyMs: 1_000 };
      await using f = await startKubelet({ options });
      const names = async (): Promise<string> =>
        (await f.client.list(pods)).items
          .map((p) => p.metadata.name)
          .sort()
          .join();
      await f.until(async () => (await names()) === `a-${nodeName},b-${nodeName}`);
      expect(f.kubelet.access.pods()[0]?.metadata.annotations?.["kubernetes.io/config.source"]).toBe("http");
      expect(server.headers[0]).toBe("me");
      const asked = server.headers.length;
      answer = [500, "no"];
      await f.until(async () => server.headers.length > asked + 2);
      expect(await names()).toBe(`a-${nodeName},b-${nodeName}`);
      answer = [200, JSON.stringify(manifest("b"))];
      await f.until(async () => (await names()) === `b-${nodeName}`);
    } finally {
      await server.stop();
    }
  });

  it("runs the pods of one file", async () => {
    const server = await serving(() => [200, JSON.stringify(manifest("web"))]);
    await using f = await startKubelet({});
    try {
      const path = join(f.directory, "pod.json");
      await writeFile(path, JSON.stringify(manifest("one")));
      await using g = await startKubelet({ options: { podManifestPath: path, staticPodURL: server.url } });
      await g.until(async () => (await g.client.list(pods)).items.length === 2);
      expect((await g.client.list(pods)).items.map((p) => p.metadata.name).sort()).toEqual([`one-${nodeName}`, `web-${nodeName}`]);
      await rm(path);
      await g.until(async () => (await g.client.list(pods)).items.length === 1, 60_000);
    } finally {
      await server.stop();
    }
  });
});

const podOf = (containers: readonly Container[], spec: Partial<PodSpec> = {}): Pod =>
  ({ apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "d", uid: "u1" }, spec: { containers, ...spec } }) as unknown as Pod; // the rest is the server's

describe("limits of control groups", () => {
  it("gives each pod a bound of processes, and all pods together what is not reserved", async () => {
    const set = new Map<string, CgroupLimits | undefined>();
    const cgroups = {
      version: 2,
      exists: async () => false,
      ensure: async (path: string, limits?: CgroupLimits) => void set.set(path, limits),
    } as unknown as Cgroups; // the rest is not asked for
    const allocatable = podsLimits(
      { cpus: 4, memoryBytes: 1000, pids: 500 },
      { nodeName: "n", rootDirectory: "/r", systemReserved: { cpu: "1" }, kubeReserved: { memory: "300", pid: "100" } },
    );
    await createPodCgroups(cgroups, "root", { pidsLimit: 64, allocatable }).ensure(podOf([{ name: "c" }]));
    expect(set.get("/root/kubepods")).toEqual({ cpuShares: 3072, memoryBytes: 700, pids: 400 });
    expect(set.get("/root/kubepods/besteffort/podu1")).toMatchObject({ pids: 64 });
    await createPodCgroups(cgroups, "other", { pidsLimit: -1 }).ensure(podOf([{ name: "c" }]));
    expect(set.get("/other/kubepods/besteffort/podu1")).not.toHaveProperty("pids");
    expect(podsLimits({ cpus: 4, memoryBytes: 1000 }, { nodeName: "n", rootDirectory: "/r", enforceNodeAllocatable: ["none"] })).toEqual(
      {},
    );
  });
});

describe("swap of containers", () => {
  const half: Container = { name: "c", resources: { requests: { memory: "500" } } };
  const limited = { behavior: "LimitedSwap", memoryBytes: 1000, swapBytes: 200 } as const;

  it("is the part of the node's swap that a burstable container asks for of its memory", () => {
    expect(swapBytes(podOf([half]), half, limited)).toBe(100);
    expect(swapResources(podOf([half]), half, limited)).toEqual({ unified: { "memory.swap.max": "100" } });
  });

  it("is none for others, and nothing is said where there is no swap", () => {
    const exact: Container = { name: "c", resources: { requests: { memory: "500" }, limits: { memory: "500" } } };
    const none: Container = { name: "c" };
    expect(swapBytes(podOf([half]), half, { ...limited, behavior: "NoSwap" })).toBe(0);
    expect(swapBytes(podOf([half, exact]), exact, limited)).toBe(0);
    expect(swapBytes(podOf([none]), none, limited)).toBe(0);
    expect(swapBytes(podOf([half], { priority: 2_000_000_000 }), half, limited)).toBe(0);
    expect(swapResources(podOf([half]), half, { ...limited, swapBytes: 0 })).toEqual({});
    expect(swapResources(podOf([half]), half, undefined)).toEqual({});
  });

  it("keeps the memory of a container that may have it from being changed in place", () => {
    const grown: Container = { name: "c", resources: { requests: { memory: "600" } } };
    const refusal = (container: Container, before: Container, behavior: "LimitedSwap" | "NoSwap" = "LimitedSwap") =>
      swapRefusal(podOf([container]), podOf([before]), behavior)?.detail;
    expect(refusal(grown, half)).toBe("swap_limitation");
    expect(refusal(grown, half, "NoSwap")).toBeUndefined();
    expect(refusal(half, half)).toBeUndefined();
    const resizePolicy = [{ resourceName: "memory", restartPolicy: "RestartContainer" }];
    expect(refusal({ ...grown, resizePolicy }, { ...half, resizePolicy })).toBeUndefined();
  });
});
