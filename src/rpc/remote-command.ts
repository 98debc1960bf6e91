// Kubernetes' remote command protocol: one process's stdin, stdout, stderr, terminal sizes and exit status over one
// connection. Over SPDY each is a stream named by its header `streamType`; over WebSocket each is a channel, the first byte
// of a binary message. Version 4 reports the exit status as a JSON Status, version 5 (WebSocket only) can close stdin.
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { pauseUntilDrained } from "./pause-until-drained.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";

export interface RemoteCommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** Not with a terminal: there it is part of stdout. */
  readonly stderr: boolean;
  readonly tty: boolean;
}

/** Newest first: what a WebSocket client may ask for, and the servers this side can dial by SPDY. */
export const webSocketProtocols = [
  "v5.channel.k8s.io",
  "v4.channel.k8s.io",
  "v3.channel.k8s.io",
  "v2.channel.k8s.io",
  "channel.k8s.io",
] as const;
export const spdyProtocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"] as const;

export const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** What may wait in a WebSocket's send buffer before its source is paused. */
const maxBufferedBytes = 1024 * 1024;

/**
 * Serves a WebSocket client from a server that speaks SPDY (the kubelet, the runtime): opens the streams and carries
 * bytes between channels and streams until the command's status has arrived. `spdySocket` is an upgraded connection.
 */
export function translateToSpdy(client: WebSocket, spdySocket: Duplex, head: Uint8Array, streams: RemoteCommandStreams): void {
  const connection = new SpdyConnection(spdySocket, { role: "client", head });
  // The order in which servers expect them.
  const errorStream = connection.openStream({ streamtype: "error" });
  const open = (wanted: boolean, type: string): SpdyStream | undefined =>
    wanted ? connection.openStream({ streamtype: type }) : undefined;
  const stdin = open(streams.stdin, "stdin");
  const stdout = open(streams.stdout, "stdout");
  const stderr = open(streams.stderr && !streams.tty, "stderr");
  const resize = open(streams.tty, "resize");
  for (const stream of [errorStream, stdin, stdout, stderr, resize]) stream?.on("error", () => undefined);

  const outputs = [forward(stdout, client, channel.stdout), forward(stderr, client, channel.stderr)];
  client.on("message", (data, isBinary) => {
    const message = data as Buffer;
    const payload = message.subarray(1);
    switch (isBinary ? message[0] : Number(message.subarray(0, 1).toString())) {
      case channel.stdin:
        if (stdin && !stdin.write(payload)) pauseUntilDrained(client, stdin);
        return;
      case channel.resize:
        resize?.write(payload);
        return;
      case channel.close:
        if (payload[0] === channel.stdin) stdin?.end();
        return;
    }
  });
  client.on("close", () => spdySocket.destroy());
  client.on("error", () => spdySocket.destroy());

  void Promise.all([collect(errorStream), ...outputs])
    .then(([status]) => {
      const said = /^v[45]/.test(client.protocol) ? status : plainStatus(status);
      if (said !== undefined) client.send(Buffer.concat([Buffer.from([channel.error]), said]));
      client.close(1000);
    })
    .finally(() => connection.close());
}

/** What protocols before version 4 send for a Status: nothing on success, else its message. */
function plainStatus(status: Buffer): Buffer | undefined {
  try {
    const { status: outcome, message = "" } = JSON.parse(status.toString()) as { readonly status?: string; readonly message?: string };
    return outcome === "Success" ? undefined : Buffer.from(message);
  } catch {
    // A server of an old version has written the message itself.
    return status.length > 0 ? status : undefined;
  }
}

/** Sends all of a stream on a channel, at the client's pace; resolves at its end. */
function forward(stream: SpdyStream | undefined, client: WebSocket, on: number): Promise<void> {
  return new Promise((resolve) => {
    if (!stream) return resolve();
    stream.on("data", (chunk: Buffer) => {
      stream.pause();
      client.send(Buffer.concat([Buffer.from([on]), chunk]), () => stream.resume());
      if (client.bufferedAmount < maxBufferedBytes) stream.resume();
    });
    stream.on("end", resolve);
    stream.on("close", resolve);
  });
}

function collect(stream: SpdyStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    const done = (): void => resolve(Buffer.concat(chunks));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", done);
    stream.on("close", done);
  });
}
