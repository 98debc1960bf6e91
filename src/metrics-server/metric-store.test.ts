import { describe, expect, test } from "vitest";
import { MetricStore } from "./metric-store.ts";
import { parseResourceMetrics } from "./parse-metrics.ts";

const text = `# HELP container_cpu_usage_seconds_total CPU time
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="a",pod="p",namespace="n"} 1.5 1700000015000
container_cpu_usage_seconds_total{container="a",pod="half",namespace="n"} 1 1700000015000
container_memory_working_set_bytes{container="a",pod="half",namespace="n"} 1 1700000015000
container_cpu_usage_seconds_total{container="b",pod="half",namespace="n"} 7 1700000015000
container_memory_working_set_bytes{container="a",pod="p",namespace="n"} 2.048e+03 1700000015000
container_start_time_seconds{container="a",pod="p",namespace="n"} 1.7e+09
container_swap_usage_bytes{container="a",pod="p",namespace="n"} 5 1700000015000
container_memory_working_set_bytes{container="x",pod="q",namespace="n"} NaN 1700000015000
node_cpu_usage_seconds_total 100.25 1700000016000
node_memory_working_set_bytes 4096
pod_cpu_usage_seconds_total{pod="p",namespace="n"} 9 1700000015000
resource_scrape_error 0
`;

describe("parseResourceMetrics()", () => {
  test("reads the node and the pods of which everything is known", () => {
    const { node, pods } = parseResourceMetrics(text, 5);
    expect(node).toEqual({ timeMs: 1_700_000_016_000, cpuSeconds: 100.25, memoryBytes: 4096 });
    expect([...pods.keys()]).toEqual(["n/p"]);
    expect([...(pods.get("n/p") ?? [])]).toEqual([
      ["a", { timeMs: 1_700_000_015_000, cpuSeconds: 1.5, memoryBytes: 2048, startMs: 1_700_000_000_000 }],
    ]);
  });

  test("takes the time of receipt where a value has none, and nothing from nonsense", () => {
    expect(parseResourceMetrics("node_cpu_usage_seconds_total 1\nnode_memory_working_set_bytes 2", 5).node).toEqual({
      ...{ timeMs: 5, cpuSeconds: 1, memoryBytes: 2 },
    });
    expect(parseResourceMetrics('node_cpu\ncontainer_cpu_usage_seconds_total{x="\n\n}', 5)).toEqual({ pods: new Map() });
  });
});

describe("MetricStore", () => {
  const at = (seconds: number, cpuSeconds: number, startSeconds?: number) => ({
    ...{ timeMs: seconds * 1000, cpuSeconds, memoryBytes: 1000 + seconds },
    ...(startSeconds === undefined ? {} : { startMs: startSeconds * 1000 }),
  });
  const pod = (...containers: readonly (readonly [string, ReturnType<typeof at>])[]) => new Map([["n/p", new Map(containers)]]);
  const store = () => new MetricStore(15_000);

  test("gives the use between the last two points", () => {
    const metrics = store();
    metrics.add("node", { node: at(100, 10), pods: new Map() });
    expect(metrics.node("node")).toBeUndefined();
    metrics.add("node", { node: at(110, 12.5), pods: new Map() });
    expect(metrics.node("node")).toEqual({ cpuNanoCores: 250_000_000, memoryBytes: 1110, timeMs: 110_000, windowMs: 10_000 });
    metrics.add("node", { node: at(125, 12.5), pods: new Map() });
    expect(metrics.node("node")).toMatchObject({ cpuNanoCores: 0, windowMs: 15_000 });
  });

  test("the same point again changes nothing", () => {
    const metrics = store();
    for (const point of [at(100, 10), at(110, 11), at(110, 11)]) metrics.add("node", { node: point, pods: new Map() });
    expect(metrics.node("node")).toMatchObject({ cpuNanoCores: 100_000_000, windowMs: 10_000 });
  });

  test("a pod has figures when all of its containers have", () => {
    const metrics = store();
    metrics.add("node", { pods: pod(["a", at(100, 1, 10)]) });
    metrics.add("node", { pods: pod(["a", at(115, 2, 10)], ["b", at(115, 0.1, 112)]) });
    expect(metrics.pod("node", "n/p")).toBeUndefined();
    metrics.add("node", { pods: pod(["a", at(130, 3, 10)], ["b", at(130, 1.6, 112)]) });
    expect([...(metrics.pod("node", "n/p") ?? [])].map(([name, usage]) => [name, usage.cpuNanoCores])).toEqual([
      ["a", Math.round(1e9 / 15)],
      ["b", 100_000_000],
    ]);
    expect(metrics.pod("node", "n/other")).toBeUndefined();
  });

  test("a container that is new counts from its start, once it is ten seconds old", () => {
    const young = store();
    young.add("node", { pods: pod(["a", at(100, 3, 95)]) });
    expect(young.pod("node", "n/p")).toBeUndefined();
    const metrics = store();
    metrics.add("node", { pods: pod(["a", at(100, 3, 88)]) });
    expect(metrics.pod("node", "n/p")?.get("a")).toMatchObject({ cpuNanoCores: 250_000_000, windowMs: 12_000 });
    const old = store();
    old.add("node", { pods: pod(["a", at(100, 3, 10)]) });
    expect(old.pod("node", "n/p")).toBeUndefined();
  });

  test("a container that was restarted begins anew", () => {
    const metrics = store();
    metrics.add("node", { pods: pod(["a", at(100, 50, 10)]) });
    metrics.add("node", { pods: pod(["a", at(115, 1, 111)]) });
    expect(metrics.pod("node", "n/p")).toBeUndefined();
    metrics.add("node", { pods: pod(["a", at(130, 2.5, 111)]) });
    expect(metrics.pod("node", "n/p")?.get("a")?.cpuNanoCores).toBe(100_000_000);
  });

  test("a node that does not answer has no figures", () => {
    const metrics = store();
    for (const seconds of [100, 115]) metrics.add("node", { node: at(seconds, seconds), pods: pod(["a", at(seconds, 1, 1)]) });
    metrics.drop("node");
    expect(metrics.node("node")).toBeUndefined();
    expect(metrics.pod("node", "n/p")).toBeUndefined();
  });
});
