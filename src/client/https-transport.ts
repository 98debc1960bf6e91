// The transport over HTTPS (and plain HTTP for tests): kept-alive connections in a bounded pool, a deadline on every call,
// watches as streams with back-pressure, and client-go's retry: answers of 429 and 503 that carry Retry-After are tried
// again, a bounded number of times, for calls that may be repeated. The server's certificate is always verified unless the
// kubeconfig says otherwise.
import http from "node:http";
import https from "node:https";
import { type Clock, realClock } from "../base/clock.ts";
import { type ClientCredentials, type PresentedCredentials, presentCredentials } from "./client-credentials.ts";
import { statusErrorOf } from "./create-client.ts";
import type { RawWatchEvent, Transport, TransportRequest, TransportResponse } from "./transport.ts";
import { readWatchEvents } from "./watch-lines.ts";

export interface HttpsTransportOptions {
  /** "https://10.0.0.1:6443". */
  readonly server: string;
  /** Certificates that may have signed the server's; default those Node trusts. */
  readonly caPem?: string;
  /** Name the server's certificate must be for, where it is not the server's host. */
  readonly serverName?: string;
  /** Accepts any server certificate. Default false. */
  readonly insecureSkipVerify?: boolean;
  readonly credentials?: ClientCredentials;
  readonly impersonate?: { readonly user: string; readonly groups?: readonly string[]; readonly uid?: string };
  /** Default "coracle". */
  readonly userAgent?: string;
  /** Of a call that does not say. Default 30 s. */
  readonly timeoutMs?: number;
  /** Connections for calls at a time; further calls wait. Default 32. */
  readonly maxConnections?: number;
  /** The largest answer and the largest watch event. Default 256 MiB. */
  readonly maxAnswerBytes?: number;
  /** Called with the texts of Warning headers. */
  readonly onWarning?: (text: string) => void;
  readonly clock?: Clock;
}

const maxRetries = 10;
const maxRetryAfterMs = 30_000;
/** A watch that is silent for so long beyond the time the server may keep it open is dead. */
const watchGraceMs = 30_000;

interface Connection {
  readonly options: HttpsTransportOptions;
  readonly base: URL;
  readonly clock: Clock;
  readonly credentials: () => Promise<PresentedCredentials>;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
}

export function createHttpsTransport(options: HttpsTransportOptions): Transport {
  const clock = options.clock ?? realClock;
  const base = new URL(options.server);
  if (base.protocol !== "https:" && base.protocol !== "http:") throw new Error(`server ${options.server}: expected an https:// URL`);
  const connection: Connection = {
    options,
    base,
    clock,
    credentials: presentCredentials(options.credentials ?? { kind: "none" }, clock),
    timeoutMs: options.timeoutMs ?? 30_000,
    maxAnswerBytes: options.maxAnswerBytes ?? 256 * 2 ** 20,
  };
  const Agent = base.protocol === "https:" ? https.Agent : http.Agent;
  // Watches hold their connection for minutes: they have a pool of their own, so that calls never wait for them.
  const callAgent = new Agent({ keepAlive: true, maxSockets: options.maxConnections ?? 32, maxFreeSockets: 8, scheduling: "lifo" });
  const watchAgent = new Agent({ keepAlive: true, keepAliveMsecs: 30_000, maxSockets: 512 });

  return {
    async request(request) {
      const deadline = startDeadline(connection, request);
      try {
        return await requestWithRetries(connection, callAgent, request, deadline.signal);
      } catch (error) {
        throw explain(error, connection, request, deadline.signal);
      } finally {
        deadline.clear();
      }
    },
    async watch(request) {
      const deadline = startDeadline(connection, request);
      try {
        const response = await send(connection, watchAgent, request, deadline.signal);
        if (response.statusCode !== 200) {
          const answer = await readAnswer(connection, response);
          throw statusErrorOf(answer.status, answer.body, `watch ${request.path}`);
        }
        deadline.clear();
        return watchBatches(connection, request, response);
      } catch (error) {
        throw explain(error, connection, request, deadline.signal);
      } finally {
        deadline.clear();
      }
    },
    async close() {
      callAgent.destroy();
      watchAgent.destroy();
    },
  };
}

class DeadlineError extends Error {}

/** A signal that aborts with the caller's, or when the deadline passes. */
function startDeadline(connection: Connection, request: TransportRequest): { readonly signal: AbortSignal; clear(): void } {
  const timeoutMs = request.timeoutMs ?? connection.timeoutMs;
  const controller = new AbortController();
  const timer = connection.clock.after(timeoutMs, () => controller.abort(new DeadlineError(`no answer within ${timeoutMs} ms`)));
  const onAbort = (): void => controller.abort(request.signal?.reason);
  if (request.signal?.aborted) onAbort();
  request.signal?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    clear() {
      timer.cancel();
      request.signal?.removeEventListener("abort", onAbort);
    },
  };
}

/** The caller's own abort is passed on as it is; everything else says what was being asked. */
function explain(error: unknown, connection: Connection, request: TransportRequest, signal: AbortSignal): unknown {
  if (request.signal?.aborted) return request.signal.reason;
  const cause = signal.aborted ? signal.reason : error;
  if (cause instanceof Error && cause.name === "StatusError") return cause;
  return new Error(`${request.method} ${connection.base.origin}${request.path}`, { cause });
}

async function requestWithRetries(
  connection: Connection,
  agent: http.Agent,
  request: TransportRequest,
  signal: AbortSignal,
): Promise<TransportResponse> {
  const repeatable = request.method !== "POST" && request.method !== "PATCH";
  for (let attempt = 0; ; attempt++) {
    let response: http.IncomingMessage;
    try {
      response = await send(connection, agent, request, signal);
    } catch (error) {
      // A kept-alive connection may be closed by the server just as it is used.
      if (request.method === "GET" && attempt === 0 && error instanceof StaleConnectionError) continue;
      throw error;
    }
    const answer = await readAnswer(connection, response);
    for (const warning of answer.warnings) connection.options.onWarning?.(warning);
    const waitMs = retryAfterMs(response);
    if (waitMs === undefined || !repeatable || attempt >= maxRetries) return answer;
    await connection.clock.sleep(waitMs, signal);
  }
}

/** How long the server asks to wait before the same call is made again; undefined when it does not ask. */
function retryAfterMs(response: http.IncomingMessage): number | undefined {
  if (response.statusCode !== 429 && response.statusCode !== 503) return undefined;
  const seconds = Number(response.headers["retry-after"]);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1000, maxRetryAfterMs) : undefined;
}

class StaleConnectionError extends Error {}

async function send(
  connection: Connection,
  agent: http.Agent,
  request: TransportRequest,
  signal: AbortSignal,
): Promise<http.IncomingMessage> {
  const { authorization, cert, key } = await connection.credentials();
  signal.throwIfAborted();
  const { options, base } = connection;
  const body = request.body === undefined ? undefined : Buffer.from(JSON.stringify(request.body));
  const requestOptions: https.RequestOptions = {
    method: request.method,
    host: base.hostname.replace(/^\[|\]$/g, ""),
    port: base.port || (base.protocol === "https:" ? 443 : 80),
    path: base.pathname.replace(/\/$/, "") + request.path + queryText(request.query),
    headers: headersOf(connection, request, authorization, body),
    agent,
    signal,
    ...(options.caPem === undefined ? {} : { ca: options.caPem }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(options.serverName === undefined ? {} : { servername: options.serverName }),
    ...(options.insecureSkipVerify ? { rejectUnauthorized: false } : {}),
  };
  return new Promise((resolve, reject) => {
    const outgoing = (base.protocol === "https:" ? https : http).request(requestOptions);
    outgoing.on("response", resolve);
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const stale = outgoing.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(stale ? new StaleConnectionError(error.message, { cause: error }) : error);
    });
    outgoing.end(body);
  });
}

function headersOf(
  { options }: Connection,
  request: TransportRequest,
  authorization: string | undefined,
  body: Buffer | undefined,
): http.OutgoingHttpHeaders {
  const headers: http.OutgoingHttpHeaders = {
    accept: request.accept ?? "application/json",
    "user-agent": options.userAgent ?? "coracle",
  };
  if (authorization !== undefined) headers.authorization = authorization;
  if (body !== undefined) {
    headers["content-type"] = request.contentType ?? "application/json";
    headers["content-length"] = body.length;
  }
  if (options.impersonate) {
    headers["impersonate-user"] = options.impersonate.user;
    if (options.impersonate.uid !== undefined) headers["impersonate-uid"] = options.impersonate.uid;
    if (options.impersonate.groups?.length) headers["impersonate-group"] = [...options.impersonate.groups];
  }
  return headers;
}

function queryText(query: TransportRequest["query"]): string {
  const search = new URLSearchParams();
  for (const name in query) {
    const value = query[name];
    if (value !== undefined && value !== "") search.append(name, value);
  }
  const text = search.toString();
  return text === "" ? "" : `?${text}`;
}

async function readAnswer(connection: Connection, response: http.IncomingMessage): Promise<TransportResponse> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > connection.maxAnswerBytes) {
      response.destroy();
      throw new Error(`the answer is larger than ${connection.maxAnswerBytes} bytes`);
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString("utf8");
  const isJson = /^application\/(.*\+)?json\b/.test(response.headers["content-type"] ?? "");
  return { status: response.statusCode ?? 0, body: isJson ? JSON.parse(text) : text, warnings: warningsOf(response) };
}

/** The texts of Warning headers of code 299. */
function warningsOf(response: http.IncomingMessage): readonly string[] {
  const lines = response.headersDistinct.warning ?? [];
  return lines.flatMap((line) =>
    [...line.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map((match) => (match[1] ?? "").replace(/\\(.)/g, "$1")),
  );
}

async function* watchBatches(
  connection: Connection,
  request: TransportRequest,
  response: http.IncomingMessage,
): AsyncGenerator<readonly RawWatchEvent[]> {
  const what = `watch ${connection.base.origin}${request.path}`;
  const onAbort = (): void => void response.destroy();
  request.signal?.addEventListener("abort", onAbort, { once: true });
  if (request.signal?.aborted) onAbort();
  const serverSeconds = Number(request.query?.timeoutSeconds);
  // Network equipment may drop a connection without a word: past the server's own time limit nothing will come any more.
  const lifetime =
    serverSeconds > 0
      ? connection.clock.after(
          serverSeconds * 1000 + watchGraceMs,
          () => void response.destroy(new Error(`${what}: the server went silent`)),
        )
      : undefined;
  try {
    yield* readWatchEvents(response, { maxLineBytes: connection.maxAnswerBytes, what });
  } catch (error) {
    if (request.signal?.aborted) return;
    throw error;
  } finally {
    lifetime?.cancel();
    request.signal?.removeEventListener("abort", onAbort);
    response.destroy();
  }
}
