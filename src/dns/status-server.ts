// Health, readiness and figures over plain HTTP, by CoreDNS' paths, on one port.
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { guardedAnswers } from "../base/guarded-answers.ts";
import { listen } from "../base/listen.ts";
import type { Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import type { ListenerAddress, Listening } from "./udp-listener.ts";

export interface StatusServerDeps {
  readonly metrics: MetricsRegistry;
  readonly logger: Logger;
  readonly allows: (address: string) => boolean;
  /** Names of what is not ready yet; none when all is. */
  readonly unready: () => readonly string[];
}

const requestMs = 10_000;
const maxConnections = 50;

export async function startStatusServer(deps: StatusServerDeps, { address, port }: ListenerAddress): Promise<Listening> {
  const failed = (error: unknown): void => deps.logger.error("The server for health and metrics failed", { error });
  const serve: RequestListener = (request, response) => {
    if (!deps.allows(request.socket.remoteAddress ?? "")) request.socket.destroy();
    else if (request.method !== "GET" && request.method !== "HEAD") send(response, 405, "405 method not allowed\n");
    else answer(deps, (request.url ?? "/").split("?", 1)[0] ?? "/", response);
  };
  const server = createServer({ requestTimeout: requestMs, headersTimeout: requestMs }, guardedAnswers(serve, failed));
  server.maxConnections = maxConnections;
  return {
    port: await listen(server, { port, host: address }, failed),
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer({ metrics, unready }: StatusServerDeps, path: string, response: ServerResponse): void {
  switch (path) {
    case "/health":
      return send(response, 200, "OK");
    case "/ready": {
      const waiting = unready();
      return waiting.length === 0 ? send(response, 200, "OK") : send(response, 503, waiting.join(","));
    }
    case "/metrics":
      return send(response, 200, metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
    default:
      return send(response, 404, "404 page not found\n");
  }
}

function send(response: ServerResponse, status: number, body: string, contentType = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body) }).end(body);
}
