// SPDY/3.1 over a connection that has been upgraded to it, as far as Kubernetes' exec, attach and port-forward use it:
// streams with headers, half-closing, resets, pings. Flow control is TCP's: the peers (Go's spdystream) never send
// WINDOW_UPDATE, so the protocol's send window is ignored, and a stream nobody reads holds up the connection's reading
// instead of filling memory.
import { Duplex } from "node:stream";
import { HeaderDecoder, HeaderEncoder, type SpdyHeaders } from "./headers.ts";

const frameType = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const;
const finFlag = 1;
const maxFrameBytes = 16 * 1024 * 1024 - 1;
const writeChunkBytes = 32 * 1024;
const maxStreams = 1000;

export interface SpdyConnectionOptions {
  /** Clients open odd streams, servers even ones. */
  readonly role: "client" | "server";
  /** Bytes that were read past the upgrade's head. */
  readonly head?: Uint8Array;
  /** A stream the peer has opened; already accepted. */
  readonly onStream?: (stream: SpdyStream) => void;
}

/** One stream: a Duplex whose end() half-closes and whose destroy() resets. */
export class SpdyStream extends Duplex {
  readonly id: number;
  /** What the opener sent, names in lower case. */
  readonly headers: SpdyHeaders;
  readonly #connection: SpdyConnection;
  #wanted: (() => void) | undefined;

  constructor(connection: SpdyConnection, id: number, headers: SpdyHeaders) {
    super({ autoDestroy: true, emitClose: true });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
  }

  /** Hands over data from the peer; resolves when there is room for more. */
  async receive(data: Uint8Array, last: boolean): Promise<void> {
    if (this.destroyed) return;
    const room = data.length === 0 || this.push(data);
    if (last) this.push(null);
    else if (!room) await new Promise<void>((resolve) => (this.#wanted = resolve));
  }

  override _read(): void {
    this.#wanted?.();
    this.#wanted = undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, chunk, false).then(() => callback(), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, Buffer.alloc(0), true).then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#wanted?.();
    this.#connection.forget(this.id, !(this.readableEnded && this.writableFinished));
    callback(error);
  }
}

export class SpdyConnection {
  /** Resolves when the connection has ended, however it ended. */
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #options: SpdyConnectionOptions;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #encoder = new HeaderEncoder();
  readonly #decoder = new HeaderDecoder();
  #nextId: number;
  #draining: Promise<void> | undefined;

  constructor(socket: Duplex, options: SpdyConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#nextId = options.role === "client" ? 1 : 2;
    socket.on("error", () => undefined); // shows as the end of reading
    this.closed = this.#receive();
  }

  /** Opens a stream; it can be written to at once. */
  openStream(headers: SpdyHeaders): SpdyStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = new SpdyStream(this, id, headers);
    this.#streams.set(id, stream);
    const ids = Buffer.alloc(10);
    ids.writeUInt32BE(id, 0);
    this.#sendControl(frameType.synStream, 0, Buffer.concat([ids, this.#encoder.encode(headers)]));
    return stream;
  }

  /** Ends the connection after what has been written. */
  close(): void {
    this.#socket.end();
  }

  /** Used by streams: sends data, resolving when the socket takes more. */
  async sendData(id: number, data: Uint8Array, last: boolean): Promise<void> {
    for (let at = 0; at === 0 || at < data.length; at += writeChunkBytes) {
      const chunk = data.subarray(at, at + writeChunkBytes);
      const head = Buffer.alloc(8);
      head.writeUInt32BE(id, 0);
      head.writeUInt32BE(chunk.length, 4);
      if (last && at + writeChunkBytes >= data.length) head[4] = finFlag;
      this.#socket.write(head);
      if (!this.#socket.write(chunk)) await this.#drained();
    }
  }

  /** Used by streams: the stream is over on this side; `reset` tells the peer. */
  forget(id: number, reset: boolean): void {
    if (!this.#streams.delete(id) || !reset || this.#socket.destroyed) return;
    const body = Buffer.alloc(8);
    body.writeUInt32BE(id, 0);
    body.writeUInt32BE(5, 4); // CANCEL
    this.#sendControl(frameType.rstStream, 0, body);
  }

  /** One wait for all streams that write. */
  #drained(): Promise<void> {
    this.#draining ??= this.#untilDrained().finally(() => {
      this.#draining = undefined;
    });
    return this.#draining;
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error?: Error): void => {
        this.#socket.off("drain", onDrain);
        this.#socket.off("close", onClose);
        if (error) reject(error);
        else resolve();
      };
      const onDrain = (): void => done();
      const onClose = (): void => done(new Error("SPDY connection closed while writing"));
      this.#socket.once("drain", onDrain);
      this.#socket.once("close", onClose);
      if (this.#socket.destroyed) onClose();
    });
  }

  #sendControl(type: number, flags: number, body: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x8003, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt32BE(body.length, 4);
    head[4] = flags;
    this.#socket.write(Buffer.concat([head, body]));
  }

  async #receive(): Promise<void> {
    let pending: Buffer = Buffer.from(this.#options.head ?? []);
    try {
      pending = await this.#frames(pending);
      for await (const chunk of this.#socket) pending = await this.#frames(pending.length === 0 ? chunk : Buffer.concat([pending, chunk]));
    } catch {
      this.#socket.destroy(); // a broken peer or connection: its streams end below
    } finally {
      for (const stream of [...this.#streams.values()]) stream.destroy();
      this.#streams.clear();
      this.#decoder.close();
      this.#socket.destroy();
    }
  }

  /** Handles every whole frame in `bytes` and gives back the rest. */
  async #frames(bytes: Buffer): Promise<Buffer> {
    let at = 0;
    while (bytes.length - at >= 8) {
      const length = bytes.readUInt32BE(at + 4) & maxFrameBytes;
      if (bytes.length - at < 8 + length) break;
      const flags = bytes[at + 4] ?? 0;
      const body = bytes.subarray(at + 8, at + 8 + length);
      const first = bytes.readUInt32BE(at);
      if (first >>> 31 === 1) await this.#control(first & 0xffff, flags, body);
      else await this.#streams.get(first)?.receive(body, (flags & finFlag) !== 0);
      at += 8 + length;
    }
    return bytes.subarray(at);
  }

  async #control(type: number, flags: number, body: Buffer): Promise<void> {
    switch (type) {
      case frameType.synStream:
        return this.#accept(flags, body);
      case frameType.synReply:
      case frameType.headers:
        await this.#decoder.decode(body.subarray(4)); // keeps the shared inflater in step
        return;
      case frameType.rstStream: {
        const stream = this.#streams.get(body.readUInt32BE(0) & 0x7fffffff);
        if (stream) {
          this.#streams.delete(stream.id);
          stream.destroy();
        }
        return;
      }
      case frameType.ping:
        // Only pings that the peer began (its parity) are answered.
        if (body.readUInt32BE(0) % 2 === (this.#options.role === "client" ? 0 : 1)) this.#sendControl(frameType.ping, 0, body);
        return;
      case frameType.goAway:
        return;
      default: // SETTINGS and WINDOW_UPDATE do not concern us
        return;
    }
  }

  async #accept(flags: number, body: Buffer): Promise<void> {
    const id = body.readUInt32BE(0) & 0x7fffffff;
    const headers = await this.#decoder.decode(body.subarray(10));
    if (!this.#options.onStream || this.#streams.size >= maxStreams) {
      const refuse = Buffer.alloc(8);
      refuse.writeUInt32BE(id, 0);
      refuse.writeUInt32BE(3, 4); // REFUSED_STREAM
      return this.#sendControl(frameType.rstStream, 0, refuse);
    }
    const stream = new SpdyStream(this, id, headers);
    stream.on("error", () => undefined); // a reset is seen by whoever reads it
    this.#streams.set(id, stream);
    const reply = Buffer.alloc(4);
    reply.writeUInt32BE(id, 0);
    this.#sendControl(frameType.synReply, 0, Buffer.concat([reply, this.#encoder.encode({})]));
    if (flags & finFlag) await stream.receive(Buffer.alloc(0), true);
    this.#options.onStream(stream);
  }
}
