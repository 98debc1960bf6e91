// The proxy's small servers, over real sockets of the loopback interface.
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Service } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import { freePort } from "../testing/free-port.ts";
import { startHttpServer } from "./http-server.ts";
import { ProxyHealth } from "./proxy-health.ts";
import { ProxyMetrics } from "./proxy-metrics.ts";
import { ServiceHealth, type ServiceHealthState } from "./service-health.ts";
import { startHealthServer, startMetricsServer } from "./start-proxy-servers.ts";

const clock = new VirtualClock();
const deps = { clock, logger: silentLogger };

const state = (port: number, localEndpoints: number): ServiceHealthState => ({
  service: { metadata: { namespace: "ns", name: "web" } } as Service,
  port,
  localEndpoints,
});

/** Undefined where nobody listens. */
const ask = (port: number, path = "/"): Promise<Response | undefined> => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined);

/** What a server says to bytes that no library would send. */
function sayRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.on("data", (chunk) => (text += chunk)).on("error", reject);
    socket.on("close", () => resolve(text));
  });
}

it("paths that are no URL are not found, and what fails is answered with 500", async () => {
  const port = await freePort();
  const answer = (path: string) => {
    if (path === "/bad") throw new Error("bad");
    return undefined;
  };
  const server = await startHttpServer(deps, { name: "test", address: "127.0.0.1", port, answer });
  onTestFinished(() => server.stop());
  for (const path of ["//", "//[", "http://[/"])
    expect(await sayRaw(port, `GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`), path).toMatch(/^HTTP\/1.1 404/);
  expect((await ask(port, "/bad"))?.status).toBe(500);
  expect((await ask(port, "/good"))?.status).toBe(404);
});

describe("ServiceHealth", () => {
  it("tells of a service's local endpoints as upstream does, and closes its port with it", async () => {
    let isProxyHealthy = true;
    const failures: string[] = [];
    const health = new ServiceHealth({
      ...deps,
      isProxyHealthy: () => isProxyHealthy,
      addresses: () => ["127.0.0.1"],
      onFailure: (_service, error) => void failures.push(error.message),
    });
    onTestFinished(() => health.stop());
    const port = await freePort();
    health.set("ns/web", state(port, 2));
    await expect.poll(async () => (await ask(port))?.status).toBe(200);
    const answer = await ask(port, "/anything");
    expect(answer?.headers.get("content-type")).toBe("application/json");
    expect(answer?.headers.get("x-load-balancing-endpoint-weight")).toBe("2");
    expect(await answer?.text()).toBe(
      '{\n\t"service": {\n\t\t"namespace": "ns",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
    );
    health.set("ns/web", state(port, 0));
    expect((await ask(port))?.status).toBe(503);
    health.set("ns/web", state(port, 1));
    isProxyHealthy = false;
    expect((await ask(port))?.status).toBe(503);
    const other = await freePort();
    health.set("ns/web", state(other, 1));
    await expect.poll(async () => (await ask(other))?.status).toBe(503);
    expect(await ask(port)).toBeUndefined();
    health.set("ns/web", undefined);
    await expect.poll(() => ask(other)).toBeUndefined();
    expect(failures).toEqual([]);
  });

  it("tells of a port that is taken, and has it as soon as it is free", async () => {
    const port = await freePort();
    const occupant = createServer().listen(port, "127.0.0.1");
    await new Promise((resolve) => occupant.once("listening", resolve));
    const failures: string[] = [];
    const onFailure = (_service: ServiceHealthState, error: Error): void => void failures.push(error.message);
    const health = new ServiceHealth({ ...deps, isProxyHealthy: () => true, addresses: () => ["127.0.0.1"], onFailure });
    onTestFinished(() => health.stop());
    health.set("ns/web", state(port, 1));
    await expect.poll(() => failures.length).toBe(1);
    expect(failures[0]).toContain("EADDRINUSE");
    await new Promise((resolve) => occupant.close(resolve));
    await clock.advance(5_000);
    await expect.poll(async () => (await ask(port))?.status).toBe(200);
  });
});

describe("the servers of the proxy", () => {
  it("/healthz says whether the node is eligible, /livez does not; both in upstream's JSON", async () => {
    const registry = new MetricsRegistry();
    let isNodeEligible = true;
    const health = new ProxyHealth(
      { clock, metrics: new ProxyMetrics(registry) },
      { timeoutMs: 1_000, isNodeEligible: () => isNodeEligible },
    );
    const port = await freePort();
    const server = await startHealthServer(deps, health, { address: "127.0.0.1", port });
    onTestFinished(() => server.stop());
    health.updated("IPv4");
    const now = new Date(clock.now()).toISOString();
    const well = { lastUpdated: now, currentTime: now, healthy: true, status: { IPv4: { lastUpdated: now, healthy: true } } };
    expect(await (await ask(port, "/healthz"))?.json()).toEqual({ ...well, nodeEligible: true });
    expect(await (await ask(port, "/livez"))?.json()).toEqual(well);
    isNodeEligible = false;
    expect((await ask(port, "/healthz"))?.status).toBe(503);
    expect((await ask(port, "/livez"))?.status).toBe(200);
    expect((await ask(port, "/metrics"))?.status).toBe(404);
    expect(registry.text()).toContain('kubeproxy_proxy_healthz_total{code="503"} 1\n');
  });

  it("metrics, mode and configuration are on a port of their own", async () => {
    const registry = new MetricsRegistry();
    new ProxyMetrics(registry).changed("service");
    const port = await freePort();
    const server = await startMetricsServer(deps, registry, {
      address: "127.0.0.1",
      port,
      configuration: { mode: "nftables" },
      flags: { v: "2" },
    });
    onTestFinished(() => server.stop());
    expect(await (await ask(port, "/metrics"))?.text()).toContain("kubeproxy_sync_proxy_rules_service_changes_total 1\n");
    expect(await (await ask(port, "/proxyMode"))?.text()).toBe("nftables");
    expect(await (await ask(port, "/healthz"))?.text()).toBe("ok");
    expect(await (await ask(port, "/configz"))?.json()).toEqual({ "kubeproxy.config.k8s.io": { mode: "nftables" } });
    expect(await (await ask(port, "/flagz"))?.text()).toMatch(/^\nkube-proxy flagz\nWarning: .*\nv: 2\n$/);
    expect(await (await ask(port, "/statusz"))?.text()).toMatch(/\nPaths: \/configz \/flagz \/healthz \/metrics \/proxyMode\n$/);
  });

  it("a server whose port is taken tries again for as long as it takes, and does not grow by it", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const waiting = new VirtualClock();
    const failures: Error[] = [];
    const warned: Error[] = [];
    const warn = (warning: Error): void => void warned.push(warning);
    process.on("warning", warn);
    onTestFinished(() => void process.off("warning", warn));
    const at = { address: "127.0.0.1", port, configuration: {}, isOptional: true, onFailure: (error: Error) => void failures.push(error) };
    const server = await startMetricsServer({ clock: waiting, logger: silentLogger }, new MetricsRegistry(), at);
    onTestFinished(() => server.stop());
    for (let i = 2; i <= 15; i++) {
      await waiting.advance(5_000);
      await vi.waitFor(() => expect(failures).toHaveLength(i), 30_000);
    }
    taken.close();
    await once(taken, "close");
    await waiting.advance(5_000);
    await vi.waitFor(async () => expect((await ask(port, "/healthz"))?.status).toBe(200), 30_000);
    expect(warned.filter(({ name }) => name === "MaxListenersExceededWarning")).toEqual([]);
  });

  it("without their gates there are no pages about flags and status", async () => {
    const port = await freePort();
    const at = { address: "127.0.0.1", port, configuration: {}, hasStatusz: false };
    const server = await startMetricsServer(deps, new MetricsRegistry(), at);
    onTestFinished(() => server.stop());
    for (const path of ["/flagz", "/statusz"]) expect((await ask(port, path))?.status).toBe(404);
  });
});
