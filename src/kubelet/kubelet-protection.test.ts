// How a node protects itself, with the whole kubelet on a simulated runtime: pressure and eviction, what is given up before
// pods, shutdowns, preemption and admission. What the node uses is given as plain values.
import { describe, expect, it } from "vitest";
import { nodes } from "../api/resources.generated.ts";
import type { Node, NodeCondition, PodSpec } from "../api/types/core-v1.ts";
import type { Client } from "../client/client.ts";
import { container, type FixtureOptions, type KubeletFixture, nodeName, startKubelet } from "../testing/kubelet-fixture.ts";
import type { NodeStats, PodStats, StatsProvider, Summary } from "./stats/summary.ts";

const mi = 2 ** 20;

/** What the node and its pods use, to be changed as the story goes. */
class Usage {
  availableMi = 500;
  diskAvailable = 90;
  readonly memoryMi = new Map<string, number>();
  readonly volumeMi = new Map<string, number>();
  fixture: KubeletFixture | undefined;

  /** Which pods were asked for, each time; undefined for all. */
  readonly asked: (ReadonlySet<string> | undefined)[] = [];

  readonly summaries: StatsProvider = {
    summary: async ({ pods: wanted } = {}): Promise<Summary> => {
      this.asked.push(wanted);
      const time = new Date(this.fixture?.clock.now() ?? 0).toISOString();
      const memory = { time, availableBytes: this.availableMi * mi, workingSetBytes: (1000 - this.availableMi) * mi };
      const fs = { time, availableBytes: this.diskAvailable, capacityBytes: 100 };
      const node: NodeStats = { nodeName, startTime: time, memory, fs, runtime: { imageFs: fs, containerFs: fs } };
      const pods = await this.#pods(time);
      return { node, pods: wanted ? pods.filter(({ podRef }) => wanted.has(podRef.uid)) : pods };
    },
  };

  async #pods(time: string): Promise<readonly PodStats[]> {
    const found: PodStats[] = [];
    for (const name of new Set([...this.memoryMi.keys(), ...this.volumeMi.keys()])) {
      const pod = await this.fixture?.pod(name);
      if (!pod) continue;
      const memory = { time, workingSetBytes: (this.memoryMi.get(name) ?? 0) * mi };
      const used = this.volumeMi.get(name);
      found.push({
        ...{ podRef: { name, namespace: "default", uid: pod.metadata.uid }, startTime: time, memory },
        containers: [{ name: "main", startTime: time, memory }],
        ...(used === undefined ? {} : { volume: [{ name: "data", time, usedBytes: used * mi }] }),
      });
    }
    return found;
  }
}

async function start(usage: Usage, given: FixtureOptions = {}): Promise<KubeletFixture> {
  usage.fixture = await startKubelet({ ...given, deps: { summaries: usage.summaries, ...given.deps } });
  return usage.fixture;
}

const conditionOf = async ({ client }: KubeletFixture, type: string): Promise<NodeCondition | undefined> =>
  (await client.get(nodes, { name: nodeName })).status?.conditions?.find((c) => c.type === type);
const cpu = (amount: string): Partial<PodSpec> => ({ containers: [container({ resources: { requests: { cpu: amount } } })] });

describe("kubelet: eviction", () => {
  it("under memory pressure evicts one pod, takes no best-effort pods, and recovers", async () => {
    const usage = new Usage();
    await using f = await start(usage, {
      options: { evictionHard: { "memory.available": "100Mi" }, evictionPressureTransitionPeriod: "40s" },
    });
    const small = { containers: [container({ resources: { requests: { memory: "200Mi" } } })] };
    await f.createPod("modest", small);
    await f.createPod("greedy");
    await f.untilPhase("modest", "Running");
    await f.untilPhase("greedy", "Running");
    usage.memoryMi.set("modest", 150).set("greedy", 600);
    usage.availableMi = 50;
    const evicted = await f.untilPhase("greedy", "Failed");
    const message =
      "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. " +
      "Container main was using 600Mi, request is 0, has larger consumption of memory. ";
    expect(evicted.status).toMatchObject({ reason: "Evicted", message });
    expect(evicted.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({
      ...{ status: "True", reason: "TerminationByKubelet", message },
    });
    expect(evicted.status?.containerStatuses?.[0]?.state?.terminated).toBeDefined();
    usage.availableMi = 500;
    const metrics = await f.kubelet.access.stats(new URL("https://n1/metrics"), "GET");
    expect(metrics?.body).toContain('kubelet_evictions{eviction_signal="memory.available"} 1\n');
    expect(f.reasons(nodeName)).toContain("EvictionThresholdMet");
    expect(f.events.find((e) => e.reason === "EvictionThresholdMet")?.message).toBe("Attempting to reclaim memory");
    await f.until(async () => (await conditionOf(f, "MemoryPressure"))?.status === "True");
    expect(await conditionOf(f, "MemoryPressure")).toMatchObject({ reason: "KubeletHasInsufficientMemory" });
    await f.createPod("late");
    const refused = await f.untilPhase("late", "Failed");
    expect(refused.status).toMatchObject({ reason: "Evicted", message: "Pod was rejected: The node had condition: [MemoryPressure]. " });
    await f.until(async () => (await conditionOf(f, "MemoryPressure"))?.status === "False");
    expect((await f.pod("modest"))?.status?.phase).toBe("Running");
    await f.createPod("later");
    await f.untilPhase("later", "Running");
  });

  it("keeps the reason when the kubelet is started again", async () => {
    const usage = new Usage();
    await using f = await start(usage, { options: { evictionHard: { "memory.available": "100Mi" } } });
    await f.createPod("a");
    await f.untilPhase("a", "Running");
    usage.availableMi = 50;
    await f.untilPhase("a", "Failed");
    usage.availableMi = 500;
    await f.restart();
    await f.clock.advance(5_000);
    const pod = await f.pod("a");
    expect(pod?.status).toMatchObject({ phase: "Failed", reason: "Evicted" });
    expect(pod?.status?.conditions?.map((c) => c.type)).toContain("DisruptionTarget");
  });

  it("for a soft threshold waits, and then gives pods their time", async () => {
    const usage = new Usage();
    const ends: number[] = [];
    const slow = { onTerminate: "ignore" } as const;
    await using f = await start(usage, {
      runtime: { images: ["slow:1"], behaviours: { "slow:1": slow } },
      options: {
        evictionHard: {},
        evictionSoft: { "memory.available": "200Mi" },
        evictionSoftGracePeriod: { "memory.available": "1m" },
        evictionMaxPodGracePeriod: 20,
      },
    });
    await f.createPod("a", { containers: [container({ image: "slow:1" })], terminationGracePeriodSeconds: 60 });
    await f.untilPhase("a", "Running");
    usage.availableMi = 150;
    const since = f.clock.now();
    await f.until(async () => f.reasons("a").includes("Evicted"), 200_000);
    ends.push(f.clock.now() - since);
    await f.untilPhase("a", "Failed");
    ends.push(f.clock.now() - since);
    const [evictedAfter = 0, endedAfter = 0] = ends;
    expect(evictedAfter).toBeGreaterThanOrEqual(60_000);
    expect(evictedAfter).toBeLessThan(80_000);
    expect(endedAfter - evictedAfter).toBeGreaterThan(18_000);
    expect(endedAfter - evictedAfter).toBeLessThan(25_000);
  });

  it("for an emptyDir beyond its size, without blaming the node", async () => {
    const usage = new Usage();
    await using f = await start(usage, { options: { localStorageCapacityIsolation: true } });
    await f.createPod("full", { volumes: [{ name: "data", emptyDir: { sizeLimit: "10Mi" } }] });
    await f.untilPhase("full", "Running");
    usage.volumeMi.set("full", 11);
    const pod = await f.untilPhase("full", "Failed");
    expect(pod.status).toMatchObject({ reason: "Evicted", message: 'Usage of EmptyDir volume "data" exceeds the limit "10Mi". ' });
    expect(pod.status?.conditions?.map((c) => c.type)).not.toContain("DisruptionTarget");
    expect(f.events.filter((e) => e.reason === "Evicted")).toEqual([
      { about: "full", type: "Warning", reason: "Evicted", message: 'Usage of EmptyDir volume "data" exceeds the limit "10Mi". ' },
    ]);
    expect((await conditionOf(f, "DiskPressure"))?.status).toBe("False");
  });

  it("has no pods measured while there is room, but for those that have limits of local storage", async () => {
    const usage = new Usage();
    await using f = await start(usage, { options: { evictionHard: { "memory.available": "100Mi" } } });
    const data = { volumes: [{ name: "data", emptyDir: { sizeLimit: "10Mi" } }] };
    await f.createPod("plain");
    await f.createPod("limited", data);
    for (const name of ["plain", "limited"]) await f.untilPhase(name, "Running");
    await f.clock.advance(10_000);
    usage.asked.length = 0;
    // Measuring reads files, which takes time that is not the clock's.
    await f.until(async () => usage.asked.length >= 6);
    const limited = [(await f.pod("limited"))?.metadata.uid];
    for (const wanted of usage.asked) expect([...(wanted ?? ["all"])]).toEqual(wanted?.size === 0 ? [] : limited);
    usage.availableMi = 50;
    await f.until(async () => usage.asked.includes(undefined));
  });

  it("gives up dead containers and unused images before any pod", async () => {
    const usage = new Usage();
    const once = { exitAfterMs: 100, exitCode: 0 };
    await using f = await start(usage, {
      runtime: { images: ["busybox:1", "unused:1", "once:1"], behaviours: { "once:1": once } },
      options: { evictionHard: { "nodefs.available": "10%" }, imageMinimumGCAge: "1s" },
    });
    await f.createPod("done", { containers: [container({ image: "once:1" })], restartPolicy: "Never" });
    await f.createPod("web");
    await f.untilPhase("web", "Running");
    await f.untilPhase("done", "Succeeded");
    const images = async (): Promise<number> => (await f.cri.listImages({})).images.length;
    expect(await images()).toBe(3);
    // Until the images have been seen and are old enough.
    await f.clock.advance(15_000);
    const summary = usage.summaries.summary;
    usage.diskAvailable = 5;
    // There is room again as soon as the images are gone.
    usage.summaries.summary = async () => {
      if ((await images()) === 1) usage.diskAvailable = 50;
      return await summary();
    };
    await f.until(async () => (await images()) === 1);
    expect((await f.cri.listContainers({})).containers).toHaveLength(1);
    await f.clock.advance(60_000);
    expect((await f.pod("web"))?.status?.phase).toBe("Running");
    expect((await f.pod("done"))?.status).toMatchObject({ phase: "Succeeded" });
    expect(f.events.some((e) => e.reason === "Evicted")).toBe(false);
    expect((await conditionOf(f, "DiskPressure"))?.status).toBe("True");
  });

  it("goes on when the node cannot be measured for a while", async () => {
    const usage = new Usage();
    await using f = await start(usage, { options: { evictionHard: { "memory.available": "100Mi" } } });
    await f.createPod("a");
    await f.untilPhase("a", "Running");
    const { summary } = usage.summaries;
    let failures = 0;
    usage.summaries.summary = async () => {
      failures++;
      throw new Error("the runtime does not answer");
    };
    usage.availableMi = 50;
    await f.until(async () => failures > 1);
    expect((await f.pod("a"))?.status?.phase).toBe("Running");
    usage.summaries.summary = summary;
    await f.untilPhase("a", "Failed");
  });

  it("spares critical and static pods", async () => {
    const usage = new Usage();
    await using f = await start(usage, { options: { evictionHard: { "memory.available": "100Mi" } } });
    await f.createPod("critical", { priority: 2_000_000_000 });
    await f.untilPhase("critical", "Running");
    usage.memoryMi.set("critical", 900);
    usage.availableMi = 10;
    await f.until(async () => f.reasons(nodeName).includes("EvictionThresholdMet"));
    await f.clock.advance(60_000);
    expect((await f.pod("critical"))?.status?.phase).toBe("Running");
  });
});

describe("kubelet: shutdown", () => {
  it("ends pods by priority, is not ready, and admits nothing more", async () => {
    await using f = await startKubelet({ options: { shutdownGracePeriod: "30s", shutdownGracePeriodCriticalPods: "10s" } });
    await f.createPod("usual");
    await f.createPod("critical", { priority: 2_000_001_000 });
    await f.untilPhase("usual", "Running");
    await f.untilPhase("critical", "Running");
    let over = false;
    const shutdown = f.kubelet.shutdown().then(() => {
      over = true;
    });
    const usual = await f.untilPhase("usual", "Failed");
    expect((await f.pod("critical"))?.status?.phase).toBe("Running");
    const message = "Pod was terminated in response to imminent node shutdown.";
    expect(usual.status).toMatchObject({ reason: "Terminated", message });
    expect(usual.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({ reason: "TerminationByKubelet", message });
    await f.untilPhase("critical", "Failed");
    await f.until(async () => over);
    await shutdown;
    await f.until(async () => (await conditionOf(f, "Ready"))?.status === "False");
    expect(await conditionOf(f, "Ready")).toMatchObject({ reason: "KubeletNotReady", message: "node is shutting down" });
    expect(f.events.find((e) => e.reason === "Shutdown")?.message).toBe("Shutdown manager detected shutdown event");
    await f.createPod("late");
    expect((await f.untilPhase("late", "Failed")).status).toMatchObject({
      reason: "NodeShutdown",
      message: "Pod was rejected: Pod was rejected as the node is shutting down.",
    });
  });

  it("waits for no pod longer than its group has", async () => {
    const slow = { onTerminate: "ignore" } as const;
    await using f = await startKubelet({
      runtime: { images: ["slow:1"], behaviours: { "slow:1": slow } },
      options: { shutdownGracePeriodByPodPriority: [{ priority: 0, shutdownGracePeriodSeconds: 7 }] },
    });
    await f.createPod("a", { containers: [container({ image: "slow:1" })], terminationGracePeriodSeconds: 3600 });
    await f.untilPhase("a", "Running");
    const since = f.clock.now();
    let tookMs = 0;
    const shutdown = f.kubelet.shutdown().then(() => {
      tookMs = f.clock.now() - since;
    });
    await f.until(async () => tookMs > 0);
    await shutdown;
    expect(tookMs).toBeLessThanOrEqual(7_100);
    await f.untilPhase("a", "Failed");
  });

  it("is nothing where nothing is configured", async () => {
    await using f = await startKubelet();
    await f.createPod("a");
    await f.untilPhase("a", "Running");
    await f.kubelet.shutdown();
    await f.clock.advance(20_000);
    expect((await f.pod("a"))?.status?.phase).toBe("Running");
    expect((await conditionOf(f, "Ready"))?.status).toBe("True");
  });
});

describe("kubelet: admission", () => {
  it("makes room for a critical pod, which starts when the others have ended", async () => {
    await using f = await startKubelet({ options: { capacity: { cpus: 1 } } });
    await f.createPod("victim", { ...cpu("600m"), terminationGracePeriodSeconds: 5 });
    await f.createPod("bystander", cpu("300m"));
    await f.untilPhase("victim", "Running");
    await f.untilPhase("bystander", "Running");
    await f.createPod("critical", { ...cpu("500m"), priority: 2_000_000_000 });
    const victim = await f.untilPhase("victim", "Failed");
    expect(victim.status).toMatchObject({ reason: "Preempting", message: "Preempted in order to admit critical pod" });
    expect(victim.status?.conditions?.find((c) => c.type === "DisruptionTarget")?.message).toBe(
      "Pod was preempted by Kubelet to accommodate a critical pod.",
    );
    await f.untilPhase("critical", "Running");
    expect(f.reasons("victim")).toContain("Preempting");
    expect((await f.pod("bystander"))?.status?.phase).toBe("Running");
  });

  it("looks at the node once more before it refuses a pod for the node's labels", async () => {
    let labelled = false;
    // The API server has a label that the kubelet's watch has not shown yet.
    const wrapClient = (client: Client): Client => ({
      ...client,
      get: (async (...args: Parameters<Client["get"]>) => {
        const found = (await client.get(...args)) as unknown as Node;
        if (!labelled || found.kind !== "Node") return found;
        return { ...found, metadata: { ...found.metadata, labels: { ...found.metadata.labels, disk: "ssd" } } };
      }) as unknown as Client["get"],
    });
    await using f = await startKubelet({ wrapClient });
    await f.createPod("early", { nodeSelector: { disk: "ssd" } });
    expect((await f.untilPhase("early", "Failed")).status).toMatchObject({
      reason: "NodeAffinity",
      message: "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    });
    labelled = true;
    await f.createPod("late", { nodeSelector: { disk: "ssd" } });
    await f.untilPhase("late", "Running");
  });
});
