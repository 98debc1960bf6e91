// What the proxy serves of itself: /healthz and /livez for load balancers and the kubelet, and on another port /metrics,
// /proxyMode, /configz, /statusz, /flagz and a plain /healthz, for those on the node. As upstream's, nobody is asked who he is.
import { answerPage, flagzPage, statuszPage } from "../api/encode/component-pages.ts";
import type { Running } from "../base/lifecycle.ts";
import type { MetricsRegistry } from "../base/metrics.ts";
import { kubernetesVersion } from "../base/version.ts";
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
  /** What /flagz shows; undefined where there is no such page, as without the gate ComponentFlagz. */
  readonly flags?: Readonly<Record<string, string>> | undefined;
  /** Whether there is a /statusz. Default true. */
  readonly hasStatusz?: boolean;
}

export function startMetricsServer(
  deps: HttpServerDeps,
  registry: MetricsRegistry,
  { configuration, flags, hasStatusz = true, ...at }: MetricsServerOptions,
): Promise<Running> {
  const startedMs = deps.clock.now();
  const status = () =>
    statuszPage({
      ...{ component: "kube-proxy", startedMs, nowMs: deps.clock.now(), paths: Object.keys(answers).filter((path) => path !== "/statusz") },
      ...{ platformVersion: process.version, binaryVersion: kubernetesVersion.replace(/^v/, "") },
    });
  const answers: Readonly<Record<string, (accept: string | undefined) => Promise<HttpAnswer> | HttpAnswer>> = {
    "/metrics": () => text(registry.text(), "text/plain; version=0.0.4; charset=utf-8"),
    "/proxyMode": () => text("nftables"),
    "/healthz": () => text("ok"),
    "/configz": () => text(`${JSON.stringify({ "kubeproxy.config.k8s.io": configuration })}`, "application/json"),
    ...(flags ? { "/flagz": (accept) => answerPage(flagzPage("kube-proxy", flags), { accept }) } : {}),
    ...(hasStatusz ? { "/statusz": (accept) => answerPage(status(), { accept }) } : {}),
  };
  return startHttpServer(deps, { name: "metrics", ...at, answer: (path, accept) => answers[path]?.(accept) });
}
