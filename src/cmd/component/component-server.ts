// The HTTPS server that a component has for those who watch over it: /healthz, /livez and /readyz with their named checks,
// /metrics, /configz, /flagz, /statusz, /version. Health may be asked for by everybody; the rest needs a bearer token or a client certificate
// of the cluster, and leave of the API server (SubjectAccessReview on the path), as upstream.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { answerPage, type ComponentPage, flagzPage, statuszPage } from "../../api/encode/component-pages.ts";
import { StatusError } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import { createHealthSlis, type HealthSlis } from "../../base/health-slis.ts";
import type { Running } from "../../base/lifecycle.ts";
import { errorText, type Logger } from "../../base/log.ts";
import type { MetricsRegistry } from "../../base/metrics.ts";
import { closing } from "../../base/server-connections.ts";
import { kubernetesVersion, version } from "../../base/version.ts";
import { CommandError } from "../command-error.ts";
import type { ComponentAccess } from "./component-access.ts";

export interface ComponentServerDeps {
  readonly logger: Logger;
  readonly metrics: MetricsRegistry;
  readonly access: ComponentAccess;
  /** What is wrong by the name of the check, undefined where nothing is; asked at each request. */
  readonly checks: () => ReadonlyMap<string, string | undefined>;
  readonly clock: Clock;
  /** "kube-scheduler". */
  readonly component: string;
  /** What /configz shows. */
  readonly configuration: Readonly<Record<string, unknown>>;
  /** More pages of figures, by path. */
  readonly pages?: Readonly<Record<string, () => string>>;
  /** What /flagz shows: every flag by its name, as text. */
  readonly flags: Readonly<Record<string, string>>;
}

export interface ComponentServerOptions {
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** PEM. */
  readonly cert: string;
  readonly key: string;
  /** PEM; certificates of clients are believed when one of these has signed them. */
  readonly clientCa?: string;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const headersTimeoutMs = 10_000;
const maxConnections = 100;

export async function startComponentServer(
  given: ComponentServerDeps,
  options: ComponentServerOptions,
): Promise<Running & { readonly port: number }> {
  const { cert, key, clientCa } = options;
  const deps = { ...given, startedMs: given.clock.now(), slis: createHealthSlis() };
  const tls = { cert, key, ...(clientCa === undefined ? {} : { ca: clientCa }), requestCert: true, rejectUnauthorized: false };
  const server = createServer({ ...tls, minVersion: "TLSv1.2", headersTimeout: headersTimeoutMs, requestTimeout: headersTimeoutMs });
  server.maxConnections = maxConnections;
  const close = closing(server);
  server.on("secureConnection", (socket: TLSSocket) => socket.on("error", () => socket.destroy()));
  server.on("request", (request, response) => void respond(deps, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(new CommandError(`cannot listen on ${options.address}:${options.port}`, { cause })));
    server.listen(options.port, options.address, resolve);
  });
  server.on("error", (error) => deps.logger.error("The server for health and metrics failed", { error }));
  return {
    port: (server.address() as AddressInfo).port,
    stop: close,
  };
}

interface StartedServer extends ComponentServerDeps {
  readonly slis: HealthSlis;
  readonly startedMs: number;
}

async function respond(deps: StartedServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let answer: Answer;
  try {
    const url = new URL(request.url ?? "/", "https://component");
    await deps.access.admit(request, url.pathname);
    answer =
      request.method === "GET" || request.method === "HEAD"
        ? await answerTo(deps, url, request.headers.accept)
        : text(405, "405 method not allowed\n");
  } catch (error) {
    if (!(error instanceof StatusError)) deps.logger.warn("A request could not be answered", { path: request.url, error });
    const status = error instanceof StatusError ? error.code : 500;
    answer = text(status, error instanceof StatusError ? error.message : `internal server error: ${errorText(error)}\n`);
  }
  response.writeHead(answer.status, {
    "content-type": answer.contentType ?? "text/plain; charset=utf-8",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache, private",
    ...answer.headers,
  });
  response.end(request.method === "HEAD" ? undefined : answer.body);
}

const paths = ["/configz", "/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/version"];

function answerTo(deps: StartedServer, url: URL, accept: string | undefined): Answer | Promise<Answer> {
  const { pathname } = url;
  const health = /^\/(healthz|livez|readyz)(?:\/(.+))?$/.exec(pathname);
  if (health?.[1] !== undefined) return healthOf(deps, health[1], health[2], url.searchParams);
  switch (pathname) {
    case "/metrics":
      return figures(deps.metrics.text());
    case "/metrics/slis":
      return figures(deps.slis.registry.text());
    case "/configz":
      return { status: 200, body: `${JSON.stringify(deps.configuration)}\n`, contentType: "application/json" };
    case "/flagz":
      return answerPage(flagzPage(deps.component, deps.flags), { accept });
    case "/statusz":
      return answerPage(statusOf(deps), { accept });
    case "/version":
      return { status: 200, body: `${JSON.stringify({ gitVersion: version })}\n`, contentType: "application/json" };
    default: {
      const page = Object.hasOwn(deps.pages ?? {}, pathname) ? deps.pages?.[pathname] : undefined;
      return page ? figures(page()) : text(404, "404 page not found\n");
    }
  }
}

const figures = (body: string): Answer => ({ status: 200, body, contentType: "text/plain; version=0.0.4; charset=utf-8" });

const statusOf = ({ component, startedMs, clock }: StartedServer): ComponentPage =>
  statuszPage({
    ...{ component, startedMs, nowMs: clock.now(), paths },
    ...{ platformVersion: process.version, binaryVersion: kubernetesVersion.replace(/^v/, "") },
  });

function healthOf(deps: StartedServer, endpoint: string, single: string | undefined, query: URLSearchParams): Answer {
  const checks = new Map<string, string | undefined>([["ping", undefined], ...deps.checks()]);
  if (single !== undefined) {
    if (!checks.has(single)) return text(404, "404 page not found\n");
    const problem = checks.get(single);
    return problem === undefined ? text(200, "ok") : text(500, `internal server error: ${problem}\n`);
  }
  const excluded = new Set(query.getAll("exclude"));
  const lines: string[] = [];
  let isWell = true;
  for (const [name, problem] of checks) {
    deps.slis.observe(name, endpoint, problem === undefined);
    if (excluded.delete(name)) lines.push(`[+]${name} excluded: ok\n`);
    else if (problem === undefined) lines.push(`[+]${name} ok\n`);
    else {
      // The reason is for the log: everybody may ask for this path.
      lines.push(`[-]${name} failed: reason withheld\n`);
      deps.logger.info("Health check failed", { check: name, problem }, 2);
      isWell = false;
    }
  }
  if (excluded.size > 0) {
    const names = [...excluded].sort().map((name) => JSON.stringify(name));
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(", ")}\n`);
  }
  if (!isWell) return text(500, `${lines.join("")}${endpoint} check failed\n`);
  return text(200, query.has("verbose") ? `${lines.join("")}${endpoint} check passed\n` : "ok");
}

const text = (status: number, body: string): Answer => ({ status, body });
