// Tunnels through a server that speaks konnectivity's protocol, made of the library for gRPC and sockets.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { requestTo } from "./dial.ts";
import { konnectivityTunnel, type Packet, packetCodec, proxyMethod } from "./konnectivity.ts";
import { tunnelAgents } from "./tunnel.ts";

let socketPath: string;
/** What the server was asked for: "DIAL_REQ host:port", "CLOSE_REQ". */
let asked: string[];

beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), "konnectivity-"));
  socketPath = join(directory, "proxy.sock");
  asked = [];
  const server = new Server();
  const codec = {
    requestStream: true,
    responseStream: true,
    requestSerialize: (packet: Packet) => Buffer.from(packetCodec.encode(packet)),
    requestDeserialize: (bytes: Buffer) => packetCodec.decode(bytes),
    responseSerialize: (packet: Packet) => Buffer.from(packetCodec.encode(packet)),
    responseDeserialize: (bytes: Buffer) => packetCodec.decode(bytes),
  } as const;
  server.addService({ proxy: { path: proxyMethod, ...codec } }, { proxy: serve });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  );
  onTestFinished(async () => {
    server.forceShutdown();
    await rm(directory, { recursive: true });
  });
});

/** Ids of connections need all of their bits. */
const connectID = 2n ** 62n + 1n;

function serve(stream: ServerDuplexStream<Packet, Packet>): void {
  let target: Socket | undefined;
  const send = (packet: Packet): void => void stream.write(packet);
  stream.on("cancelled", () => target?.destroy());
  stream.on("data", ({ type, dialRequest, data }: Packet) => {
    asked.push(dialRequest ? `${type} ${dialRequest.address}` : type);
    if (dialRequest) {
      const { address, random } = dialRequest;
      if (address.startsWith("refused")) return send({ type: "DIAL_RSP", dialResponse: { error: "no route", connectID: 0n, random } });
      if (address.startsWith("closed")) return send({ type: "DIAL_CLS", closeDial: { random } });
      const [host = "", port = ""] = address.split(":");
      target = connect(Number(port), host, () => send({ type: "DIAL_RSP", dialResponse: { error: "", connectID, random } }));
      target.on("data", (bytes) => send({ type: "DATA", data: { connectID, error: "", data: bytes } }));
      target.on("close", () => send({ type: "CLOSE_RSP", closeResponse: { error: "", connectID } }));
    } else if (data) target?.write(data.data);
    else if (type === "CLOSE_REQ") target?.end();
  });
}

async function listening(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe("konnectivityTunnel()", () => {
  it("carries what is sent both ways, in pieces that fit, and the end", async () => {
    const port = await listening(createServer((socket) => void socket.pipe(socket)));
    const socket = await konnectivityTunnel(socketPath)("127.0.0.1", port);
    const sent = Buffer.alloc(3_000_000, "0123456789");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (Buffer.concat(chunks).length === sent.length) socket.end();
    });
    socket.write(sent);
    await new Promise((resolve) => socket.on("end", resolve));
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    expect(asked[0]).toBe(`DIAL_REQ 127.0.0.1:${port}`);
    expect(asked.at(-1)).toBe("CLOSE_REQ");
    socket.destroy();
  });

  it("ends when the other side does", async () => {
    const port = await listening(createServer((socket) => void socket.end("bye")));
    const socket = await konnectivityTunnel(socketPath)("127.0.0.1", port);
    let read = "";
    for await (const chunk of socket) read += String(chunk);
    expect(read).toBe("bye");
  });

  it("carries HTTP", async () => {
    const port = await listening(createHttpServer((request, response) => request.pipe(response)));
    const agents = tunnelAgents(konnectivityTunnel(socketPath));
    const text = await new Promise((resolve, reject) => {
      const request = requestTo(new URL(`http://127.0.0.1:${port}/`), { method: "POST", agents }, undefined);
      request.on("error", reject);
      request.on("response", (response) => {
        let body = "";
        response.on("data", (chunk) => (body += String(chunk))).on("end", () => resolve(body));
      });
      request.end("hello");
    });
    expect(text).toBe("hello");
  });

  it.each([
    ["refused", "no route"],
    ["closed", "dial closed"],
  ])("says why there is no connection: %s", async (host, why) => {
    await expect(konnectivityTunnel(socketPath)(host, 1)).rejects.toThrow(`dialing ${host}:1 through the proxy at ${socketPath}: ${why}`);
  });
});
