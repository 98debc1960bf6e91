// What feature gates turn on a whole kubelet.
import { describe, expect, it } from "vitest";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Pod } from "../api/types/core-v1.ts";
import { container, nodeName, startKubelet } from "../testing/kubelet-fixture.ts";
import { resolveOptions } from "./options.ts";

const resolved = (featureGates: Readonly<Record<string, boolean>>) =>
  resolveOptions({ nodeName: "n", rootDirectory: "/r", featureGates, shutdownGracePeriod: "10s" });

describe("kubelet: feature gates", () => {
  it("refuse what cannot be turned", () => {
    expect(() => resolved({ PodsAPI: true })).toThrow("cannot set feature gate PodsAPI=true: not supported by coracle's kubelet");
    expect(() => resolved({ UserNamespacesSupport: false })).toThrow("feature is locked to true");
  });

  it("turn graceful shutdown off, and back-off down", () => {
    expect(resolved({}).protection.shutdownGracePeriods).not.toEqual([]);
    expect(resolved({ GracefulNodeShutdown: false }).protection.shutdownGracePeriods).toEqual([]);
    expect(resolved({ ReduceDefaultCrashLoopBackOffDecay: true }).maxContainerRestartPeriodMs).toBe(60_000);
  });

  it("leave conditions and declared features out", async () => {
    const featureGates = { NodeDeclaredFeatures: false, PodReadyToStartContainersCondition: false };
    await using f = await startKubelet({ options: { featureGates } });
    await f.createPod("web");
    const pod = await f.untilPhase("web", "Running");
    expect(pod.status?.conditions?.map((c) => c.type)).not.toContain("PodReadyToStartContainers");
    const node = await f.client.get(nodes, { name: nodeName });
    expect(node.status).not.toHaveProperty("declaredFeatures");
  });

  it("wait a second before the first restart that is put off, instead of ten", async () => {
    await using f = await startKubelet({
      options: { featureGates: { ReduceDefaultCrashLoopBackOffDecay: true } },
      runtime: { images: ["crash:1"], behaviours: { "crash:1": { exitAfterMs: 100, exitCode: 1 } } },
    });
    await f.createPod("web", { containers: [container({ image: "crash:1" })] });
    await f.until(async () => ((await f.pod("web"))?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 3, 9_000);
  });

  it("keep the resources of a pod as a whole as they are", async () => {
    const featureGates = { InPlacePodLevelResourcesVerticalScaling: false };
    await using f = await startKubelet({ options: { featureGates, capacity: { cpus: 4, memoryBytes: 2 ** 33 } } });
    const resources = (cpu: string) => ({ requests: { cpu }, limits: { cpu } });
    const created = await f.createPod("web", { resources: resources("1"), containers: [container()] });
    await f.untilPhase("web", "Running");
    await f.client.update(pods, { ...((await f.pod("web")) as Pod), spec: { ...created.spec, resources: resources("2") } });
    await f.until(async () => {
      const pending = (await f.pod("web"))?.status?.conditions?.find((c) => c.type === "PodResizePending");
      return pending?.reason === "Infeasible" && pending.message === "InPlacePodLevelResourcesVerticalScaling is disabled";
    });
  });
});
