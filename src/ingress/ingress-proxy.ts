// What serves: the ports of the moment with their routes and certificates, and the way to the pods. Everything can be replaced
// while it serves; a request keeps the route it has begun with. A port that is taken is tried again until it is free.
import type { Clock } from "../base/clock.ts";
import { type Running, StopStack } from "../base/lifecycle.ts";
import { errorText, type Logger } from "../base/log.ts";
import { answerWith } from "./answer.ts";
import { Backends, type EndpointSource } from "./backends.ts";
import { selfSignedPair } from "./certificates.ts";
import { type Asked, askedOf, type ClientRequest, type ClientResponse } from "./client-request.ts";
import { redirectLocation } from "./filters.ts";
import { addressOf, type Entrance } from "./forwarded-headers.ts";
import { Forwarder, type ForwarderOptions } from "./forwarder.ts";
import { H2Forwarder } from "./h2-forwarder.ts";
import type { IngressMetrics } from "./ingress-metrics.ts";
import { type Listener, type ListenerOptions, startListener, type Upgrade } from "./listener.ts";
import { requestFacts } from "./request-facts.ts";
import { chosenTarget, type Target } from "./routes.ts";
import { findInSites, type PortPlan } from "./sites.ts";

export interface IngressProxyDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: IngressMetrics;
  readonly endpointsOf: EndpointSource;
  /** A port came into use, or could not be had. */
  readonly changed: () => void;
}

export interface IngressProxyOptions extends ForwarderOptions, Omit<ListenerOptions, "port" | "tls" | "acceptsH2c"> {
  /** Where requests go that are redirected to HTTPS. Default 443. */
  readonly httpsPort?: number;
  /** Of requests; default no limit. What is forwarded is not kept, so it costs no memory. */
  readonly maxBodyBytes?: number;
  /** A line for each request. Default false. */
  readonly accessLog?: boolean;
}

type Scheme = Entrance["scheme"];

/** How long until a port that was taken is tried again. */
const retryMs = 5_000;

interface Call {
  readonly request: ClientRequest;
  readonly response: ClientResponse;
  readonly entrance: Entrance;
  readonly upgrade: Upgrade | undefined;
  readonly port: Port;
}

/** A port that is served, or wanted. */
interface Port {
  plan: PortPlan;
  listener: Listener | undefined;
  problem: string | undefined;
  readonly stopping: AbortController;
  running: Promise<void>;
}

const keyOf = (scheme: Scheme, port: number): string => `${scheme} ${port}`;

export class IngressProxy implements Running {
  readonly backends: Backends;
  readonly #deps: IngressProxyDeps;
  readonly #options: IngressProxyOptions;
  readonly #forwarder: Forwarder;
  readonly #h2: H2Forwarder;
  readonly #ports = new Map<string, Port>();
  readonly #stack = new StopStack();
  /** Of ports that were given up. */
  readonly #ending = new Set<Promise<void>>();

  constructor(deps: IngressProxyDeps, options: IngressProxyOptions) {
    this.#deps = deps;
    this.#options = options;
    this.backends = new Backends(deps.endpointsOf, deps.clock);
    this.#forwarder = new Forwarder({ ...deps, backends: this.backends }, options);
    this.#h2 = new H2Forwarder(this.#forwarder.deps, this.#forwarder);
    this.#stack.defer(() => this.#forwarder.close());
    this.#stack.defer(() => this.#h2.close());
  }

  /** Where it listens for a port that is wanted; undefined while it cannot. Wanted by number, where 0 is any free one. */
  port(scheme: Scheme, wanted: number): number | undefined {
    return this.#ports.get(keyOf(scheme, wanted))?.listener?.port;
  }

  /** Why it cannot listen. */
  problem(scheme: Scheme, wanted: number): string | undefined {
    return this.#ports.get(keyOf(scheme, wanted))?.problem;
  }

  /** Serves these ports and no others. */
  use(plans: readonly PortPlan[]): void {
    const wanted = new Map(plans.map((plan) => [keyOf(plan.scheme, plan.port), plan]));
    for (const [key, port] of this.#ports) {
      if (wanted.has(key)) continue;
      this.#ports.delete(key);
      this.#track(this.#giveUp(port));
    }
    let size = 0;
    for (const [key, plan] of wanted) {
      for (const { table } of plan.sites) size += table.size;
      const known = this.#ports.get(key);
      if (known) known.plan = plan;
      else this.#ports.set(key, this.#newPort(plan));
    }
    this.#deps.metrics.routes.set(size);
  }

  async stop(): Promise<void> {
    const all = [...this.#ports.values()];
    this.#ports.clear();
    await Promise.all([...all.map((port) => this.#giveUp(port)), ...this.#ending]);
    await this.#stack.stop();
  }

  countConnections(): void {
    let connections = 0;
    for (const { listener } of this.#ports.values()) connections += listener?.connections ?? 0;
    this.#deps.metrics.connections.set(connections);
  }

  #track(ending: Promise<void>): void {
    this.#ending.add(ending);
    void ending.finally(() => this.#ending.delete(ending));
  }

  #newPort(plan: PortPlan): Port {
    const port: Port = { plan, listener: undefined, problem: undefined, stopping: new AbortController(), running: Promise.resolve() };
    port.running = this.#keepTrying(port);
    return port;
  }

  async #giveUp({ stopping, running, ...port }: Port): Promise<void> {
    stopping.abort();
    await port.listener?.stop();
    await running;
  }

  async #keepTrying(port: Port): Promise<void> {
    const { clock, logger, changed } = this.#deps;
    const { signal } = port.stopping;
    const { scheme, port: wanted } = port.plan;
    for (; !signal.aborted; await clock.sleep(retryMs, signal).catch(() => undefined)) {
      try {
        const listener = await this.#startListener(port);
        if (signal.aborted) return await listener.stop();
        port.listener = listener;
        port.problem = undefined;
        logger.info("Ingress listens", { scheme, port: listener.port }, 1);
        return changed();
      } catch (error) {
        if (port.problem !== undefined) continue;
        port.problem = `Cannot listen on port ${wanted} for ${scheme}, trying again: ${errorText(error)}`;
        logger.warn(port.problem);
        changed();
      }
    }
  }

  #startListener(port: Port): Promise<Listener> {
    const { clock, logger } = this.#deps;
    const { scheme, port: wanted } = port.plan;
    const serve = (request: ClientRequest, response: ClientResponse, upgrade: Upgrade | undefined): void =>
      this.#serve({ request, response, upgrade, port, entrance: { scheme, port: port.listener?.port ?? wanted } });
    const contextOf = (name: string) => port.plan.contextOf?.(name);
    const tls =
      scheme === "https" ? { tls: { fallback: selfSignedPair(clock.now()), contextOf } } : { acceptsH2c: () => port.plan.h2c ?? false };
    // A pod that is silent is answered for with 504 before the client's connection counts as silent.
    const silentMs = this.#forwarder.backendTimeoutMs + 30_000;
    return startListener({ clock, logger, serve }, { silentMs, ...this.#options, port: wanted, ...tls });
  }

  #serve(call: Call): void {
    const { request, response, port } = call;
    const asked = askedOf(request);
    const found = asked && findInSites(port.plan.sites, asked, requestFacts(request, asked));
    const target = found && chosenTarget(found, () => this.#deps.clock.random());
    this.#observe(call, asked, target);
    if (!asked) return answerWith(response, 400, closing(request));
    if (!target) return answerWith(response, 404);
    this.#follow(call, asked, target);
  }

  #follow({ request, response, entrance, upgrade }: Call, asked: Asked, { backend, policy, status = 503 }: Target): void {
    const { filters } = policy;
    if (policy.redirectToHttps && entrance.scheme === "http") {
      const wanted = this.#options.httpsPort ?? 443;
      const port = this.port("https", wanted) ?? wanted;
      const location = `https://${asked.host}${port === 443 ? "" : `:${port}`}${asked.pathAndQuery}`;
      return answerWith(response, 308, { location });
    }
    if (filters?.redirect)
      return answerWith(response, filters.redirect.status, { location: redirectLocation(filters.redirect, asked, entrance) });
    if (!backend) return answerWith(response, status);
    const maxBodyBytes = policy.maxBodyBytes ?? this.#options.maxBodyBytes ?? 0;
    if (maxBodyBytes > 0 && Number(request.headers["content-length"] ?? 0) > maxBodyBytes)
      return answerWith(response, 413, closing(request));
    const forwarder = policy.protocol === "h2c" && !upgrade ? this.#h2 : this.#forwarder;
    forwarder.forward({ request, response, asked, entrance, backend, maxBodyBytes, upgrade, filters });
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
