// Sends a request on to another API server, and its answer back, streaming both ways; watches and upgrades (WebSocket, SPDY) too.
// The request has been authenticated, authorized and classified before, and goes with who asks in the headers of a front proxy.
// The texts are upstream's.
import type { Clock } from "../../base/clock.ts";
import { errorText } from "../../base/log.ts";
import type { Tracer } from "../../base/tracing.ts";
import { passThrough, plainRefusal } from "../../rpc/upgrade.ts";
import { forwardedBody } from "../http/forwarded-body.ts";
import { plainText } from "../http/plain-text.ts";
import { isLongRunning } from "../http/request-info.ts";
import type { ApiRequest, ApiResponse, RequestContext } from "../request.ts";
import { connectionProblem } from "../webhook/webhook-error.ts";
import type { Address, BackendAnswer } from "./backend-request.ts";
import { answeredHeaders, forwardedHeaders } from "./forwarded-headers.ts";
import type { RequestTarget } from "./remote-server.ts";

export interface ForwarderDeps {
  readonly clock: Clock;
  /** Absent where nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

export interface ForwarderOptions {
  /** How long a whole exchange may take that is no watch, log, exec or the like. Default 60 s. */
  readonly requestTimeoutMs?: number;
  /** Whether clients are told where another server redirects them, instead of 502. Default false. */
  readonly forwardsRedirects?: boolean;
}

/** A request on its way. */
export interface Forwarded {
  readonly target: RequestTarget;
  readonly address: Address;
  readonly context: RequestContext;
  /** Headers besides those of the request, by lower-case name. */
  readonly more?: Readonly<Record<string, string>>;
}

export interface Forwarder {
  forward(forwarded: Forwarded): Promise<ApiResponse>;
  /** Ends what would not end by itself: the server is about to stop. */
  endWatches(): void;
}

/** Discovery of one group version is asked for by every client, and has to be quick. */
const discoveryTimeoutMs = 5000;
const dialTimeoutMs = 30_000;

export function createForwarder(
  { clock, tracer }: ForwarderDeps,
  { requestTimeoutMs = 60_000, forwardsRedirects = false }: ForwarderOptions = {},
): Forwarder {
  const watches = new Set<AbortController>();
  return {
    async forward(forwarded) {
      const { request, info } = forwarded.context;
      if (request.upgrade) return upgrade(forwarded);
      const isDiscovery = !info.isResourceRequest && info.path.split("/").filter((part) => part !== "").length === 3;
      const limitMs = isDiscovery ? Math.min(discoveryTimeoutMs, requestTimeoutMs) : isLongRunning(info) ? undefined : requestTimeoutMs;
      return exchange({ ...forwarded, clock, limitMs, watches, forwardsRedirects, tracer });
    },
    endWatches() {
      for (const watch of watches) watch.abort(ended);
    },
  };
}

/** Why a watch that the server ends itself is over: no failure. */
const ended = Symbol("ended");

/** A plain text with a line break, as Go's http.Error writes it. */
export const failure = (status: number, text: string): ApiResponse => plainText(status, `${text}\n`);

function headersFor({ request, user, auditId }: RequestContext, { host, port }: Address): ReturnType<typeof forwardedHeaders> {
  const { path, remoteAddress, headers } = request;
  const authority = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return forwardedHeaders(headers, { user, host: authority, path, remoteAddress, auditId });
}

function pathWithQuery({ path, query }: ApiRequest): string {
  return query.size > 0 ? `${path}?${query.toString()}` : path;
}

interface Exchange extends Forwarded {
  readonly clock: Clock;
  /** Undefined for what is long-running. */
  readonly limitMs: number | undefined;
  /** What is long-running now. */
  readonly watches: Set<AbortController>;
  readonly forwardsRedirects: boolean;
  readonly tracer: Tracer | undefined;
}

async function exchange({
  target,
  context,
  address,
  more,
  clock,
  limitMs,
  watches,
  forwardsRedirects,
  tracer,
}: Exchange): Promise<ApiResponse> {
  const { request } = context;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(request.signal.reason);
  const timer = limitMs === undefined ? undefined : clock.after(limitMs, () => stop.abort(new Error("context deadline exceeded")));
  request.signal.addEventListener("abort", onAbort, { once: true });
  if (request.signal.aborted) onAbort();
  if (limitMs === undefined) watches.add(stop);
  const finish = (): void => {
    timer?.cancel();
    watches.delete(stop);
    request.signal.removeEventListener("abort", onAbort);
  };
  try {
    const { body, headers } = forwardedBody(request);
    const outgoing = { method: request.method, path: pathWithQuery(request), signal: stop.signal, ...(body ? { body } : {}) };
    const send = (traceparent?: string): Promise<BackendAnswer> => {
      const told = traceparent === undefined ? {} : { traceparent };
      return target.send({ ...outgoing, headers: { ...headersFor(context, address), ...headers, ...more, ...told } }, address);
    };
    const attributes = { "http.request.method": request.method, "url.path": request.path };
    const response = await (tracer
      ? tracer.within(`HTTP ${request.method}`, { kind: "client", attributes }, () => send(tracer.traceparent()))
      : send());
    return isRedirect(response) && !forwardsRedirects ? redirectRefused(response, finish) : answerWith(response, stop, finish);
  } catch (error) {
    finish();
    const why = stop.signal.aborted ? errorText(stop.signal.reason) : connectionProblem(error).why;
    return failure(503, `error trying to reach service: ${why}`);
  }
}

const isRedirect = ({ statusCode = 0, headers }: BackendAnswer): boolean => statusCode >= 300 && statusCode <= 399 && !!headers.location;

function redirectRefused(response: BackendAnswer, finish: () => void): ApiResponse {
  finish();
  response.destroy();
  return failure(502, "the backend attempted to redirect this request, which is not permitted");
}

function answerWith(response: BackendAnswer, stop: AbortController, finish: () => void): ApiResponse {
  return {
    kind: "stream",
    status: response.statusCode ?? 502,
    contentType: response.headers["content-type"] ?? "",
    chunks: chunksOf(response, stop, finish),
    asIs: true,
    headers: answeredHeaders(response.headers),
  };
}

async function* chunksOf(response: BackendAnswer, { signal }: AbortController, finish: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* response;
  } catch (error) {
    if (signal.reason !== ended) throw signal.aborted ? signal.reason : error;
  } finally {
    finish();
  }
}

function upgrade({ target, context, address, more }: Forwarded): ApiResponse {
  const { request } = context;
  const { connection = "Upgrade", upgrade: protocol = "" } = request.headers;
  const headers: Record<string, string | readonly string[]> = { connection, upgrade: protocol };
  for (const [name, value] of Object.entries(headersFor(context, address)))
    if (value !== undefined) headers[name] = Array.isArray(value) ? value : String(value);
  // The names of protocols are told apart by their lines.
  const protocols = request.headerLines("x-stream-protocol-version");
  if (protocols.length > 0) headers["x-stream-protocol-version"] = protocols;
  Object.assign(headers, more);
  const url = new URL(`https://${headers.host}${pathWithQuery(request)}`);
  const options = {
    method: request.method,
    headers,
    tls: target.tls,
    agents: target.agents,
    timeoutMs: dialTimeoutMs,
    refusal: plainRefusal(503),
  };
  return { kind: "upgrade", serve: (client) => void passThrough(client, url, options) };
}
