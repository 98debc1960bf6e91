// The API server's port: TLS with HTTP/1.1 and HTTP/2 chosen by ALPN, each served by Node's own raw interface, because the
// compatibility layer of node:http2 halves the rate of both. Client certificates are asked for, not demanded; only one
// that an authority vouches for is handed on. Upgrades (exec, attach, port-forward, watches over WebSocket) own their socket.

import { type IncomingMessage, ServerResponse } from "node:http";
import { constants, type IncomingHttpHeaders, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { SecureVersion, TLSSocket } from "node:tls";
import type { CborCodec } from "../../api/encode/cbor/cbor-codec.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import { defaultCiphers } from "../../base/tls-names.ts";
import type { ClientAuthorities } from "../authn/client-authorities.ts";
import type { Http2Settings } from "../edge-options.ts";
import type { ApiRequest, UpgradeHandle, WatchStream } from "../request.ts";
import type { Answer, ApiServer } from "../server.ts";
import { type ConnectionFacts, Http1Request, Http1Sink } from "./http1.ts";
import { type Http2Head, Http2Request, Http2Sink } from "./http2.ts";
import { LargeHeads } from "./large-heads.ts";
import { OpenRequests } from "./open-requests.ts";
import { isLongRunning } from "./request-info.ts";
import { NamedContexts, PeerFacts, PresentedChains, secureContextOf, type TlsMaterial } from "./tls-material.ts";
import { WatchPace } from "./watch-pace.ts";
import { isWebSocketUpgrade, serveWatchWebSocket } from "./watch-websocket.ts";
import { type WriteDeps, writeAnswer } from "./write-answer.ts";

export interface HttpsServerDeps {
  readonly api: ApiServer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each connection that ended before it was one. */
  readonly onHandshakeError?: () => void;
}

export interface HttpsServerOptions {
  readonly tls: TlsMaterial;
  /** The oldest TLS version spoken. Default TLSv1.2. */
  readonly minTlsVersion?: SecureVersion;
  /** OpenSSL's names of the cipher suites, joined by ":". Default Go's. */
  readonly ciphers?: string;
  /** OpenSSL's names of the groups that keys may be exchanged in, joined by ":". Default OpenSSL's. */
  readonly curves?: string;
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** How long open requests may take to end when the server stops; what is long-running has no more than 5 s. Default 5 s. */
  readonly drainMs?: number;
  /** While open requests end, answer new ones with 429 instead of refusing their connections. Default false. */
  readonly sendRetryAfter?: boolean;
  /** Over how long watches are ended when the server stops, so that not all their clients go elsewhere at once. Default 0. */
  readonly watchGraceMs?: number;
  readonly http2?: Http2Settings;
  /** Whether large answers are compressed for clients that accept it. Default true. */
  readonly compress?: boolean;
  /** CBOR, where the server speaks it. Default: it does not. */
  readonly cbor?: CborCodec | undefined;
  /** The largest request head accepted. Default 1 MiB and 4 KiB, as upstream. */
  readonly maxHeaderBytes?: number;
  /** How long a client may take for the TLS handshake, and again to send a request's head. Default 32 s, as upstream. */
  readonly headersTimeoutMs?: number;
}

export interface HttpsServer extends Running {
  readonly port: number;
  /** Serves new connections with other certificates; open ones stay, but their clients are judged by the new authorities. */
  setTls(tls: TlsMaterial): void;
}

const defaultMaxHeaderBytes = 1024 * 1024 + 4096;
const defaultDrainMs = 5000;
/** How long what is left of connections may take to end. */
const closingMs = 5000;
/** Watches that are ended in a second, however long there is for them. */
const minEndedPerSecond = 200;
const idleConnectionMs = 90_000;
const maxConcurrentStreams = 100;
const maxFrameBytes = 256 * 1024;
const connectionWindowBytes = 4 * 1024 * 1024;
/** What may wait in a session: a chunk of a list for each stream. With more, Node refuses the client's next requests. */
const sessionMegabytes = 64;

/** Listens, and resolves when connections are accepted; rejects with the system's error (EADDRINUSE, EACCES). */
export async function startHttpsServer(deps: HttpsServerDeps, options: HttpsServerOptions): Promise<HttpsServer> {
  const server = new ConnectionServer(deps, options);
  await server.listen(options.host, options.port);
  return server;
}

interface Http2Connection {
  readonly session: ServerHttp2Session;
  readonly facts: ConnectionFacts;
}

class ConnectionServer implements HttpsServer {
  readonly #deps: HttpsServerDeps;
  readonly #options: HttpsServerOptions;
  readonly #writing: WriteDeps;
  /** Requests being served that are no watches. */
  readonly #open = new OpenRequests();
  readonly #heads = new LargeHeads();
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #watches = new Set<WatchStream>();
  readonly #facts = new WeakMap<Duplex, ConnectionFacts>();
  /** Open streams of each HTTP/2 session. */
  readonly #streams = new WeakMap<ServerHttp2Session, number>();
  readonly #limits: { readonly minVersion: SecureVersion; readonly ciphers: string; readonly ecdhCurve?: string };
  readonly #chains = new PresentedChains();
  #authorities: ClientAuthorities;
  #named: NamedContexts;
  #stopping: Promise<void> | undefined;
  /** No connection is accepted any more, and idle ones are closed. */
  #isClosed = false;

  constructor(deps: HttpsServerDeps, options: HttpsServerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#writing = { logger: deps.logger, pace: new WatchPace(deps.clock) };
    this.#limits = {
      minVersion: options.minTlsVersion ?? "TLSv1.2",
      ciphers: options.ciphers ?? defaultCiphers,
      ...(options.curves ? { ecdhCurve: options.curves } : {}),
    };
    this.#authorities = options.tls.authorities ?? {};
    this.#named = new NamedContexts(options.tls, this.#limits);
    const headersTimeout = options.headersTimeoutMs ?? 32_000;
    this.#server = createServer({
      ...secureContextOf(options.tls),
      ...this.#limits,
      ALPNProtocols: options.http2?.enabled === false ? ["http/1.1"] : ["h2", "http/1.1"],
      SNICallback: (name, choose) => choose(null, this.#named.find(name)),
      requestCert: true,
      rejectUnauthorized: false,
      maxHeaderSize: options.maxHeaderBytes ?? defaultMaxHeaderBytes,
      handshakeTimeout: headersTimeout,
      headersTimeout,
      // A body may take as long as the request itself; the deadline stage ends it.
      requestTimeout: Math.max(headersTimeout, 120_000),
      keepAliveTimeout: idleConnectionMs,
      connectionsCheckingInterval: Math.min(5000, headersTimeout),
      noDelay: true,
    });
    this.#splitByProtocol(options);
    this.#server.on("request", (message, response) => this.#onHttp1(message, response));
    this.#server.on("checkContinue", (message, response) => this.#onHttp1(message, response, awaitingBody(response)));
    this.#server.on("clientError", refuseConnection);
    this.#server.on("upgrade", (message, socket, head) => this.#onUpgrade(message, socket, head));
    this.#server.on("tlsClientError", (error) => {
      deps.onHandshakeError?.();
      deps.logger.info("TLS handshake failed", { error }, 4);
    });
    this.#server.on("connection", (socket: Duplex) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  setTls(tls: TlsMaterial): void {
    const named = new NamedContexts(tls, this.#limits);
    this.#server.setSecureContext({ ...this.#limits, ...secureContextOf(tls) });
    this.#named = named;
    this.#authorities = tls.authorities ?? {};
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, backlog: 1024 }, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (error) => this.#deps.logger.error("HTTPS server", { error }));
        resolve();
      });
    });
  }

  /** Ends watches and waits for open requests up to the limit, then closes what is left. */
  stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    const { drainMs = defaultDrainMs, watchGraceMs = 0, sendRetryAfter = false } = this.#options;
    const watchesEnded = watchGraceMs > 0 ? this.#endWatches(watchGraceMs) : undefined;
    if (sendRetryAfter) await this.#within(drainMs, this.#open.ended());
    // Closes idle HTTP/1.1 connections too; the others close as their answers end (see #onHttp1).
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#isClosed = true;
    for (const session of this.#sessions) session.close();
    await watchesEnded;
    for (const watch of this.#watches) watch.close();
    await this.#within(drainMs, this.#open.ended());
    await this.#within(Math.min(drainMs, closingMs), closed);
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #endWatches(graceMs: number): Promise<void> {
    const watches = [...this.#watches];
    const perSecond = Math.max(minEndedPerSecond, Math.ceil(watches.length / (graceMs / 1000)));
    for (let from = 0; from < watches.length; from += perSecond) {
      if (from > 0) await this.#deps.clock.sleep(1000);
      for (const watch of watches.slice(from, from + perSecond)) watch.close();
    }
  }

  #isTimeToGo(): boolean {
    const { goawayChance = 0 } = this.#options.http2 ?? {};
    return goawayChance > 0 && this.#deps.clock.random() < goawayChance;
  }

  /** Resolves with the event, at the latest after so long. */
  async #within(limitMs: number, event: Promise<void>): Promise<void> {
    const limit = new AbortController();
    await Promise.race([event, this.#deps.clock.sleep(limitMs, limit.signal).catch(() => undefined)]);
    limit.abort();
  }

  /** The https server's own listener serves HTTP/1.1; connections that chose h2 become HTTP/2 sessions instead. */
  #splitByProtocol(options: HttpsServerOptions): void {
    const serveHttp1 = this.#server.listeners("secureConnection") as ((socket: TLSSocket) => void)[];
    this.#server.removeAllListeners("secureConnection");
    this.#server.on("secureConnection", (socket: TLSSocket) => {
      this.#facts.set(socket, new PeerFacts(socket, this.#chains, () => this.#authorities));
      if (socket.alpnProtocol === "h2") this.#onHttp2Session(socket, options.maxHeaderBytes ?? defaultMaxHeaderBytes);
      else for (const serve of serveHttp1) serve.call(this.#server, socket);
    });
  }

  #onHttp2Session(socket: TLSSocket, maxHeaderListSize: number): void {
    const session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: this.#options.http2?.maxStreamsPerConnection ?? maxConcurrentStreams,
        maxHeaderListSize,
        initialWindowSize: 256 * 1024,
        maxFrameSize: maxFrameBytes,
      },
      maxSendHeaderBlockLength: 256 * 1024,
      maxSessionMemory: sessionMegabytes,
    });
    // Not to be looked up later by session.socket, which is a proxy.
    const facts = this.#facts.get(socket) ?? noFacts;
    this.#sessions.add(session);
    session.setLocalWindowSize(connectionWindowBytes);
    // An idle session is told to go; one with open streams (watches) lives on.
    session.setTimeout(idleConnectionMs, () => {
      if ((this.#streams.get(session) ?? 0) === 0) session.close();
    });
    session.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders?: readonly string[]) =>
      this.#onHttp2({ session, facts }, stream, {
        headers,
        rawHeaders: rawHeaders ?? [],
        endStream: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
      }),
    );
    session.on("error", (error) => this.#deps.logger.info("HTTP/2 session failed", { error }, 4));
    session.once("close", () => this.#sessions.delete(session));
  }

  /** What the answer may be compressed by. */
  #accepted({ headers }: ApiRequest): string | undefined {
    return this.#options.compress === false ? undefined : headers["accept-encoding"];
  }

  #onHttp2({ session, facts }: Http2Connection, stream: ServerHttp2Stream, head: Http2Head): void {
    this.#streams.set(session, (this.#streams.get(session) ?? 0) + 1);
    const request = new Http2Request(stream, head, facts);
    request.cbor = this.#options.cbor;
    stream.on("error", (error) => this.#deps.logger.info("HTTP/2 stream failed", { path: request.path, error }, 4));
    stream.once("close", () => {
      this.#streams.set(session, (this.#streams.get(session) ?? 1) - 1);
      request.clientGone();
    });
    const headers = { ":method": head.headers[":method"], "accept-encoding": this.#accepted(request) };
    void this.#serve(request, new Http2Sink(stream, headers));
    // Open streams go on; the client connects anew for the next one.
    if (this.#isTimeToGo()) session.close();
  }

  #onHttp1(message: IncomingMessage, response: ServerResponse, sendContinue?: () => void): void {
    const request = new Http1Request(message, this.#facts.get(message.socket) ?? noFacts, { sendContinue });
    request.cbor = this.#options.cbor;
    response.on("close", () => {
      request.clientGone();
      if (this.#isClosed) this.#server.closeIdleConnections();
    });
    if (this.#stopping) response.setHeader("Connection", "close");
    void this.#serve(request, new Http1Sink(response, this.#accepted(request)));
  }

  async #serve(request: ApiRequest, sink: Http1Sink | Http2Sink): Promise<void> {
    if (this.#stopping && this.#options.sendRetryAfter && !isAlwaysServed(request))
      return sink.send(429, { ...shuttingDown.headers }, shuttingDown.body);
    const headEnded = this.#heads.begin(request);
    if (!headEnded) return sink.send(429, { ...tooManyLargeHeads.headers }, tooManyLargeHeads.body);
    const ended = this.#open.begin();
    const answer = await this.#deps.api.handle(request);
    if (isLongRunning(answer.context.info)) ended();
    const release = this.#own(answer);
    try {
      await writeAnswer(answer, sink, this.#writing);
    } finally {
      release();
      ended();
      headEnded();
      answer.context.onceAnswered?.();
    }
  }

  /** Remembers a watch while it is served, so that stopping ends it. */
  #own({ response }: Answer): () => void {
    if (response.kind !== "watch") return () => undefined;
    const { stream } = response;
    this.#watches.add(stream);
    if (this.#stopping) stream.close();
    return () => this.#watches.delete(stream);
  }

  #onUpgrade(message: IncomingMessage, socket: Duplex, head: Buffer): void {
    const upgrade: UpgradeHandle = { socket, head, rawHeaders: message.rawHeaders };
    const request = new Http1Request(message, this.#facts.get(socket) ?? noFacts, { upgrade });
    socket.once("close", () => request.clientGone());
    socket.on("error", (error) => this.#deps.logger.info("Upgraded connection failed", { path: request.path, error }, 4));
    const headEnded = this.#heads.begin(request);
    if (!headEnded) return refuseConnection({ code: "HPE_HEADER_OVERFLOW" }, socket);
    socket.once("close", headEnded);
    void this.#serveUpgrade(message, request, upgrade);
  }

  async #serveUpgrade(message: IncomingMessage, request: ApiRequest, upgrade: UpgradeHandle): Promise<void> {
    const answer = await this.#deps.api.handle(request);
    const { response } = answer;
    const { logger } = this.#deps;
    if (response.kind === "upgrade") {
      const ended = answer.counted?.begun();
      if (ended) upgrade.socket.once("close", ended);
      const { onceAnswered } = answer.context;
      if (onceAnswered) upgrade.socket.once("close", onceAnswered);
      return response.serve(upgrade);
    }
    const release = this.#own(answer);
    try {
      if (response.kind === "watch" && isWebSocketUpgrade(request.headers))
        return await serveWatchWebSocket(message, upgrade, response.stream);
      await this.#answerPlainly(message, request, answer);
    } catch (error) {
      logger.error("Upgrade failed", { path: request.path, error });
      upgrade.socket.destroy();
    } finally {
      answer.context.onceAnswered?.();
      release();
    }
  }

  /** The request asked for another protocol and gets an ordinary answer: a refusal, mostly. */
  async #answerPlainly(message: IncomingMessage, request: ApiRequest, answer: Answer): Promise<void> {
    const response = new ServerResponse(message);
    response.shouldKeepAlive = false;
    response.assignSocket(message.socket);
    // The HTTP server no longer looks after the connection: a client that does not end its half would keep it for ever.
    response.once("finish", () => message.socket.destroySoon());
    await writeAnswer(answer, new Http1Sink(response, this.#accepted(request)), this.#writing);
  }
}

/** For a client that waits before it sends a body: one that is answered without it may not use the connection again. */
function awaitingBody(response: ServerResponse): () => void {
  response.setHeader("Connection", "close");
  return () => {
    if (response.headersSent) return;
    response.removeHeader("Connection");
    response.writeContinue();
  };
}

const refusals: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

/** Of the parser's errors all others. */
const refusalOf = (code: string): string | undefined => refusals[code] ?? (code.startsWith("HPE_") ? "400 Bad Request" : undefined);

/** What is no request is answered as Go's server does, and ends the connection; a failed handshake ends it without a word. */
function refuseConnection({ code = "" }: Pick<NodeJS.ErrnoException, "code">, socket: Duplex): void {
  // Node's own mark of the answer that is being written, which nothing may be put into.
  const { _httpMessage: current } = socket as Duplex & { readonly _httpMessage?: ServerResponse };
  const text = refusalOf(code);
  if (text === undefined || !socket.writable || current?.headersSent) return void socket.destroy();
  socket.end(`HTTP/1.1 ${text}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${text}`);
}

/** What a client is told while the server stops; it may find another server. */
const shuttingDown = {
  headers: { "content-type": "text/plain; charset=utf-8", "retry-after": "5", "x-content-type-options": "nosniff" },
  body: Buffer.from("The apiserver is shutting down, please try again later.\n"),
};

/** The same words as flow control's. */
const tooManyLargeHeads = {
  headers: { "content-type": "text/plain; charset=utf-8", "retry-after": "1", "x-content-type-options": "nosniff" },
  body: Buffer.from("Too many requests, please try again later.\n"),
};

/** Whoever watches the server itself goes on doing so. */
function isAlwaysServed({ path }: ApiRequest): boolean {
  return ["/readyz", "/livez", "/healthz", "/metrics"].some((prefix) => path.startsWith(prefix));
}

const noFacts: ConnectionFacts = {
  remoteAddress: "",
  clientCertificate: undefined,
  frontProxyCertificate: undefined,
  hasUnknownCertificate: false,
};
