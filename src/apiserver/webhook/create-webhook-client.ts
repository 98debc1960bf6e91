// The client of webhooks over node:http(s): POSTs JSON over kept-alive connections of a bounded number, in HTTP/1.1 as
// upstream does. Redirects are followed and servers that say when to come back are asked again, answers longer than 16 MiB are
// refused, and a call ends at its deadline whatever the other side does. A kept connection that the server has closed meanwhile
// is replaced once.
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https, { type RequestOptions } from "node:https";
import { TLSSocket } from "node:tls";
import { urlProblem } from "../../api/meta/url-problem.ts";
import type { Clock } from "../../base/clock.ts";
import { type ConnectionAgents, type Tunnel, tunnelAgents } from "../../rpc/tunnel.ts";
import { httpBodyProblem } from "./http-parse-problem.ts";
import { bodyError, emptyAnswer, readAnswer } from "./read-answer.ts";
import type { WebhookCall, WebhookClient, WebhookTarget } from "./webhook-client.ts";
import { connectionError, postError, type SeenConnection, WebhookError } from "./webhook-error.ts";

export interface WebhookClientOptions {
  /** Open connections to one server; further calls wait. Default 64. */
  readonly maxSocketsPerHost?: number;
  /** Open connections altogether. Default 512. */
  readonly maxSockets?: number;
  /** The longest answer. Default 16 MiB: a patch may hold the largest object in base64. */
  readonly maxAnswerBytes?: number;
  /** Make connections to services of the cluster, and to all other servers, where they are not made directly. */
  readonly egress?: { readonly cluster?: Tunnel | undefined; readonly controlplane?: Tunnel | undefined };
}

/** Connections that are kept to one server while it is not called. */
const maxFreeSockets = 8;
const maxRedirects = 10;
const maxHeaderBytes = 1024 * 1024;
/** Calls after the first of a server that says when to come back. */
const maxRetries = 10;

export function createWebhookClient(deps: { readonly clock: Clock }, options: WebhookClientOptions = {}): WebhookClient {
  const { maxSocketsPerHost = 64, maxSockets = 512, maxAnswerBytes = 16 * 1024 * 1024 } = options;
  const limits = { keepAlive: true, maxSockets: maxSocketsPerHost, maxTotalSockets: maxSockets, maxFreeSockets };
  const direct = (): ConnectionAgents => ({ https: new https.Agent(limits), http: new http.Agent(limits) });
  const { cluster, controlplane } = options.egress ?? {};
  const toServices = cluster ? tunnelAgents(cluster, limits) : direct();
  const toUrls = controlplane ? tunnelAgents(controlplane, limits) : cluster ? direct() : toServices;
  return {
    post: (target, call) => post({ ...deps, agents: target.connectTo ? toServices : toUrls, maxAnswerBytes }, target, call),
    stop: async () => {
      for (const agent of new Set([toServices.https, toServices.http, toUrls.https, toUrls.http])) agent.destroy();
    },
  };
}

interface Calling {
  readonly clock: Clock;
  readonly agents: ConnectionAgents;
  readonly maxAnswerBytes: number;
}

async function post(calling: Calling, target: WebhookTarget, call: WebhookCall): Promise<unknown> {
  call.signal?.throwIfAborted();
  const body = Buffer.from(JSON.stringify(call.body));
  const deadline = new AbortController();
  const expired = postError("timeout", target.url, "context deadline exceeded");
  const timer = calling.clock.after(call.timeoutMs, () => deadline.abort(expired));
  const onAbort = (): void => deadline.abort(postError("timeout", target.url, "context canceled", call.signal?.reason));
  call.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await persevere(calling, target, { body, traceparent: call.traceparent }, deadline.signal);
  } finally {
    timer.cancel();
    call.signal?.removeEventListener("abort", onAbort);
  }
}

interface Sent {
  readonly body: Buffer;
  readonly traceparent: string | undefined;
}

/** Comes back when a busy server has said to, as long as there is time. */
async function persevere(calling: Calling, target: WebhookTarget, sent: Sent, signal: AbortSignal): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await follow(calling, target, sent, signal);
    } catch (error) {
      const { httpStatus = 0, retryAfterSeconds } = error instanceof WebhookError ? error : {};
      const isBusy = retryAfterSeconds !== undefined && (httpStatus === 429 || httpStatus >= 500);
      if (!isBusy || attempt === maxRetries) throw error;
      await calling.clock.sleep(retryAfterSeconds * 1000, signal);
    }
  }
}

/** The answer of the last of the servers that each send on to the next. */
async function follow(calling: Calling, target: WebhookTarget, sent: Sent, signal: AbortSignal): Promise<unknown> {
  let exchange: Exchange = { target, url: parseUrl(target.url), method: "POST", ...sent, signal };
  for (let redirects = 0; ; redirects++) {
    const answer = await orAnew(calling, exchange);
    if (!(answer instanceof Redirect)) return answer;
    if (redirects + 1 === maxRedirects) throw postError("connection", answer.location, `stopped after ${maxRedirects} redirects`);
    exchange = redirected(exchange, answer);
  }
}

/** Who is asked next, and what: a server elsewhere is told nothing of who asks. */
function redirected({ target, url, body, method, signal, traceparent }: Exchange, { url: next, keepsBody }: Redirect): Exchange {
  const to = parseUrl(next);
  const { connectTo, serverName: _, bearerToken, ...rest } = target;
  const isHere = to.host === url.host;
  const same = isHere ? target : { ...rest, ...(to.hostname === url.hostname && bearerToken ? { bearerToken } : {}) };
  return {
    target: { ...same, url: next, ...(isHere && connectTo ? { connectTo } : {}) },
    url: to,
    signal,
    traceparent,
    ...(keepsBody ? { method, body } : { method: "GET", body: undefined }),
  };
}

async function orAnew(calling: Calling, exchange: Exchange): Promise<unknown> {
  try {
    return await exchangeOnce(calling, exchange);
  } catch (error) {
    if (!(error instanceof StaleConnection)) throw error;
  }
  try {
    return await exchangeOnce(calling, exchange);
  } catch (error) {
    // Another one that was kept: the server closes instead of answering.
    throw error instanceof StaleConnection ? error.cause : error;
  }
}

/** An answer that sends on. */
class Redirect {
  /** As the answer has it. */
  readonly location: string;
  readonly url: string;
  readonly keepsBody: boolean;

  constructor({ location, url, keepsBody }: Pick<Redirect, "location" | "url" | "keepsBody">) {
    this.location = location;
    this.url = url;
    this.keepsBody = keepsBody;
  }
}

/** Throws WebhookError for one that leads nowhere. */
function redirectOf({ statusCode = 0, headers: { location } }: IncomingMessage, { url: from, target }: Exchange): Redirect | undefined {
  if (location === undefined || ![301, 302, 303, 307, 308].includes(statusCode)) return undefined;
  if (URL.canParse(location, from.href))
    return new Redirect({ location, url: new URL(location, from.href).href, keepsBody: statusCode >= 307 });
  const why = urlProblem(location) ?? `parse ${JSON.stringify(location)}: invalid URL`;
  throw postError("connection", target.url, `failed to parse Location header ${JSON.stringify(location)}: ${why}`);
}

const highestPort = 65_535;

function parseUrl(text: string): URL {
  const port = /^https?:\/\/[^/?#]*:(\d+)(?:[/?#]|$)/i.exec(text)?.[1];
  if (port !== undefined && Number(port) > highestPort) throw postError("connection", text, `dial tcp: address ${port}: invalid port`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") {
    // Node would take it for no port at all.
    if (url.port !== "0") return url;
    throw postError("connection", text, `dial tcp ${url.host}: connect: connection refused`);
  }
  throw postError("connection", text, `unsupported protocol scheme ${JSON.stringify(url?.protocol.slice(0, -1) ?? "")}`);
}

/** A kept connection turned out to be closed before anything was answered. */
class StaleConnection extends Error {
  constructor(cause: WebhookError) {
    super("the connection was closed", { cause });
  }
}

interface Exchange {
  readonly target: WebhookTarget;
  readonly url: URL;
  readonly method: "POST" | "GET";
  readonly body: Buffer | undefined;
  readonly traceparent: string | undefined;
  readonly signal: AbortSignal;
}

function exchangeOnce(calling: Calling, exchange: Exchange): Promise<unknown> {
  const { target, url, body, signal } = exchange;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = open(calling, exchange);
    const seen = seenOf(request, { host: target.serverName ?? url.hostname.replace(/^\[|\]$/g, ""), nowMs: calling.clock.now() });
    let answered = false;
    const onAbort = (): void => {
      reject(answered ? unfinished(signal.reason) : signal.reason);
      request.destroy();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const finish = (): void => signal.removeEventListener("abort", onAbort);
    request.on("error", (error: NodeJS.ErrnoException) => {
      finish();
      const stale = request.reusedSocket && !answered && (error.code === "ECONNRESET" || error.code === "EPIPE");
      const problem = answered ? bodyError("connection", httpBodyProblem(error), error) : connectionError(target.url, error, seen);
      reject(stale ? new StaleConnection(problem) : problem);
    });
    const onAnswer = (response: IncomingMessage): void => {
      answered = true;
      let redirect: Redirect | undefined;
      try {
        redirect = redirectOf(response, exchange);
      } catch (error) {
        response.resume();
        finish();
        return reject(error);
      }
      if (redirect) {
        response.resume();
        finish();
        return resolve(redirect);
      }
      readAnswer(response, calling.maxAnswerBytes).then(resolve, reject).finally(finish);
    };
    request.on("response", onAnswer);
    // Nobody has asked for another protocol.
    request.on("upgrade", (response, socket) => {
      finish();
      socket.destroy();
      reject(emptyAnswer(response));
    });
    request.end(body);
  });
}

/** The deadline has come, or nobody waits any longer, while the answer was being read. */
function unfinished(reason: unknown): WebhookError {
  const isCanceled = reason instanceof WebhookError && reason.message.endsWith("context canceled");
  return bodyError("timeout", isCanceled ? "context canceled" : "context deadline exceeded", reason);
}

/** Fills in what can be seen of the connection only while there is one. */
function seenOf(request: ClientRequest, about: Pick<SeenConnection, "host" | "nowMs">): SeenConnection {
  const seen: SeenConnection = { ...about };
  const at = (address = "", port = 0): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
  request.on("socket", (socket) => {
    const onConnect = (): void => {
      seen.ends = `${at(socket.localAddress, socket.localPort)}->${at(socket.remoteAddress, socket.remotePort)}`;
    };
    if (socket.connecting) socket.once("connect", onConnect);
    else onConnect();
    if (!(socket instanceof TLSSocket) || request.reusedSocket) return;
    // Before the certificate is judged, and the connection closed if it is found wanting.
    socket.prependOnceListener("secure", () => {
      seen.certificate = socket.getPeerCertificate();
    });
  });
  return seen;
}

function open({ agents }: Calling, { target, url, method, body, traceparent }: Exchange): ClientRequest {
  const { connectTo, serverName, bearerToken } = target;
  const secure = url.protocol === "https:";
  const options: RequestOptions = {
    method,
    path: `${url.pathname}${url.search}`,
    maxHeaderSize: maxHeaderBytes,
    host: connectTo?.host ?? url.hostname.replace(/^\[|\]$/g, ""),
    port: connectTo?.port ?? (url.port === "" ? (secure ? 443 : 80) : Number(url.port)),
    headers: {
      host: url.host,
      ...(body ? { "content-type": "application/json", "content-length": body.length } : {}),
      accept: "application/json, */*",
      "accept-encoding": "gzip",
      "user-agent": "kube-apiserver-admission",
      ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  };
  if (!secure) return http.request({ ...options, agent: agents.http });
  const named = serverName ?? (connectTo ? url.hostname : undefined);
  return https.request({
    ...options,
    agent: agents.https,
    ...(target.caPem ? { ca: target.caPem } : {}),
    ...(named === undefined ? {} : { servername: named }),
    ...(target.clientCertificatePem ? { cert: target.clientCertificatePem, key: target.clientKeyPem } : {}),
    ...(target.insecureSkipVerify ? { rejectUnauthorized: false } : {}),
  });
}
