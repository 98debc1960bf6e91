// Questions answered a second by one thread. "Respond" is from bytes to bytes; "over UDP" has the client in the same thread,
// whose part is about as large as the server's.
import { createSocket } from "node:dgram";
import { encode } from "dns-packet";
import { afterAll, bench, describe } from "vitest";
import { createDnsFixture } from "../../src/testing/dns-fixture.ts";
import { always, startFakeResolver } from "../../src/testing/fake-resolver.ts";

const outside = await startFakeResolver(always("192.0.2.1"));
const fixture = await createDnsFixture({ upstreams: [outside] });
const services = 5_000;
for (let i = 0; i < services; i++)
  await fixture.service(`web-${i}`, {
    clusterIP: `10.96.${i >> 8}.${i & 255}`,
    clusterIPs: [`10.96.${i >> 8}.${i & 255}`],
    ports: [{ port: 80 }],
  });
const addresses = Array.from({ length: 100 }, (_, i) => ({ addresses: [`10.244.1.${i + 1}`] }));
await fixture.service("many", { clusterIP: "None" });
await fixture.slice("many", { endpoints: addresses, ports: [{ name: "http", port: 80, protocol: "TCP" }] });
await fixture.settle();

const question = (name: string, type: "A" | "SRV" = "A") =>
  encode({
    type: "query",
    id: 1,
    flags: 0x100,
    questions: [{ name, type }],
    additionals: [
      { type: "OPT", name: ".", udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
    ],
  });
const known = Array.from({ length: services }, (_, i) => question(`web-${i}.default.svc.cluster.local`));
const unknown = Array.from({ length: services }, (_, i) => question(`web-${i}.example.com.default.svc.cluster.local`));
const headless = question("many.default.svc.cluster.local");
const client = { address: "10.244.0.9", protocol: "udp" as const };
const sink = (): void => undefined;

describe("1,000 questions, respond", () => {
  const run = (questions: readonly Uint8Array[]) => () => {
    for (let i = 0; i < 1000; i++) void fixture.server.respond(questions[(i * 7919) % questions.length] ?? headless, client, sink);
  };
  bench("addresses of services", run(known));
  bench("names that do not exist", run(unknown));
  bench("a headless service of 100 endpoints", run([headless]));
});

describe("100 names outside, respond", () => {
  let asked = 0;
  const run = (name: (i: number) => string) => async () => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => fixture.server.respond(question(name(i)), client, sink)));
  };
  bench(
    "kept",
    run((i) => `n${i}.example.com`),
  );
  bench(
    "asked for, the resolver in the same thread",
    run(() => `m${asked++}.example.com`),
  );
});

describe("1,000 questions, over UDP", async () => {
  const { port } = await fixture.server.listen({ address: "127.0.0.1", port: 0 });
  const socket = createSocket({ type: "udp4", lookup: (host, _options, done) => done(null, host, 4) });
  await new Promise<void>((resolve) => socket.connect(port, "127.0.0.1", resolve));
  const run = (questions: readonly Uint8Array[]) => () =>
    new Promise<void>((resolve) => {
      let [sent, received] = [0, 0];
      const next = (): void => void (sent < 1000 && socket.send(questions[(sent++ * 7919) % questions.length] ?? headless));
      socket.removeAllListeners("message");
      socket.on("message", () => {
        if (++received === 1000) resolve();
        else next();
      });
      for (let i = 0; i < 50; i++) next();
    });
  bench("addresses of services", run(known));
  bench("names that do not exist", run(unknown));
  afterAll(() => socket.close());
});

afterAll(async () => {
  await fixture[Symbol.asyncDispose]();
  await outside[Symbol.asyncDispose]();
});
