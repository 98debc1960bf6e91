import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { constants, deflateSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { adler32 } from "./adler32.test-helper.ts";
import { SpdyConnection, type SpdyStream } from "./connection.ts";
import { spdyDictionary, spdyDictionaryId } from "./dictionary.ts";
import { HeaderDecoder, HeaderEncoder } from "./headers.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function pair(onStream: (stream: SpdyStream) => void): Promise<{ client: SpdyConnection; server: SpdyConnection }> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const socket = connect((listener.address() as AddressInfo).port, "127.0.0.1");
  const [accepted] = (await once(listener, "connection")) as [Socket];
  cleanups.push(() => {
    socket.destroy();
    accepted.destroy();
    listener.close();
  });
  return { server: new SpdyConnection(accepted, { role: "server", onStream }), client: new SpdyConnection(socket, { role: "client" }) };
}

function text(stream: SpdyStream): Promise<string> {
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => resolve(Buffer.concat(chunks).toString()));
    stream.on("error", reject);
  });
}

describe("SPDY header blocks", () => {
  it("use the dictionary of the specification", () => {
    expect(spdyDictionary.length).toBe(1423);
    expect(adler32(spdyDictionary)).toBe(spdyDictionaryId);
  });

  it("survive encoding and decoding, several on one connection", async () => {
    const encoder = new HeaderEncoder();
    const decoder = new HeaderDecoder();
    const blocks = [{ streamtype: "stdin" }, {}, { streamtype: "error", port: "80", "content-type": "ä" }];
    for (const block of blocks) expect(await decoder.decode(encoder.encode(block))).toEqual(block);
    decoder.close();
  });
});

describe("the decoder", () => {
  const compressed = (block: Buffer): Buffer => deflateSync(block, { dictionary: spdyDictionary, finishFlush: constants.Z_SYNC_FLUSH });
  const counted = (value: Buffer): Buffer => {
    const [count, one, size] = [1, 1, value.length].map((number) => Buffer.from([number >>> 24, number >>> 16, number >>> 8, number]));
    return Buffer.concat([count as Buffer, one as Buffer, Buffer.from("n"), size as Buffer, value]);
  };

  it("takes large blocks whole", async () => {
    const decoder = new HeaderDecoder();
    expect((await decoder.decode(compressed(counted(Buffer.alloc(300_000, "x"))))).n).toHaveLength(300_000);
    decoder.close();
  });

  it("refuses a short block that becomes a huge one, and all that follow", async () => {
    const decoder = new HeaderDecoder();
    const block = compressed(counted(Buffer.alloc(30_000_000, "x")));
    expect(block.length).toBeLessThan(64 * 1024);
    await expect(decoder.decode(block)).rejects.toThrow("when inflated");
    await expect(decoder.decode(block)).rejects.toThrow("when inflated");
    decoder.close();
  });
});

describe("the encoder", () => {
  it("ends every block with a sync flush, without which Go's inflater hands nothing over", () => {
    const encoder = new HeaderEncoder();
    for (const block of [encoder.encode({ a: "b" }), encoder.encode({})]) expect(block.subarray(-5).toString("hex")).toBe("000000ffff");
  });
});

describe("SpdyConnection", () => {
  it("carries data both ways and half-closes", async () => {
    const { client } = await pair((stream) => {
      void text(stream).then((got) => stream.end(`${stream.headers.streamtype}:${got}`));
    });
    const stream = client.openStream({ streamType: "stdin" });
    stream.end("hello");
    expect(await text(stream)).toBe("stdin:hello");
  });

  it("keeps a megabyte in order on several streams at once", async () => {
    const { client } = await pair((stream) => void stream.pipe(stream));
    const payload = Buffer.alloc(1 << 20, "0123456789abcdef");
    const echoes = await Promise.all(
      [0, 1, 2].map((i) => {
        const stream = client.openStream({ n: String(i) });
        stream.end(payload);
        return text(stream);
      }),
    );
    for (const echo of echoes) expect(echo === payload.toString()).toBe(true);
  });

  it("tells the peer when a stream is reset", async () => {
    let seen: SpdyStream | undefined;
    const { client } = await pair((stream) => {
      seen = stream;
      stream.write("x");
    });
    const stream = client.openStream({});
    await once(stream, "data");
    stream.destroy();
    if (!seen) throw new Error("no stream arrived");
    if (!seen.destroyed) await once(seen, "close");
    expect(seen.destroyed).toBe(true);
  });

  it("ends every stream when the connection breaks", async () => {
    const { client, server } = await pair(() => undefined);
    const stream = client.openStream({});
    stream.on("error", () => undefined);
    server.close();
    await client.closed;
    expect(stream.destroyed).toBe(true);
  });

  it("gives up on a peer whose headers are not SPDY's", async () => {
    const listener = createServer();
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    const socket = connect((listener.address() as AddressInfo).port, "127.0.0.1");
    const [accepted] = (await once(listener, "connection")) as [Socket];
    cleanups.push(() => listener.close());
    const server = new SpdyConnection(accepted, { role: "server", onStream: () => undefined });
    socket.write(Buffer.from("8003000100000010000000010000000000005a5a5a5a5a5a", "hex"));
    await server.closed;
    expect(accepted.destroyed).toBe(true);
    socket.destroy();
  });

  it("has many streams that write wait for the socket together", async () => {
    const received: Promise<string>[] = [];
    const { client } = await pair((stream) => void received.push(text(stream)));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    cleanups.push(() => process.off("warning", onWarning));
    const megabyte = "x".repeat(1024 * 1024);
    const sent = Array.from({ length: 20 }, (_, i) => client.openStream({ streamtype: "data", requestid: String(i) }));
    for (const stream of sent) stream.resume().end(megabyte);
    await Promise.all(sent.map((stream) => once(stream, "finish")));
    await expect.poll(() => received.length).toBe(20);
    for (const contents of await Promise.all(received)) expect(contents.length).toBe(megabyte.length);
    expect(warnings).toEqual([]);
  });
});
