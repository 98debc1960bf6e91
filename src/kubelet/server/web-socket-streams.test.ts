// Clients that come by WebSocket, and a runtime that speaks SPDY: what it is sent and what they get.
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { request } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import WebSocket from "ws";
import { SpdyConnection, type SpdyStream } from "../../rpc/spdy/connection.ts";
import { startServerFixture } from "./server-fixture.ts";

type Serve = (socket: Socket, head: Buffer) => void;

/** The runtime's streaming server: takes every upgrade, and tells with which headers it came. */
async function runtime(serve: Serve): Promise<{ readonly url: URL; readonly upgrades: IncomingMessage["headers"][] }> {
  const upgrades: IncomingMessage["headers"][] = [];
  const server = createServer().on("upgrade", (request, socket: Socket, head: Buffer) => {
    upgrades.push(request.headers);
    const protocol = String(request.headers["x-stream-protocol-version"]).split(",")[0];
    const lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", `Upgrade: ${request.headers.upgrade}`];
    socket.write([...lines, `X-Stream-Protocol-Version: ${protocol}`, "", ""].join("\r\n"));
    serve(socket, head);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/stream`), upgrades };
}

/** A command that answers with what it read when its input ends, and fails. */
const shouting: Serve = (socket, head) => {
  const streams = new Map<unknown, SpdyStream>();
  let read = "";
  const onStream = (stream: SpdyStream): void => {
    streams.set(stream.headers.streamtype, stream);
    stream.on("data", (chunk: Buffer) => (read += chunk.toString()));
    if (stream.headers.streamtype !== "stdin") return;
    stream.on("end", () => {
      streams.get("stdout")?.end(read.toUpperCase());
      streams.get("error")?.end('{"status":"Failure"}');
    });
  };
  new SpdyConnection(socket, { role: "server", head, onStream });
};

async function startServer(url: URL): Promise<number> {
  const server = await startServerFixture({
    tokens: { t: "admin" },
    allowed: ["admin get nodes/proxy"],
    host: { execUrl: async () => url, portForwardUrl: async () => url },
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server.port;
}

async function connect(url: URL, path: string, protocol: string) {
  const options = { rejectUnauthorized: false, headers: { authorization: "Bearer t" } };
  const client = new WebSocket(`wss://127.0.0.1:${await startServer(url)}${path}`, [protocol], options);
  const messages: Buffer[] = [];
  client.on("message", (data: Buffer) => messages.push(data));
  await new Promise((resolve, reject) => client.on("open", resolve).on("error", reject));
  return { client, messages, closed: new Promise((resolve) => client.on("close", resolve)) };
}

describe("WebSockets at the kubelet", () => {
  it("commands of the newest protocol are translated, and can have their input closed", async () => {
    const { url, upgrades } = await runtime(shouting);
    const f = await connect(url, "/exec/a/b/c?command=x&input=1&output=1", "v5.channel.k8s.io");
    f.client.send(Buffer.from("\0hello"));
    f.client.send(Buffer.from([255, 0]));
    await f.closed;
    expect(f.client.protocol).toBe("v5.channel.k8s.io");
    expect(f.messages.map((m) => [m[0], m.subarray(1).toString()])).toEqual([
      [1, "HELLO"],
      [3, '{"status":"Failure"}'],
    ]);
    expect(upgrades.map((headers) => headers.upgrade)).toEqual(["SPDY/3.1"]);
  });

  it("a tunnel carries the bytes of the connection to the runtime", async () => {
    const { url, upgrades } = await runtime((socket) => void socket.on("data", (chunk) => socket.end(`got ${chunk}`)));
    // Its name is none that a WebSocket client library would send.
    const protocol = "SPDY/3.1+portforward.k8s.io";
    const headers = {
      ...{ authorization: "Bearer t", connection: "Upgrade", upgrade: "websocket", "sec-websocket-protocol": protocol },
      ...{ "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" },
    };
    const asked = request({
      host: "127.0.0.1",
      port: await startServer(url),
      path: "/portForward/a/b",
      headers,
      rejectUnauthorized: false,
    });
    asked.end();
    const [response, socket] = (await once(asked, "upgrade")) as [IncomingMessage, Socket];
    expect(response.headers["sec-websocket-protocol"]).toBe(protocol);
    // One binary message, masked with nothing.
    socket.write(Buffer.from([0x82, 0x85, 0, 0, 0, 0, ...Buffer.from("bytes")]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect([answer[0], answer[1], answer.subarray(2, 11).toString()]).toEqual([0x82, 9, "got bytes"]);
    socket.destroy();
    expect([upgrades[0]?.upgrade, upgrades[0]?.["x-stream-protocol-version"]]).toEqual(["SPDY/3.1", "portforward.k8s.io"]);
  });
});
