import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../../base/clock.ts";
import { DhcpClient, type DhcpLink, leaseResult } from "./dhcp-client.ts";
import { addressBytes, classlessRoutes, decodeReply, dhcpOptions, encodeRequest, messageTypes } from "./dhcp-message.ts";

const hardwareAddress = Buffer.from("020000000001", "hex");
const seconds = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A server's answer: a request with another first byte, and an address. */
function reply(request: Buffer, type: number, options: readonly (readonly [number, Buffer])[] = []): Buffer {
  const transaction = request.readUInt32BE(4);
  const all = new Map([
    [dhcpOptions.messageType as number, Buffer.from([type])],
    [dhcpOptions.serverId, addressBytes("10.0.0.1")],
    ...options,
  ]);
  const bytes = encodeRequest({ transaction, hardwareAddress, clientAddress: "0.0.0.0", options: all });
  bytes[0] = 2;
  bytes.set(addressBytes("10.0.0.77"), 16);
  return bytes;
}

/** Takes what the client sends, and answers as it is told. */
class FakeLink implements DhcpLink {
  readonly sent: { readonly type: number; readonly bytes: Buffer }[] = [];
  readonly #clock: VirtualClock;
  readonly #answers: ((request: Buffer, type: number) => Buffer | undefined)[];
  #queue: Buffer[] = [];

  constructor(clock: VirtualClock, ...answers: ((request: Buffer, type: number) => Buffer | undefined)[]) {
    this.#clock = clock;
    this.#answers = answers;
  }

  send(message: Buffer): void {
    const type = message[242] ?? 0; // the first option, after its code and length
    this.sent.push({ type, bytes: message });
    const answer = this.#answers.length > 1 ? this.#answers.shift()?.(message, type) : this.#answers[0]?.(message, type);
    if (answer) this.#queue.push(answer);
  }

  async receive(withinMs: number): Promise<Buffer | undefined> {
    if (this.#queue.length === 0) await this.#clock.sleep(withinMs);
    return this.#queue.shift();
  }

  close(): void {
    this.#queue = [];
  }
}

const lease = [dhcpOptions.leaseTime, seconds(1000)] as const;
const serve = (request: Buffer, type: number): Buffer | undefined =>
  type === messageTypes.discover ? reply(request, messageTypes.offer) : reply(request, messageTypes.ack, [lease]);
const none = (): undefined => undefined;
const signal = new AbortController().signal;

describe("DhcpClient", () => {
  test("asks, takes the offer, and has the lease", async () => {
    const clock = new VirtualClock();
    const link = new FakeLink(clock, serve);
    const client = new DhcpClient({ link, clock, hardwareAddress, options: new Map() });
    const got = await client.acquire(signal);
    expect(got).toMatchObject({ address: "10.0.0.77", server: "10.0.0.1" });
    expect(got.renewAtMs - clock.monotonic()).toBe(500_000);
    expect(link.sent.map(({ type }) => type)).toEqual([messageTypes.discover, messageTypes.request]);
    expect(link.sent[1]?.bytes.includes(Buffer.concat([Buffer.from([dhcpOptions.requestedAddress, 4]), addressBytes("10.0.0.77")]))).toBe(
      true,
    );
    client.release(got);
    expect(link.sent[2]?.type).toBe(messageTypes.release);
  });

  test("asks again with growing waits, and gives up", async () => {
    const clock = new VirtualClock();
    const link = new FakeLink(clock, none);
    const client = new DhcpClient({ link, clock, hardwareAddress, options: new Map() });
    const acquiring = client.acquire(signal).catch((error: Error) => error.message);
    await clock.advance(31_000);
    expect(await acquiring).toBe("no DHCP server answers");
    expect(link.sent).toHaveLength(4);
  });

  test("passes over answers to others, and what is no answer", async () => {
    const clock = new VirtualClock();
    const other = (request: Buffer): Buffer => {
      const bytes = reply(request, messageTypes.offer);
      bytes.writeUInt32BE(7, 4);
      return bytes;
    };
    const link = new FakeLink(clock, other, () => Buffer.from("nonsense"), serve);
    const acquiring = new DhcpClient({ link, clock, hardwareAddress, options: new Map() }).acquire(signal);
    await clock.advance(10_000);
    expect((await acquiring).address).toBe("10.0.0.77");
  });

  test("renews at half of the time, and says when the address is lost", async () => {
    const clock = new VirtualClock();
    let type: number = messageTypes.ack;
    const link = new FakeLink(clock, (request, asked) =>
      asked === messageTypes.discover ? reply(request, messageTypes.offer) : reply(request, type, [lease]),
    );
    const client = new DhcpClient({ link, clock, hardwareAddress, options: new Map() });
    const kept = client.keep(await client.acquire(signal), signal).catch((error: Error) => error.message);
    await clock.advance(501_000);
    expect(link.sent.map((message) => message.type)).toEqual([messageTypes.discover, messageTypes.request, messageTypes.request]);
    expect(link.sent[2]?.bytes.subarray(12, 16)).toEqual(addressBytes("10.0.0.77"));
    type = messageTypes.nak;
    await clock.advance(500_000);
    expect(await kept).toBe("the DHCP server does not renew the lease of 10.0.0.77");
  });

  test("keeps asking until the lease has ended", async () => {
    const clock = new VirtualClock();
    const link = new FakeLink(clock, serve, serve, none);
    const client = new DhcpClient({ link, clock, hardwareAddress, options: new Map() });
    const kept = client.keep(await client.acquire(signal), signal).catch((error: Error) => error.message);
    await clock.advance(1_100_000);
    expect(await kept).toBe("the lease of 10.0.0.77 has ended, and no DHCP server answers");
    expect(link.sent.length).toBeGreaterThan(8);
  });
});

test("leaseResult() has address, gateway, routes and names", () => {
  const of = (...options: readonly (readonly [number, Buffer])[]) =>
    leaseResult({ address: "10.0.0.77", server: "10.0.0.1", options: new Map(options), renewAtMs: 0, endsAtMs: 0 });
  const mask = [dhcpOptions.subnetMask, addressBytes("255.255.240.0")] as const;
  const router = [dhcpOptions.router, addressBytes("10.0.0.1")] as const;
  expect(of(mask, router, [dhcpOptions.nameServers, Buffer.concat([addressBytes("1.1.1.1"), addressBytes("2.2.2.2")])])).toEqual({
    ips: [{ address: "10.0.0.77/20", gateway: "10.0.0.1" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }],
    dns: { nameservers: ["1.1.1.1", "2.2.2.2"] },
  });
  const routes = Buffer.from([24, 192, 168, 7, 10, 0, 0, 2, 0, 10, 0, 0, 3]);
  expect(classlessRoutes(routes)).toEqual([
    { dst: "192.168.7.0/24", gw: "10.0.0.2" },
    { dst: "0.0.0.0/0", gw: "10.0.0.3" },
  ]);
  expect(of(mask, router, [dhcpOptions.classlessRoutes, routes]).routes).toEqual(classlessRoutes(routes));
  expect(of(mask, [dhcpOptions.staticRoutes, Buffer.concat([addressBytes("9.9.9.9"), addressBytes("10.0.0.2")])]).routes).toEqual([
    { dst: "9.9.9.9/32", gw: "10.0.0.2" },
  ]);
});

test("decodeReply() refuses what is none, and joins options in pieces", () => {
  expect(decodeReply(Buffer.alloc(20))).toBeUndefined();
  const request = encodeRequest({ transaction: 5, hardwareAddress, clientAddress: "0.0.0.0", options: new Map() });
  expect(decodeReply(request)).toBeUndefined();
  expect(request).toHaveLength(300);
  const bytes = reply(request, messageTypes.offer);
  bytes.set([dhcpOptions.domainName, 1, 97, dhcpOptions.domainName, 1, 98, 255], 240);
  expect(decodeReply(bytes)?.options.get(dhcpOptions.domainName)?.toString()).toBe("ab");
});
