// Exit statuses as WebSocket clients of each version of the protocol get them, from a server that speaks version 4 over SPDY.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { memorySocketPair } from "./memory-socket.ts";
import { translateToSpdy } from "./remote-command.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";

/** What a client gets of a command that prints "out" and ends with `status`: "channel:text" of each message. */
async function messagesOf(protocol: string | undefined, status: object): Promise<readonly string[]> {
  const [near, far] = memorySocketPair();
  const streams = new Map<unknown, SpdyStream>();
  const onStream = (stream: SpdyStream): void => {
    streams.set(stream.headers.streamtype, stream);
    stream.resume();
    if (streams.size < 2) return;
    streams.get("stdout")?.end("out");
    streams.get("error")?.end(JSON.stringify(status));
  };
  new SpdyConnection(far, { role: "server", onStream });
  const http = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  onTestFinished(() => void http.close());
  const clients = new WebSocketServer({ server: http, handleProtocols: () => protocol ?? false });
  clients.on("connection", (client) =>
    translateToSpdy(client, near, new Uint8Array(), { stdin: false, stdout: true, stderr: false, tty: false }),
  );
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const socket = protocol === undefined ? new WebSocket(url) : new WebSocket(url, [protocol]);
  const messages: string[] = [];
  socket.on("message", (data: Buffer) => messages.push(`${data[0]}:${data.subarray(1).toString()}`));
  await new Promise((resolve, reject) => socket.on("close", resolve).on("error", reject));
  return messages;
}

const success = { metadata: {}, status: "Success" };
const failed = { metadata: {}, status: "Failure", message: "command terminated with exit code 3", reason: "NonZeroExitCode" };

describe("translateToSpdy()", () => {
  it("passes the status on as it is from version 4 on", async () => {
    expect(await messagesOf("v4.channel.k8s.io", success)).toEqual(["1:out", `3:${JSON.stringify(success)}`]);
    expect(await messagesOf("v5.channel.k8s.io", failed)).toEqual(["1:out", `3:${JSON.stringify(failed)}`]);
  });

  it("tells older clients nothing of success, and the message of a failure", async () => {
    for (const protocol of ["channel.k8s.io", undefined]) {
      expect(await messagesOf(protocol, success)).toEqual(["1:out"]);
      expect(await messagesOf(protocol, failed)).toEqual(["1:out", "3:command terminated with exit code 3"]);
    }
  });
});
