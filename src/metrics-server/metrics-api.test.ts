import { beforeEach, describe, expect, test } from "vitest";
import type { New } from "../api/meta/object.ts";
import { nodes, pods } from "../api/resources.generated.ts";
import type { Node, NodeStatus, Pod } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { MetricStore } from "./metric-store.ts";
import { answerMetrics, type MetricsAnswer } from "./metrics-api.ts";
import { kubeletServer } from "./scraper.ts";

let clock: VirtualClock;
let client: Client;
let store: MetricStore;

const ask = (path: string, { method = "GET", accept = "application/json" } = {}): Promise<MetricsAnswer> => {
  const url = new URL(path, "https://metrics");
  const { signal } = new AbortController();
  return answerMetrics({ client, clock, store }, { method, accept, path: url.pathname, query: url.searchParams, signal });
};
const bodyOf = async (path: string) => (await ask(path)).body as { items: { metadata: { name: string } }[]; kind: string };
const root = "/apis/metrics.k8s.io/v1beta1";
const tableType = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/** CPU use in millicores over ten seconds. */
function measure(nodeName: string, node: number, used: Readonly<Record<string, Readonly<Record<string, number>>>>): void {
  for (const seconds of [0, 10]) {
    const point = (millis: number) => ({
      ...{ timeMs: clock.now() - 10_000 + seconds * 1000, cpuSeconds: (millis * seconds) / 1000, memoryBytes: 64 * 2 ** 20 },
    });
    const containersOf = (containers: Readonly<Record<string, number>>) =>
      new Map(Object.entries(containers).map(([name, millis]) => [name, point(millis)]));
    store.add(nodeName, {
      node: point(node),
      pods: new Map(Object.entries(used).map(([key, containers]) => [key, containersOf(containers)])),
    });
  }
}

beforeEach(async () => {
  clock = new VirtualClock();
  client = createClient(createFakeApi(clock));
  store = new MetricStore(15_000);
  await client.create(nodes, { metadata: { name: "n1", labels: { zone: "a" } }, spec: {} });
  await client.create(nodes, { metadata: { name: "n2", labels: { zone: "b" } }, spec: {} });
  const pod = (namespace: string, name: string, app: string): New<Pod> => ({
    metadata: { namespace, name, labels: { app } },
    spec: { nodeName: "n1", containers: [{ name: "main", image: "i" }] },
  });
  for (const [namespace, name, app] of [
    ["x", "web", "w"],
    ["x", "db", "d"],
    ["y", "web", "w"],
    ["y", "new", "w"],
  ] as const)
    await client.create(pods, pod(namespace, name, app));
  measure("n1", 1500, { "x/web": { main: 250, side: 1 }, "x/db": { main: 0 }, "y/web": { main: 3 } });
  measure("n2", 20, {});
});

describe("the metrics API", () => {
  test("lists nodes with what they use, by name and by label", async () => {
    const list = await bodyOf(`${root}/nodes`);
    expect(list.kind).toBe("NodeMetricsList");
    expect(list.items).toEqual([
      {
        metadata: { name: "n1", creationTimestamp: "2026-01-01T00:00:00Z", labels: { zone: "a" } },
        ...{ timestamp: "2026-01-01T00:00:00Z", window: "10s", usage: { cpu: "1500m", memory: "64Mi" } },
      },
      expect.objectContaining({ usage: { cpu: "20m", memory: "64Mi" } }),
    ]);
    expect((await bodyOf(`${root}/nodes?labelSelector=zone%3Db`)).items.map((i) => i.metadata.name)).toEqual(["n2"]);
    expect((await ask(`${root}/nodes/n1`)).body).toMatchObject({
      kind: "NodeMetrics",
      apiVersion: "metrics.k8s.io/v1beta1",
      window: "10s",
    });
  });

  test("lists pods of all namespaces or of one, by label and by field; those without figures are left out", async () => {
    const names = async (query: string) => (await bodyOf(`${root}/${query}`)).items.map((i) => i.metadata.name);
    expect(await names("pods")).toEqual(["db", "web", "web"]);
    expect(await names("namespaces/x/pods")).toEqual(["db", "web"]);
    expect(await names("namespaces/x/pods?labelSelector=app%3Dw")).toEqual(["web"]);
    expect(await names("pods?fieldSelector=metadata.name%3Dweb,metadata.namespace%3Dy")).toEqual(["web"]);
    expect((await ask(`${root}/namespaces/x/pods/web`)).body).toMatchObject({
      kind: "PodMetrics",
      metadata: { name: "web", namespace: "x", labels: { app: "w" } },
      containers: [
        { name: "main", usage: { cpu: "250m", memory: "64Mi" } },
        { name: "side", usage: { cpu: "1m", memory: "64Mi" } },
      ],
    });
  });

  test("knows nothing of what is not there or has no figures yet", async () => {
    await expect(ask(`${root}/namespaces/y/pods/new`)).rejects.toMatchObject({ message: 'pods.metrics.k8s.io "y/new" not found' });
    await expect(ask(`${root}/namespaces/y/pods/none`)).rejects.toMatchObject({ message: 'pods.metrics.k8s.io "y/none" not found' });
    await expect(ask(`${root}/nodes/n3`)).rejects.toMatchObject({ code: 404, message: 'nodes.metrics.k8s.io "n3" not found' });
    await expect(ask(`${root}/services`)).rejects.toMatchObject({ code: 404 });
    await expect(ask(`${root}/nodes/%ff`)).rejects.toMatchObject({ code: 404 });
    await expect(ask(`${root}/nodes`, { method: "POST" })).rejects.toMatchObject({ code: 405 });
    await expect(ask(`${root}/nodes?watch=true`)).rejects.toMatchObject({ code: 405 });
    await expect(ask(`${root}/nodes?labelSelector=%2C%2C`)).rejects.toMatchObject({ code: 400 });
  });

  test("prints tables, in which a pod's containers are added up", async () => {
    const { body } = await ask(`${root}/namespaces/x/pods`, { accept: tableType });
    const { columnDefinitions, rows } = body as { columnDefinitions: { name: string }[]; rows: { cells: string[]; object: object }[] };
    expect(columnDefinitions.map((c) => c.name)).toEqual(["Name", "cpu", "memory", "Window"]);
    expect(rows.map((r) => r.cells)).toEqual([
      ["db", "0", "64Mi", "10s"],
      ["web", "251m", "128Mi", "10s"],
    ]);
    expect(rows[1]?.object).toMatchObject({ kind: "PartialObjectMetadata", metadata: { name: "web", namespace: "x" } });
  });

  test("is discovered, in both forms", async () => {
    expect((await ask("/apis/metrics.k8s.io/v1beta1")).body).toMatchObject({
      resources: [
        { name: "nodes", kind: "NodeMetrics", namespaced: false, verbs: ["get", "list"] },
        { name: "pods", kind: "PodMetrics", namespaced: true, verbs: ["get", "list"] },
      ],
    });
    const { body, contentType } = await ask("/apis", { accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" });
    expect(contentType).toContain("as=APIGroupDiscoveryList");
    expect(body).toMatchObject({ items: [{ metadata: { name: "metrics.k8s.io" } }] });
    expect((await ask("/apis")).body).toMatchObject({ kind: "APIGroupList" });
    expect((await ask("/readyz")).body).toBe("ok");
  });

  test("is described in OpenAPI v3: every reference leads somewhere", async () => {
    const { body } = await ask("/openapi/v3");
    const { paths } = body as { paths: Record<string, { serverRelativeURL: string }> };
    const link = paths["apis/metrics.k8s.io/v1beta1"]?.serverRelativeURL ?? "";
    const document = JSON.stringify((await ask(link)).body);
    const { components } = JSON.parse(document) as { components: { schemas: Record<string, unknown> } };
    const references = [...document.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name = ""]) => name);
    expect(references.length).toBeGreaterThan(10);
    for (const name of references) expect(Object.keys(components.schemas)).toContain(name);
  });
});

describe("kubeletServer()", () => {
  const node = (addresses: NodeStatus["addresses"], Port = 10250): Node => ({
    ...{ apiVersion: "v1", kind: "Node", spec: {} },
    metadata: { name: "n", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
    status: { ...(addresses ? { addresses } : {}), daemonEndpoints: { kubeletEndpoint: { Port } } },
  });

  test("prefers the internal address, whatever the order", () => {
    const addresses = [
      { type: "Hostname", address: "n" },
      { type: "InternalIP", address: "10.0.0.2" },
      { type: "ExternalIP", address: "1.2.3.4" },
    ];
    expect(kubeletServer(node(addresses))).toBe("https://10.0.0.2:10250");
    expect(kubeletServer(node([{ type: "InternalIP", address: "fd00::2" }], 4))).toBe("https://[fd00::2]:4");
    expect(() => kubeletServer(node([]))).toThrow("node n tells no address of its kubelet");
  });
});
