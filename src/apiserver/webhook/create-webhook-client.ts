// The client of webhooks over node:http(s): POSTs JSON over kept-alive connections of a bounded number, in HTTP/1.1 as
// upstream does. Redirects are not followed, answers longer than 3 MiB are refused, and a call ends at its deadline
// whatever the other side does. A kept connection that the server has closed meanwhile is replaced once.
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https, { type RequestOptions } from "node:https";
import type { Clock } from "../../base/clock.ts";
import { type ConnectionAgents, type Tunnel, tunnelAgents } from "../../rpc/tunnel.ts";
import type { WebhookCall, WebhookClient, WebhookTarget } from "./webhook-client.ts";
import { connectionError, postError, statusError, WebhookError } from "./webhook-error.ts";

export interface WebhookClientOptions {
  /** Open connections to one server; further calls wait. Default 64. */
  readonly maxSocketsPerHost?: number;
  /** Open connections altogether. Default 512. */
  readonly maxSockets?: number;
  /** The longest answer. Default 3 MiB. */
  readonly maxAnswerBytes?: number;
  /** Make connections to services of the cluster, and to all other servers, where they are not made directly. */
  readonly egress?: { readonly cluster?: Tunnel | undefined; readonly controlplane?: Tunnel | undefined };
}

/** Connections that are kept to one server while it is not called. */
const maxFreeSockets = 8;
/** How much of a failed call's answer goes into the message. */
const maxQuotedBytes = 2048;

export function createWebhookClient(deps: { readonly clock: Clock }, options: WebhookClientOptions = {}): WebhookClient {
  const { maxSocketsPerHost = 64, maxSockets = 512, maxAnswerBytes = 3 * 1024 * 1024 } = options;
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
    return await exchange(calling, target, body, deadline.signal);
  } finally {
    timer.cancel();
    call.signal?.removeEventListener("abort", onAbort);
  }
}

async function exchange(calling: Calling, target: WebhookTarget, body: Buffer, signal: AbortSignal): Promise<unknown> {
  const url = parseUrl(target.url);
  const send = (): Promise<unknown> => exchangeOnce(calling, { target, url, body, signal });
  try {
    return await send();
  } catch (error) {
    if (error instanceof StaleConnection) return send();
    throw error;
  }
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw postError("connection", text, "unsupported protocol scheme");
}

/** A kept connection turned out to be closed before anything was answered. */
class StaleConnection extends Error {}

interface Exchange {
  readonly target: WebhookTarget;
  readonly url: URL;
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

function exchangeOnce(calling: Calling, { target, url, body, signal }: Exchange): Promise<unknown> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const request = open(calling, target, url, body.length);
    let answered = false;
    const onAbort = (): void => {
      reject(signal.reason);
      request.destroy();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const finish = (): void => signal.removeEventListener("abort", onAbort);
    request.on("error", (error: NodeJS.ErrnoException) => {
      finish();
      const stale = request.reusedSocket && !answered && (error.code === "ECONNRESET" || error.code === "EPIPE");
      reject(stale ? new StaleConnection() : connectionError(target.url, error));
    });
    request.on("response", (response) => {
      answered = true;
      readAnswer(response, target.url, calling.maxAnswerBytes).then(resolve, reject).finally(finish);
    });
    request.end(body);
  });
}

function open({ agents }: Calling, target: WebhookTarget, url: URL, bodyBytes: number): ClientRequest {
  const { connectTo, serverName, bearerToken } = target;
  const secure = url.protocol === "https:";
  const options: RequestOptions = {
    method: "POST",
    path: `${url.pathname}${url.search}`,
    host: connectTo?.host ?? url.hostname.replace(/^\[|\]$/g, ""),
    port: connectTo?.port ?? (url.port === "" ? (secure ? 443 : 80) : Number(url.port)),
    headers: {
      host: url.host,
      "content-type": "application/json",
      "content-length": bodyBytes,
      accept: "application/json",
      "user-agent": "kube-apiserver-admission",
      ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
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

async function readAnswer(response: IncomingMessage, url: string, maxBytes: number): Promise<unknown> {
  const status = response.statusCode ?? 0;
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) throw new WebhookError("answer", `webhook response body exceeds ${maxBytes} bytes`, { httpStatus: status });
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof WebhookError) throw error;
    throw connectionError(url, error);
  }
  const bytes = Buffer.concat(chunks, length);
  if (status < 200 || status > 299)
    throw statusError(status, bytes.subarray(0, maxQuotedBytes).toString(), response.headers["retry-after"]);
  try {
    return JSON.parse(bytes.toString()) as unknown;
  } catch (error) {
    throw new WebhookError("answer", `couldn't get version/kind; json parse error: ${(error as Error).message}`, {
      httpStatus: status,
      cause: error,
    });
  }
}
