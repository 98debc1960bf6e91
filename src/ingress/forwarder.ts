// Sends requests on to pods, over connections that are kept. What makes it its own and not a library's: a request goes to
// another endpoint when the first does not take it, which is safe because the body is not touched before there is a
// connection; after that only requests that can be repeated are, and only when a kept connection turned out to be closed.
// Bodies are piped in both directions: who reads slowly slows down who writes.
import {
  Agent,
  type ClientRequest as BackendRequest,
  type IncomingMessage,
  request as newRequest,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from "node:http";
import { constants } from "node:http2";
import type { Socket } from "node:net";
import { Transform } from "node:stream";
import type { Clock, Timer } from "../base/clock.ts";
import { errorText, type Logger } from "../base/log.ts";
import { abort, answerWith, writeHead } from "./answer.ts";
import type { Backends } from "./backends.ts";
import { type Asked, type ClientRequest, type ClientResponse, hasBody, isHttp2 } from "./client-request.ts";
import { changeHeaders, type Filters, rewrittenPath } from "./filters.ts";
import { answeredHeaders, type Entrance, forwardedHeaders } from "./forwarded-headers.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import { mirrorRequest } from "./mirror.ts";
import type { Endpoint } from "./ready-endpoints.ts";
import type { Backend } from "./routes.ts";
import { joinTunnel } from "./tunnel.ts";

export interface ForwarderDeps {
  readonly backends: Backends;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: IngressMetrics;
}

export interface ForwarderOptions {
  /** For a connection to a pod. Default 3 s. */
  readonly connectTimeoutMs?: number;
  /** How long a pod's connection may be silent while a request is in progress. Default 5 minutes. */
  readonly backendTimeoutMs?: number;
  /** How long an upgraded connection may be silent. Default an hour. */
  readonly tunnelTimeoutMs?: number;
}

export interface Forwarded {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  readonly asked: Asked;
  readonly entrance: Entrance;
  readonly backend: Backend;
  /** 0: no limit. */
  readonly maxBodyBytes: number;
  readonly filters?: Filters | undefined;
  /** Where the client asks for a WebSocket: its connection, and what it has sent after the head. */
  readonly upgrade?: { readonly socket: Socket; readonly head: Buffer } | undefined;
}

const maxAttempts = 3;
const maxConnectionsPerEndpoint = 512;
const maxIdlePerEndpoint = 128;
const keptIdleMs = 30_000;
const repeatable = new Set(["GET", "HEAD", "OPTIONS"]);

export class Forwarder {
  readonly deps: ForwarderDeps;
  readonly agent = new Agent({
    keepAlive: true,
    maxSockets: maxConnectionsPerEndpoint,
    maxFreeSockets: maxIdlePerEndpoint,
    timeout: keptIdleMs,
  });
  readonly connectTimeoutMs: number;
  readonly backendTimeoutMs: number;
  readonly tunnelTimeoutMs: number;

  constructor(deps: ForwarderDeps, options: ForwarderOptions = {}) {
    this.deps = deps;
    this.connectTimeoutMs = options.connectTimeoutMs ?? 3_000;
    this.backendTimeoutMs = options.backendTimeoutMs ?? 300_000;
    this.tunnelTimeoutMs = options.tunnelTimeoutMs ?? 3_600_000;
  }

  forward(forwarded: Forwarded): void {
    new Exchange(this, forwarded).attempt();
  }

  /** Closes what is kept; nothing is forwarded any more. */
  close(): void {
    this.agent.destroy();
  }
}

type Phase = "waiting" | "connecting" | "sent" | "answered" | "over";

class Exchange {
  readonly #forwarder: Forwarder;
  readonly #forwarded: Forwarded;
  readonly #hasBody: boolean;
  readonly #tried = new Set<string>();
  #attempts = 0;
  #phase: Phase = "waiting";
  #outgoing: BackendRequest | undefined;
  #timer: Timer | undefined;
  /** Deadlines of the whole and of an attempt. */
  #deadline: Timer | undefined;
  #attemptDeadline: Timer | undefined;
  #isMirrored = false;
  #sent: { readonly method: string; readonly path: string; readonly headers: OutgoingHttpHeaders } | undefined;
  #answer: IncomingMessage | undefined;

  constructor(forwarder: Forwarder, forwarded: Forwarded) {
    this.#forwarder = forwarder;
    this.#forwarded = forwarded;
    this.#hasBody = hasBody(forwarded.request);
    const { request, response } = forwarded;
    response.once("close", () => this.#clientClosed());
    response.on("error", () => this.#clientClosed());
    request.on("error", () => this.#clientClosed());
    response.once("finish", () => dropRest(request, response));
    this.#deadline = this.#after(forwarded.filters?.requestTimeoutMs);
  }

  /** Also called from events of sockets, where nobody would catch what it throws. */
  attempt(): void {
    try {
      this.#attempt();
    } catch (error) {
      this.#forwarder.deps.logger.error("Failed to find where a request goes", {
        backend: this.#forwarded.backend,
        error: errorText(error),
      });
      this.#fail(500, error);
    }
  }

  #attempt(): void {
    const { backend, request, asked, entrance, upgrade, filters } = this.#forwarded;
    const { agent, backendTimeoutMs, connectTimeoutMs, deps } = this.#forwarder;
    const endpoint = deps.backends.pick(backend, this.#tried);
    if (!endpoint) return this.#fail(this.#tried.size > 0 ? 502 : 503, new Error("no endpoint is ready"));
    this.#attempts++;
    this.#phase = "waiting";
    const headers = forwardedHeaders(request, asked, entrance);
    if (filters?.rewrite?.hostname !== undefined) headers.host = filters.rewrite.hostname;
    if (filters) changeHeaders(headers, filters.requestHeaders);
    const path = rewrittenPath(asked, filters?.rewrite?.path);
    if (upgrade) Object.assign(headers, { connection: "Upgrade", upgrade: "websocket" });
    const { address, port } = endpoint;
    const method = request.method ?? "GET";
    let outgoing: BackendRequest;
    try {
      const options = { host: address, port, method, path, headers, setHost: false, timeout: backendTimeoutMs };
      outgoing = newRequest({ ...options, agent: upgrade ? false : agent });
    } catch (error) {
      // Characters that may not be sent on.
      return this.#fail(400, error);
    }
    this.#outgoing = outgoing;
    this.#attemptDeadline?.cancel();
    this.#attemptDeadline = this.#after(filters?.backendTimeoutMs);
    this.#timer = deps.clock.after(connectTimeoutMs, () => outgoing.destroy(new Error(`no connection in ${connectTimeoutMs} ms`)));
    outgoing.once("socket", (socket: Socket) => {
      if (this.#outgoing !== outgoing || this.#phase !== "waiting") return;
      this.#phase = "connecting";
      if (!socket.connecting) return this.#connected(outgoing);
      socket.once("connect", () => this.#connected(outgoing));
    });
    outgoing.once("response", (answer) => this.#answered(outgoing, answer));
    outgoing.once("timeout", () => this.#silent(outgoing));
    outgoing.once("upgrade", (answer: IncomingMessage, socket: Socket, head: Buffer) => this.#upgraded(answer, socket, head));
    outgoing.on("error", (error) => this.#failed(outgoing, endpoint, error));
    this.#sent = { method, path, headers };
    if (!this.#hasBody) outgoing.end();
  }

  #after(timeoutMs: number | undefined): Timer | undefined {
    if (timeoutMs === undefined) return undefined;
    return this.#forwarder.deps.clock.after(timeoutMs, () => this.#fail(504, new Error(`no answer in ${timeoutMs} ms`)));
  }

  /** Once, however often the request itself is tried, and not before its body may be read. */
  #mirror({ mirrors }: Filters): void {
    const sent = this.#sent;
    if (this.#isMirrored || !sent || this.#forwarded.upgrade) return;
    this.#isMirrored = true;
    const { agent, backendTimeoutMs: timeoutMs, deps } = this.#forwarder;
    for (const { backend, share } of mirrors) {
      const endpoint = deps.clock.random() < share ? deps.backends.pick(backend, new Set()) : undefined;
      const copy = { ...sent, pathAndQuery: sent.path, request: this.#forwarded.request, hasBody: this.#hasBody };
      if (endpoint) mirrorRequest(copy, endpoint, { agent, timeoutMs });
    }
  }

  #connected(outgoing: BackendRequest): void {
    if (this.#outgoing !== outgoing || this.#phase !== "connecting") return;
    this.#timer?.cancel();
    this.#phase = "sent";
    const { request, maxBodyBytes, filters } = this.#forwarded;
    if (filters) this.#mirror(filters);
    if (!this.#hasBody) return;
    outgoing.flushHeaders();
    if (maxBodyBytes > 0) request.pipe(this.#limited(maxBodyBytes)).pipe(outgoing);
    else request.pipe(outgoing);
  }

  #limited(maxBytes: number): Transform {
    let bytes = 0;
    const refuse = (): void => this.#fail(413, new Error("the request's body is too large"));
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes > maxBytes) refuse();
        else done(null, chunk);
      },
    });
  }

  #answered(outgoing: BackendRequest, answer: IncomingMessage): void {
    if (this.#outgoing !== outgoing || this.#phase === "over") {
      answer.destroy();
      return;
    }
    const { response, filters } = this.#forwarded;
    this.#phase = "answered";
    this.#answer = answer;
    // An answer that breaks off must not look complete.
    answer.on("error", () => abort(response));
    try {
      const headers = answeredHeaders(answer.headers);
      if (filters) changeHeaders(headers, filters.responseHeaders);
      writeHead(response, answer.statusCode ?? 502, headers);
    } catch (error) {
      return this.#fail(502, error);
    }
    // The body of a stream may be a long time in coming: its head goes out before. Others save a packet.
    if (answer.headers["content-length"] === undefined && answer.statusCode !== 304 && !("stream" in response)) response.flushHeaders();
    answer.pipe(response);
  }

  #upgraded(answer: IncomingMessage, socket: Socket, head: Buffer): void {
    const { upgrade, response } = this.#forwarded;
    if (!upgrade || this.#phase === "over") {
      socket.destroy();
      return this.#fail(502, new Error("the backend changed the protocol unasked"));
    }
    this.#phase = "over";
    this.#cancelDeadlines();
    (response as ServerResponse).detachSocket(upgrade.socket); // upgrades are HTTP/1.1's
    joinTunnel({ answer, client: upgrade, backend: { socket, head }, timeoutMs: this.#forwarder.tunnelTimeoutMs });
  }

  #silent(outgoing: BackendRequest): void {
    if (this.#outgoing !== outgoing || this.#phase === "over") return;
    this.#fail(504, new Error("the backend is silent"));
  }

  #failed(outgoing: BackendRequest, endpoint: Endpoint, error: Error): void {
    if (this.#outgoing !== outgoing || this.#phase === "over") return;
    const { deps } = this.#forwarder;
    const phase = this.#phase;
    this.#timer?.cancel();
    if (phase === "connecting") {
      this.#tried.add(endpoint.key);
      deps.backends.failed(endpoint);
      deps.logger.info("An endpoint takes no connection", { endpoint: endpoint.key, error }, 2);
    }
    const isStale = phase === "sent" && outgoing.reusedSocket && !this.#hasBody && repeatable.has(this.#forwarded.request.method ?? "");
    if ((phase === "connecting" || isStale) && this.#attempts < maxAttempts) {
      deps.metrics.retries.add();
      return this.attempt();
    }
    // Without a socket: all connections that an endpoint may have are in use.
    this.#fail(phase === "waiting" ? 503 : 502, error);
  }

  #fail(status: number, error: unknown): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    const { request, response, backend } = this.#forwarded;
    this.#timer?.cancel();
    this.#cancelDeadlines();
    this.#outgoing?.destroy();
    this.#forwarder.deps.logger.info("Failed to serve a request", { backend, status, error: errorText(error) }, 2);
    request.unpipe();
    if (response.headersSent) return abort(response);
    // What is left of a body that nobody wants is not read.
    answerWith(response, status, this.#hasBody && !request.complete && !isHttp2(request) ? { connection: "close" } : {});
  }

  #cancelDeadlines(): void {
    this.#deadline?.cancel();
    this.#attemptDeadline?.cancel();
  }

  /** After the answer, or because the client went away. */
  #clientClosed(): void {
    this.#timer?.cancel();
    this.#cancelDeadlines();
    const outgoing = this.#outgoing;
    if (this.#phase === "over") return;
    this.#phase = "over";
    // A connection whose request and answer are complete is kept.
    if (outgoing && !(this.#answer?.complete && outgoing.writableFinished)) outgoing.destroy();
  }
}

/** A client that is still sending after the answer is heard out, or stopped where there is a way to say so. */
function dropRest(request: ClientRequest, response: ClientResponse): void {
  if (request.complete) return;
  request.unpipe();
  if ("stream" in response) response.stream?.close(constants.NGHTTP2_NO_ERROR);
  else request.resume();
}
