// Health and figures of `coracle ingress` over plain HTTP, for this machine alone.
import { createServer, type RequestListener } from "node:http";
import { guardedAnswers } from "../base/guarded-answers.ts";
import type { Running } from "../base/lifecycle.ts";
import { listen } from "../base/listen.ts";
import type { Logger } from "../base/log.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import { closing } from "../base/server-connections.ts";

const requestMs = 10_000;
const maxConnections = 50;

/** 0 takes any free port. */
export async function startIngressStatusServer(
  { metrics, logger }: { readonly metrics: MetricsRegistry; readonly logger: Logger },
  port: number,
): Promise<Running & { readonly port: number }> {
  const failed = (error: unknown): void => logger.error("The server for health and metrics failed", { error });
  const answer: RequestListener = ({ url }, response) => {
    const isMetrics = url === "/metrics";
    const body = isMetrics ? metrics.text() : url === "/healthz" ? "ok" : undefined;
    const contentType = isMetrics ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
    response.writeHead(body === undefined ? 404 : 200, { "content-type": contentType }).end(body ?? "404 page not found\n");
  };
  const server = createServer({ requestTimeout: requestMs, headersTimeout: requestMs }, guardedAnswers(answer, failed));
  server.maxConnections = maxConnections;
  const close = closing(server);
  return { port: await listen(server, { port, host: "127.0.0.1" }, failed), stop: close };
}
