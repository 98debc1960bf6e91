// The metrics server in a whole cluster in this process: API server with its aggregation layer, controllers, and a node whose
// simulated containers are told what they use.
import https from "node:https";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  apiservices,
  clusterroles,
  deployments,
  endpointslices,
  horizontalpodautoscalers,
  nodes,
  pods,
  services,
} from "../../api/resources.generated.ts";
import type { APIService } from "../../api/types/apiregistration-v1.ts";
import { realClock } from "../../base/clock.ts";
import { type Running, StopStack } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { createSimulatedRuntime, type SimulatedRuntime } from "../../cri/simulated.ts";
import { apiServiceName, isOurs, serviceName } from "../../metrics-server/registration.ts";
import { ApiServerFixture } from "../apiserver/apiserver-fixture.ts";
import type { RunningApiServer } from "../apiserver/start-apiserver.ts";
import { startControllerManager } from "../controller-manager/controller-manager.ts";
import { startKubelet } from "../kubelet/kubelet.ts";
import { startScheduler } from "../scheduler/scheduler.ts";
import { startClusterMetrics } from "./cluster-metrics.ts";

const shared = { clock: realClock, logger: silentLogger };
const root = "/apis/metrics.k8s.io/v1beta1";
const nodeName = "measured";
const administrator = { name: "admin", groups: ["system:masters", "system:authenticated"] };

interface Metrics {
  readonly metadata: { readonly name: string };
  readonly usage?: { readonly cpu: string; readonly memory: string };
  readonly containers?: readonly { readonly name: string; readonly usage: { readonly cpu: string; readonly memory: string } }[];
}

async function until<T>(what: string, look: () => Promise<T | undefined>, timeoutMs = 45_000): Promise<T> {
  const deadline = realClock.monotonic() + timeoutMs;
  for (;;) {
    const found = await look().catch(() => undefined);
    if (found !== undefined) return found;
    if (realClock.monotonic() > deadline) throw new Error(`${what}: not after ${timeoutMs} ms`);
    await realClock.sleep(100);
  }
}

describe("the metrics server of a cluster", { timeout: 120_000 }, () => {
  const stack = new StopStack();
  let fixture: ApiServerFixture;
  let server: RunningApiServer;
  let client: Client;
  let cri: SimulatedRuntime;
  let metrics: Running;

  const list = async (path: string): Promise<readonly Metrics[]> =>
    ((await client.raw("GET", `${root}/${path}`)) as { items: Metrics[] }).items;

  beforeAll(async () => {
    fixture = await ApiServerFixture.create();
    server = await fixture.start();
    client = server.clientFor(administrator);
    const loops = { client, ...shared };
    const autoscaler = { syncPeriodMs: 500 };
    stack.add(await startControllerManager(loops, { rootCaPem: server.caPem, clusterCidrs: ["10.9.0.0/16"], autoscaler }));
    stack.add(await startScheduler(loops, undefined));
    cri = createSimulatedRuntime({ clock: realClock });
    const serving = await server.pki.kubeletServing(nodeName, [nodeName, "127.0.0.1"]);
    const kubelet = stack.add(
      await startKubelet(
        {
          client: server.clientFor({ name: `system:node:${nodeName}`, groups: ["system:nodes", "system:authenticated"] }),
          runtime: { cri, description: "simulated", simulated: true, stop: async () => undefined },
          ...shared,
        },
        {
          ...{ nodeName, rootDirectory: `${fixture.directory}/kubelet`, nodeIPs: ["127.0.0.1"] },
          serving: { address: "127.0.0.1", port: 0, cert: serving.certificate, key: serving.key, clientCa: server.caPem },
        },
      ),
    );
    await kubelet.ready;
    metrics = stack.add(await startClusterMetrics(server, true, shared, { resolutionMs: 1_200 }));
  }, 60_000);
  afterAll(async () => {
    await stack.stop();
    await fixture[Symbol.asyncDispose]();
  }, 60_000);

  it("is registered, and found available", async () => {
    const available = await until("the APIService", async () => {
      const found = await client.get(apiservices, { name: apiServiceName });
      return found.status?.conditions?.some((c) => c.type === "Available" && c.status === "True") ? found : undefined;
    });
    expect(isOurs(available)).toBe(true);
    const view = await until("the aggregated role", async () => {
      const role = await client.get(clusterroles, { name: "view" });
      return role.rules?.some((rule) => rule.apiGroups?.includes("metrics.k8s.io")) ? role : undefined;
    });
    expect(view.metadata.name).toBe("view");
  });

  it("shows what the node uses", async () => {
    const [node] = await until("figures of the node", async () => {
      const found = await list("nodes");
      return found.length > 0 ? found : undefined;
    });
    expect(node).toMatchObject({ metadata: { name: nodeName }, usage: { cpu: expect.any(String), memory: expect.any(String) } });
  });

  it("the kubelet's statistics are there through the API server, for those who may", async () => {
    const path = `/api/v1/nodes/${nodeName}/proxy`;
    const summary = (await client.raw("GET", `${path}/stats/summary`)) as { node: { nodeName: string } };
    expect(summary.node.nodeName).toBe(nodeName);
    expect(await client.raw("GET", `${path}/metrics/resource`, { accept: "*/*" })).toContain("node_cpu_usage_seconds_total");
    expect(await client.raw("GET", `${path}/metrics`, { accept: "*/*" })).toContain(`kubelet_node_name{node="${nodeName}"} 1`);
    const nobody = server.clientFor({ name: "nobody", groups: ["system:authenticated"] });
    await expect(nobody.raw("GET", `${path}/stats/summary`)).rejects.toMatchObject({ reason: "Forbidden" });
    await expect(nobody.raw("GET", `${root}/nodes`)).rejects.toMatchObject({ reason: "Forbidden" });
  });

  it("answers nobody but the front proxy", async () => {
    const { endpoints, ports } = await client.get(endpointslices, { namespace: "kube-system", name: serviceName });
    const ask = (pair: { readonly cert?: string; readonly key?: string }) =>
      new Promise<number | undefined>((resolve, reject) => {
        const at = { host: endpoints?.[0]?.addresses[0], port: ports?.[0]?.port, path: `${root}/nodes` };
        https
          .get({ ...at, ...pair, rejectUnauthorized: false, agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
          .on("error", reject);
      });
    const { admin, frontProxyClient } = server.pki;
    expect(await ask({})).toBe(401);
    expect(await ask({ cert: admin.certificate, key: admin.key })).toBe(401);
    expect(await ask({ cert: frontProxyClient.certificate, key: frontProxyClient.key })).toBe(200);
  });

  it("autoscales a deployment by what its pods use", async () => {
    const labels = { app: "burn" };
    const resources = { requests: { cpu: "200m" } };
    await client.create(deployments, {
      metadata: { name: "burn", namespace: "default" },
      spec: {
        replicas: 1,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: "main", image: "busybox:1", resources }] } },
      },
    });
    await client.create(horizontalpodautoscalers, {
      metadata: { name: "burn", namespace: "default" },
      spec: {
        ...{ minReplicas: 1, maxReplicas: 3, scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "burn" } },
        metrics: [{ type: "Resource", resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } } }],
      },
    });
    const containerId = await until("the container", async () => {
      const { containers } = await cri.listContainers({ filter: { state: { state: "CONTAINER_RUNNING" } } });
      return containers.find((c) => c.labels["io.kubernetes.pod.name"]?.startsWith("burn-"))?.id;
    });
    const idle = await until("figures of the idle pod", async () => (await list("namespaces/default/pods?labelSelector=app%3Dburn"))[0]);
    expect(idle.containers?.[0]?.usage.cpu).toMatch(/^(1m|\d+n|\d+u)$/);
    expect((await client.get(deployments, { namespace: "default", name: "burn" })).spec.replicas).toBe(1);
    cri.setUsage(containerId, { cpuMillicores: 400 });
    await until("more replicas", async () => {
      const { spec } = await client.get(deployments, { namespace: "default", name: "burn" });
      return spec.replicas === 3 ? spec : undefined;
    });
    const scaled = await until("the autoscaler's status", async () => {
      const { status } = await client.get(horizontalpodautoscalers, { namespace: "default", name: "burn" });
      return status?.currentMetrics?.length ? status : undefined;
    });
    expect(scaled.conditions?.find((c) => c.type === "ScalingActive")).toMatchObject({ status: "True", reason: "ValidMetricFound" });
    const { items } = await client.list(pods, { namespace: "default", labelSelector: "app=burn" });
    expect(items.length).toBeGreaterThan(1);
  });

  it("steps back for another metrics server, and in again when that one is gone", async () => {
    const ours = await client.get(apiservices, { name: apiServiceName });
    const theirs: APIService = { ...ours, spec: { ...ours.spec, service: { namespace: "kube-system", name: "metrics-server" } } };
    await client.update(apiservices, theirs);
    await until("theirs is not there", async () => {
      const found = await client.get(apiservices, { name: apiServiceName });
      return found.status?.conditions?.some((c) => c.reason === "ServiceNotFound") ? found : undefined;
    });
    expect(isOurs(await client.get(apiservices, { name: apiServiceName }))).toBe(false);
    await client.delete(apiservices, { name: apiServiceName });
    await until("ours is back", async () => (isOurs(await client.get(apiservices, { name: apiServiceName })) ? true : undefined));
    expect((await until("figures", async () => (await list("nodes"))[0])).metadata.name).toBe(nodeName);
  });

  it("a cluster that is to have none loses what was registered", async () => {
    await metrics.stop();
    await (await startClusterMetrics(server, false, shared)).stop();
    await expect(client.get(services, { namespace: "kube-system", name: serviceName })).rejects.toMatchObject({ reason: "NotFound" });
    await expect(client.get(endpointslices, { namespace: "kube-system", name: serviceName })).rejects.toMatchObject({ reason: "NotFound" });
    expect((await client.list(nodes)).items).toHaveLength(1);
  });
});
