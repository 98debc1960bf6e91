// What serves: two ports, the routes and certificates of the moment, and the way to the pods. Everything can be replaced while it
// serves; a request keeps the route it has begun with. A port that is taken is tried again until it is free.
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import { answerWith } from "./answer.ts";
import { Backends, type EndpointSource } from "./backends.ts";
import { Certificates, selfSignedPair } from "./certificates.ts";
import { type Asked, askedOf, type ClientRequest, type ClientResponse } from "./client-request.ts";
import { addressOf, type Entrance } from "./forwarded-headers.ts";
import { Forwarder, type ForwarderOptions } from "./forwarder.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import { type Listener, type ListenerOptions, startListener, type Upgrade } from "./listener.ts";
import { compileRoutes, findRoute, type RouteTable, type Target } from "./routes.ts";

export interface IngressProxyDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: IngressMetrics;
  readonly endpointsOf: EndpointSource;
}

export interface IngressProxyOptions extends ForwarderOptions, Omit<ListenerOptions, "port" | "tls"> {
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Of requests; default no limit. What is forwarded is not kept, so it costs no memory. */
  readonly maxBodyBytes?: number;
  /** A line for each request. Default false. */
  readonly accessLog?: boolean;
}

/** How long until a port that was taken is tried again. */
const retryMs = 5_000;

interface Call {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  readonly entrance: Entrance;
  readonly upgrade: Upgrade | undefined;
}

export class IngressProxy implements Running {
  readonly certificates = new Certificates();
  readonly backends: Backends;
  readonly #deps: IngressProxyDeps;
  readonly #options: IngressProxyOptions;
  readonly #forwarder: Forwarder;
  readonly #listeners: Partial<Record<Entrance["scheme"], Listener>> = {};
  readonly #stack = new StopStack();
  readonly #stopping = new AbortController();
  #table: RouteTable = compileRoutes([]);

  constructor(deps: IngressProxyDeps, options: IngressProxyOptions) {
    this.#deps = deps;
    this.#options = options;
    this.backends = new Backends(deps.endpointsOf, deps.clock);
    this.#forwarder = new Forwarder({ ...deps, backends: this.backends }, options);
    this.#stack.defer(() => this.#forwarder.close());
  }

  /** `onChange`: a port came into use, or could not be had (`problem`), which is told once for each port. */
  listen(onChange: (scheme: Entrance["scheme"], problem?: string) => void): void {
    for (const scheme of ["http", "https"] as const) {
      const listening = this.#keepTrying(scheme, onChange);
      this.#stack.defer(() => listening);
    }
  }

  /** Where it listens; undefined while it cannot. */
  port(scheme: Entrance["scheme"]): number | undefined {
    return this.#listeners[scheme]?.port;
  }

  use(table: RouteTable): void {
    this.#table = table;
    this.#deps.metrics.routes.set(table.size);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(Object.values(this.#listeners).map((listener) => listener.stop()));
    await this.#stack.stop();
  }

  countConnections(): void {
    this.#deps.metrics.connections.set(Object.values(this.#listeners).reduce((sum, { connections }) => sum + connections, 0));
  }

  async #keepTrying(scheme: Entrance["scheme"], onChange: (scheme: Entrance["scheme"], problem?: string) => void): Promise<void> {
    const { clock, logger } = this.#deps;
    const { signal } = this.#stopping;
    for (let isTold = false; !signal.aborted; await clock.sleep(retryMs, signal).catch(() => undefined)) {
      try {
        const listener = await this.#startListener(scheme);
        if (signal.aborted) return await listener.stop();
        this.#listeners[scheme] = listener;
        logger.info("Ingress listens", { scheme, port: listener.port }, 1);
        return onChange(scheme);
      } catch (error) {
        if (isTold) continue;
        isTold = true;
        const problem = `Cannot listen on port ${this.#wantedPort(scheme)} for ${scheme}, trying again: ${errorText(error)}`;
        logger.warn(problem);
        onChange(scheme, problem);
      }
    }
  }

  #wantedPort(scheme: Entrance["scheme"]): number {
    return scheme === "http" ? this.#options.httpPort : this.#options.httpsPort;
  }

  #startListener(scheme: Entrance["scheme"]): Promise<Listener> {
    const { clock, logger } = this.#deps;
    const port = this.#wantedPort(scheme);
    const serve = (request: ClientRequest, response: ClientResponse, upgrade: Upgrade | undefined): void =>
      this.#serve({ request, response, upgrade, entrance: { scheme, port: this.port(scheme) ?? port } });
    const contextOf = (name: string) => this.certificates.find(name);
    const tls = scheme === "https" ? { tls: { fallback: selfSignedPair(clock.now()), contextOf } } : {};
    // A pod that is silent is answered for with 504 before the client's connection counts as silent.
    const silentMs = this.#forwarder.backendTimeoutMs + 30_000;
    return startListener({ clock, logger, serve }, { silentMs, ...this.#options, port, ...tls });
  }

  #serve(call: Call): void {
    const { request, response } = call;
    const asked = askedOf(request);
    const target = asked && findRoute(this.#table, asked.host, asked.path);
    this.#observe(call, asked, target);
    if (!asked) return answerWith(response, 400, closing(request));
    if (!target) return answerWith(response, 404);
    this.#follow(call, asked, target);
  }

  #follow({ request, response, entrance, upgrade }: Call, asked: Asked, { backend, policy }: Target): void {
    if (policy.redirectToHttps && entrance.scheme === "http") {
      const port = this.port("https") ?? this.#options.httpsPort;
      const location = `https://${asked.host}${port === 443 ? "" : `:${port}`}${asked.pathAndQuery}`;
      return answerWith(response, 308, { location });
    }
    if (!backend) return answerWith(response, 503);
    const maxBodyBytes = policy.maxBodyBytes ?? this.#options.maxBodyBytes ?? 0;
    if (maxBodyBytes > 0 && Number(request.headers["content-length"] ?? 0) > maxBodyBytes)
      return answerWith(response, 413, closing(request));
    this.#forwarder.forward({ request, response, asked, entrance, backend, maxBodyBytes, upgrade });
  }

  #observe({ request, response, upgrade }: Call, asked: Asked | undefined, target: Target | undefined): void {
    const { metrics, clock, logger } = this.#deps;
    const beganMs = clock.monotonic();
    // Asked now: a connection that is closed no longer knows.
    const client = this.#options.accessLog ? addressOf(request) : "";
    metrics.open.add();
    // An upgraded connection is another thing than its answer, and closes later.
    (upgrade?.socket ?? response).once("close", () => {
      metrics.open.add(-1);
      const status = upgrade && !response.headersSent ? 101 : response.headersSent ? response.statusCode : 0;
      const tookMs = clock.monotonic() - beganMs;
      metrics.requests.series(String(status)).add();
      metrics.durations.observe(tookMs / 1000);
      if (!this.#options.accessLog) return;
      const { method, httpVersion } = request;
      const line = { client, host: asked?.host, method, path: asked?.path, httpVersion, status, route: target?.source };
      logger.info("Request", { ...line, milliseconds: Math.round(tookMs) });
    });
  }
}

/** A body that nobody reads ends the connection. */
function closing(request: ClientRequest): Record<string, string> {
  return request.httpVersionMajor === 2 ? {} : { connection: "close" };
}
