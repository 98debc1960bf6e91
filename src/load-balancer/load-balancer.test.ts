import { describe, expect, it } from "vitest";
import { endpointslices, events, nodes, services } from "../api/resources.generated.ts";
import type { Node, Service, ServiceSpec } from "../api/types/core-v1.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createEventRecorder } from "../client/event-recorder.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { AddressPool, parseRange } from "./address-pool.ts";
import { startLoadBalancer } from "./load-balancer.ts";

interface Options {
  readonly pool?: readonly string[];
  readonly listening?: readonly string[];
}

async function createFixture({ pool, listening = [] }: Options = {}) {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const recorder = createEventRecorder({ client, clock, logger: silentLogger, component: "service-controller" });
  const start = () => {
    const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
    const deps = { client, informers, clock, recorder, logger: silentLogger, listeningPorts: async () => new Set(listening) };
    const loop = startLoadBalancer(deps, pool ? { pool: new AddressPool(pool.map(parseRange)) } : {});
    return { loop, informers };
  };
  let running = start();
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await clock.advance(20);
  };
  const stop = async (): Promise<void> => {
    const stopped = running.loop.stop();
    await clock.advance(10_000);
    await stopped;
    await running.informers.stop();
  };
  const get = (name: string) => client.get(services, { namespace: "default", name });
  const fixture = {
    ...{ api, client, clock, settle, get },
    async restart() {
      await stop();
      running = start();
      await settle();
    },
    node: (name: string, address: string, more: Partial<Node["metadata"]> = {}, ready = true) =>
      client.create(nodes, {
        metadata: { name, ...more },
        spec: {},
        status: { addresses: [{ type: "InternalIP", address }], conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
      } as unknown as Node), // metadata is the server's to complete
    async create(name: string, spec: ServiceSpec = {}) {
      await client.create(services, {
        metadata: { name, namespace: "default" },
        spec: { type: "LoadBalancer", ipFamilies: ["IPv4"], ports: [{ port: 80, protocol: "TCP" }], ...spec },
      });
      await settle();
    },
    async update(name: string, change: (service: Service) => Service) {
      await client.update(services, change(await get(name)));
      await settle();
    },
    async remove(name: string) {
      await client.delete(services, { namespace: "default", name });
      await settle();
    },
    /** Addresses by the service's name. */
    async addresses() {
      const { items } = await client.list(services);
      return Object.fromEntries(items.map((s) => [s.metadata.name, (s.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip).join()]));
    },
    async eventsOf(name: string) {
      await recorder.flushed();
      const { items } = await client.list(events);
      return items.filter((e) => e.involvedObject.name === name).map((e) => `${e.type} ${e.reason}: ${e.message}`);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      const flushed = recorder.stop();
      await clock.advance(10_000);
      await flushed;
      await api.close();
    },
  };
  await settle();
  return fixture;
}

const failed = "Warning SyncLoadBalancerFailed: Error syncing load balancer: failed to ensure load balancer:";

describe("on the nodes' addresses", () => {
  it("a service gets those of all nodes that are ready, the finalizer, and its events", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.node("n2", "192.0.2.2");
    await lb.node("n3", "192.0.2.3", {}, false);
    await lb.node("n4", "192.0.2.4", { labels: { "node.kubernetes.io/exclude-from-external-load-balancers": "" } });
    await lb.create("web", { allocateLoadBalancerNodePorts: false });
    const service = await lb.get("web");
    expect(service.status?.loadBalancer).toEqual({
      ingress: [
        { ip: "192.0.2.1", ipMode: "VIP" },
        { ip: "192.0.2.2", ipMode: "VIP" },
      ],
    });
    expect(service.metadata.finalizers).toEqual(["service.kubernetes.io/load-balancer-cleanup"]);
    expect(service.spec?.ports?.[0]?.nodePort).toBeUndefined();
    expect(await lb.eventsOf("web")).toEqual([
      "Normal EnsuringLoadBalancer: Ensuring load balancer",
      "Normal EnsuredLoadBalancer: Ensured load balancer",
    ]);
  });

  it("follows the nodes; when none is ready any more, what was stays", async () => {
    await using lb = await createFixture();
    await lb.create("web");
    expect(await lb.addresses()).toEqual({ web: "" });
    expect(await lb.eventsOf("web")).toEqual([`${failed} no node has an address of IPv4 for it`]);
    const n1 = await lb.node("n1", "192.0.2.1");
    await lb.node("n2", "192.0.2.2");
    await lb.settle();
    expect(await lb.addresses()).toEqual({ web: "192.0.2.1,192.0.2.2" });
    await lb.client.delete(nodes, { name: "n2" });
    await lb.settle();
    expect(await lb.addresses()).toEqual({ web: "192.0.2.1" });
    expect((await lb.eventsOf("web")).at(-1)).toBe("Normal UpdatedLoadBalancer: Updated load balancer with new hosts");
    await lb.client.updateStatus(nodes, { ...n1, status: { ...n1.status, conditions: [{ type: "Ready", status: "Unknown" }] } });
    await lb.settle();
    expect(await lb.addresses()).toEqual({ web: "192.0.2.1" });
  });

  it("a port belongs to one service; another waits, and gets it when it is free", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.create("first");
    await lb.create("second", { ports: [{ port: 443 }, { port: 80 }] });
    await lb.create("third", { ports: [{ port: 80, protocol: "UDP" }, { port: 443 }] });
    expect(await lb.addresses()).toEqual({ first: "192.0.2.1", second: "", third: "192.0.2.1" });
    expect(await lb.eventsOf("second")).toEqual([`${failed} port TCP 80 of the nodes' addresses belongs to service default/first`]);
    await lb.remove("first");
    expect(await lb.eventsOf("second")).toHaveLength(2); // 443 now
    await lb.update("third", (s) => ({ ...s, spec: { ...s.spec, ports: [{ port: 80, protocol: "UDP" }] } }));
    expect(await lb.addresses()).toEqual({ second: "192.0.2.1", third: "192.0.2.1" });
  });

  it("ports of programs on the machine and node ports of other services are not taken", async () => {
    await using lb = await createFixture({ listening: ["TCP/22"] });
    await lb.node("n1", "192.0.2.1");
    await lb.create("ssh", { ports: [{ port: 22 }] });
    await lb.create("other", { type: "NodePort", ports: [{ port: 80, nodePort: 30_080 }] });
    await lb.create("high", { ports: [{ port: 30_080, nodePort: 30_081 }] });
    expect(await lb.addresses()).toEqual({ ssh: "", other: "", high: "" });
    expect(await lb.eventsOf("ssh")).toEqual([`${failed} port TCP 22 of the nodes' addresses is used by a program on the node`]);
    expect(await lb.eventsOf("high")).toEqual([`${failed} port TCP 30080 of the nodes' addresses belongs to service default/other`]);
  });

  it("local traffic goes to nodes with endpoints alone", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.node("n2", "192.0.2.2");
    const slice = {
      metadata: { name: "web-1", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4" as const,
      endpoints: [{ addresses: ["10.244.0.1"], nodeName: "n2" }],
    };
    await lb.client.create(endpointslices, slice);
    await lb.create("web", { externalTrafficPolicy: "Local" });
    expect(await lb.addresses()).toEqual({ web: "192.0.2.2" });
  });

  it("a restart changes nothing, whoever comes first", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.create("z-first");
    await lb.create("a-second");
    await lb.restart();
    expect(await lb.addresses()).toEqual({ "z-first": "192.0.2.1", "a-second": "" });
    expect(await lb.eventsOf("z-first")).toHaveLength(2);
  });
});

describe("from a pool", () => {
  const pool = ["192.0.2.10-192.0.2.11", "2001:db8::10-2001:db8::11"];

  it("each service has addresses of its own, of its families; deleted ones come back", async () => {
    await using lb = await createFixture({ pool });
    await lb.create("a");
    await lb.create("b", { ipFamilies: ["IPv6", "IPv4"] });
    await lb.create("c");
    expect(await lb.addresses()).toEqual({ a: "192.0.2.10", b: "2001:db8::10,192.0.2.11", c: "" });
    expect(await lb.eventsOf("c")).toEqual([`${failed} all IPv4 addresses of the pool are taken`]);
    await lb.remove("a");
    expect(await lb.addresses()).toEqual({ b: "2001:db8::10,192.0.2.11", c: "192.0.2.10" });
    expect((await lb.eventsOf("a")).slice(2)).toEqual([
      "Normal DeletingLoadBalancer: Deleting load balancer",
      "Normal DeletedLoadBalancer: Deleted load balancer",
    ]);
  });

  it("a requested address is given if it can be", async () => {
    await using lb = await createFixture({ pool });
    await lb.create("a", { loadBalancerIP: "192.0.2.11" });
    await lb.create("b", { loadBalancerIP: "192.0.2.11" });
    await lb.create("c", { loadBalancerIP: "198.51.100.1" });
    expect(await lb.addresses()).toEqual({ a: "192.0.2.11", b: "", c: "" });
    expect(await lb.eventsOf("b")).toEqual([`${failed} the requested address 192.0.2.11 belongs to service default/a`]);
    expect(await lb.eventsOf("c")).toEqual([`${failed} the requested address 198.51.100.1 is not in the pool`]);
    await lb.update("a", (s) => ({ ...s, spec: { ...s.spec, loadBalancerIP: "192.0.2.10" } }));
    expect(await lb.addresses()).toEqual({ a: "192.0.2.10", b: "192.0.2.11", c: "" });
  });

  it("addresses stay across restarts, and nodes keep theirs", async () => {
    await using lb = await createFixture({ pool });
    await lb.node("n1", "192.0.2.10");
    await lb.create("a");
    await lb.restart();
    await lb.create("0");
    expect(await lb.addresses()).toEqual({ a: "192.0.2.11", "0": "" });
  });

  it("a hung call holds up nobody else", async () => {
    await using lb = await createFixture({ pool: ["192.0.2.0/24"] });
    const { request } = lb.api;
    lb.api.request = (sent) =>
      sent.method !== "GET" && sent.path.includes("/services/stuck") ? new Promise(() => undefined) : request.call(lb.api, sent);
    for (let i = 0; i < 8; i++) await lb.create(`stuck-${i}`);
    await lb.create("fine");
    expect((await lb.addresses()).fine).toBe("");
    await lb.clock.advance(70_000);
    expect((await lb.addresses()).fine).toMatch(/^192\.0\.2\./);
  });
});

describe("services of others", () => {
  it("with a class of another, or of another type, are left alone", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.create("theirs", { loadBalancerClass: "example.com/other" });
    await lb.create("plain", { type: "ClusterIP" });
    await lb.create("ours", { loadBalancerClass: "coracle/load-balancer" });
    expect(await lb.addresses()).toEqual({ theirs: "", plain: "", ours: "192.0.2.1" });
    expect((await lb.get("theirs")).metadata.finalizers).toBeUndefined();
  });

  it("that are load balancers no more lose address and finalizer", async () => {
    await using lb = await createFixture();
    await lb.node("n1", "192.0.2.1");
    await lb.create("web");
    await lb.update("web", (s) => ({ ...s, spec: { ...s.spec, type: "ClusterIP" } }));
    const service = await lb.get("web");
    expect([service.metadata.finalizers, service.status?.loadBalancer]).toEqual([[], {}]);
    await lb.create("next");
    expect((await lb.addresses()).next).toBe("192.0.2.1");
  });
});
