import { createSocket } from "node:dgram";
import { decode, encode } from "dns-packet";
import { describe, expect, it } from "vitest";
import { endpointslices, namespaces, services } from "../../api/resources.generated.ts";
import { realClock, VirtualClock } from "../../base/clock.ts";
import { createLogger, silentLogger } from "../../base/log.ts";
import { createClient } from "../../client/create-client.ts";
import { createFakeApi } from "../../testing/fake-api.ts";
import { startDns } from "./start-dns.ts";

const options = {
  clusterIP: "10.96.0.10",
  domain: "cluster.local",
  serviceRange: "10.96.0.0/16",
  clusterCidrs: ["10.244.0.0/16"],
  upstreams: [],
};

/** A cluster's API, and machines that have one loopback address each. */
function createFixture() {
  const clock = new VirtualClock();
  const api = createFakeApi(clock);
  const client = createClient(api);
  const warnings: string[] = [];
  const logger = createLogger("dns", { write: (line) => void (/^[WE]/.test(line) && warnings.push(line)) });
  return {
    ...{ clock, api, client, warnings },
    start: (addresses: () => readonly string[], log = logger) =>
      startDns(
        { client, clock, logger: log },
        { ...options, addresses: async () => addresses().map((address) => ({ interface: "lo", address, family: 4 as const })) },
      ),
    async endpoint() {
      const { items } = await client.list(endpointslices);
      const [slice] = items;
      return (
        slice && {
          address: slice.endpoints?.[0]?.addresses[0] ?? "",
          port: slice.ports?.[0]?.port ?? 0,
          metrics: slice.ports?.[2]?.port ?? 0,
        }
      );
    },
    /** Sockets are bound in real time, however still the clock stands. */
    async until(condition: () => Promise<boolean>) {
      for (let i = 0; !(await condition()); i++) {
        if (i > 500) throw new Error("not in time");
        await realClock.sleep(2);
        await clock.advance(100);
      }
    },
  };
}

function ask(name: string, { address, port }: { readonly address: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.on("error", reject);
    socket.on("message", (message) => {
      socket.close();
      resolve((decode(message).answers ?? []).map((record) => ("data" in record ? String(record.data) : "")).join());
    });
    socket.send(encode({ type: "query", id: 1, questions: [{ name, type: "A" }] }), port, address);
  });
}

describe("startDns()", () => {
  it("listens on the machine's address and leads the Service there, also when the address changes", async () => {
    const dns = createFixture();
    await dns.client.create(namespaces, { metadata: { name: "default" }, spec: {} });
    await dns.client.create(services, {
      metadata: { name: "web", namespace: "default" },
      spec: { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"] },
    });
    let address = "127.0.71.1";
    const running = await dns.start(() => [address]);
    await dns.until(async () => (await dns.endpoint())?.address === address);
    const first = (await dns.endpoint()) ?? { address: "", port: 0 };
    expect(await ask("web.default.svc.cluster.local", first)).toBe("10.96.0.20");
    expect(await ask("ns.dns.cluster.local", first)).toBe("10.96.0.10");
    address = "127.0.71.2";
    await dns.clock.advance(30_000);
    await dns.until(async () => (await dns.endpoint())?.address === address);
    expect(await ask("web.default.svc.cluster.local", (await dns.endpoint()) ?? first)).toBe("10.96.0.20");
    await running.stop();
    await dns.api.close();
  });

  it("takes other ports where its own are taken", async () => {
    const dns = createFixture();
    const first = await dns.start(() => ["127.0.71.3"]);
    await dns.until(async () => (await dns.endpoint()) !== undefined);
    expect(await dns.endpoint()).toEqual({ address: "127.0.71.3", port: 10_053, metrics: 9153 });
    const other = createFixture();
    const second = await other.start(() => ["127.0.71.3"]);
    await other.until(async () => (await other.endpoint()) !== undefined);
    const endpoint = await other.endpoint();
    expect([endpoint?.port === 10_053, endpoint?.metrics === 9153]).toEqual([false, false]);
    await second.stop();
    await first.stop();
    await dns.api.close();
    await other.api.close();
  });

  it("waits for an address where the machine has none, and says so", async () => {
    const dns = createFixture();
    let addresses: readonly string[] = [];
    const running = await dns.start(() => addresses);
    await dns.clock.advance(1_000);
    expect(await dns.endpoint()).toBeUndefined();
    expect(dns.warnings.join()).toContain("no address that pods could reach");
    addresses = ["127.0.71.4"];
    await dns.clock.advance(30_000);
    await dns.until(async () => (await dns.endpoint())?.address === "127.0.71.4");
    await running.stop();
    await dns.api.close();
  });

  it("stops at once, whatever it is doing", async () => {
    const dns = createFixture();
    const running = await dns.start(() => ["127.0.71.5"], silentLogger);
    await running.stop();
    // Its ports are free again.
    const again = await dns.start(() => ["127.0.71.5"], silentLogger);
    await dns.until(async () => (await dns.endpoint())?.port === 10_053);
    await again.stop();
    await dns.api.close();
  });
});
