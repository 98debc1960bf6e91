import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { nodes, services } from "../api/resources.generated.ts";
import type { Node, Service } from "../api/types/core-v1.ts";
import { realClock, VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createClient } from "../client/create-client.ts";
import { createInformerFactory } from "../client/informer-factory.ts";
import type { InterfaceAddress } from "../linux/interface-addresses.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { AddressPool, parseRange } from "./address-pool.ts";
import { type AddressHost, removeAnnouncedAddresses } from "./announced-addresses.ts";
import { placeAddresses, startAnnouncer } from "./announcer.ts";
import { electAnnouncer } from "./elect-announcer.ts";

function fakeHost(): AddressHost & { readonly present: InterfaceAddress[]; readonly done: string[] } {
  const present: InterfaceAddress[] = [{ interface: "eth0", address: "192.0.2.1", family: 4, prefixLength: 24 }];
  const done: string[] = [];
  return {
    ...{ present, done },
    addresses: async () => [...present],
    async add(placed) {
      done.push(`add ${placed.address} ${placed.interface}`);
      present.push({ ...placed, family: 4, prefixLength: 32 });
    },
    async remove(placed) {
      done.push(`remove ${placed.address} ${placed.interface}`);
      present.splice(
        present.findIndex((p) => p.address === placed.address && p.interface === placed.interface),
        1,
      );
    },
    async announce(placed) {
      done.push(`announce ${placed.address}`);
    },
  };
}

async function createFixture() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const host = fakeHost();
  const dataDir = await mkdtemp(join(tmpdir(), "coracle-announcer-"));
  const start = (nodeName: string) => {
    const informers = createInformerFactory(client, { clock, logger: silentLogger, deepFreeze: true });
    const deps = { informers, clock, logger: silentLogger, host, outerInterface: async () => "eth1" };
    const pool = new AddressPool([parseRange("192.0.2.10-192.0.2.99"), parseRange("198.51.100.0/24")]);
    const running = startAnnouncer(deps, { nodeName, pool, dataDir });
    return async () => {
      const stopped = running.stop();
      await clock.advance(10_000);
      await stopped;
      await informers.stop();
    };
  };
  return {
    ...{ clock, client, host, dataDir, start },
    async node(name: string, status = "True") {
      const made = { metadata: { name }, spec: {}, status: { conditions: [{ type: "Ready", status }] } };
      return client.create(nodes, made as unknown as Node); // metadata is the server's to complete
    },
    async service(name: string, ...addresses: string[]) {
      const ingress = addresses.map((ip) => ({ ip }));
      const made = {
        metadata: { name, namespace: "default" },
        spec: { type: "LoadBalancer" as const },
        status: { loadBalancer: { ingress } },
      };
      return client.create(services, made as unknown as Service); // likewise
    },
    /** Files are written in real time, however still the clock stands. */
    async until(condition: () => boolean | Promise<boolean>) {
      for (let i = 0; !(await condition()); i++) {
        if (i > 500) throw new Error(`not in time; done: ${host.done.join("; ")}`);
        await realClock.sleep(1);
        await clock.advance(100);
      }
    },
    async [Symbol.asyncDispose]() {
      await api.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

describe("the announcer of a node", () => {
  it("has the addresses of the pool on its interfaces while services have them, and tells the neighbours", async () => {
    await using lb = await createFixture();
    await lb.node("n1");
    await lb.service("web", "192.0.2.10");
    await lb.service("far", "198.51.100.7");
    // Not of the pool, whatever the status says: the gateway's, for example.
    await lb.service("evil", "192.0.2.254");
    const stop = lb.start("n1");
    await lb.until(() => lb.host.done.length === 4);
    expect(lb.host.done).toEqual(["add 192.0.2.10 eth0", "announce 192.0.2.10", "add 198.51.100.7 eth1", "announce 198.51.100.7"]);
    await lb.client.delete(services, { namespace: "default", name: "web" });
    await lb.until(() => lb.host.done.length === 5);
    expect(lb.host.done.at(-1)).toBe("remove 192.0.2.10 eth0");
    await stop();
    // They stay, as the pods do.
    expect(lb.host.present.map(({ address }) => address)).toEqual(["192.0.2.1", "198.51.100.7"]);
  });

  it("takes away what an earlier run has left, and nothing that is another's", async () => {
    await using lb = await createFixture();
    await lb.node("n1");
    await lb.service("web", "192.0.2.10");
    const stop = lb.start("n1");
    await lb.until(() => lb.host.done.length === 2);
    await stop();
    lb.host.present.push({ interface: "eth0", address: "192.0.2.50", family: 4, prefixLength: 32 });
    await lb.client.delete(services, { namespace: "default", name: "web" });
    const stopAgain = lb.start("n1");
    await lb.until(() => lb.host.done.length === 3);
    expect(lb.host.present.map(({ address }) => address)).toEqual(["192.0.2.1", "192.0.2.50"]);
    await stopAgain();
  });

  it("of several one has each address, the others after it has gone", async () => {
    await using lb = await createFixture();
    const names = ["n1", "n2", "n3"];
    for (const name of names) await lb.node(name);
    const address = "192.0.2.10";
    const elected = electAnnouncer(address, names) ?? "";
    const heir =
      electAnnouncer(
        address,
        names.filter((name) => name !== elected),
      ) ?? "";
    await lb.service("web", address);
    const stop = lb.start(heir);
    await lb.clock.advance(1_000);
    expect(lb.host.done).toEqual([]);
    const node = await lb.client.get(nodes, { name: elected });
    await lb.client.updateStatus(nodes, { ...node, status: { conditions: [{ type: "Ready", status: "Unknown" }] } });
    await lb.until(() => lb.host.done.length === 2);
    expect(lb.host.done[0]).toBe(`add ${address} eth0`);
    await stop();
  });

  it("is cleaned up after by what it has written down", async () => {
    await using lb = await createFixture();
    await lb.node("n1");
    await lb.service("web", "192.0.2.10");
    const stop = lb.start("n1");
    await lb.until(() => lb.host.done.length === 2);
    await stop();
    await removeAnnouncedAddresses(lb.dataDir, lb.host);
    expect(lb.host.present.map(({ address }) => address)).toEqual(["192.0.2.1"]);
    await removeAnnouncedAddresses(lb.dataDir, lb.host);
    await expect(readFile(join(lb.dataDir, "load-balancer", "addresses.json"))).rejects.toThrow("ENOENT");
  });
});

describe("electAnnouncer()", () => {
  it("spreads addresses, and moves only those of a node that goes", () => {
    const names = ["a", "b", "c", "d"];
    const addresses = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}`);
    const before = addresses.map((address) => electAnnouncer(address, names));
    for (const name of names) expect(before.filter((n) => n === name).length).toBeGreaterThan(20);
    const after = addresses.map((address) => electAnnouncer(address, ["d", "c", "a"]));
    expect(after.every((name, i) => before[i] === "b" || name === before[i])).toBe(true);
    expect(electAnnouncer("192.0.2.1", [])).toBeUndefined();
  });
});

describe("placeAddresses()", () => {
  it("by network, else on the outer interface, else nowhere", () => {
    const present: InterfaceAddress[] = [
      { interface: "eth0", address: "192.0.2.2", family: 4, prefixLength: 24 },
      { interface: "eth1", address: "2001:db8::2", family: 6, prefixLength: 64 },
      { interface: "eth2", address: "198.51.100.9", family: 4, prefixLength: 32 },
    ];
    const asked = ["192.0.2.10", "2001:db8::10", "198.51.100.9"];
    expect(placeAddresses(asked, present, "wan").map((p) => p.interface)).toEqual(["eth0", "eth1", "wan"]);
    expect(placeAddresses(asked, present, undefined).map((p) => p.address)).toEqual(["192.0.2.10", "2001:db8::10"]);
  });
});
