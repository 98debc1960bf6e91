// The kubelet's HTTPS server (port 10250): container logs, and exec, attach and port-forward, whose upgraded connections
// are passed through to the runtime's streaming server. Paths and parameters are upstream's.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { TLSSocket } from "node:tls";
import { badRequest, isStatus, StatusError, serviceUnavailable } from "../../api/meta/status-error.ts";
import type { Clock } from "../../base/clock.ts";
import type { Running } from "../../base/lifecycle.ts";
import type { Logger } from "../../base/log.ts";
import type { Client } from "../../client/client.ts";
import { passThrough, refuseUpgrade, upgradeHeaders } from "../../rpc/upgrade.ts";
import { type Caller, callerOf, createCallerAuthorizer } from "./authorization.ts";
import type { ContainerReference, KubeletServerHost, LogOptions, RemoteCommandOptions } from "./host.ts";

export interface KubeletServerDependencies {
  /** Undefined until the kubelet is there: the server listens first, so that the node can report its port. */
  readonly host: () => KubeletServerHost | undefined;
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeName: string;
}

export interface KubeletServerOptions {
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** PEM: serving certificate and key, and the CA whose client certificates are accepted. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

const dialTimeoutMs = 30_000;

export async function startKubeletServer(
  deps: KubeletServerDependencies,
  options: KubeletServerOptions,
): Promise<Running & { readonly port: number }> {
  const authorize = createCallerAuthorizer(deps);
  const server = createServer({
    cert: options.cert,
    key: options.key,
    ca: options.clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
  });
  const sockets = new Set<Duplex>();
  server.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });

  /** Throws StatusError unless the caller may make this request. */
  async function admit(request: IncomingMessage): Promise<void> {
    const caller: Caller | undefined = callerOf(request.socket as TLSSocket);
    if (!caller) throw new StatusError({ code: 401, reason: "Unauthorized", message: "Unauthorized" });
    const path = pathOf(request).pathname;
    if (!(await authorize(caller, request.method ?? "GET", path))) {
      throw new StatusError({ code: 403, reason: "Forbidden", message: `Forbidden (user=${caller.name}, path=${path})` });
    }
  }

  server.on("request", (request, response) => {
    admit(request)
      .then(() => answer(deps, request, response))
      .catch((error: unknown) => respondError(deps.logger, response, error));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    admit(request)
      .then(() => streamUrl(hostOf(deps), request))
      .then((url) =>
        passThrough({ socket, head }, url, {
          method: request.method ?? "POST",
          headers: upgradeHeaders(splitProtocols(request)),
          timeoutMs: dialTimeoutMs,
        }),
      )
      .catch((error: unknown) =>
        refuseUpgrade(socket, { status: isStatus(error) ? error.code : 500, contentType: "text/plain", body: Buffer.from(textOf(error)) }),
      );
  });
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function listen(server: Server, options: KubeletServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new Error(`the kubelet cannot listen on ${options.address}:${options.port}: ${error.message}`, { cause: error })),
    );
    server.listen(options.port, options.address, () => resolve());
  });
}

const pathOf = (request: IncomingMessage): URL => new URL(request.url ?? "/", "https://kubelet");

/** Node joins repeated headers; the runtime reads one protocol a line. */
function splitProtocols(request: IncomingMessage): Record<string, string | readonly string[] | undefined> {
  const offered = request.headers["x-stream-protocol-version"];
  const lines = typeof offered === "string" ? offered.split(",").map((p) => p.trim()) : offered;
  return { ...request.headers, ...(lines ? { "x-stream-protocol-version": lines } : {}) };
}

async function answer(deps: KubeletServerDependencies, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = pathOf(request);
  const [action, ...parts] = url.pathname.slice(1).split("/");
  switch (action) {
    case "healthz":
      response.end("ok");
      return;
    case "pods":
    case "runningpods":
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ kind: "PodList", apiVersion: "v1", metadata: {}, items: hostOf(deps).pods() }));
      return;
    case "containerLogs":
      return sendLog(hostOf(deps), referenceOf(parts), url.searchParams, response);
    case "stats":
    case "metrics": {
      const found = await hostOf(deps).stats(url, request.method ?? "GET");
      if (!found) break;
      response.setHeader("content-type", found.contentType);
      response.end(found.body);
      return;
    }
    case "exec":
    case "attach":
    case "portForward":
      throw badRequest("Upgrade request required");
  }
  throw new StatusError({ code: 404, reason: "NotFound", message: "404 page not found" });
}

function hostOf(deps: KubeletServerDependencies): KubeletServerHost {
  const host = deps.host();
  if (!host) throw serviceUnavailable("the kubelet is starting");
  return host;
}

/** [namespace, pod, container] or [namespace, pod, uid, container]. */
function referenceOf(parts: readonly string[]): ContainerReference {
  const [namespace, pod, third, fourth] = parts.map(decodeURIComponent);
  if (!namespace || !pod || !third) throw badRequest("expected /namespace/pod/container or /namespace/pod/uid/container");
  return fourth === undefined ? { namespace, pod, container: third } : { namespace, pod, container: fourth, podUid: third };
}

async function sendLog(host: KubeletServerHost, at: ContainerReference, query: URLSearchParams, response: ServerResponse): Promise<void> {
  const abort = new AbortController();
  response.on("close", () => abort.abort());
  const chunks = await host.containerLog(at, logOptions(query), abort.signal);
  response.writeHead(200, { "content-type": "text/plain" });
  response.flushHeaders();
  try {
    await pipeline(Readable.from(chunks, { objectMode: false }), response);
  } catch (error) {
    if (!abort.signal.aborted) throw error; // the client's leaving is no error
  }
}

function logOptions(query: URLSearchParams): LogOptions {
  const on = (name: string): boolean => ["true", "1"].includes(query.get(name) ?? "");
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null || text === "") return undefined;
    if (!/^\d+$/.test(text)) throw badRequest(`${name} must be a whole number, not ${JSON.stringify(text)}`);
    return Number(text);
  };
  const sinceTime = query.get("sinceTime");
  const optional = {
    tailLines: number("tailLines"),
    limitBytes: number("limitBytes"),
    sinceSeconds: number("sinceSeconds"),
    sinceTimeMs: sinceTime ? Date.parse(sinceTime) : undefined,
    stream: (query.get("stream") ?? undefined) as LogOptions["stream"] | undefined,
  };
  const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { follow: on("follow"), previous: on("previous"), timestamps: on("timestamps"), ...present };
}

function streamUrl(host: KubeletServerHost, request: IncomingMessage): Promise<URL> {
  const { pathname, searchParams: query } = pathOf(request);
  const [action, ...parts] = pathname.slice(1).split("/");
  const on = (name: string): boolean => ["true", "1"].includes(query.get(name) ?? "");
  const options: RemoteCommandOptions = { stdin: on("input"), stdout: on("output"), stderr: on("error"), tty: on("tty") };
  if (action === "exec") return host.execUrl(referenceOf(parts), query.getAll("command"), options);
  if (action === "attach") return host.attachUrl(referenceOf(parts), options);
  const [namespace, pod, podUid] = parts.map(decodeURIComponent);
  if (action !== "portForward" || !namespace || !pod)
    throw new StatusError({ code: 404, reason: "NotFound", message: "404 page not found" });
  return host.portForwardUrl({ namespace, pod, ...(podUid ? { podUid } : {}) });
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function respondError(logger: Logger, response: ServerResponse, error: unknown): void {
  if (!isStatus(error)) logger.error("Serving a request of the kubelet's API failed", { error });
  if (response.headersSent) return void response.destroy();
  response.writeHead(isStatus(error) ? error.code : 500, { "content-type": "text/plain; charset=utf-8" });
  response.end(textOf(error));
}
