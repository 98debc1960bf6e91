// Pieces of logs over a real WebSocket; a stream stands for the kubelet's answer.
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { describe, expect, it, onTestFinished } from "vitest";
import WebSocket from "ws";
import type { ApiRequest } from "../request.ts";
import { logSocketFor, serveLog } from "./log-websocket.ts";

/** The address of a server of `log`, whose head is refused where a protocol is not known. */
async function serve(log: PassThrough): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  server.on("upgrade", async (message, socket, head) => {
    const request = { method: "GET", path: message.url, headers: message.headers } as unknown as ApiRequest; // what a handshake reads
    const accepted = await logSocketFor(request);
    if (!accepted) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    serveLog(accepted, request, { socket, head, rawHeaders: [] }, log as unknown as IncomingMessage);
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}/log`;
}

interface Received {
  readonly protocol: string;
  readonly messages: readonly { readonly text: string; readonly binary: boolean }[];
  readonly code: number;
}

async function receive(protocols: readonly string[], write: (log: PassThrough) => void): Promise<Received> {
  const log = new PassThrough();
  write(log);
  const url = await serve(log);
  const socket = protocols.length === 0 ? new WebSocket(url) : new WebSocket(url, [...protocols]);
  const messages: { text: string; binary: boolean }[] = [];
  socket.on("message", (data, binary) => messages.push({ text: String(data), binary }));
  const code = await new Promise<number>((resolve, reject) => socket.on("close", resolve).on("error", reject));
  return { protocol: socket.protocol, messages, code };
}

describe("a log over a WebSocket", () => {
  it("is text where base64 is asked for, in pieces of at most 2,048 bytes", async () => {
    const { messages } = await receive(["base64.binary.k8s.io"], (log) => log.end(Buffer.alloc(3000, "x")));
    expect(messages.every(({ binary }) => !binary)).toBe(true);
    expect(messages.map(({ text }) => Buffer.from(text, "base64").length)).toEqual([0, 2048, 952]);
  });
});
