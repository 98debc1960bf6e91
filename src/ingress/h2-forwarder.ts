// Sends requests on to pods that speak HTTP/2 without TLS: gRPC, and services whose port says kubernetes.io/h2c. One connection to each
// endpoint carries many requests; bodies flow in both directions at once, and what follows them, where gRPC says how a call has
// ended, is passed on. A request goes to another endpoint when there is no connection to the first, or when that one says that it
// has not looked at it.
import type { IncomingHttpHeaders as Http1Headers } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type IncomingHttpHeaders } from "node:http2";
import type { Timer } from "../base/clock.ts";
import { errorText } from "../base/log.ts";
import { abort, answerWith, writeHead } from "./answer.ts";
import { hasBody } from "./client-request.ts";
import { changeHeaders, rewrittenPath } from "./filters.ts";
import { answeredHeaders, forwardedHeaders } from "./forwarded-headers.ts";
import type { Forwarded, ForwarderDeps } from "./forwarder.ts";
import type { Endpoint } from "./ready-endpoints.ts";

export interface H2ForwarderOptions {
  readonly connectTimeoutMs: number;
  /** How long a request may be silent in both directions. */
  readonly backendTimeoutMs: number;
}

const maxAttempts = 3;
/** Of a connection that nothing is asked of. */
const idleMs = 60_000;
const sessionMegabytes = 32;
const refused: ReadonlySet<number> = new Set([constants.NGHTTP2_REFUSED_STREAM]);

export class H2Forwarder {
  readonly deps: ForwarderDeps;
  readonly options: H2ForwarderOptions;
  /** By endpoint: bounded by the endpoints there are, since one that is idle is closed. */
  readonly #sessions = new Map<string, ClientHttp2Session>();

  constructor(deps: ForwarderDeps, options: H2ForwarderOptions) {
    this.deps = deps;
    this.options = options;
  }

  forward(forwarded: Forwarded): void {
    new H2Exchange(this, forwarded).attempt();
  }

  close(): void {
    for (const session of this.#sessions.values()) session.destroy();
    this.#sessions.clear();
  }

  session({ key }: Endpoint): ClientHttp2Session {
    const known = this.#sessions.get(key);
    if (known && !known.closed && !known.destroyed) return known;
    const session = connect(`http://${key}`, { maxSessionMemory: sessionMegabytes });
    this.#sessions.set(key, session);
    // Every request that waits for the connection listens: many are no leak.
    session.setMaxListeners(0);
    const forget = (): void => {
      if (this.#sessions.get(key) === session) this.#sessions.delete(key);
    };
    // Its streams hear of it too, and say so to their clients.
    session.on("error", forget);
    session.on("goaway", forget);
    session.on("close", forget);
    session.setTimeout(idleMs, () => session.close());
    session.unref();
    return session;
  }
}

class H2Exchange {
  readonly #forwarder: H2Forwarder;
  readonly #forwarded: Forwarded;
  readonly #hasBody: boolean;
  readonly #tried = new Set<string>();
  readonly #timers: Timer[] = [];
  #stream: ClientHttp2Stream | undefined;
  #attempts = 0;
  #isBodyTouched = false;
  #isAnswered = false;
  #isOver = false;

  constructor(forwarder: H2Forwarder, forwarded: Forwarded) {
    this.#forwarder = forwarder;
    this.#forwarded = forwarded;
    const { request, response, filters } = forwarded;
    this.#hasBody = hasBody(request);
    const gone = (): void => this.#clientGone();
    response.once("close", gone);
    response.on("error", gone);
    request.on("error", gone);
    this.#limit(filters?.requestTimeoutMs);
  }

  attempt(): void {
    const { backend, request, asked, entrance, filters } = this.#forwarded;
    const { deps, options } = this.#forwarder;
    const endpoint = deps.backends.pick(backend, this.#tried);
    if (!endpoint) return this.#fail(this.#tried.size > 0 ? 502 : 503, new Error("no endpoint is ready"));
    this.#attempts++;
    this.#tried.add(endpoint.key);
    const given = forwardedHeaders(request, asked, entrance);
    if (filters?.rewrite?.hostname !== undefined) given.host = filters.rewrite.hostname;
    if (filters) changeHeaders(given, filters.requestHeaders);
    const { host, "transfer-encoding": _framing, te: _te, ...headers } = given;
    // What of the client's connection gRPC asks for, on this one.
    if (isGrpc(request.headers)) headers.te = "trailers";
    let stream: ClientHttp2Stream;
    try {
      const session = this.#forwarder.session(endpoint);
      const path = rewrittenPath(asked, filters?.rewrite?.path);
      const pseudo = { ":method": request.method ?? "GET", ":path": path, ":authority": String(host), ":scheme": "http" };
      stream = session.request({ ...pseudo, ...headers }, { endStream: !this.#hasBody });
      const wait = session.connecting
        ? deps.clock.after(options.connectTimeoutMs, () => session.destroy(new Error("no connection in time")))
        : undefined;
      const connected = (): void => {
        wait?.cancel();
        if (this.#stream === stream) this.#send(stream);
      };
      if (session.connecting) session.once("connect", connected);
      else connected();
      stream.once("close", () => wait?.cancel());
      this.#follow(stream, endpoint);
      if (!session.connecting) this.#send(stream);
    } catch (error) {
      return this.#fail(400, error); // characters that may not be sent on
    }
  }

  #follow(stream: ClientHttp2Stream, endpoint: Endpoint): void {
    this.#stream = stream;
    this.#limit(this.#forwarded.filters?.backendTimeoutMs);
    const { backendTimeoutMs } = this.#forwarder.options;
    stream.setTimeout(backendTimeoutMs, () => this.#fail(504, new Error(`silent for ${backendTimeoutMs} ms`)));
    stream.on("response", (headers, flags) => this.#answered(stream, headers, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0));
    stream.on("error", (error) => this.#failed(stream, endpoint, error));
    stream.once("close", () => {
      // It may end without an answer and without an error, when its connection does.
      if (!this.#isOver && this.#stream === stream && !this.#isAnswered)
        this.#failed(stream, endpoint, new Error("the connection has ended"));
    });
  }

  /** The body is touched when there is a connection, and not before. */
  #send(stream: ClientHttp2Stream): void {
    if (!this.#hasBody || this.#isBodyTouched || this.#isOver) return;
    this.#isBodyTouched = true;
    const { request, maxBodyBytes } = this.#forwarded;
    let bytes = 0;
    if (maxBodyBytes > 0)
      request.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBodyBytes) this.#fail(413, new Error("the request's body is too large"));
      });
    request.pipe(stream);
  }

  #answered(stream: ClientHttp2Stream, headers: IncomingHttpHeaders, isAll: boolean): void {
    if (this.#isOver || this.#stream !== stream) return stream.close();
    const { response, filters } = this.#forwarded;
    this.#isAnswered = true;
    const { ":status": status = 502, ...rest } = headers;
    try {
      const passed = answeredHeaders(rest as Http1Headers);
      if (filters) changeHeaders(passed, filters.responseHeaders);
      // A call that has failed at once is said so in the head, which has to be the answer's end: else it would count as broken off.
      if (isAll && "stream" in response) return response.stream.respond({ ":status": Number(status), ...passed }, { endStream: true });
      writeHead(response, Number(status), passed);
      // The head of a stream goes out before its first message, which may be a long time in coming.
      if (!("stream" in response)) response.flushHeaders();
    } catch (error) {
      return this.#fail(502, error);
    }
    // They come before the end of the answer's body.
    stream.once("trailers", (trailers: IncomingHttpHeaders) => response.addTrailers(trailers));
    stream.pipe(response as NodeJS.WritableStream, { end: false });
    stream.once("end", () => response.end());
  }

  #limit(timeoutMs: number | undefined): void {
    if (timeoutMs === undefined) return;
    this.#timers.push(this.#forwarder.deps.clock.after(timeoutMs, () => this.#fail(504, new Error(`no answer in ${timeoutMs} ms`))));
  }

  #failed(stream: ClientHttp2Stream, endpoint: Endpoint, error: Error): void {
    if (this.#isOver || this.#stream !== stream) return;
    const { deps } = this.#forwarder;
    if (this.#isAnswered) return this.#fail(502, error);
    const isUntouched = !this.#isBodyTouched && (stream.pending || refused.has(stream.rstCode ?? 0) || isNoConnection(error));
    if (isNoConnection(error)) deps.backends.failed(endpoint);
    if (isUntouched && this.#attempts < maxAttempts) {
      deps.metrics.retries.add();
      return this.attempt();
    }
    this.#fail(502, error);
  }

  #fail(status: number, error: unknown): void {
    if (this.#isOver) return;
    const { request, response, backend } = this.#forwarded;
    this.#forwarder.deps.logger.info("Failed to serve a request", { backend, status, error: errorText(error) }, 2);
    this.#end();
    request.unpipe();
    if (response.headersSent) return abort(response);
    answerWith(response, status);
  }

  #clientGone(): void {
    if (!this.#isOver) this.#end();
  }

  #end(): void {
    this.#isOver = true;
    for (const timer of this.#timers) timer.cancel();
    const stream = this.#stream;
    if (stream && !stream.closed)
      stream.close(this.#isAnswered && stream.readableEnded ? constants.NGHTTP2_NO_ERROR : constants.NGHTTP2_CANCEL);
  }
}

const isGrpc = (headers: { readonly "content-type"?: string | undefined }): boolean =>
  headers["content-type"]?.startsWith("application/grpc") ?? false;

const isNoConnection = (error: Error): boolean =>
  "syscall" in error ||
  ["ECONNREFUSED", "EHOSTUNREACH", "ETIMEDOUT"].includes((error as NodeJS.ErrnoException).code ?? "") ||
  /no connection in time/.test(error.message);
