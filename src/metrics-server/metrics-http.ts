// The HTTPS server of the metrics API. It answers the front proxy alone (front-proxy-trust.ts); until the cluster has said who
// that is, nobody.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { TLSSocket } from "node:tls";
import { internalError, isStatus, unauthorized } from "../api/meta/status-error.ts";
import type { Running } from "../base/lifecycle.ts";
import { listen } from "../base/listen.ts";
import type { Logger } from "../base/log.ts";
import { closing } from "../base/server-connections.ts";
import { type FrontProxy, isFrontProxy } from "./front-proxy-trust.ts";
import type { MetricsAnswer, MetricsRequest } from "./metrics-api.ts";

export interface MetricsServing {
  readonly address: string;
  /** 0 takes any that is free. */
  readonly port: number;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface MetricsHttpServer extends Running {
  readonly port: number;
  trust(proxy: FrontProxy): void;
}

const maxConnections = 256;
const requestTimeoutMs = 30_000;
/** Longer than the aggregator keeps idle connections, so that it is the one to close them. */
const keepAliveMs = 90_000;

export async function startMetricsHttp(
  answer: (request: MetricsRequest) => Promise<MetricsAnswer>,
  serving: MetricsServing,
  logger: Logger,
): Promise<MetricsHttpServer> {
  const { cert, key, address, port } = serving;
  const tls = { cert, key, minVersion: "TLSv1.2" as const };
  const server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false });
  server.maxConnections = maxConnections;
  server.requestTimeout = requestTimeoutMs;
  server.keepAliveTimeout = keepAliveMs;
  const close = closing(server);
  let proxy: FrontProxy | undefined;
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    serve(answer, proxy, request, response).catch((error: unknown) => {
      logger.warn("Answering a request for metrics failed", { error });
      response.destroy();
    });
  });
  const failed = (error: Error): void => logger.error("The metrics server's listener failed", { error });
  const bound = await listen(server, { port, host: address }, failed).catch((cause: unknown) => {
    throw new Error(`the metrics server cannot listen on ${address}:${port}`, { cause });
  });
  return {
    port: bound,
    trust(trusted) {
      proxy = trusted;
      server.setSecureContext({ ...tls, ca: trusted.caPem });
    },
    stop: close,
  };
}

async function serve(
  answer: (request: MetricsRequest) => Promise<MetricsAnswer>,
  proxy: FrontProxy | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const abort = new AbortController();
  response.on("close", () => abort.abort(new Error("the client has left")));
  try {
    if (!proxy || !isFrontProxy(request.socket as TLSSocket, proxy)) throw unauthorized();
    const { pathname, searchParams } = new URL(request.url ?? "/", "https://metrics");
    const { method = "GET", headers } = request;
    const answered = await answer({ method, path: pathname, query: searchParams, accept: headers.accept ?? "", signal: abort.signal });
    send(response, 200, answered);
  } catch (error) {
    if (abort.signal.aborted) return;
    const status = isStatus(error) ? error : internalError(error);
    send(response, status.code, { body: status.status });
  }
}

function send(response: ServerResponse, code: number, { body, contentType = "application/json" }: MetricsAnswer): void {
  response.writeHead(code, { "content-type": contentType });
  response.end(typeof body === "string" ? body : `${JSON.stringify(body)}\n`);
}
