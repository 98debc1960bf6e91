import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { type DecodedPacket, decode, encode, streamDecode, streamEncode } from "dns-packet";
import { describe, expect, it } from "vitest";
import { services } from "../api/resources.generated.ts";
import { createDnsFixture, shown } from "../testing/dns-fixture.ts";
import { startFakeResolver } from "../testing/fake-resolver.ts";
import { createClientFilter, privateRanges } from "./client-filter.ts";

const address = "127.0.0.1";
const web = { clusterIP: "10.96.0.20", clusterIPs: ["10.96.0.20"], ports: [{ name: "http", port: 80 }] };
const query = (name: string, id = 1) => ({ type: "query" as const, id, flags: 0x100, questions: [{ name, type: "A" as const }] });

function overUdp(port: number, message: Uint8Array, to = address): Promise<DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(to.includes(":") ? "udp6" : "udp4");
    socket.on("error", reject);
    socket.on("message", (reply) => {
      socket.close();
      resolve(decode(reply));
    });
    socket.send(message, port, to);
  });
}

/** Sends bytes on one connection and collects whole answers until there are so many, or the server ends it. */
function overTcp(port: number, bytes: Uint8Array, count: number, thenEnd = false): Promise<readonly DecodedPacket[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, address);
    const replies: DecodedPacket[] = [];
    let received = Buffer.alloc(0);
    const done = (): void => {
      socket.destroy();
      resolve(replies);
    };
    socket.on("error", reject);
    socket.on("close", done);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= received.readUInt16BE(0) + 2) {
        const size = received.readUInt16BE(0) + 2;
        replies.push(streamDecode(received.subarray(0, size)) as DecodedPacket); // a decoded packet, by its source
        received = received.subarray(size);
      }
      if (replies.length >= count && !thenEnd) done();
    });
    if (thenEnd) socket.end(bytes);
    else socket.write(bytes);
  });
}

describe("the server", () => {
  it("answers over UDP and TCP on the same port, of services as they come", async () => {
    await using dns = await createDnsFixture();
    const { port } = await dns.server.listen({ address, port: 0 });
    await dns.client.create(services, { metadata: { name: "web", namespace: "default" }, spec: web });
    await dns.settle();
    const name = "web.default.svc.cluster.local";
    expect((await overUdp(port, encode(query(name)))).answers?.map(shown)).toEqual(["A 10.96.0.20"]);
    expect((await overTcp(port, streamEncode(query(name)), 1))[0]?.answers?.map(shown)).toEqual(["A 10.96.0.20"]);
  });

  it("speaks IPv6 on both sides", async () => {
    await using outside = await startFakeResolver((name) => ({ answers: [{ type: "A", name, ttl: 60, data: "192.0.2.6" }] }), "::1");
    await using dns = await createDnsFixture({ upstreams: [outside] });
    const { port } = await dns.server.listen({ address: "::1", port: 0 });
    expect((await overUdp(port, encode(query("www.example.com")), "::1")).answers?.map(shown)).toEqual(["A 192.0.2.6"]);
    expect(dns.server.metrics.registry.text()).toContain('zone=".",view="",proto="udp",family="2",type="A"} 1');
  });

  it("takes many questions on one connection, in pieces too, and answers each when it is ready", async () => {
    await using outside = await startFakeResolver((name) => (name.startsWith("late") ? undefined : { answers: [] }));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    const { port } = await dns.server.listen({ address, port: 0 });
    const names = ["late.example.com", ...Array.from({ length: 100 }, (_, i) => `n${i}.default.svc.cluster.local`), "x.example.com"];
    const bytes = Buffer.concat(names.map((name, i) => streamEncode(query(name, i))));
    const replies = await overTcp(port, bytes, names.length - 1);
    // The late one keeps nobody waiting.
    expect(new Set(replies.map(({ id }) => id))).toEqual(new Set(names.map((_, i) => i).slice(1)));
  });

  it("answers what was asked before a client closed its half", async () => {
    await using outside = await startFakeResolver(() => ({ answers: [] }));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    const { port } = await dns.server.listen({ address, port: 0 });
    const replies = await overTcp(port, streamEncode(query("x.example.com", 5)), 1, true);
    expect(replies.map(({ id }) => id)).toEqual([5]);
  });

  it("answers SERVFAIL where looking for records fails, and goes on; a reply that cannot be sent is let go", async () => {
    await using dns = await createDnsFixture();
    const { port } = await dns.server.listen({ address, port: 0 });
    const { zone } = dns.server;
    const { answer } = zone;
    zone.answer = () => {
      throw new TypeError("a slice that nobody expected");
    };
    const question = query("web.default.svc.cluster.local");
    const codeOf = (reply: DecodedPacket | undefined) => (reply as unknown as { readonly rcode?: string } | undefined)?.rcode; // missing in the types
    expect(codeOf(await overUdp(port, encode(question)))).toBe("SERVFAIL");
    expect(codeOf((await overTcp(port, streamEncode(question), 1))[0])).toBe("SERVFAIL");
    zone.answer = answer;
    expect(codeOf(await overUdp(port, encode(question)))).toBe("NXDOMAIN");
    const cannotSend = (): void => {
      throw new RangeError("port 0");
    };
    expect(() => dns.server.respond(encode(question), { address, protocol: "udp" }, cannotSend)).not.toThrow();
    const outside = encode(query("www.example.com"));
    await expect(dns.server.respond(outside, { address, protocol: "udp" }, cannotSend)).resolves.toBeUndefined();
  });

  it("lets go of connections that say nothing, or what cannot be a question", async () => {
    await using dns = await createDnsFixture();
    const { port } = await dns.server.listen({ address, port: 0 });
    expect(await overTcp(port, Uint8Array.of(0xff, 0xff, 1, 2, 3), 1)).toEqual([]);
    // One answer, so that the connection is known to have been taken before time passes.
    let replies = 0;
    const socket = connect(port, address);
    socket.write(streamEncode(query("web.default.svc.cluster.local")));
    const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    await new Promise<void>((resolve) => socket.once("data", () => resolve(void replies++)));
    await dns.clock.advance(10_000);
    await ended;
    expect(replies).toBe(1);
  });

  it("lets one client have only so many connections, others theirs", async () => {
    await using dns = await createDnsFixture();
    const { port } = await dns.server.listen({ address, port: 0 });
    const question = streamEncode(query("web.default.svc.cluster.local"));
    const open = (localAddress: string) => {
      const socket = connect({ port, host: address, localAddress });
      socket.on("error", () => undefined);
      socket.write(question);
      const outcome = new Promise<string>((resolve) => {
        socket.once("data", () => resolve("answered"));
        socket.once("close", () => resolve("closed"));
      });
      return { socket, outcome };
    };
    const mine = Array.from({ length: 50 }, () => open("127.0.0.1"));
    expect(new Set(await Promise.all(mine.map(({ outcome }) => outcome)))).toEqual(new Set(["answered"]));
    const [onemore, other] = [open("127.0.0.1"), open("127.0.0.2")];
    expect([await onemore.outcome, await other.outcome]).toEqual(["closed", "answered"]);
    for (const { socket } of [...mine, onemore, other]) socket.destroy();
  });

  it("answers nobody from the Internet unless told to", () => {
    const allows = createClientFilter([...privateRanges, "203.0.113.0/24"]);
    const asked = ["10.244.0.3", "192.168.1.1", "fd00::1", "fe80::1%eth0", "203.0.113.9", "198.51.100.1", "2001:db8::1", ""];
    expect(asked.filter(allows)).toEqual(["10.244.0.3", "192.168.1.1", "fd00::1", "fe80::1%eth0", "203.0.113.9"]);
  });

  it("tells its health, whether it is ready, and its figures by CoreDNS' names", async () => {
    await using dns = await createDnsFixture({}, false);
    const { port } = await dns.server.serveStatus({ address, port: 0 });
    const get = async (path: string) => {
      const response = await fetch(`http://${address}:${port}${path}`);
      return [response.status, await response.text()] as const;
    };
    expect(await get("/health")).toEqual([200, "OK"]);
    expect(await get("/ready")).toEqual([503, "kubernetes"]);
    dns.api.intercept = () => undefined;
    await dns.clock.advance(60_000);
    expect(await get("/ready")).toEqual([200, "OK"]);
    await dns.ask("web.default.svc.cluster.local");
    const [, text] = await get("/metrics");
    expect(text).toContain(
      'coredns_dns_requests_total{server="dns://:53",zone="cluster.local.",view="",proto="udp",family="1",type="A"} 1',
    );
    expect(text).toContain(
      'coredns_dns_responses_total{server="dns://:53",zone="cluster.local.",view="",rcode="NXDOMAIN",plugin="kubernetes"} 1',
    );
    expect(text).toContain('coredns_dns_request_duration_seconds_count{server="dns://:53",zone="cluster.local.",view=""} 1');
    expect(await get("/else")).toEqual([404, "404 page not found\n"]);
  });
});
