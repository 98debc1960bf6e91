// Connections that mean no good, against the command as it runs: by the thousand, without a word, without reading, with HTTP/2
// turned against the server. What they hold is bounded, and a client that behaves is answered beside them.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openTcp, openTls, sendRaw, several, startTarget, type Target } from "../support/hostile-client.ts";
import { until } from "../support/processes.ts";

let target: Target;
const configMaps = "/api/v1/namespaces/default/configmaps";
const largeObjects = 30;

beforeAll(async () => {
  target = await startTarget();
  const data = { a: "x".repeat(500_000) };
  await several(largeObjects, (i) => target.created(configMaps, { metadata: { name: `large-${i}` }, data }));
});
afterEach(() => target.answersOthers());
afterAll(() => target.stop());

const head = (path: string, ...lines: string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: x", `Authorization: Bearer ${target.token}`, ...lines, "", ""].join("\r\n");

test("thousands that say nothing keep nobody out", async () => {
  const silent = await several(1800, () => openTcp(target.url));
  const handshaken = await several(200, () => openTls(target.url));
  await target.answersOthers();
  for (const socket of [...silent, ...handshaken]) socket.destroy();
});

test("what is no HTTP, and no TLS, ends them", async () => {
  expect(await sendRaw(target.url, "\x16\x03\x01\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  const socket = await openTcp(target.url);
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.write("GET /api HTTP/1.1\r\nHost: x\r\n\r\n");
  socket.resume();
  await closed;
});

test("an upgrade to nothing is answered plainly, and ends them", async () => {
  const upgrade = head("/api/v1/namespaces/default/pods/none/exec?command=x", "Connection: Upgrade", "Upgrade: nonsense");
  expect(await sendRaw(target.url, upgrade)).toMatch(/^HTTP\/1\.1 40[04] [\s\S]*"kind":"Status"/);
  const broken = head(
    `${configMaps}?watch=1`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 1",
    "Sec-WebSocket-Key: x",
  );
  expect(await sendRaw(target.url, broken)).toMatch(/^HTTP\/1\.1 4\d\d /);
});

/** What `hold` makes the server keep, in MiB, while a client that behaves is answered. */
async function held(hold: () => Promise<() => void>): Promise<number> {
  const before = await target.residentMiB();
  const release = await hold();
  await target.answersOthers();
  const after = await target.residentMiB();
  release();
  return after - before;
}

// Forty times all the objects would be 600 MB.
const clients = 40;
const boundMiB = 300;

describe("clients that do not read are given no more than they take:", () => {
  const unread = (path: string) => async (): Promise<() => void> => {
    const sockets = await several<TLSSocket>(clients, async () => {
      const socket = await openTls(target.url);
      const answered = new Promise((resolve) => socket.once("readable", resolve));
      socket.write(head(path));
      await answered;
      return socket;
    });
    return () => {
      for (const socket of sockets) socket.destroy();
    };
  };

  test("of lists", async () => {
    expect(await held(unread(`${configMaps}?limit=500`))).toBeLessThan(boundMiB);
  });

  test("of watches", async () => {
    expect(await held(unread(`${configMaps}?watch=true`))).toBeLessThan(boundMiB);
  });

  test("of lists over HTTP/2", async () => {
    const hold = async (): Promise<() => void> => {
      const sessions = await several<ClientHttp2Session>(4, () => session());
      for (const client of sessions) {
        const streams = Array.from({ length: clients / 4 }, () => ask(client, `${configMaps}?limit=500`));
        await Promise.all(streams.map((stream) => new Promise((resolve) => stream.once("response", resolve))));
      }
      return () => {
        for (const client of sessions) client.destroy();
      };
    };
    expect(await held(hold)).toBeLessThan(boundMiB);
  });
});

function session(): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const client = connect(target.url, { rejectUnauthorized: false });
    client.once("error", reject);
    client.once("connect", () => {
      client.off("error", reject);
      client.on("error", () => undefined);
      resolve(client);
    });
  });
}

/** A request whose answer nobody reads, so far. */
function ask(client: ClientHttp2Session, path: string, headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
  const stream = client.request({ ":path": path, authorization: `Bearer ${target.token}`, ...headers });
  stream.on("error", () => undefined);
  return stream;
}

const statusOfStream = (stream: ClientHttp2Stream): Promise<number | undefined> =>
  new Promise((resolve) => {
    stream.once("response", (answer) => resolve(answer[":status"]));
    stream.once("close", () => resolve(undefined));
    stream.resume();
  });

/** A turn of the event loop: what has been asked for is on its way. */
const written = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Requests that the server is working on, as its metrics have it: those that may be long, such as watches, aside. */
async function inFlight(): Promise<number> {
  const { text } = await target.admin("/metrics");
  const counts = [...text.matchAll(/^apiserver_current_inflight_requests\{[^}]*\} (\d+)$/gm)].map(([, count]) => Number(count));
  expect(counts.length).toBeGreaterThan(0);
  return counts.reduce((sum, count) => sum + count, 0);
}

describe("HTTP/2", () => {
  test("requests that are taken back at once cost no more than being asked, and none stays behind", async () => {
    const before = await target.residentMiB();
    for (let i = 0; i < 15; i++) {
      const client = await session();
      const streams = Array.from({ length: 200 }, () => ask(client, configMaps).resume());
      await written();
      for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
      await written();
      client.destroy();
    }
    await target.answersOthers();
    // The one that asks is one of them.
    await until("they have ended", async () => (await inFlight()) <= 1);
    expect((await target.residentMiB()) - before).toBeLessThan(boundMiB);
  });

  test("a head beyond the limit ends the stream or the session, and headers come back only as they may", async () => {
    const client = await session();
    const tooLong = await statusOfStream(ask(client, "/version", { "x-long": "x".repeat(300_000) })).catch(() => undefined);
    expect([undefined, 431]).toContain(tooLong);
    client.destroy();
    const other = await session();
    expect(await statusOfStream(ask(other, "/version", { "audit-id": "h\u00e9\u00ff" }))).toBe(200);
    expect(await statusOfStream(ask(other, "/version", { "audit-id": "\u00ff".repeat(200) }))).toBe(200);
    expect(await statusOfStream(ask(other, "/api/v1/namespaces/default//", { accept: "a".repeat(10_000) }))).toBeGreaterThanOrEqual(400);
    other.destroy();
  });

  test("lists that are not read leave room for what the same client asks besides", async () => {
    const client = await session();
    const lists = Array.from({ length: 80 }, () => ask(client, configMaps));
    await Promise.all(lists.map((stream) => new Promise((resolve) => stream.once("response", resolve))));
    const others = await Promise.all(Array.from({ length: 100 }, () => statusOfStream(ask(client, "/version"))));
    expect(others.filter((status) => status === 200)).toHaveLength(100);
    client.destroy();
  });

  test("more streams than allowed wait or are refused, and none is lost", async () => {
    const client = await session();
    const answers = await Promise.all(Array.from({ length: 1000 }, () => statusOfStream(ask(client, "/version"))));
    expect(answers.filter((status) => status === 200)).toHaveLength(1000);
    client.destroy();
  });
});

test("nothing of this was a defect to the server", () => {
  expect(target.process.output()).not.toMatch(/Request failed|Answer broken off|Upgrade failed|Maximum call stack/);
  expect(target.process.process.exitCode).toBeNull();
});
