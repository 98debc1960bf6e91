import { describe, expect, it } from "vitest";
import { endpointslices, services } from "../api/resources.generated.ts";
import { VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { publishDnsService } from "./dns-service.ts";

const at = { namespace: "kube-system", name: "kube-dns" };
const endpoint = { address: "192.0.2.2", port: 10_053, metricsPort: 9153 };

async function publish() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
  const service = publishDnsService({ client, informers, clock, logger: silentLogger }, { clusterIP: "10.96.0.10" });
  informers.start();
  return {
    ...{ client, clock, service },
    /** "address:port/port", of all slices of the service. */
    async endpoints() {
      await clock.advance(500);
      const { items } = await client.list(endpointslices, {
        namespace: "kube-system",
        labelSelector: "kubernetes.io/service-name=kube-dns",
      });
      return items.map(({ endpoints, ports }) => `${endpoints?.[0]?.addresses[0]} ${ports?.map((p) => `${p.name}:${p.port}`).join()}`);
    },
    async [Symbol.asyncDispose]() {
      const stopped = service.stop();
      await clock.advance(10_000);
      await stopped;
      await informers.stop();
      await api.close();
    },
  };
}

describe("publishDnsService()", () => {
  it("makes the Service kube-dns at its address, and leads it to where the server listens", async () => {
    await using dns = await publish();
    expect(await dns.endpoints()).toEqual([]);
    dns.service.moved(endpoint);
    expect(await dns.endpoints()).toEqual(["192.0.2.2 dns:10053,dns-tcp:10053,metrics:9153"]);
    const made = await dns.client.get(services, at);
    expect(made.metadata.labels).toMatchObject({ "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS" });
    expect(made.spec?.clusterIP).toBe("10.96.0.10");
    expect(made.spec?.ports?.map((p) => `${p.name} ${p.port}/${p.protocol}`)).toEqual(["dns 53/UDP", "dns-tcp 53/TCP", "metrics 9153/TCP"]);
    dns.service.moved({ ...endpoint, address: "192.0.2.9" });
    expect(await dns.endpoints()).toEqual(["192.0.2.9 dns:10053,dns-tcp:10053,metrics:9153"]);
    dns.service.moved({ ...endpoint, address: "2001:db8::9" });
    expect(await dns.endpoints()).toEqual(["2001:db8::9 dns:10053,dns-tcp:10053,metrics:9153"]);
    dns.service.moved(undefined);
    expect(await dns.endpoints()).toEqual([]);
  });

  it("makes them again when they are deleted", async () => {
    await using dns = await publish();
    dns.service.moved(endpoint);
    expect(await dns.endpoints()).toHaveLength(1);
    await dns.client.delete(services, at);
    await dns.client.delete(endpointslices, { namespace: "kube-system", name: "kube-dns-coracle" });
    expect(await dns.endpoints()).toHaveLength(1);
    expect((await dns.client.get(services, at)).spec?.clusterIP).toBe("10.96.0.10");
  });

  it("leaves a Service that is another's alone", async () => {
    await using dns = await publish();
    const theirs = await dns.client.create(services, {
      metadata: at,
      spec: { clusterIP: "10.96.0.10", selector: { "k8s-app": "kube-dns" } },
    });
    dns.service.moved(endpoint);
    expect(await dns.endpoints()).toEqual([]);
    expect(await dns.client.get(services, at)).toEqual(theirs);
    await dns.client.delete(services, at);
    expect(await dns.endpoints()).toHaveLength(1);
  });

  it("makes way when somebody applies a DNS of his own over it", async () => {
    await using dns = await publish();
    dns.service.moved(endpoint);
    expect(await dns.endpoints()).toHaveLength(1);
    const ours = await dns.client.get(services, at);
    await dns.client.update(services, { ...ours, spec: { ...ours.spec, selector: { "k8s-app": "kube-dns" } } });
    expect(await dns.endpoints()).toEqual([]);
  });

  it("waits for its address where that is taken", async () => {
    await using dns = await publish();
    let taken = true;
    const { create } = dns.client;
    dns.client.create = ((type, object, options) => {
      if (type.resource === "services" && taken) return Promise.reject(new Error("provided IP is already allocated"));
      return create(type, object, options);
    }) as typeof create;
    dns.service.moved(endpoint);
    expect(await dns.endpoints()).toEqual([]);
    taken = false;
    await dns.clock.advance(30_000);
    expect(await dns.endpoints()).toHaveLength(1);
  });
});
