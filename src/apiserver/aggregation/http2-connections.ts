// Connections to an extension server over HTTP/2. Which protocol a server speaks it says itself when it is first connected to
// (ALPN); one that has chosen HTTP/1.1 is not asked again for a while. Requests share connections up to the number of
// streams that the server allows, and connections without requests are closed.
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../../base/clock.ts";
import { isOfConnection } from "../../base/connection-headers.ts";
import { ExpiringMap } from "../../base/expiring-map.ts";
import type { ClientTls } from "../../rpc/upgrade.ts";
import { sendBody } from "../http/forwarded-body.ts";
import type { Address, BackendAnswer, BackendRequest } from "./backend-request.ts";
import { StaleConnection } from "./stale-connection.ts";

export interface Http2Limits {
  readonly dialTimeoutMs: number;
  /** A connection without requests is closed after that long. */
  readonly idleMs: number;
  /** Altogether; further requests fail. */
  readonly maxConnections: number;
}

export interface Http2Target {
  readonly address: Address;
  readonly tls: ClientTls;
}

/** How long a server that speaks HTTP/1.1 alone is believed to do so. */
const oldForMs = 60_000;
/** How much an answer may be ahead of its reader, and all answers of a connection together. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * streamWindowBytes;
/** Of a server that does not say. */
const usualStreams = 100;

interface Connection {
  readonly session: ClientHttp2Session;
  streams: number;
  /** Closes it when nobody asks any more. */
  idle: Timer | undefined;
}

export class Http2Connections {
  readonly #clock: Clock;
  readonly #limits: Http2Limits;
  readonly #byAddress = new Map<string, Connection[]>();
  readonly #dialling = new Map<string, Promise<Connection | undefined>>();
  /** Addresses of servers without HTTP/2. */
  readonly #old: ExpiringMap<string, true>;
  /** Of connections that are being made. */
  readonly #sockets = new Set<TLSSocket>();
  #count = 0;
  #isRetired = false;

  constructor(clock: Clock, limits: Http2Limits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#old = new ExpiringMap(256, clock);
  }

  /** Undefined where the server does not speak HTTP/2. */
  async send(request: BackendRequest, { address, tls }: Http2Target): Promise<BackendAnswer | undefined> {
    const key = `${address.host} ${address.port}`;
    if (this.#old.get(key)) return undefined;
    const connection = this.#free(key) ?? (await unlessAborted(this.#dialled(key, { address, tls }), request.signal));
    if (!connection) return undefined;
    request.signal.throwIfAborted();
    return this.#request(connection, request);
  }

  /** Requests in progress end by themselves. */
  retire(): void {
    this.#isRetired = true;
    for (const { session } of [...this.#byAddress.values()].flat()) session.close();
  }

  close(): void {
    this.#isRetired = true;
    for (const { session } of [...this.#byAddress.values()].flat()) session.destroy();
    for (const socket of this.#sockets) socket.destroy(new Error("use of closed network connection"));
  }

  #free(key: string): Connection | undefined {
    return this.#byAddress.get(key)?.find(({ session, streams }) => {
      if (session.closed || session.destroyed) return false;
      return streams < Math.min(session.remoteSettings.maxConcurrentStreams ?? usualStreams, usualStreams);
    });
  }

  /** One connection is made at a time; those who have waited for it share it. */
  #dialled(key: string, target: Http2Target): Promise<Connection | undefined> {
    const known = this.#dialling.get(key);
    if (known) return known;
    const dialling = this.#dial(key, target).finally(() => this.#dialling.delete(key));
    this.#dialling.set(key, dialling);
    return dialling;
  }

  async #dial(key: string, { address, tls }: Http2Target): Promise<Connection | undefined> {
    if (this.#count >= this.#limits.maxConnections) throw new Error("too many connections");
    const socket = await this.#connect(address, tls);
    if (socket.alpnProtocol !== "h2") {
      socket.destroy();
      this.#old.set(key, true, oldForMs);
      return undefined;
    }
    const session = connect(`https://${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
    });
    session.setLocalWindowSize(connectionWindowBytes);
    const connection: Connection = { session, streams: 0, idle: undefined };
    this.#keep(key, connection);
    return connection;
  }

  #connect({ host, port }: Address, tls: ClientTls): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connectTls({ host, port, ...tls, ALPNProtocols: ["h2", "http/1.1"] });
      this.#sockets.add(socket);
      const late = (): void => void socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`));
      const timer = this.#clock.after(this.#limits.dialTimeoutMs, late);
      const failed = (error: Error): void => {
        timer.cancel();
        this.#sockets.delete(socket);
        reject(error);
      };
      socket.once("error", failed);
      socket.once("secureConnect", () => {
        timer.cancel();
        this.#sockets.delete(socket);
        socket.off("error", failed);
        resolve(socket);
      });
    });
  }

  #keep(key: string, connection: Connection): void {
    const { session } = connection;
    const list = this.#byAddress.get(key) ?? [];
    this.#byAddress.set(key, list);
    list.push(connection);
    this.#count++;
    // Requests are told themselves.
    session.on("error", () => undefined);
    session.once("goaway", () => session.close());
    session.once("close", () => {
      connection.idle?.cancel();
      this.#count--;
      list.splice(list.indexOf(connection), 1);
      if (list.length === 0 && this.#byAddress.get(key) === list) this.#byAddress.delete(key);
    });
    if (this.#isRetired) session.close();
  }

  #request(connection: Connection, { method, path, headers, body, signal }: BackendRequest): Promise<BackendAnswer> {
    const { session } = connection;
    return new Promise((resolve, reject) => {
      const { host, ...rest } = headers;
      const sent = Object.fromEntries(
        Object.entries(rest).filter(([name, value]) => value !== undefined && !isOfConnection(name.toLowerCase())),
      );
      const stream = session.request({ ":method": method, ":path": path, ":authority": String(host), ...sent }, { endStream: false });
      connection.streams++;
      connection.idle?.cancel();
      let answered = false;
      const onAbort = (): void => void stream.destroy(signal.reason instanceof Error ? signal.reason : undefined);
      signal.addEventListener("abort", onAbort, { once: true });
      stream.once("response", (head) => {
        answered = true;
        resolve(answerOf(stream, head));
      });
      stream.on("error", (error) => {
        if (!answered) reject(isRefusal(stream, session) ? new StaleConnection("the connection was closed", { cause: error }) : error);
      });
      stream.once("close", () => {
        signal.removeEventListener("abort", onAbort);
        connection.streams--;
        if (connection.streams === 0) this.#closeWhenIdle(connection);
        if (!answered)
          reject(signal.aborted ? signal.reason : new StaleConnection("the connection was closed", { cause: new Error("EOF") }));
      });
      sendBody(stream, body);
    });
  }

  #closeWhenIdle(connection: Connection): void {
    const { session } = connection;
    if (session.closed || session.destroyed) return;
    connection.idle = this.#clock.after(this.#limits.idleMs, () => session.close());
  }
}

/** Others may wait for the same. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** The server has not looked at it: it goes away, or has too many. */
function isRefusal(stream: ClientHttp2Stream, session: ClientHttp2Session): boolean {
  return stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || session.closed || session.destroyed;
}

function answerOf(stream: ClientHttp2Stream, head: IncomingHttpHeaders & IncomingHttpStatusHeader): BackendAnswer {
  const headers = Object.fromEntries(Object.entries(head).filter(([name]) => !name.startsWith(":")));
  return {
    statusCode: head[":status"],
    headers,
    destroy: () => void stream.destroy(),
    [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>,
  };
}
