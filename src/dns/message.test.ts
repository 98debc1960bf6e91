import { encode } from "dns-packet";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDnsFixture, exchange } from "../testing/dns-fixture.ts";
import { parseQuery } from "./query.ts";
import { readUpstreamAnswer, writeUpstreamQuery } from "./upstream-message.ts";
import { readUint16, wireName } from "./wire.ts";

const opt = (fields: object = {}) => ({
  ...{ type: "OPT" as const, name: ".", udpPayloadSize: 4096, extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
  ...fields,
});
const many = { endpoints: Array.from({ length: 100 }, (_, i) => ({ addresses: [`10.244.1.${i + 1}`] })) };
const name = "db.default.svc.cluster.local";

describe("messages", () => {
  it("that are none, or answers, get no answer", async () => {
    await using dns = await createDnsFixture();
    const query = encode({ type: "query", id: 1, questions: [{ name, type: "A" }] });
    const answer = encode({ type: "response", id: 1, questions: [{ name, type: "A" }] });
    expect(await exchange(dns.server, query.subarray(0, 11))).toBeUndefined();
    expect(await exchange(dns.server, answer)).toBeUndefined();
  });

  it("with other operations, classes or types are refused, each as it should be", async () => {
    await using dns = await createDnsFixture();
    const codes: Record<string, number | undefined> = {};
    const send = async (what: string, message: Uint8Array) => {
      const reply = await exchange(dns.server, message);
      codes[what] = reply && readUint16(reply, 2) & 15;
    };
    const query = encode({ type: "query", id: 1, questions: [{ name: "cluster.local", type: "A" }] });
    await send(
      "update",
      Uint8Array.from(query, (byte, i) => (i === 2 ? 5 << 3 : byte)),
    );
    await send("chaos", encode({ type: "query", questions: [{ name: "version.bind", type: "TXT", class: "CH" }] }));
    await send("transfer", encode({ type: "query", questions: [{ name: "cluster.local", type: "AXFR" }] }));
    await send(
      "any",
      Uint8Array.from(query, (byte, i) => (i === query.length - 3 ? 255 : byte)),
    );
    await send("no question", encode({ type: "query" }));
    await send("cut", query.subarray(0, query.length - 3));
    await send("not recursive", encode({ type: "query", questions: [{ name: "example.com", type: "A" }] }));
    expect(codes).toEqual({ update: 4, chaos: 5, transfer: 5, any: 5, "no question": 1, cut: 1, "not recursive": 5 });
  });

  it("over UDP are cut to what the client takes, between records; over TCP they are whole", async () => {
    await using dns = await createDnsFixture();
    await dns.service("db", { clusterIP: "None" });
    await dns.slice("db", many);
    await dns.settle();
    const plain = await dns.ask(name);
    expect(plain?.flag_tc).toBe(true);
    expect(plain?.answers?.length).toBe(Math.floor((512 - 12 - name.length - 6) / 16));
    const extended = await dns.ask(name, "A", { additionals: [opt()] });
    expect([extended?.flag_tc, extended?.answers?.length, extended?.additionals?.length]).toEqual([
      true,
      Math.floor((1232 - 11 - 12 - name.length - 6) / 16),
      1,
    ]);
    const tcp = await exchange(dns.server, encode({ type: "query", id: 1, questions: [{ name, type: "A" }] }), "tcp");
    expect([readUint16(tcp ?? new Uint8Array(), 2) & 0x200, readUint16(tcp ?? new Uint8Array(), 6)]).toEqual([0, 100]);
  });

  it("with EDNS are answered with EDNS, the wish for DNSSEC repeated, unknown versions refused", async () => {
    await using dns = await createDnsFixture();
    const reply = await dns.ask("cluster.local", "A", { additionals: [opt({ flags: 0x8000 })] });
    expect(reply?.additionals).toMatchObject([{ type: "OPT", udpPayloadSize: 1232, ednsVersion: 0, flag_do: true, extendedRcode: 0 }]);
    expect((await dns.ask("cluster.local", "A"))?.additionals).toEqual([]);
    const later = await dns.ask("cluster.local", "A", { additionals: [opt({ ednsVersion: 1 })] });
    expect(later?.additionals).toMatchObject([{ type: "OPT", extendedRcode: 1 }]);
    expect(await dns.ask("cluster.local", "A", { additionals: [opt(), opt()] })).toMatchObject({ rcode: "FORMERR" });
  });

  it("of any bytes do no harm", async () => {
    await using dns = await createDnsFixture();
    const query = encode({
      type: "query",
      id: 1,
      flags: 0x100,
      questions: [{ name: "a.default.svc.cluster.local", type: "A" }],
      additionals: [opt()],
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(query.length - 1), fc.nat(255)), { maxLength: 8 }),
        fc.nat(query.length),
        async (changes, length) => {
          const bytes = Uint8Array.from(query.subarray(0, length));
          for (const [at, byte] of changes) if (at < length) bytes[at] = byte;
          const reply = await exchange(dns.server, bytes);
          const parsed = parseQuery(bytes);
          expect(reply === undefined).toBe(parsed === undefined);
          if (reply) expect([readUint16(reply, 0), readUint16(reply, 2) & 0x8000]).toEqual([readUint16(bytes, 0), 0x8000]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("of resolvers are believed only where they answer the question, whatever their bytes", () => {
    const question = Buffer.concat([Buffer.from(wireName("www.example.com"), "latin1"), Uint8Array.of(0, 1, 0, 1)]);
    const query = writeUpstreamQuery(77, { question, dnssecOk: false, authenticated: false, checkingDisabled: false });
    const good = encode({
      type: "response",
      id: 77,
      flags: 0x180,
      questions: [{ name: "www.example.com", type: "A" }],
      answers: [{ type: "A", name: "www.example.com", ttl: 60, data: "192.0.2.1" }],
      additionals: [opt()],
    });
    expect(readUpstreamAnswer(good, query)).toMatchObject({ truncated: false, ttlSeconds: 60, answer: { answers: 1, additionals: 0 } });
    const other = encode({ type: "response", id: 77, questions: [{ name: "www.example.org", type: "A" }] });
    expect(readUpstreamAnswer(other, query)).toBeUndefined();
    expect(
      readUpstreamAnswer(encode({ type: "response", id: 78, questions: [{ name: "www.example.com", type: "A" }] }), query),
    ).toBeUndefined();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }), fc.nat(good.length), (changes, length) => {
        const bytes = Uint8Array.from(good.subarray(0, length));
        for (const [at, byte] of changes) if (at < length) bytes[at] = byte;
        const read = readUpstreamAnswer(bytes, query);
        if (read) expect(read.answer.body.length).toBeLessThanOrEqual(length);
      }),
    );
  });
});
