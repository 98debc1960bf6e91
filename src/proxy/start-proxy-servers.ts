// What the proxy serves of itself: /healthz and /livez for load balancers and the kubelet, and on another port /metrics,
// /proxyMode, /configz and a plain /healthz, for those on the node.
import type { Running } from "../base/lifecycle.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import { type HttpAnswer, type HttpServerDeps, type HttpServerOptions, startHttpServer } from "./http-server.ts";
import type { ProxyHealth } from "./proxy-health.ts";

export type ServerPlace = Pick<HttpServerOptions, "address" | "port" | "isOptional" | "onFailure">;

const text = (body: string, contentType = "text/plain; charset=utf-8"): HttpAnswer => ({ status: 200, body, contentType });

export function startHealthServer(deps: HttpServerDeps, health: ProxyHealth, at: ServerPlace): Promise<Running> {
  const answer = (path: string): HttpAnswer | undefined =>
    path === "/healthz" ? health.healthz() : path === "/livez" ? health.livez() : undefined;
  return startHttpServer(deps, { name: "health", ...at, answer });
}

export interface MetricsServerOptions extends ServerPlace {
  /** What /configz shows. */
  readonly configuration: Readonly<Record<string, unknown>>;
}

export function startMetricsServer(
  deps: HttpServerDeps,
  registry: MetricsRegistry,
  { configuration, ...at }: MetricsServerOptions,
): Promise<Running> {
  const answers: Readonly<Record<string, () => HttpAnswer>> = {
    "/metrics": () => text(registry.text(), "text/plain; version=0.0.4; charset=utf-8"),
    "/proxyMode": () => text("nftables"),
    "/healthz": () => text("ok"),
    "/configz": () => text(`${JSON.stringify({ "kubeproxy.config.k8s.io": configuration })}\n`, "application/json"),
  };
  return startHttpServer(deps, { name: "metrics", ...at, answer: (path) => answers[path]?.() });
}
