// The old form of port forwarding over a WebSocket (v4.channel.k8s.io), from a server that speaks SPDY: the first byte of a message is
// its channel, two for each port in the order of the request: 2i for its data, 2i+1 for what goes wrong. Each begins with the number
// of its port, two bytes, the lower first. With v4.base64.channel.k8s.io messages are texts: the channel's digit, then base64.
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { pauseUntilDrained } from "./pause-until-drained.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";

export const portForwardChannelProtocols = ["v4.channel.k8s.io", "v4.base64.channel.k8s.io"] as const;

/** Digits of a base64 channel end here. */
export const maxChannelPorts = 5;

/** Serves until the client goes or the connection to every port has ended. `spdySocket` is an upgraded connection. */
export function forwardPortChannels(client: WebSocket, spdySocket: Duplex, head: Uint8Array, ports: readonly number[]): void {
  const connection = new SpdyConnection(spdySocket, { role: "client", head });
  const messages = new ChannelMessages(client);
  const inputs: SpdyStream[] = [];
  const ended = ports.flatMap((port, i) => {
    const names = { port: String(port), requestid: String(i) };
    const error = connection.openStream({ streamtype: "error", ...names });
    error.end();
    const data = connection.openStream({ streamtype: "data", ...names });
    inputs.push(data);
    return [messages.forward(data, 2 * i, port), messages.forward(error, 2 * i + 1, port)];
  });
  client.on("message", (message, isBinary) => {
    const { channel, payload } = messages.parse(message as Buffer, isBinary);
    const input = channel % 2 === 0 ? inputs[channel / 2] : undefined;
    if (input && !input.destroyed && !input.write(payload)) pauseUntilDrained(client, input);
  });
  const leave = (): void => void spdySocket.destroy();
  client.on("close", leave).on("error", leave);
  void Promise.all(ended)
    .then(() => client.close(1000))
    .finally(() => connection.close());
}

class ChannelMessages {
  readonly #client: WebSocket;
  readonly #inBase64: boolean;

  constructor(client: WebSocket) {
    this.#client = client;
    this.#inBase64 = client.protocol.includes("base64");
  }

  parse(message: Buffer, isBinary: boolean): { readonly channel: number; readonly payload: Buffer } {
    if (!this.#inBase64 || isBinary) return { channel: message[0] ?? -1, payload: message.subarray(1) };
    const text = message.toString();
    return { channel: Number(text.slice(0, 1)), payload: Buffer.from(text.slice(1), "base64") };
  }

  /** The port's number, then all of the stream at the client's pace; resolves at its end. */
  forward(stream: SpdyStream, channel: number, port: number): Promise<void> {
    const first = Buffer.alloc(2);
    first.writeUInt16LE(port);
    this.#send(channel, first, () => undefined);
    return new Promise((resolve) => {
      stream.on("data", (chunk: Buffer) => {
        stream.pause();
        this.#send(channel, chunk, () => stream.resume());
      });
      stream.on("end", resolve).on("close", resolve);
      stream.on("error", () => undefined); // shows as its end
    });
  }

  #send(channel: number, payload: Buffer, done: () => void): void {
    if (this.#inBase64) this.#client.send(`${channel}${payload.toString("base64")}`, done);
    else this.#client.send(Buffer.concat([Buffer.from([channel]), payload]), done);
  }
}
