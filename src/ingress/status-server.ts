// Health and figures of `coracle ingress` over plain HTTP, for this machine alone.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Running } from "../base/lifecycle.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import { closing } from "../base/server-connections.ts";

const requestMs = 10_000;
const maxConnections = 50;

/** 0 takes any free port. */
export async function startIngressStatusServer(metrics: MetricsRegistry, port: number): Promise<Running & { readonly port: number }> {
  const server = createServer({ requestTimeout: requestMs, headersTimeout: requestMs }, ({ url }, response) => {
    const isMetrics = url === "/metrics";
    const body = isMetrics ? metrics.text() : url === "/healthz" ? "ok" : undefined;
    const contentType = isMetrics ? "text/plain; version=0.0.4; charset=utf-8" : "text/plain; charset=utf-8";
    response.writeHead(body === undefined ? 404 : 200, { "content-type": contentType }).end(body ?? "404 page not found\n");
  });
  server.maxConnections = maxConnections;
  const close = closing(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop: close,
  };
}
