// A port that clients connect to: HTTP/1.1, or over TLS also HTTP/2, chosen by ALPN; HTTP/2 without TLS where routes of gRPC are. Node's parser is strict and stays so
// (no two lengths, no length with chunks): what two servers could read differently goes no further. Everything is bounded: connections,
// heads, streams of a connection, and how long a client may be silent. Stopping lets requests end, then closes what is left.
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Session } from "node:http2";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Clock } from "../base/clock.ts";
import type { Running } from "../base/lifecycle.ts";
import { listen } from "../base/listen.ts";
import { errorText, type Logger } from "../base/log.ts";
import { abort, answerWith } from "./answer.ts";
import type { ServingPair } from "./certificates.ts";
import type { ClientRequest, ClientResponse } from "./client-request.ts";

export interface Upgrade {
  readonly socket: Socket;
  readonly head: Buffer;
}

export interface ListenerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** `upgrade` where the client asks for a WebSocket. Must answer, some time. */
  readonly serve: (request: ClientRequest, response: ClientResponse, upgrade: Upgrade | undefined) => void;
}

export interface ListenerOptions {
  /** Default all addresses of the machine. */
  readonly address?: string | undefined;
  /** 0 takes any free one. */
  readonly port: number;
  /** Default without TLS. */
  readonly tls?: {
    /** For clients that ask for no name, or for one that no certificate is for. */
    readonly fallback: ServingPair;
    readonly contextOf: (name: string) => SecureContext | undefined;
  };
  /** Whether a client without TLS may begin with HTTP/2 now. Default never. */
  readonly acceptsH2c?: () => boolean;
  /** Default 4096. */
  readonly maxConnections?: number;
  /** Default 32 KiB. */
  readonly maxHeaderBytes?: number;
  /** How long a client may be silent within a request. Default 330 s. */
  readonly silentMs?: number;
  /** How long requests in progress may take to end when it stops. Default 5 s. */
  readonly drainMs?: number;
}

export interface Listener extends Running {
  readonly port: number;
  readonly connections: number;
}

const headMs = 30_000;
const defaultSilentMs = 330_000;
/** Between two requests of a connection. */
const idleMs = 75_000;
const maxStreams = 128;
const sessionMegabytes = 16;

/** Rejects with the system's error: EADDRINUSE, EACCES. */
export async function startListener(deps: ListenerDeps, options: ListenerOptions): Promise<Listener> {
  const listener = new PortListener(deps, options);
  await listener.listen();
  return listener;
}

class PortListener implements Listener {
  readonly #deps: ListenerDeps;
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #http2: Http2Server | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<ServerHttp2Session>();
  #port = 0;
  #isDraining = false;
  #stopping: Promise<void> | undefined;

  constructor(deps: ListenerDeps, options: ListenerOptions) {
    this.#deps = deps;
    this.#options = options;
    const { tls, maxHeaderBytes = 32 * 1024, maxConnections = 4096 } = options;
    const limits = { maxHeaderSize: maxHeaderBytes, headersTimeout: headMs, requestTimeout: 0, keepAliveTimeout: idleMs, noDelay: true };
    if (tls) {
      const { fallback, contextOf } = tls;
      const choose = (name: string, chosen: (error: null, context?: SecureContext) => void) => chosen(null, contextOf(name));
      this.#server = createTlsServer({
        ...limits,
        ...{ cert: fallback.certPem, key: fallback.keyPem, minVersion: "TLSv1.2", handshakeTimeout: headMs },
        ...{ ALPNProtocols: ["h2", "http/1.1"], SNICallback: choose },
      });
      this.#http2 = this.#createHttp2(maxHeaderBytes);
      this.#splitByProtocol(this.#http2);
      this.#server.on("tlsClientError", (error) => deps.logger.info("TLS handshake failed", { error }, 4));
    } else {
      this.#server = createServer(limits);
      this.#http2 = options.acceptsH2c ? this.#createHttp2(maxHeaderBytes) : undefined;
      if (this.#http2 && options.acceptsH2c) this.#splitByPreface(this.#http2, options.acceptsH2c);
    }
    this.#server.maxConnections = maxConnections;
    this.#server.setTimeout(options.silentMs ?? defaultSilentMs);
    this.#server.on("request", (request, response) => this.#serve(request, response));
    this.#server.on("upgrade", (request, socket, head) => this.#onUpgrade(request, socket as Socket, head)); // a TLSSocket is one too
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<void> {
    const { address, port } = this.#options;
    const failed = (error: Error): void => this.#deps.logger.error("Ingress listener", { port, error });
    this.#port = await listen(this.#server, { port, backlog: 1024, ...(address === undefined ? {} : { host: address }) }, failed);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#drain();
    return this.#stopping;
  }

  async #drain(): Promise<void> {
    this.#isDraining = true;
    // Closes idle connections too; the others close as their answers end.
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const session of this.#sessions) session.close();
    const giveUp = new AbortController();
    const { clock } = this.#deps;
    await Promise.race([closed, clock.sleep(this.#options.drainMs ?? 5_000, giveUp.signal).catch(() => undefined)]);
    giveUp.abort();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #createHttp2(maxHeaderListSize: number): Http2Server {
    const settings = { maxConcurrentStreams: maxStreams, maxHeaderListSize, enableConnectProtocol: false };
    const server = createHttp2Server({ settings, maxSessionMemory: sessionMegabytes });
    server.on("request", (request, response) => this.#serve(request, response));
    server.on("sessionError", (error) => this.#deps.logger.info("HTTP/2 connection", { error }, 4));
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      // Ends once its streams have.
      session.setTimeout(idleMs, () => session.close());
      if (this.#isDraining) session.close();
    });
    return server;
  }

  #splitByProtocol(http2: Http2Server): void {
    const serveHttp1 = this.#server.listeners("secureConnection") as ((socket: TLSSocket) => void)[];
    this.#server.removeAllListeners("secureConnection");
    this.#server.on("secureConnection", (socket: TLSSocket) => {
      if (socket.alpnProtocol === "h2") http2.emit("connection", socket);
      else for (const serve of serveHttp1) serve.call(this.#server, socket);
    });
  }

  /** By the first bytes, which no request of HTTP/1.1 has; looked at only while something here wants HTTP/2. */
  #splitByPreface(http2: Http2Server, acceptsH2c: () => boolean): void {
    const serveHttp1 = this.#server.listeners("connection") as ((socket: Socket) => void)[];
    this.#server.removeAllListeners("connection");
    this.#server.on("connection", (socket: Socket) => {
      const serve = (): void => {
        for (const one of serveHttp1) one.call(this.#server, socket);
      };
      if (!acceptsH2c()) return serve();
      const silent = (): void => void socket.destroy();
      const failed = (): void => undefined; // its close says it
      socket.setTimeout(headMs, silent);
      socket.on("error", failed);
      socket.once("data", (first: Buffer) => {
        socket.setTimeout(0);
        socket.off("timeout", silent);
        socket.off("error", failed);
        socket.pause();
        socket.unshift(first);
        if (first.subarray(0, 3).toString("latin1") === "PRI") http2.emit("connection", socket);
        else {
          serve();
          socket.resume();
        }
      });
    });
  }

  #serve(request: ClientRequest, response: ClientResponse, upgrade?: Upgrade): void {
    if (!("stream" in response)) {
      if (this.#isDraining) response.shouldKeepAlive = false;
      response.once("close", () => {
        // A kept connection would keep the server from ending: it is idle once this event is over.
        if (this.#isDraining) setImmediate(() => this.#server.closeIdleConnections());
      });
    }
    try {
      this.#deps.serve(request, response, upgrade);
    } catch (error) {
      // One request that cannot be served must not end the others.
      this.#deps.logger.error("Failed to serve a request", { method: request.method, url: request.url, error: errorText(error) });
      if (response.headersSent) abort(response);
      else answerWith(response, 500);
    }
  }

  /** Other protocols than WebSocket are not spoken: requests that offer one are answered as if they did not. */
  #onUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    // Node has taken its own away; a tunnel sets another one.
    socket.setTimeout(this.#options.silentMs ?? defaultSilentMs, () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once("finish", () => socket.end());
    const isWebSocket = request.method === "GET" && request.headers.upgrade?.toLowerCase() === "websocket";
    this.#serve(request, response, isWebSocket ? { socket, head } : undefined);
  }
}
