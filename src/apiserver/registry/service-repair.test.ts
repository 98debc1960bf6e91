import { afterEach, beforeEach, expect, it } from "vitest";
import { ipaddresses, namespaces, servicecidrs, services } from "../../api/resources.generated.ts";
import type { Running } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/log.ts";
import type { EventToRecord } from "../../client/event-recorder.ts";
import { prefixEnd } from "../../storage/store.ts";
import { type ApiFixture, createApiFixture } from "../api-fixture.ts";
import { createServiceAllocators } from "./service-allocators.ts";
import { startServiceRepair } from "./service-repair.ts";

let cluster: ApiFixture;
let running: Running | undefined;
const recorded: EventToRecord[] = [];
beforeEach(async () => {
  cluster = createApiFixture({ hooksOf: (stores) => ({ "/services": createServiceAllocators(stores) }) });
  recorded.length = 0;
  await cluster.client.create(namespaces, { metadata: { name: "default" }, spec: {} });
  await cluster.client.create(servicecidrs, { metadata: { name: "kubernetes" }, spec: { cidrs: ["10.96.0.0/16"] } });
});
afterEach(async () => {
  await running?.stop();
  await cluster.stop();
});

const ports = [{ port: 80, protocol: "TCP" as const, nodePort: 30080 }];
const portKeys = "/registry/ranges/servicenodeports/";
const create = () =>
  cluster.client.create(services, {
    metadata: { namespace: "default", name: "a" },
    spec: { type: "NodePort", clusterIP: "10.96.0.9", ports },
  });
async function repair(): Promise<void> {
  const recorder = { record: (_about: unknown, event: EventToRecord) => void recorded.push(event) };
  running = startServiceRepair({ stores: cluster.stores, client: cluster.client, recorder, logger: silentLogger });
  await cluster.clock.settle();
}
const remove = (...keys: string[]) =>
  cluster.store.transact({ conditions: [], operations: keys.map((key) => ({ type: "delete" as const, key })) });
const heldPorts = async () =>
  (await cluster.store.range({ start: portKeys, end: prefixEnd(portKeys) })).items.map(({ key }) => key.slice(portKeys.length));

it("finds nothing to do where the allocators have written", async () => {
  await create();
  await repair();
  await cluster.client.delete(services, { namespace: "default", name: "a" });
  await create();
  await cluster.clock.advance(600_000);
  expect(recorded).toEqual([]);
});

it("gives a service what its keys were lost of", async () => {
  await create();
  await remove("/registry/ipaddresses/10.96.0.9", `${portKeys}30080`);
  await repair();
  expect((await cluster.client.get(ipaddresses, { name: "10.96.0.9" })).spec?.parentRef).toMatchObject({ resource: "services", name: "a" });
  expect(await heldPorts()).toEqual(["30080"]);
  expect(recorded.map(({ reason, message }) => [reason, message]).sort()).toEqual([
    ["ClusterIPNotAllocated", "Cluster IP [IPv4]: 10.96.0.9 is not allocated; repairing"],
    ["PortNotAllocated", "Port 30080 is not allocated; repairing"],
  ]);
});

it("takes an address's object from another service that does not have the address", async () => {
  await create();
  const held = await cluster.client.get(ipaddresses, { name: "10.96.0.9" });
  await remove("/registry/ipaddresses/10.96.0.9");
  const { resourceVersion: _, uid: _2, creationTimestamp: _3, ...metadata } = held.metadata;
  await cluster.client.create(ipaddresses, {
    metadata,
    spec: { parentRef: { group: "", resource: "services", namespace: "default", name: "gone" } },
  });
  await repair();
  expect((await cluster.client.get(ipaddresses, { name: "10.96.0.9" })).spec?.parentRef?.name).toBe("a");
  expect(recorded.map(({ reason }) => reason)).toEqual(["ClusterIPNotAllocated"]);
});

it("removes what is held for nobody: addresses after a minute, ports at the fourth look", async () => {
  await create();
  await remove(cluster.stores.forType(services).storageKey("default/a"));
  await repair();
  expect(await cluster.client.get(ipaddresses, { name: "10.96.0.9" })).toBeDefined();
  await cluster.clock.advance(61_000);
  await expect(cluster.client.get(ipaddresses, { name: "10.96.0.9" })).rejects.toThrow("not found");
  expect(recorded.map(({ reason }) => reason)).toEqual(["IPAddressNotAllocated"]);
  expect(await heldPorts()).toEqual(["30080"]);
  await cluster.clock.advance(3 * 180_000);
  expect(await heldPorts()).toEqual([]);
});

it("says that an address lies outside all ranges, and leaves it", async () => {
  await create();
  await cluster.client.delete(servicecidrs, { name: "kubernetes" });
  await repair();
  expect(recorded.map(({ message }) => message)).toEqual([
    "Cluster IP [IPv4]: 10.96.0.9 is not within any configured Service CIDR; please recreate service",
  ]);
});
