import { afterEach, beforeEach, expect, it } from "vitest";
import { endpointslices, endpoints as endpointsType, namespaces, services } from "../../api/resources.generated.ts";
import { silentLogger } from "../../base/log.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { KubernetesService } from "./kubernetes-service.ts";

let cluster: ApiFixture;
beforeEach(async () => {
  cluster = createApiFixture();
  await cluster.client.create(namespaces, { metadata: { name: "default" }, spec: {} });
});
afterEach(() => cluster.stop());

const serverAt = (advertiseAddress: string, options: { keepsEndpoints?: boolean } = {}): KubernetesService =>
  new KubernetesService(
    { client: cluster.client, store: cluster.store, clock: cluster.clock, logger: silentLogger },
    { prefix: "/registry/", serviceClusterIpRange: "10.96.0.0/16", advertiseAddress, securePort: 6443, ...options },
  );
const at = { namespace: "default", name: "kubernetes" };
const addresses = async (): Promise<readonly string[][]> => {
  const [{ subsets = [] }, { endpoints }] = await Promise.all([
    cluster.client.get(endpointsType, at),
    cluster.client.get(endpointslices, at),
  ]);
  return [subsets.flatMap((subset) => (subset.addresses ?? []).map(({ ip }) => ip)), (endpoints ?? []).flatMap((e) => [...e.addresses])];
};
const both = (...expected: string[]): readonly string[][] => [expected, expected];

it("makes the service at the first address of the range, with this server behind it", async () => {
  const server = serverAt("192.0.2.1");
  await server.start();
  const { spec } = await cluster.client.get(services, at);
  expect(spec).toMatchObject({ clusterIP: "10.96.0.1", ports: [{ name: "https", port: 443, targetPort: 6443 }] });
  expect(await addresses()).toEqual(both("192.0.2.1"));
  await server.stop();
});

it("has the addresses of all servers that live, in order, and not of one that has stopped", async () => {
  const [a, b] = [serverAt("192.0.2.2"), serverAt("192.0.2.1")];
  await a.start();
  await b.start();
  await cluster.clock.advance(10_000);
  expect(await addresses()).toEqual(both("192.0.2.1", "192.0.2.2"));
  await b.stop();
  expect(await addresses()).toEqual(both("192.0.2.2"));
  await a.stop();
  expect(await addresses()).toEqual(both());
});

it("drops the address of a server that was killed, once its key has run out", async () => {
  const dead = "/registry/masterleases/192.0.2.9";
  await cluster.store.transact({ conditions: [], operations: [{ type: "put", key: dead, value: Buffer.from("{}"), ttlSeconds: 15 }] });
  const server = serverAt("192.0.2.1");
  await server.start();
  expect(await addresses()).toEqual(both("192.0.2.1", "192.0.2.9"));
  await cluster.clock.advance(20_000);
  expect(await addresses()).toEqual(both("192.0.2.1"));
  await server.stop();
});

it("brings back what was deleted or changed", async () => {
  const server = serverAt("192.0.2.1");
  await server.start();
  await cluster.client.delete(services, at);
  await cluster.client.delete(endpointsType, at);
  const slice = await cluster.client.get(endpointslices, at);
  await cluster.client.update(endpointslices, { ...slice, endpoints: [{ addresses: ["192.0.2.66"] }] });
  await cluster.clock.advance(10_000);
  expect((await cluster.client.get(services, at)).spec?.clusterIP).toBe("10.96.0.1");
  expect(await addresses()).toEqual(both("192.0.2.1"));
  await server.stop();
});

it("leaves the endpoints alone where they are another's business", async () => {
  const server = serverAt("192.0.2.1", { keepsEndpoints: false });
  await server.start();
  await cluster.clock.advance(10_000);
  expect((await cluster.client.list(endpointsType)).items).toEqual([]);
  expect((await cluster.client.list(services)).items).toHaveLength(1);
  await server.stop();
});

it("publishes no loopback address", async () => {
  const server = serverAt("127.0.0.1");
  await server.start();
  expect(await addresses()).toEqual(both());
  await server.stop();
});
