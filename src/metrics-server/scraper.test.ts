import type { ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { nodes } from "../api/resources.generated.ts";
import { makeServerCertificate } from "../apiserver/webhook/webhook-server-fixture.ts";
import { realClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create-client.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { MetricStore } from "./metric-store.ts";
import { Scraper } from "./scraper.ts";

/** Answers as a kubelet does, with CPU time that grows by a core-second a second. */
const counting = (response: ServerResponse): void => {
  const now = realClock.now();
  response.writeHead(200, { "content-type": "text/plain" });
  response.end(`node_cpu_usage_seconds_total ${now / 1000} ${now}\nnode_memory_working_set_bytes 4096 ${now}\n`);
};

const certificate = makeServerCertificate(["good", "bad"]);
const servers: Server[] = [];
let client: Client;
let store: MetricStore;
let scraper: Scraper;

async function kubelet(name: string, answer: (response: ServerResponse) => void): Promise<void> {
  const server = createServer({ cert: certificate.cert, key: certificate.key }, (request, response) => {
    if (request.url === "/metrics/resource") answer(response);
    else response.destroy();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const status = {
    addresses: [{ type: "InternalIP" as const, address: "127.0.0.1" }],
    daemonEndpoints: { kubeletEndpoint: { Port: port } },
  };
  const node = await client.create(nodes, { metadata: { name }, spec: {} });
  await client.updateStatus(nodes, { ...node, status });
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = realClock.monotonic() + 10_000;
  while (!holds()) {
    if (realClock.monotonic() > deadline) throw new Error("it does not hold after 10 s");
    await realClock.sleep(10);
  }
}

beforeEach(() => {
  client = createClient(createFakeApi(realClock));
  store = new MetricStore(100);
  const access = { caPem: certificate.caPem, credentials: { kind: "none" as const } };
  scraper = new Scraper(
    { client, clock: realClock, logger: silentLogger, store, access },
    { resolutionMs: 100, earlyMs: 50, timeoutMs: 300 },
  );
});
afterEach(async () => {
  await scraper.stop();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

test("asks every node again and again", async () => {
  await kubelet("good", counting);
  scraper.start();
  await until(() => store.node("good") !== undefined);
  expect(store.node("good")?.cpuNanoCores).toBeCloseTo(1e9, -7);
  expect(store.node("good")?.memoryBytes).toBe(4096);
});

test("a node that does not answer loses its figures, and holds nobody up", async () => {
  let hangs = false;
  await kubelet("good", counting);
  await kubelet("bad", (response) => {
    if (!hangs) counting(response);
  });
  scraper.start();
  await until(() => store.node("good") !== undefined && store.node("bad") !== undefined);
  hangs = true;
  await until(() => store.node("bad") === undefined);
  const before = store.node("good")?.timeMs ?? 0;
  await until(() => (store.node("good")?.timeMs ?? 0) > before);
  hangs = false;
  await until(() => store.node("bad") !== undefined);
});

test("a node that is deleted, or is somebody else, has no figures", async () => {
  await kubelet("good", counting);
  await kubelet("other", counting);
  scraper.start();
  await until(() => store.node("good") !== undefined);
  // The certificate is for another name.
  expect(store.node("other")).toBeUndefined();
  await client.delete(nodes, { name: "good" });
  await until(() => store.node("good") === undefined);
});

test("stops, forgets, and can be started again", async () => {
  await kubelet("good", counting);
  scraper.start();
  await until(() => store.node("good") !== undefined);
  await scraper.stop();
  expect(store.node("good")).toBeUndefined();
  scraper.start();
  await until(() => store.node("good") !== undefined);
});
