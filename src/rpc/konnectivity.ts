// Connections through a konnectivity server: its gRPC protocol, in which a stream of packets at a Unix socket carries one connection
// to the other side (apiserver-network-proxy). A socket comes back, over which TLS is spoken as over any other.
import { randomInt } from "node:crypto";
import { Duplex } from "node:stream";
import { type ChannelOptions, Client, type ClientDuplexStream, credentials, Metadata, status } from "@grpc/grpc-js";
import { realClock } from "../base/clock.ts";
import { createCodecs } from "./protobuf.ts";
import type { ProtocolTable } from "./protocol.ts";
import type { Tunnel } from "./tunnel.ts";

export type PacketType = "DIAL_REQ" | "DIAL_RSP" | "CLOSE_REQ" | "CLOSE_RSP" | "DATA" | "DIAL_CLS" | "DRAIN";

export interface Packet {
  readonly type: PacketType;
  readonly dialRequest?: { readonly protocol: string; readonly address: string; readonly random: bigint };
  readonly dialResponse?: { readonly error: string; readonly connectID: bigint; readonly random: bigint };
  readonly data?: { readonly connectID: bigint; readonly error: string; readonly data: Uint8Array };
  readonly closeRequest?: { readonly connectID: bigint };
  readonly closeResponse?: { readonly error: string; readonly connectID: bigint };
  readonly closeDial?: { readonly random: bigint };
}

const table: ProtocolTable = {
  package: "",
  services: {},
  enums: { PacketType: { DIAL_REQ: 0, DIAL_RSP: 1, CLOSE_REQ: 2, CLOSE_RSP: 3, DATA: 4, DIAL_CLS: 5, DRAIN: 6 } },
  messages: {
    Packet:
      "1 type PacketType; 2 dialRequest DialRequest; 3 dialResponse DialResponse; 4 data Data; 5 closeRequest CloseRequest; 6 closeResponse CloseResponse; 7 closeDial CloseDial",
    DialRequest: "1 protocol string; 2 address string; 3 random int64:bigint",
    DialResponse: "1 error string; 2 connectID int64:bigint; 3 random int64:bigint",
    CloseRequest: "1 connectID int64:bigint",
    CloseResponse: "1 error string; 2 connectID int64:bigint",
    CloseDial: "1 random int64:bigint",
    Data: "1 connectID int64:bigint; 2 error string; 3 data bytes",
  },
};

/** The method, and how its packets are written. */
export const proxyMethod = "/ProxyService/Proxy";
export const packetCodec = createCodecs(table).of<Packet>("Packet");

const dialTimeoutMs = 30_000;
const maxMessageBytes = 4 * 1024 * 1024;
/** Of a packet with data. */
const maxChunkBytes = 64 * 1024;
const largestRandom = 2 ** 48 - 1;

const channelOptions: ChannelOptions = {
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.enable_retries": 0,
  "grpc.enable_http_proxy": 0,
  "grpc.default_authority": "localhost",
  // Each connection is for one tunnel, and none is shared with another.
  "grpc.use_local_subchannel_pool": 1,
};

const atText = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** Through the server that listens at the socket. */
export function konnectivityTunnel(socketPath: string): Tunnel {
  return async (host, port) => {
    const address = atText(host, port);
    const fail = (why: string, cause?: unknown): Error =>
      new Error(`dialing ${address} through the proxy at ${socketPath}: ${why}`, cause === undefined ? undefined : { cause });
    const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), channelOptions);
    try {
      await connected(client);
      return await new Dialling(client, address).socket;
    } catch (error) {
      client.close();
      throw fail((error as Error).message, error);
    }
  };
}

function connected(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(realClock.now() + dialTimeoutMs, (error) => (error ? reject(error) : resolve()));
  });
}

type Stream = ClientDuplexStream<Packet, Packet>;

/** From the request to connect to its answer. */
class Dialling {
  readonly socket: Promise<Duplex>;

  constructor(client: Client, address: string) {
    const random = BigInt(randomInt(1, largestRandom));
    const stream: Stream = client.makeBidiStreamRequest<Packet, Packet>(
      proxyMethod,
      (packet) => Buffer.from(packetCodec.encode(packet)),
      (bytes) => packetCodec.decode(bytes),
      new Metadata(),
      {},
    );
    this.socket = new Promise((resolve, reject) => {
      const timer = realClock.after(dialTimeoutMs, () => give("dial timeout, backstop"));
      const settle = (): void => {
        timer.cancel();
        stream.removeAllListeners("data");
        stream.removeAllListeners("end");
        stream.removeAllListeners("error");
        // What comes of a stream that is given up is nobody's business.
        stream.on("error", () => undefined);
      };
      const give = (why: string): void => {
        settle();
        stream.write({ type: "DIAL_CLS", closeDial: { random } });
        stream.cancel();
        reject(new Error(why));
      };
      stream.on("error", (error) => give(error.message));
      stream.on("end", () => give("tunnel closed"));
      stream.on("data", ({ type, dialResponse }: Packet) => {
        if (type === "DIAL_CLS") return give("dial closed");
        if (type !== "DIAL_RSP" || dialResponse?.random !== random) return;
        if (dialResponse.error !== "") return give(dialResponse.error);
        settle();
        resolve(new TunnelSocket(client, stream, dialResponse.connectID));
      });
    });
    stream.write({ type: "DIAL_REQ", dialRequest: { protocol: "tcp", address, random } });
  }
}

/** One connection; its end takes the stream and the client along. */
class TunnelSocket extends Duplex {
  readonly #client: Client;
  readonly #stream: Stream;
  readonly #connectID: bigint;

  constructor(client: Client, stream: Stream, connectID: bigint) {
    super({ allowHalfOpen: true });
    this.#client = client;
    this.#stream = stream;
    this.#connectID = connectID;
    stream.on("data", (packet: Packet) => this.#receive(packet));
    stream.on("end", () => void this.push(null));
    stream.on("error", (error: Error & { readonly code?: number }) =>
      error.code === status.CANCELLED ? this.push(null) : this.destroy(error),
    );
  }

  #receive({ type, data, closeResponse }: Packet): void {
    if (type === "CLOSE_RSP" && closeResponse?.connectID === this.#connectID) {
      if (closeResponse.error !== "") this.destroy(new Error(closeResponse.error));
      else this.push(null);
      return;
    }
    if (type !== "DATA" || data?.connectID !== this.#connectID) return;
    if (!this.push(Buffer.from(data.data))) this.#stream.pause();
  }

  override _read(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const pieces = Math.ceil(chunk.length / maxChunkBytes);
    for (let i = 0; i < pieces; i++) {
      const data = chunk.subarray(i * maxChunkBytes, (i + 1) * maxChunkBytes);
      const packet: Packet = { type: "DATA", data: { connectID: this.#connectID, error: "", data } };
      if (i + 1 < pieces) this.#stream.write(packet);
      else this.#stream.write(packet, (error?: Error | null) => done(error));
    }
    if (pieces === 0) done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#stream.write({ type: "CLOSE_REQ", closeRequest: { connectID: this.#connectID } });
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.writableFinished) this.#stream.write({ type: "CLOSE_REQ", closeRequest: { connectID: this.#connectID } });
    this.#stream.end();
    this.#stream.cancel();
    this.#client.close();
    done(error);
  }
}
