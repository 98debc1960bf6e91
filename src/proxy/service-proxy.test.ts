// The proxy of a node over an API in memory, a virtual clock, and a packet filter that writes down what it is told.
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { New } from "../api/meta/object.ts";
import { endpointslices, nodes, servicecidrs, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import type { EndpointSlice } from "../api/types/discovery-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { MetricsRegistry } from "../base/metrics.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import type { Conntrack, Flow } from "../linux/conntrack.ts";
import type { Nftables, NftTableNames } from "../linux/nftables.ts";
import { CommandError } from "../linux/run-command.ts";
import { createFakeApi, type FakeApi } from "../testing/fake-api.ts";
import { ProxyHealth } from "./proxy-health.ts";
import { ProxyMetrics } from "./proxy-metrics.ts";
import { ServiceHealth } from "./service-health.ts";
import { ServiceProxy, type ServiceProxyOptions } from "./service-proxy.ts";

let clock: VirtualClock;
let api: FakeApi;
let client: Client;
let registry: MetricsRegistry;
let health: ProxyHealth;
let kernel: KernelStandIn;
let flows: Flow[];
let forgotten: Flow[];
let proxy: ServiceProxy;

/** Takes every transaction, and knows the names of chains and sets that were added. */
class KernelStandIn implements Nftables {
  readonly transactions: string[] = [];
  /** Of the next calls of apply, as long as there are some. */
  failures: Error[] = [];
  readonly #chains = new Set<string>();
  readonly #containers = new Set<string>();

  async apply(commands: string): Promise<void> {
    const failure = this.failures.shift();
    if (failure) throw failure;
    this.transactions.push(commands);
    for (const [, verb, kind, name] of commands.matchAll(/^(add|delete) (chain|set|map) ip \S+ (\S+)/gm)) {
      const names = kind === "chain" ? this.#chains : this.#containers;
      if (verb === "add") names.add(name ?? "");
      else names.delete(name ?? "");
    }
  }

  /** Whether it is a packet filter that knows what shared chains take. */
  takesSharedChoice = true;

  async accepts(): Promise<boolean> {
    return this.takesSharedChoice;
  }

  async listTable(): Promise<undefined> {
    return undefined;
  }

  async tableNames(family: string): Promise<NftTableNames | undefined> {
    if (family !== "ip" || this.#chains.size === 0) return undefined;
    return { chains: new Set(this.#chains), containers: new Set(this.#containers) };
  }

  flush(): void {
    this.#chains.clear();
    this.#containers.clear();
  }

  takeTransactions(): readonly string[] {
    return this.transactions.splice(0);
  }
}

const node: New<Node> = {
  metadata: { name: "node-1", labels: { "topology.kubernetes.io/zone": "a" } },
  status: { addresses: [{ type: "InternalIP", address: "192.168.7.1" }] },
} as unknown as New<Node>;

const service = (name: string, spec: object, labels: Record<string, string> = {}): New<Service> =>
  ({
    metadata: { namespace: "default", name, labels },
    spec: { type: "ClusterIP", ports: [{ port: 80 }], ...spec },
  }) as unknown as New<Service>;

const slice = (name: string, addresses: readonly string[], more: object = {}, protocol = "TCP"): New<EndpointSlice> =>
  ({
    metadata: { namespace: "default", name: `${name}-1`, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: addresses.length === 0 ? null : [{ name: "", port: 8080, protocol }],
    endpoints: addresses.map((address) => ({ addresses: [address], nodeName: "node-1", conditions: { ready: true }, ...more })),
  }) as unknown as New<EndpointSlice>;

async function start(options: Partial<ServiceProxyOptions> = {}): Promise<void> {
  const conntrack: Conntrack = {
    listUdp: async (family) => (family === "ipv4" ? flows : []),
    forgetUdp: async (_family, flow) => forgotten.push(flow),
  };
  const deps = { client, clock, logger: silentLogger, metrics: new ProxyMetrics(registry) };
  health = new ProxyHealth(deps, { timeoutMs: 60_000, isNodeEligible: () => true });
  const serviceHealth = new ServiceHealth({ ...deps, isProxyHealthy: () => true, addresses: () => [], onFailure: () => undefined });
  proxy = new ServiceProxy(
    { ...deps, nftables: kernel, conntrack, health, serviceHealth, localAddresses: async () => [] },
    {
      ...{ nodeName: "node-1", tableName: "kube-proxy", bindAddress: "0.0.0.0", nodePortAddresses: ["primary"] },
      detectLocal: { mode: "ClusterCIDR", clusterCidrs: ["10.244.0.0/16"] },
      ...{ masqueradeAll: false, masqueradeBit: 14, minSyncPeriodMs: 1_000, syncPeriodMs: 30_000 },
      ...options,
    },
  );
  proxy.start();
  await settle();
}

const settle = (): Promise<void> => clock.advance(50);
const write = async (work: () => Promise<unknown>): Promise<readonly string[]> => {
  await clock.advance(2_000);
  kernel.takeTransactions();
  await work();
  await settle();
  return kernel.takeTransactions();
};

beforeEach(async () => {
  clock = new VirtualClock();
  api = createFakeApi(clock);
  client = createClient(api);
  registry = new MetricsRegistry();
  kernel = new KernelStandIn();
  flows = [];
  forgotten = [];
  await client.create(nodes, node);
  onTestFinished(async () => {
    await proxy.stop();
    await api.close();
  });
});

describe("ServiceProxy", () => {
  it("writes everything at the start, in one transaction, and nothing more without a change", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await client.create(endpointslices, slice("web", ["10.244.1.2", "10.244.1.3"]));
    await start();
    expect(kernel.transactions).toHaveLength(1);
    expect(kernel.transactions[0]).toContain("10.96.0.10 . tcp . 80 : goto service-");
    await proxy.written;
    await clock.advance(60_000);
    expect(kernel.transactions).toHaveLength(1);
  });

  it.each([
    [
      "elements, where chains can be shared",
      true,
      [
        "add chain ip kube-proxy service-choice-tcp-2",
        "add rule ip kube-proxy service-choice-tcp-2 meta l4proto tcp dnat ip addr . port to ip daddr . th dport . numgen random mod 2 map @service-endpoints-tcp",
        "add rule ip kube-proxy service-choice-tcp-2 meta l4proto tcp dnat ip addr . port to ip daddr . th dport . numgen random mod 1 map @service-endpoints-tcp",
        "add element ip kube-proxy hairpin-connections { 10.244.1.3 . 10.244.1.3 . tcp . 8080 }",
        "delete element ip kube-proxy service-ips { 10.96.0.1 . tcp . 80 : goto service-choice-tcp-1 }",
        "add element ip kube-proxy service-ips { 10.96.0.1 . tcp . 80 : goto service-choice-tcp-2 }",
        "add element ip kube-proxy service-endpoints-tcp { 10.96.0.1 . 80 . 1 : 10.244.1.3 . 8080 }",
      ],
    ],
    [
      "the service's own rules, where they cannot",
      false,
      [
        "flush chain ip kube-proxy service-HASH-default/a/tcp/",
        "add rule ip kube-proxy service-HASH-default/a/tcp/ numgen random mod 2 0 meta l4proto tcp dnat to 10.244.1.2:8080",
        "add rule ip kube-proxy service-HASH-default/a/tcp/ meta l4proto tcp dnat to 10.244.1.3:8080",
        "add element ip kube-proxy hairpin-connections { 10.244.1.3 . 10.244.1.3 . tcp . 8080 }",
      ],
    ],
  ])("writes of a change only what it concerns: %s", async (_name, takesSharedChoice, lines) => {
    kernel.takesSharedChoice = takesSharedChoice;
    for (const name of ["a", "b"]) {
      await client.create(services, service(name, { clusterIP: `10.96.0.${name === "a" ? 1 : 2}` }));
      await client.create(endpointslices, slice(name, ["10.244.1.2"]));
    }
    await start();
    const changed = await write(() =>
      client.patch(endpointslices, { namespace: "default", name: "a-1" }, slice("a", ["10.244.1.2", "10.244.1.3"]), { type: "merge" }),
    );
    expect(changed).toHaveLength(1);
    expect(changed[0]?.replaceAll(/-[A-Z2-7]{8}-/g, "-HASH-")).toBe(`${lines.join("\n")}\n`);
    // The element is claimed by both services; it goes with the last of them.
    expect((await write(() => client.delete(services, { namespace: "default", name: "a" })))[0]).not.toContain("{ 10.244.1.2 . 10.244.1.2");
    expect((await write(() => client.delete(services, { namespace: "default", name: "b" }))).join("")).toContain(
      "delete element ip kube-proxy hairpin-connections { 10.244.1.2 . 10.244.1.2 . tcp . 8080 }",
    );
  });

  it("deletes the chains of a service that is gone a second after they have been emptied", async () => {
    kernel.takesSharedChoice = false;
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await client.create(endpointslices, slice("web", ["10.244.1.2"]));
    await start();
    const gone = await write(() => client.delete(services, { namespace: "default", name: "web" }));
    expect(gone.join("")).toMatch(/^flush chain ip kube-proxy service-\S+$/m);
    expect(gone.join("")).not.toContain("delete chain");
    await clock.advance(3_000);
    expect(kernel.takeTransactions().join("")).toMatch(/^delete chain ip kube-proxy service-\S+\n$/);
  });

  it("writes changes that come together together, and not more often than it may", async () => {
    await start();
    await clock.advance(2_000);
    kernel.takeTransactions();
    for (let i = 0; i < 50; i++) await client.create(services, service(`s${i}`, { clusterIP: `10.96.1.${i}` }));
    await settle();
    expect(kernel.takeTransactions()).toHaveLength(1);
    await client.create(services, service("late", { clusterIP: "10.96.2.1" }));
    await clock.advance(900);
    expect(kernel.takeTransactions()).toEqual([]);
    await clock.advance(100);
    expect(kernel.takeTransactions()).toHaveLength(1);
  });

  it("writes everything after a failed transaction, makes the table anew if that fails, and tries again after that", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await start();
    const refused = (): Error => new CommandError("nft: exit code 1: No such file or directory", { exitCode: 1 });
    await clock.advance(2_000);
    kernel.failures = [refused()];
    const [repaired, ...more] = await write(() => client.create(services, service("a", { clusterIP: "10.96.0.11" })));
    expect(more).toEqual([]);
    expect(repaired).toMatch(/^add table ip kube-proxy/);
    expect(repaired).toContain("flush map ip kube-proxy service-ips");

    kernel.failures = [refused(), refused()];
    const [anew] = await write(() => client.create(services, service("b", { clusterIP: "10.96.0.12" })));
    expect(anew).toMatch(/^add table ip kube-proxy\ndelete table ip kube-proxy\nadd table/);

    kernel.failures = [refused(), refused(), refused()];
    expect(await write(() => client.create(services, service("c", { clusterIP: "10.96.0.13" })))).toEqual([]);
    await clock.advance(1_500);
    expect(kernel.takeTransactions().join("")).toContain("10.96.0.13");
    expect(registry.text()).toContain('kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 1');
  });

  it("finds out that others have flushed the table, and writes it again", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await start();
    kernel.flush();
    kernel.takeTransactions();
    await clock.advance(31_000);
    expect(kernel.takeTransactions().join("")).toContain("10.96.0.10");
  });

  it("writes everything once an hour", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await start();
    kernel.takeTransactions();
    await clock.advance(3_700_000);
    expect(kernel.takeTransactions()).toHaveLength(1);
  });

  it("follows the node's zone and address, and the service ranges", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10", type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] }));
    const hinted = slice("web", ["10.244.1.2"], { hints: { forZones: [{ name: "a" }] } }) as unknown as { endpoints: object[] };
    hinted.endpoints.push({
      addresses: ["10.244.2.2"],
      nodeName: "node-2",
      conditions: { ready: true },
      hints: { forZones: [{ name: "b" }] },
    });
    await client.create(endpointslices, hinted as unknown as New<EndpointSlice>);
    await start();
    expect(kernel.transactions[0]).toContain("{ 10.96.0.10 . 80 . 0 : 10.244.1.2 . 8080 }");
    expect(kernel.transactions[0]).not.toContain("10.244.2.2 . 8080");
    const patch = (change: object) => client.patch(nodes, { name: "node-1" }, change, { type: "merge" });
    const moved = await write(() => patch({ metadata: { labels: { "topology.kubernetes.io/zone": "b" } } }));
    expect(moved.join("")).toContain("{ 10.96.0.10 . 80 . 0 : 10.244.2.2 . 8080 }");
    const status = { status: { addresses: [{ type: "InternalIP", address: "192.168.7.9" }] } };
    const renumbered = await write(() => client.patch(nodes, { name: "node-1" }, status, { type: "merge", subresource: "status" }));
    expect(renumbered.join("")).toContain(
      "delete element ip kube-proxy nodeport-ips { 192.168.7.1 }\nadd element ip kube-proxy nodeport-ips { 192.168.7.9 }",
    );
    expect(await write(() => patch({ metadata: { annotations: { beat: "1" } } }))).toEqual([]);
    const range = { metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/16", "fd96::/108"] } };
    expect((await write(() => client.create(servicecidrs, range))).join("")).toContain("ip daddr { 10.96.0.0/16 } drop");
  });

  it("leaves headless services, names, and services of another proxy alone", async () => {
    const labels = { "service.kubernetes.io/service-proxy-name": "mine" };
    await client.create(services, service("headless", { clusterIP: "None" }));
    await client.create(services, service("name", { type: "ExternalName", externalName: "example.test" }));
    await client.create(services, service("foreign", { clusterIP: "10.96.0.10" }, labels));
    await client.create(services, service("web", { clusterIP: "10.96.0.11" }));
    await start();
    expect(kernel.transactions.join("")).toContain("cluster-ips { 10.96.0.11 }");
    const left = await write(() => client.delete(services, { namespace: "default", name: "web" }));
    expect(left.join("")).toContain("delete element ip kube-proxy cluster-ips { 10.96.0.11 }");
  });

  it("ends flows of UDP to endpoints that are gone, and to nowhere once there is an endpoint", async () => {
    const ports = [{ port: 53, protocol: "UDP" }];
    await client.create(services, service("dns", { clusterIP: "10.96.0.10", ports }));
    await client.create(endpointslices, slice("dns", [], {}, "UDP"));
    await start();
    const to = (answeredBy: string, answeringPort = 8080): Flow => ({
      destination: "10.96.0.10",
      destinationPort: 53,
      answeredBy,
      answeringPort,
    });
    flows = [to("10.96.0.10", 53), to("10.244.1.2"), { ...to("10.244.1.9"), destination: "10.96.0.99" }];
    const patch = (addresses: readonly string[]) =>
      write(() =>
        client.patch(endpointslices, { namespace: "default", name: "dns-1" }, slice("dns", addresses, {}, "UDP"), { type: "merge" }),
      );
    await patch(["10.244.1.2"]);
    expect(forgotten.splice(0)).toEqual([to("10.96.0.10", 53)]);
    flows = [to("10.244.1.2"), to("10.244.1.2")];
    await patch(["10.244.1.2", "10.244.1.3"]);
    expect(forgotten).toEqual([]);
    await patch(["10.244.1.3"]);
    expect(forgotten.splice(0)).toEqual([to("10.244.1.2")]);
    // Without any endpoint there is nowhere better to go.
    await patch([]);
    expect(forgotten).toEqual([]);
  });

  it("is unhealthy when a change cannot be written for too long, and well again when it can", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await start();
    expect(health.livez()).toMatchObject({ status: 200, contentType: "application/json" });
    kernel.failures = Array.from({ length: 60 }, () => new CommandError("nft: exit code 1", { exitCode: 1 }));
    await client.create(services, service("a", { clusterIP: "10.96.0.11" }));
    await clock.advance(59_000);
    expect(health.isHealthy).toBe(true);
    await clock.advance(2_000);
    expect(health.healthz().status).toBe(503);
    expect(JSON.parse(health.livez().body)).toMatchObject({
      healthy: false,
      status: { IPv4: { healthy: false }, IPv6: { healthy: true } },
    });
    kernel.failures = [];
    await clock.advance(31_000);
    expect(health.healthz().status).toBe(200);
  });

  it("counts what it does under upstream's names", async () => {
    await client.create(services, service("web", { clusterIP: "10.96.0.10", internalTrafficPolicy: "Local" }));
    await client.create(endpointslices, slice("web", ["10.244.2.2"], { nodeName: "node-2" }));
    await start();
    await write(async () => {
      const changed = { ...slice("web", ["10.244.2.3"], { nodeName: "node-2" }) } as { metadata: object };
      const at = new Date(clock.now() - 1_000).toISOString();
      await client.patch(
        endpointslices,
        { namespace: "default", name: "web-1" },
        { ...changed, metadata: { annotations: { "endpoints.kubernetes.io/last-change-trigger-time": at } } },
        { type: "merge" },
      );
    });
    const text = registry.text();
    for (const line of [
      'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy="internal",ip_family="IPv4"} 1',
      "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
      "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0",
      'kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1',
    ])
      expect(text).toContain(`${line}\n`);
  });

  it("one service that cannot be understood does not keep the others from theirs", async () => {
    await client.create(services, service("bad", { clusterIP: "10.96.0.9", ports: [null] }));
    await client.create(services, service("web", { clusterIP: "10.96.0.10" }));
    await start();
    expect(kernel.transactions.join("")).toContain("10.96.0.10");
  });
});
