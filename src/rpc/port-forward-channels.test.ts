// Port forwarding in channels of a WebSocket, to a server that speaks SPDY and answers what it is sent.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { memorySocketPair } from "./memory-socket.ts";
import { forwardPortChannels } from "./port-forward-channels.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";

/** A client of the ports 80 and 443; the server answers data with "<port>:<data>", and "fail" with an error. */
async function connect(protocol: string): Promise<{ readonly socket: WebSocket; readonly closed: Promise<number> }> {
  const [near, far] = memorySocketPair();
  const errors = new Map<unknown, SpdyStream>();
  const onStream = (stream: SpdyStream): void => {
    const { streamtype, port, requestid } = stream.headers;
    if (streamtype === "error") return void errors.set(requestid, stream.resume());
    stream.on("data", (chunk: Buffer) => {
      if (String(chunk) !== "fail") return void stream.write(`${port}:${chunk}`);
      errors.get(requestid)?.end("refused");
      stream.end();
    });
  };
  new SpdyConnection(far, { role: "server", onStream });
  const http = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  onTestFinished(() => void http.close());
  const clients = new WebSocketServer({ server: http, handleProtocols: () => protocol });
  clients.on("connection", (client) => forwardPortChannels(client, near, new Uint8Array(), [80, 443]));
  const socket = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`, [protocol]);
  const closed = new Promise<number>((resolve, reject) => socket.on("close", resolve).on("error", reject));
  return { socket, closed };
}

describe("forwardPortChannels()", () => {
  it("tells the ports first, carries each port's data, and ends when both have", async () => {
    const { socket, closed } = await connect("v4.channel.k8s.io");
    const messages: [number, string][] = [];
    socket.on("message", (data: Buffer) => {
      const [channel = -1] = data;
      messages.push([channel, messages.length < 4 ? String(data.readUInt16LE(1)) : data.subarray(1).toString()]);
      if (messages.length === 4) socket.send("\u0002hello");
      if (messages.length === 5) for (const text of ["\u0000fail", "\u0002fail"]) socket.send(text);
    });
    expect(await closed).toBe(1000);
    expect(messages.slice(0, 5)).toEqual([
      [0, "80"],
      [1, "80"],
      [2, "443"],
      [3, "443"],
      [2, "443:hello"],
    ]);
    expect(messages.slice(5).sort()).toEqual([
      [1, "refused"],
      [3, "refused"],
    ]);
  });

  it("speaks in texts of base64 where asked", async () => {
    const { socket, closed } = await connect("v4.base64.channel.k8s.io");
    const messages: string[] = [];
    socket.on("message", (data) => {
      messages.push(String(data));
      if (messages.length === 4) socket.send(`0${Buffer.from("hi").toString("base64")}`);
      if (messages.length === 5) socket.close();
    });
    await closed;
    expect(messages[0]).toBe(`0${Buffer.from([80, 0]).toString("base64")}`);
    expect(messages[4]).toBe(`0${Buffer.from("80:hi").toString("base64")}`);
  });
});
