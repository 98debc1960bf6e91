import { describe, expect, it } from "vitest";
import { realClock, VirtualClock } from "../base/clock.ts";
import { silentLogger } from "../base/log.ts";
import { createDnsFixture, shown } from "../testing/dns-fixture.ts";
import { always, startFakeResolver } from "../testing/fake-resolver.ts";
import { DnsMetrics } from "./dns-metrics.ts";
import { createExchange, type Exchange, type ServerAddress } from "./exchange.ts";
import { Forwarder, type ForwarderOptions } from "./forwarder.ts";
import { parseQuery, type Query } from "./query.ts";
import type { UpstreamAnswer } from "./upstream-message.ts";
import { rcode, wireName } from "./wire.ts";

const soa = { mname: "ns.example", rname: "admin.example", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 7 };

describe("names outside", () => {
  it("are asked of the node's resolver, with the client's letters in the answer", async () => {
    await using outside = await startFakeResolver(always("192.0.2.80"));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    const reply = await dns.ask("WWW.example.com");
    expect(reply).toMatchObject({ flag_aa: false, flag_ra: true, flag_rd: true, id: 7, questions: [{ name: "WWW.example.com" }] });
    expect(reply?.answers?.map(shown)).toEqual(["A 192.0.2.80"]);
    expect(outside.asked).toEqual(["udp A www.example.com"]);
  });

  it("are kept as long as they may be, at most half a minute, and grow old meanwhile", async () => {
    await using outside = await startFakeResolver(always("192.0.2.80", 300));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    expect((await dns.ask("www.example.com"))?.answers).toMatchObject([{ ttl: 300 }]);
    await dns.clock.advance(29_000);
    expect(await dns.ask("www.EXAMPLE.com")).toMatchObject({ questions: [{ name: "www.EXAMPLE.com" }], answers: [{ ttl: 271 }] });
    await dns.clock.advance(2_000);
    expect((await dns.ask("www.example.com"))?.answers).toMatchObject([{ ttl: 300 }]);
    expect(outside.asked.length).toBe(2);
    expect(dns.server.metrics.registry.text()).toContain('coredns_cache_hits_total{server="dns://:53",type="success",zones=".",view=""} 1');
  });

  it("that do not exist are remembered by their authority's word; failures are not", async () => {
    await using outside = await startFakeResolver((name) =>
      name.startsWith("bad")
        ? { rcode: rcode.SERVFAIL }
        : { rcode: rcode.NXDOMAIN, authorities: [{ type: "SOA", name: "example.com", ttl: 60, data: soa }] },
    );
    await using dns = await createDnsFixture({ upstreams: [outside] });
    expect(await dns.outcome("no.example.com")).toBe("NXDOMAIN");
    await dns.clock.advance(6_900);
    expect(await dns.outcome("no.example.com")).toBe("NXDOMAIN");
    expect(outside.asked.length).toBe(1);
    await dns.clock.advance(200);
    await dns.outcome("no.example.com");
    expect(outside.asked.length).toBe(2);
    expect([await dns.outcome("bad.example.com"), await dns.outcome("bad.example.com")]).toEqual(["SERVFAIL", "SERVFAIL"]);
    expect(outside.asked.length).toBe(4);
  });

  it("whose answer does not fit in a packet are asked again over TCP", async () => {
    const answers = Array.from({ length: 90 }, (_, i) => ({ type: "A" as const, name: "big.example.com", ttl: 60, data: `192.0.2.${i}` }));
    await using outside = await startFakeResolver((_name, _type, protocol) => (protocol === "udp" ? { flags: 0x200 } : { answers }));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    const reply = await dns.ask("big.example.com");
    expect(outside.asked).toEqual(["udp A big.example.com", "tcp A big.example.com"]);
    // And cut again for a client that asked over UDP.
    expect(reply?.flag_tc).toBe(true);
  });

  it("of stub domains are asked of these, the longest domain first", async () => {
    await using outside = await startFakeResolver(always("192.0.2.1"));
    await using corp = await startFakeResolver(always("192.0.2.2"));
    await using lab = await startFakeResolver(always("192.0.2.3"));
    const stubDomains = new Map([
      ["corp.example", [corp]],
      ["lab.corp.example", [lab]],
    ]);
    await using dns = await createDnsFixture({ upstreams: [outside], stubDomains });
    expect(await dns.records("www.example")).toEqual(["A 192.0.2.1"]);
    expect(await dns.records("www.corp.example")).toEqual(["A 192.0.2.2"]);
    expect(await dns.records("www.LAB.corp.example")).toEqual(["A 192.0.2.3"]);
    expect(await dns.records("notcorp.example")).toEqual(["A 192.0.2.1"]);
  });

  it("are what ExternalName services may stand for", async () => {
    await using outside = await startFakeResolver((name) => ({
      answers: [
        { type: "CNAME", name, ttl: 60, data: "edge.example.net" },
        { type: "A", name: "edge.example.net", ttl: 50, data: "192.0.2.7" },
      ],
    }));
    await using dns = await createDnsFixture({ upstreams: [outside] });
    await dns.service("ext", { type: "ExternalName", externalName: "www.example.com" });
    await dns.settle();
    for (const ages of [0, 10]) {
      await dns.clock.advance(ages * 1000);
      const reply = await dns.ask("ext.default.svc.cluster.local");
      expect(reply?.answers?.map((a) => `${a.name} ${"ttl" in a && a.ttl} ${shown(a)}`)).toEqual([
        "ext.default.svc.cluster.local 30 CNAME www.example.com",
        `www.example.com ${60 - ages} CNAME edge.example.net`,
        `edge.example.net ${50 - ages} A 192.0.2.7`,
      ]);
    }
  });

  it("find a resolver that sends them back here, and do not ask it again", async () => {
    await using dns = await createDnsFixture();
    const { port } = await dns.server.listen({ address: "127.0.0.1", port: 0 });
    dns.server.useUpstreams([{ address: "127.0.0.1", port }]);
    await dns.server.findLoops();
    expect(await dns.outcome("www.example.com")).toBe("SERVFAIL");
    expect(dns.server.metrics.registry.text()).toContain('zone=".",view="",proto="udp",family="1",type="A"} 1\n');
  });

  it("find such a resolver of a stub domain too, and go on asking others", async () => {
    await using outside = await startFakeResolver(always("192.0.2.1"));
    await using first = await createDnsFixture({ upstreams: [outside] });
    const { port } = await first.server.listen({ address: "127.0.0.1", port: 0 });
    // The second server stands for the first one's resolver that asks back.
    await using second = await createDnsFixture({ upstreams: [{ address: "127.0.0.1", port }] });
    const back = await second.server.listen({ address: "127.0.0.1", port: 0 });
    const stubDomains = new Map([["loop.example", [{ address: "127.0.0.1", port: back.port }]]]);
    await using third = await createDnsFixture({ upstreams: [outside], stubDomains });
    const own = await third.server.listen({ address: "127.0.0.1", port: 0 });
    second.server.useUpstreams([{ address: "127.0.0.1", port: own.port }]);
    await third.server.findLoops();
    expect(await third.outcome("www.loop.example")).toBe("SERVFAIL");
    expect(await third.records("www.example")).toEqual(["A 192.0.2.1"]);
  });
});

const server = (port: number): ServerAddress => ({ address: "192.0.2.53", port });

function queryFor(name: string): Query {
  const question = Buffer.concat([Buffer.alloc(12), Buffer.from(wireName(name), "latin1"), Uint8Array.of(0, 1, 0, 1)]);
  question[2] = 1;
  question[5] = 1;
  const query = parseQuery(question);
  if (!query) throw new Error("no query");
  return query;
}

const answerOf = (code: number): UpstreamAnswer => ({
  answer: { rcode: code, flags: 0, body: new Uint8Array(), answers: 0, authorities: 0, additionals: 0, ends: [], rotates: 0, ttls: [] },
  truncated: false,
  ttlSeconds: 0,
});

function forwarderWith(exchange: Exchange, options: Partial<ForwarderOptions> = {}) {
  const clock = new VirtualClock();
  const metrics = new DnsMetrics("cluster.local.");
  const deps = { clock, logger: silentLogger, exchange, metrics };
  return { clock, metrics, forwarder: new Forwarder(deps, { servers: [server(1), server(2)], maxCacheSeconds: 30, ...options }) };
}

describe("several resolvers", () => {
  it("are asked in turn; one that failed comes last for a while", async () => {
    const asked: number[] = [];
    let broken = true;
    const { forwarder, clock } = forwarderWith(async ({ port }) => {
      asked.push(port);
      if (port === 1 && broken) throw new Error("refused");
      return answerOf(rcode.NOERROR);
    });
    await forwarder.forward(queryFor("a.example"), "c");
    await forwarder.forward(queryFor("b.example"), "c");
    expect(asked).toEqual([1, 2, 2]);
    broken = false;
    await clock.advance(1_000);
    await forwarder.forward(queryFor("c.example"), "c");
    expect(asked).toEqual([1, 2, 2, 1]);
  });

  it("another may know what one refuses; where none does, the refusal is the answer", async () => {
    const asked: number[] = [];
    const { forwarder } = forwarderWith(async ({ port }) => {
      asked.push(port);
      return answerOf(port === 1 ? rcode.REFUSED : rcode.SERVFAIL);
    });
    expect((await forwarder.forward(queryFor("a.example"), "c")).answer.rcode).toBe(rcode.REFUSED);
    expect(asked).toEqual([1, 2]);
  });

  it("that are silent are given up after five seconds", async () => {
    const clock = new VirtualClock();
    const silent: Exchange = async (_server, _asked, timeoutMs) => {
      await clock.sleep(timeoutMs);
      throw new Error("silence");
    };
    const deps = { clock, logger: silentLogger, exchange: silent, metrics: new DnsMetrics("x.") };
    const forwarder = new Forwarder(deps, { servers: [server(1), server(2)], maxCacheSeconds: 30 });
    let code: number | undefined;
    void Promise.resolve(forwarder.forward(queryFor("a.example"), "c")).then(({ answer }) => (code = answer.rcode));
    await clock.advance(4_000 - 1);
    expect(code).toBeUndefined();
    await clock.advance(1_001);
    expect(code).toBe(rcode.SERVFAIL);
    expect(forwarder.underWay).toBe(0);
  });

  it("a resolver where nobody listens is known to be so at once", async () => {
    const gone = await startFakeResolver(always("192.0.2.1"));
    const { address, port } = gone;
    await gone[Symbol.asyncDispose]();
    const exchange = createExchange(realClock);
    const question = Buffer.concat([Buffer.from(wireName("a.example"), "latin1"), Uint8Array.of(0, 1, 0, 1)]);
    const asked = { question, dnssecOk: false, authenticated: false, checkingDisabled: false };
    await expect(exchange({ address, port }, asked, 30_000)).rejects.toThrow("ECONNREFUSED");
  });
});

describe("bounds", () => {
  it("the same question of many is asked once", async () => {
    let asked = 0;
    const waiting: ((answer: UpstreamAnswer) => void)[] = [];
    const { forwarder } = forwarderWith(() => {
      asked++;
      return new Promise((resolve) => waiting.push(resolve));
    });
    const all = Promise.all(Array.from({ length: 20 }, (_, i) => forwarder.forward(queryFor("A.example"), `client-${i}`)));
    expect([asked, forwarder.underWay]).toEqual([1, 1]);
    for (const resolve of waiting) resolve(answerOf(rcode.NOERROR));
    expect((await all).map(({ answer }) => answer.rcode)).toEqual(Array.from({ length: 20 }, () => rcode.NOERROR));
  });

  it("a client, and all of them, have only so many questions under way", async () => {
    const { forwarder, metrics } = forwarderWith(() => new Promise<UpstreamAnswer>(() => undefined), { maxConcurrent: 5, maxPerClient: 3 });
    const outcomes = ["a", "a", "a", "a", "b", "b", "b"].map((client, i) => forwarder.forward(queryFor(`n${i}.example`), client));
    expect(outcomes.map((o) => (o instanceof Promise ? "asked" : o.answer.rcode))).toEqual([
      ...["asked", "asked", "asked", rcode.REFUSED, "asked", "asked", rcode.REFUSED],
    ]);
    expect(metrics.registry.text()).toContain("coredns_forward_max_concurrent_rejects_total 2");
  });
});
