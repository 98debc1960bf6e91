// A connection within the process: two ends, what is written to one is read from the other, with back-pressure. It behaves as
// much like a TCP socket as Node's HTTP client and server ask of one, so that both work over it without a port.
import { Duplex } from "node:stream";

/** The ends of a new connection. */
export function memorySocketPair(
  addresses: { readonly client?: string; readonly server?: string } = {},
): readonly [MemorySocket, MemorySocket] {
  const client = new MemorySocket(addresses.server);
  const server = new MemorySocket(addresses.client);
  client.join(server);
  server.join(client);
  return [client, server];
}

/** A connection that nobody accepts: it fails as a socket does when there is no listener. */
export function refusedSocket(host: string, port: number): MemorySocket {
  const socket = new MemorySocket(host);
  const error = Object.assign(new Error(`connect ECONNREFUSED ${host}:${port}`), {
    ...{ code: "ECONNREFUSED", errno: -111, syscall: "connect", address: host, port },
  });
  process.nextTick(() => socket.destroy(error));
  return socket;
}

export class MemorySocket extends Duplex {
  /** Of the other end. */
  readonly remoteAddress: string | undefined;
  #peer: MemorySocket | undefined;
  /** Of a write of the other end that waits until this one is read from. */
  #onRead: (() => void) | undefined;

  constructor(remoteAddress?: string) {
    super({ allowHalfOpen: true, emitClose: true });
    this.remoteAddress = remoteAddress;
  }

  /** Used by memorySocketPair(). */
  join(peer: MemorySocket): void {
    this.#peer = peer;
  }

  // What HTTP asks of sockets and what means nothing here.
  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }

  override _read(): void {
    const resume = this.#onRead;
    this.#onRead = undefined;
    resume?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const peer = this.#peer;
    if (!peer || peer.destroyed) return callback(brokenPipe());
    peer.#receive(chunk, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#peer && !this.#peer.destroyed) this.#peer.push(null);
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this._read();
    const peer = this.#peer;
    const isOver = this.writableFinished;
    if (peer && !peer.destroyed)
      process.nextTick(() => {
        if (error) peer.destroy(connectionReset());
        else if (!isOver) peer.push(null);
        peer.#onRead?.();
      });
    callback(error);
  }

  #receive(chunk: Buffer, callback: () => void): void {
    // The callback waits for the reader: the writer's buffer then fills, and write() says so.
    if (chunk.length === 0) return process.nextTick(callback);
    this.#onRead = callback;
    if (this.push(chunk)) this._read();
  }
}

const brokenPipe = (): Error => Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" });
const connectionReset = (): Error => Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", syscall: "read" });
