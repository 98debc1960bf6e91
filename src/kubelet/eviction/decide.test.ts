// The eviction manager's decisions, with plain values: what is observed in, what is done out.
import { describe, expect, it } from "vitest";
import { quantityOf } from "../../api/meta/quantity.ts";
import type { Pod, PodSpec, Volume } from "../../api/types/core-v1.ts";
import type { NodeStats, PodStats } from "../stats/summary.ts";
import { blankMemory, choosePod, judge, nodeReclaims, overStorageLimits, undercut } from "./decide.ts";
import { observe } from "./observations.ts";
import { rankPods } from "./ranking.ts";
import { type DiskLayout, type EvictionSignal, parseThresholds, type Threshold } from "./thresholds.ts";

const mi = 2 ** 20;
const at = (seconds: number): string => new Date(seconds * 1000).toISOString();
const oneDisk: DiskLayout = { dedicatedImageFs: false, separateContainerFs: false };
const imageDisk: DiskLayout = { dedicatedImageFs: true, separateContainerFs: false };
const threeDisks: DiskLayout = { dedicatedImageFs: true, separateContainerFs: true };

const nodeWith = (availableMi: number, seconds: number, fields: Partial<NodeStats> = {}): NodeStats => ({
  nodeName: "n1",
  startTime: at(0),
  memory: { time: at(seconds), availableBytes: availableMi * mi, workingSetBytes: (1000 - availableMi) * mi },
  ...fields,
});

interface PodSketch {
  readonly name: string;
  readonly usedMi?: number;
  readonly requestMi?: number;
  readonly priority?: number;
  readonly spec?: Partial<PodSpec>;
}

function podOf({ name, requestMi, priority, spec }: PodSketch): Pod {
  const resources = requestMi === undefined ? {} : { requests: { memory: `${requestMi}Mi`, "ephemeral-storage": `${requestMi}Mi` } };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "d", uid: name } as Pod["metadata"],
    spec: { containers: [{ name: "main", resources }], ...(priority === undefined ? {} : { priority }), ...spec },
  };
}

function statsOf({ name, usedMi = 0 }: PodSketch, fields: Partial<PodStats> = {}): PodStats {
  const memory = { time: at(0), workingSetBytes: usedMi * mi };
  const rootfs = { time: at(0), usedBytes: usedMi * mi, inodesUsed: usedMi };
  const main = { name: "main", startTime: at(0), memory, rootfs, logs: { time: at(0), usedBytes: 0, inodesUsed: 0 } };
  return { podRef: { name, namespace: "d", uid: name }, startTime: at(0), memory, containers: [main], ...fields };
}

const statsBy = (stats: readonly PodStats[]): ReadonlyMap<string, PodStats> => new Map(stats.map((s) => [s.podRef.uid, s]));

describe("observe()", () => {
  it("reads every signal, and none that was not measured", () => {
    const disk = { time: at(5), availableBytes: 1, capacityBytes: 10, inodesFree: 2, inodes: 20 };
    const seen = observe({
      ...nodeWith(100, 5, { fs: disk, runtime: { imageFs: disk, containerFs: { time: at(5), availableBytes: 3, capacityBytes: 4 } } }),
      rlimit: { time: at(5), maxpid: 1000, curproc: 900 },
      systemContainers: [{ name: "pods", startTime: at(0), memory: { time: at(5), availableBytes: 7, workingSetBytes: 3 } }],
    });
    const sketch = [...seen].map(([signal, { available, capacity, atMs }]) => `${signal} ${available}/${capacity} ${atMs}`);
    expect(sketch).toEqual([
      "memory.available 100Mi/1000Mi 5000",
      "allocatableMemory.available 7/10 5000",
      "nodefs.available 1/10 5000",
      "nodefs.inodesFree 2/20 5000",
      "imagefs.available 1/10 5000",
      "imagefs.inodesFree 2/20 5000",
      "containerfs.available 3/4 5000",
      "pid.available 100/1k 5000",
    ]);
    expect(observe({ nodeName: "n", startTime: at(0), fs: { time: at(0), availableBytes: 1 } }).size).toBe(0);
  });
});

describe("judge()", () => {
  const thresholds = (config: Parameters<typeof parseThresholds>[0]): readonly Threshold[] =>
    parseThresholds({ enforceNodeAllocatable: [], evictionHard: {}, ...config });

  /** Memory available at each look, ten seconds apart: which thresholds are acted on, and the conditions. */
  function story(given: readonly Threshold[], available: readonly number[], pressureTransitionMs = 30_000): readonly string[] {
    let memory = blankMemory;
    return available.map((mib, i) => {
      const observations = observe(nodeWith(mib, i * 10));
      const verdict = judge({ memory, thresholds: given, observations, pressureTransitionMs, nowMs: i * 10_000 });
      memory = verdict.memory;
      return `${verdict.urgent.length} ${verdict.conditions.join()}`.trim();
    });
  }

  it("acts at once on hard thresholds, and keeps the condition for the transition period", () => {
    const hard = thresholds({ evictionHard: { "memory.available": "100Mi" } });
    expect(story(hard, [200, 100, 99, 150, 150, 150])).toEqual(["0", "0", "1 MemoryPressure", "0 MemoryPressure", "0 MemoryPressure", "0"]);
  });

  it("waits out the grace period of soft thresholds, and starts anew when it recovers", () => {
    const soft = thresholds({ evictionSoft: { "memory.available": "20%" }, evictionSoftGracePeriod: { "memory.available": "20s" } });
    expect(story(soft, [199, 199, 210, 199, 199, 199, 199], 5_000)).toEqual([
      "0 MemoryPressure",
      "0 MemoryPressure",
      "0",
      "0 MemoryPressure",
      "0 MemoryPressure",
      "1 MemoryPressure",
      "1 MemoryPressure",
    ]);
  });

  it("goes on until the minimum is reclaimed", () => {
    const given = thresholds({ evictionHard: { "memory.available": "100Mi" }, evictionMinimumReclaim: { "memory.available": "50Mi" } });
    expect(story(given, [120, 90, 120, 149, 150, 120], 5_000)).toEqual([
      "0",
      "1 MemoryPressure",
      "1 MemoryPressure",
      "1 MemoryPressure",
      "0",
      "0",
    ]);
  });

  it("does not act twice on one measurement", () => {
    const hard = thresholds({ evictionHard: { "memory.available": "100Mi" } });
    const observations = observe(nodeWith(50, 10));
    const input = { thresholds: hard, observations, pressureTransitionMs: 1000, nowMs: 10_000 };
    const first = judge({ ...input, memory: blankMemory });
    const second = judge({ ...input, memory: first.memory, nowMs: 11_000 });
    expect([first.urgent.length, second.urgent.length, second.conditions]).toEqual([1, 0, ["MemoryPressure"]]);
  });

  it("puts memory before disk, and tells conditions apart", () => {
    const given = thresholds({ evictionHard: { "nodefs.available": "1Gi", "pid.available": "10%", "memory.available": "100Mi" } });
    const node = nodeWith(50, 1, {
      fs: { time: at(1), availableBytes: 1, capacityBytes: 10 },
      rlimit: { time: at(1), maxpid: 100, curproc: 95 },
    });
    const { urgent, conditions } = judge({
      memory: blankMemory,
      thresholds: given,
      observations: observe(node),
      pressureTransitionMs: 1000,
      nowMs: 0,
    });
    expect(urgent.map((t) => t.signal)).toEqual(["memory.available", "nodefs.available", "pid.available"]);
    expect([...conditions].sort()).toEqual(["DiskPressure", "MemoryPressure", "PIDPressure"]);
  });

  it("takes a signal without observation for no shortage", () => {
    expect(undercut(thresholds({ evictionHard: { "imagefs.available": "99%" } }), observe(nodeWith(1, 0)))).toEqual([]);
  });
});

describe("rankPods()", () => {
  const order = (signal: EvictionSignal, pods: readonly PodSketch[], layout = oneDisk, stats?: readonly PodStats[]): string =>
    rankPods(signal, pods.map(podOf), statsBy(stats ?? pods.filter((p) => p.usedMi !== undefined).map((p) => statsOf(p))), layout)
      .map((p) => p.metadata.name)
      .join(" ");

  it.each<[what: string, expected: string, pods: readonly PodSketch[]]>([
    [
      "those above their requests first",
      "over under",
      [
        { name: "under", usedMi: 400, requestMi: 500 },
        { name: "over", usedMi: 20, requestMi: 10 },
      ],
    ],
    [
      "then the less important",
      "low high",
      [
        { name: "high", usedMi: 900, priority: 10 },
        { name: "low", usedMi: 10, priority: 1 },
      ],
    ],
    [
      "then those furthest above",
      "far near",
      [
        { name: "near", usedMi: 500, requestMi: 490 },
        { name: "far", usedMi: 100, requestMi: 10 },
      ],
    ],
    [
      "those nothing is known of before all",
      "unknown known",
      [
        { name: "known", usedMi: 900 },
        { name: "unknown", priority: 100 },
      ],
    ],
  ])("puts %s", (_what, expected, pods) => {
    expect(order("memory.available", pods)).toBe(expected);
    expect(order("allocatableMemory.available", pods)).toBe(expected);
  });

  it("ranks by importance and processes when these run short", () => {
    const pods = [{ name: "few" }, { name: "many" }, { name: "important", priority: 5 }];
    const count = (name: string, process_count: number): PodStats => statsOf({ name }, { process_stats: { process_count } });
    expect(order("pid.available", pods, oneDisk, [count("few", 1), count("many", 100), count("important", 1000)])).toBe(
      "many few important",
    );
  });

  it("counts on each disk what lies there", () => {
    const emptyDir: Volume = { name: "data", emptyDir: {} };
    const layers = { name: "layers", usedMi: 100 };
    const volumes = { name: "volumes", spec: { volumes: [emptyDir] } };
    const stats = [statsOf(layers), statsOf(volumes, { volume: [{ name: "data", time: at(0), usedBytes: 50 * mi, inodesUsed: 500 }] })];
    const first = (signal: EvictionSignal, layout: DiskLayout): string => order(signal, [volumes, layers], layout, stats);
    expect(first("nodefs.available", oneDisk)).toBe("layers volumes");
    expect(first("nodefs.inodesFree", oneDisk)).toBe("volumes layers");
    expect(first("nodefs.available", imageDisk)).toBe("volumes layers");
    expect(first("imagefs.available", imageDisk)).toBe("layers volumes");
    expect(first("containerfs.available", imageDisk)).toBe("layers volumes");
    expect(first("nodefs.available", threeDisks)).toBe("layers volumes");
  });
});

describe("nodeReclaims()", () => {
  it("gives up dead containers and images where they are on the disk", () => {
    const by = (layout: DiskLayout): string =>
      (["memory.available", "nodefs.available", "imagefs.available", "containerfs.inodesFree"] as const)
        .map((signal) => nodeReclaims(signal, layout).join("+") || "-")
        .join(" ");
    expect(by(oneDisk)).toBe("- containers+images containers+images containers+images");
    expect(by(imageDisk)).toBe("- - containers+images containers+images");
    expect(by(threeDisks)).toBe("- containers images containers");
  });
});

describe("choosePod()", () => {
  const hard = parseThresholds({ enforceNodeAllocatable: [], evictionHard: { "memory.available": "100Mi" } });
  const pods: readonly PodSketch[] = [
    { name: "critical", usedMi: 900, priority: 2_000_000_000 },
    { name: "web", usedMi: 300, requestMi: 128 },
    { name: "small", usedMi: 10, requestMi: 128 },
  ];
  const choose = (urgent: readonly Threshold[], given = pods, maxPodGraceSeconds = 0) =>
    choosePod({
      ...{ urgent, observations: observe(nodeWith(50, 0)), pods: given.map(podOf), layout: oneDisk, maxPodGraceSeconds },
      stats: statsBy(given.map((p) => statsOf(p))),
    });

  it("takes the first that may be evicted, with upstream's words", () => {
    expect(choose(hard)).toMatchObject({
      pod: { metadata: { name: "web" } },
      graceSeconds: 1,
      signal: "memory.available",
      message:
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. " +
        "Container main was using 300Mi, request is 128Mi, has larger consumption of memory. ",
      annotations: { starved_resource: "memory", offending_containers: "main", offending_containers_usage: "300Mi" },
    });
  });

  it("names the pod, too, where it asked as a whole", () => {
    const spec: Partial<PodSpec> = { resources: { requests: { memory: "64Mi" } } };
    const eviction = choose(hard, [{ name: "whole", usedMi: 200, spec }]);
    expect(eviction?.message).toContain("Pod whole was using 200Mi, request is 64Mi, has larger consumption of memory. Container main");
    expect(eviction?.annotations).toMatchObject({ offending_pod: "whole", offending_pod_usage: "200Mi" });
  });

  it("gives pods time under soft thresholds, as much as is allowed", () => {
    const soft = hard.map((t) => ({ ...t, gracePeriodMs: 1000 }));
    const pod = (terminationGracePeriodSeconds: number): readonly PodSketch[] => [
      { name: "a", usedMi: 1, spec: { terminationGracePeriodSeconds } },
    ];
    expect([choose(soft, pod(30), 60), choose(soft, pod(90), 60), choose(hard, pod(30), 60)].map((e) => e?.graceSeconds)).toEqual([
      30, 60, 1,
    ]);
  });

  it("finds none where all are critical", () => {
    const fromFile = podOf({ name: "f" });
    const annotated = { ...fromFile, metadata: { ...fromFile.metadata, annotations: { "kubernetes.io/config.source": "file" } } };
    const input = { urgent: hard, observations: observe(nodeWith(50, 0)), layout: oneDisk, maxPodGraceSeconds: 0, stats: new Map() };
    expect(choosePod({ ...input, pods: [annotated, podOf({ name: "c", priority: 2_000_000_000 })] })).toBeUndefined();
    expect(choosePod({ ...input, pods: [] })).toBeUndefined();
  });

  it("says least of a pod nothing is known of", () => {
    const [threshold] = hard;
    const urgent = threshold ? [{ ...threshold, value: { quantity: quantityOf(100 * mi, "BinarySI") } }] : [];
    const input = { urgent, observations: observe(nodeWith(50, 0)), layout: oneDisk, maxPodGraceSeconds: 0, stats: new Map() };
    expect(choosePod({ ...input, pods: [podOf({ name: "a" })] })).toMatchObject({
      message: "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ",
      annotations: {},
    });
  });
});

describe("overStorageLimits()", () => {
  const limited = (limit: string): PodSpec["containers"] => [{ name: "main", resources: { limits: { "ephemeral-storage": limit } } }];
  const messages = (pod: PodSketch, fields: Partial<PodStats>, layout = oneDisk): readonly string[] =>
    overStorageLimits([podOf(pod)], statsBy([statsOf(pod, fields)]), layout).map((e) => `${e.signal} ${e.message}`);
  const emptyDir = (sizeLimit: string): Partial<PodSpec> => ({ volumes: [{ name: "data", emptyDir: { sizeLimit } }] });
  const volume = (usedMi: number) => ({ volume: [{ name: "data", time: at(0), usedBytes: usedMi * mi }] });

  it("evicts for an emptyDir beyond its size", () => {
    expect(messages({ name: "a", spec: emptyDir("10Mi") }, volume(11))).toEqual([
      'emptydirfs.limit Usage of EmptyDir volume "data" exceeds the limit "10Mi". ',
    ]);
    expect(messages({ name: "a", spec: emptyDir("10Mi") }, volume(10))).toEqual([]);
    expect(messages({ name: "a", spec: { volumes: [{ name: "data", emptyDir: {} }] } }, volume(1000))).toEqual([]);
    expect(messages({ name: "a", spec: emptyDir("0") }, volume(1000))).toEqual([]);
  });

  it("evicts for the pod's storage, then for a container's", () => {
    const spec = { containers: [...limited("10Mi"), { name: "side", resources: { limits: { "ephemeral-storage": "20Mi" } } }] };
    const used = (mib: number) => ({ "ephemeral-storage": { time: at(0), usedBytes: mib * mi } });
    expect(messages({ name: "a", spec }, used(31))).toEqual([
      "ephemeralpodfs.limit Pod ephemeral local storage usage exceeds the total limit of containers 30Mi. ",
    ]);
    expect(messages({ name: "a", usedMi: 11, spec }, used(11))).toEqual([
      'ephemeralcontainerfs.limit Container main exceeded its local ephemeral storage limit "10Mi". ',
    ]);
    expect(messages({ name: "a", usedMi: 11, spec }, used(11), imageDisk)).toEqual([]);
    expect(messages({ name: "a", usedMi: 10, spec }, used(30))).toEqual([]);
  });

  it("spares critical pods, and those nothing is known of", () => {
    expect(messages({ name: "a", priority: 2_000_000_000, spec: emptyDir("1Mi") }, volume(11))).toEqual([]);
    expect(overStorageLimits([podOf({ name: "a", spec: emptyDir("1Mi") })], new Map(), oneDisk)).toEqual([]);
  });
});
