// How a node with real containers protects itself when its kubelet is told to: pressure by a threshold above what is there,
// and images removed because the disk counts as full.
import { totalmem } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { events, nodes } from "../../src/api/resources.generated.ts";
import { until } from "../support/processes.ts";
import { image, RealKubelet, shell, whyNoRealKubelet } from "../support/real-kubelet.ts";

const reason = await whyNoRealKubelet();
if (reason) console.log(`the protection of a node is not tried with containerd: ${reason}`);

const idle = "trap 'exit 0' TERM; sleep 3600 & wait";

describe.runIf(reason === undefined)("the protection of a node with containerd", () => {
  let bed: RealKubelet;

  beforeAll(async () => {
    bed = await RealKubelet.start("10.246");
  }, 60_000);
  afterAll(() => bed?.remove(), 60_000);

  /** More than is ever available, whatever else the machine does. */
  const allMemory = String(totalmem());
  const eventsOf = async (reasonOf: string) =>
    (await bed.client.list(events, { namespace: "default" })).items.filter((e) => e.reason === reasonOf);

  test("short of memory it evicts first the pod that uses more than it asked for", async () => {
    await bed.create("modest", [shell(idle, { resources: { requests: { memory: "64Mi" } } })]);
    await bed.create("greedy", [shell("x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo full; sleep 3600")]);
    await bed.untilPhase("modest", "Running");
    await bed.untilPhase("greedy", "Running");
    await until("greedy has filled its memory", async () => (await bed.log("greedy")).includes("full"));
    await bed.restartKubelet({ evictionHard: { "memory.available": allMemory } });
    const greedy = await bed.untilPhase("greedy", "Failed");
    expect(greedy.status?.reason).toBe("Evicted");
    expect(greedy.status?.message).toMatch(
      /^The node was low on resource: memory\. Threshold quantity: \w+, available: \w+\. Container main was using \d+[KM]i, request is 0, has larger consumption of memory\. $/,
    );
    expect(greedy.status?.conditions?.find((c) => c.type === "DisruptionTarget")).toMatchObject({
      ...{ status: "True", reason: "TerminationByKubelet" },
    });
    await until("the node says so", async () => (await bed.condition("MemoryPressure")) === "True");
    await until("the events are there", async () => (await eventsOf("Evicted")).length > 0);
    const [first] = (await eventsOf("Evicted")).sort((a, b) =>
      (a.metadata.resourceVersion ?? "").localeCompare(b.metadata.resourceVersion ?? "", "en", { numeric: true }),
    );
    expect(first).toMatchObject({
      involvedObject: { name: "greedy" },
      metadata: { annotations: { starved_resource: "memory", offending_containers: "main" } },
    });
    expect((await eventsOf("EvictionThresholdMet"))[0]?.message).toBe("Attempting to reclaim memory");
    await bed.restartKubelet();
    await until("the node has recovered", async () => (await bed.condition("MemoryPressure")) === "False");
    await Promise.all([bed.delete("modest"), bed.delete("greedy")]);
  });

  test("with its disk full it removes the images that nothing uses", async () => {
    await bed.importImages("coracle.test/unused:1");
    await bed.create("user", [shell(idle)]);
    await bed.untilPhase("user", "Running");
    const names = async (): Promise<readonly string[]> => (await bed.runtime.cri.listImages({})).images.flatMap((i) => i.repoTags).sort();
    expect(await names()).toEqual(["coracle.local/pause:1", image, "coracle.test/unused:1"]);
    await bed.restartKubelet({ imageGCHighThresholdPercent: 1, imageGCLowThresholdPercent: 0, imageMinimumGCAge: "0s" });
    await until("the unused image is gone", async () => (await names()).length === 2);
    expect(await names()).toEqual(["coracle.local/pause:1", image]);
    await until("what it could not do is told", async () => (await eventsOf("FreeDiskSpaceFailed")).length > 0);
    expect((await eventsOf("FreeDiskSpaceFailed"))[0]?.message).toMatch(
      /^Insufficient free disk space on the node's image filesystem \(\d+% of [\d.]+ [KMGT]iB used\)\. Failed to free sufficient space by deleting unused images \(freed [1-9]\d* bytes\)\./,
    );
    // What sandboxes are made of has stayed.
    await bed.create("next", [shell(idle)]);
    await bed.untilPhase("next", "Running");
    await Promise.all([bed.delete("user"), bed.delete("next")]);
  });

  test("short of disk it evicts first the pod that has written most", async () => {
    const volumes = { volumes: [{ name: "data", emptyDir: {} }] };
    const mounts = { volumeMounts: [{ name: "data", mountPath: "/data" }] };
    await bed.create("thrifty", [shell(idle)]);
    await bed.create("hoarder", [shell("head -c 50000000 /dev/zero > /data/file; echo full; sleep 3600", mounts)], volumes);
    for (const name of ["thrifty", "hoarder"]) await bed.untilPhase(name, "Running");
    await until("the hoarder has written", async () => (await bed.log("hoarder")).includes("full"));
    const { node } = (await bed.running.kubelet.stats?.summary({ maxAgeMs: 0 })) ?? {};
    const wholeDisk = String(node?.fs?.capacityBytes);
    await bed.restartKubelet({ evictionHard: { "nodefs.available": wholeDisk }, volumeStatsAggPeriodMs: 1000 });
    const hoarder = await bed.untilPhase("hoarder", "Failed");
    expect(hoarder.status?.message).toMatch(
      /^The node was low on resource: ephemeral-storage\. Threshold quantity: \w+, available: \w+\. Container main was using \d+\w*, request is 0, has larger consumption of ephemeral-storage\. $/,
    );
    await until("the node says so", async () => (await bed.condition("DiskPressure")) === "True");
    expect((await eventsOf("EvictionThresholdMet")).map((e) => e.message)).toContain("Attempting to reclaim ephemeral-storage");
    await bed.restartKubelet();
    await until("the node has recovered", async () => (await bed.condition("DiskPressure")) === "False");
    await Promise.all([bed.delete("thrifty"), bed.delete("hoarder")]);
  });

  test("for a soft threshold it waits, and lets the pod end by itself", async () => {
    await bed.create("polite", [shell("trap 'echo bye; exit 0' TERM; sleep 3600 & wait")]);
    await bed.untilPhase("polite", "Running");
    await bed.restartKubelet({
      evictionSoft: { "memory.available": allMemory },
      evictionSoftGracePeriod: { "memory.available": "3s" },
      evictionMaxPodGracePeriod: 20,
    });
    await until("the node says so", async () => (await bed.condition("MemoryPressure")) === "True");
    const polite = await bed.untilPhase("polite", "Failed");
    expect(polite.status).toMatchObject({ reason: "Evicted", containerStatuses: [{ state: { terminated: { exitCode: 0 } } }] });
    await bed.restartKubelet();
    await bed.delete("polite");
  });

  test("when it shuts down it ends its pods, and says why", async () => {
    await bed.restartKubelet({ shutdownGracePeriod: "20s", shutdownGracePeriodCriticalPods: "10s" });
    await bed.create("usual", [shell(idle)]);
    await bed.untilPhase("usual", "Running");
    await bed.running.kubelet.shutdown();
    const pod = await bed.untilPhase("usual", "Failed");
    expect(pod.status).toMatchObject({
      reason: "Terminated",
      message: "Pod was terminated in response to imminent node shutdown.",
    });
    await until("the node is not ready", async () => (await bed.condition("Ready")) === "False");
    const { items } = await bed.client.list(nodes);
    expect(items[0]?.status?.conditions?.find((c) => c.type === "Ready")?.message).toBe("node is shutting down");
    await bed.delete("usual");
  });
});
