// The kubelet's HTTPS server (port 10250): every request is authenticated and authorized, then answered by the route its
// path belongs to (route.ts), or, for exec, attach and port-forward, passed through to the runtime's streaming server.
// Certificates may change while it serves.
import type { IncomingMessage, RequestListener } from "node:http";
import { createServer, type ServerOptions } from "node:https";
import type { AddressInfo, Server as NetServer } from "node:net";
import { StatusError } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import { listen } from "../../base/listen.ts";
import { errorText, type Logger } from "../../base/log.ts";
import { closing } from "../../base/server-connections.ts";
import type { Client } from "../../client/client.ts";
import type { Dial } from "../../rpc/dial.ts";
import { type AuthenticationOptions, createAuthenticator } from "./authentication.ts";
import { type AuthorizationOptions, createAuthorizer } from "./authorization.ts";
import type { KubeletServerHost } from "./host.ts";
import { answerByRoute, type Route, urlOf } from "./route.ts";
import { type RouteOptions, serverRoutes } from "./routes.ts";
import { hostOf, maxHeadBytes, respondError, serveRequests, textOf } from "./serve-requests.ts";
import { ServerMetrics } from "./server-metrics.ts";

export interface KubeletServerDependencies {
  /** Undefined until the kubelet is there: the server listens first, so that the node can report its port. */
  readonly host: () => KubeletServerHost | undefined;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeName: string;
  /** Reaches the runtime's streaming server where it is in this process. */
  readonly dial?: Dial | undefined;
  /** Of what the server does. Default: nobody sees them. */
  readonly metrics?: ServerMetrics;
  /** Endpoints besides the server's own. */
  readonly routes?: readonly Route[];
}

/** PEM: serving certificate and key, and the authorities whose client certificates are believed; default none. */
export interface ServerCertificates {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
}

export interface KubeletServerOptions extends ServerCertificates, RouteOptions {
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Where the port is taken, any that is free will do. Default false. */
  readonly orAnyPort?: boolean;
  readonly authentication?: AuthenticationOptions;
  readonly authorization?: AuthorizationOptions;
  /** Default TLS 1.2 and Node's ciphers and curves. */
  readonly tls?: Pick<ServerOptions, "minVersion" | "ciphers" | "ecdhCurve">;
  /** Port without TLS and without questions, for what may be read by anybody; default none. */
  readonly readOnlyPort?: number;
  /** Hands over new certificates while the server runs. */
  readonly follow?: (use: (certificates: ServerCertificates) => void) => Promise<Running> | Running;
  /** Where /healthz is served without TLS; default nowhere. */
  readonly healthz?: { readonly address: string; readonly port: number };
}

export interface RunningKubeletServer extends Running {
  readonly port: number;
}

const headersTimeoutMs = 30_000;

export async function startKubeletServer(deps: KubeletServerDependencies, options: KubeletServerOptions): Promise<RunningKubeletServer> {
  const { metrics = new ServerMetrics(deps.clock) } = deps;
  const authenticate = createAuthenticator({ ...deps, metrics }, options.authentication);
  const authorize = createAuthorizer({ ...deps, metrics }, options.authorization);
  const host = hostOf(deps);
  const routes = serverRoutes({ host, clock: deps.clock, more: deps.routes ?? [] }, options);
  const contextOf = (from: ServerCertificates): ServerOptions => ({
    ...{ cert: from.cert, key: from.key, minVersion: "TLSv1.2", ...options.tls },
    ...(from.clientCa === undefined ? {} : { ca: from.clientCa }),
  });
  const server = createServer({
    ...contextOf(options),
    requestCert: true,
    rejectUnauthorized: false,
    headersTimeout: headersTimeoutMs,
    maxHeaderSize: maxHeadBytes,
  });
  const close = closing(server);

  /** Throws StatusError unless the caller may make this request. */
  async function admit(request: IncomingMessage): Promise<void> {
    const caller = await authenticate(request).catch((error: unknown) => {
      deps.logger.error("Asking who makes a request failed", { error: errorText(error) });
      return undefined;
    });
    if (!caller) throw new StatusError({ code: 401, reason: "Unauthorized", message: "Unauthorized" });
    await authorize(caller, request.method ?? "GET", urlOf(request).pathname);
  }

  const debugging = options.enableDebuggingHandlers ?? true;
  serveRequests(server, { ...deps, metrics, host, routes, debugging, extendWebSockets: options.extendWebSockets, admit });
  await listenOn(deps.logger, server, options).catch((error: unknown) => {
    if (!options.orAnyPort || !isTaken(error)) throw error;
    return listenOn(deps.logger, server, { ...options, port: 0 });
  });
  const plain = await startPlainServers({ ...deps, metrics }, options, routes).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const following = await options.follow?.((certificates) => server.setSecureContext(contextOf(certificates)));
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      await following?.stop();
      await Promise.all([close(), ...plain.map((p) => p.stop())]);
    },
  };
}

/** The read-only port and the health port: loaded where they are asked for. */
async function startPlainServers(
  { logger, metrics }: KubeletServerDependencies & { readonly metrics: ServerMetrics },
  { address, readOnlyPort, healthz }: KubeletServerOptions,
  routes: readonly Route[],
): Promise<readonly Running[]> {
  const wanted = [
    ...(readOnlyPort ? [{ address, port: readOnlyPort, routes: routes.filter((r) => r.readOnly) }] : []),
    ...(healthz ? [{ ...healthz, routes: routes.filter((r) => r.path === "/healthz") }] : []),
  ];
  if (wanted.length === 0) return [];
  const { createServer: createPlainServer } = await import("node:http");
  const running: Running[] = [];
  for (const { address: host, port, routes: served } of wanted) {
    const answer: RequestListener = (request, response) => {
      response.on("close", metrics.begin({ method: request.method ?? "", pathname: urlOf(request).pathname, readOnly: true }));
      answerByRoute(served, request, response).catch((error: unknown) => respondError(logger, response, error));
    };
    const server = createPlainServer({ headersTimeout: headersTimeoutMs, requestTimeout: headersTimeoutMs }, answer);
    const close = closing(server);
    try {
      await listenOn(logger, server, { address: host, port });
    } catch (error) {
      await Promise.all(running.map((r) => r.stop()));
      throw error;
    }
    running.push({ stop: close });
  }
  return running;
}

/** To ask the kernel, instead of looking first, leaves no moment for another to come in between. */
const isTaken = (error: unknown): boolean => ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === "EADDRINUSE";

async function listenOn(
  logger: Logger,
  server: NetServer,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<void> {
  const failed = (error: Error): void => logger.error("A listener of the kubelet failed", { address, port, error });
  await listen(server, { port, host: address }, failed).catch((cause: unknown) => {
    throw new Error(`the kubelet cannot listen on ${address}:${port}: ${textOf(cause)}`, { cause });
  });
}
