// Answers what comes to a kubelet's server, whichever way it came: requests by the route of their path, upgrades (exec, attach,
// port-forward) by passing them through to the runtime's streaming server.
import type { Server as HttpServer, IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { isStatus, serviceUnavailable } from "../../api/meta/status-error.ts";
import type { Logger } from "../../base/log.ts";
import type { Dial } from "../../rpc/dial.ts";
import { passThrough, refuseUpgrade, upgradeHeaders } from "../../rpc/upgrade.ts";
import type { KubeletServerHost } from "./host.ts";
import { answerByRoute, methodNotAllowed, type Route, urlOf } from "./route.ts";
import type { ServerMetrics } from "./server-metrics.ts";
import { isStream, splitProtocols, streamUrl } from "./streams.ts";
import { serveWebSocket, streamForm } from "./web-socket-streams.ts";

export interface ServingContext {
  /** Throws StatusError while the kubelet starts. */
  readonly host: () => KubeletServerHost;
  readonly routes: readonly Route[];
  /** Whether what reaches into pods is served. */
  readonly debugging: boolean;
  /** WebSockets of the newest protocols end here (the gate ExtendWebSocketsToKubelet). Default true. */
  readonly extendWebSockets?: boolean | undefined;
  readonly logger: Logger;
  /** Default: requests are not counted. */
  readonly metrics?: ServerMetrics;
  /** Reaches the runtime's streaming server where it is in this process. */
  readonly dial?: Dial | undefined;
  /** Throws StatusError unless the caller may make this request. */
  readonly admit: (request: IncomingMessage) => Promise<void>;
}

const dialTimeoutMs = 30_000;
/** Commands are part of paths: Node's own limit of 16 KiB is less than what the API server lets pass. */
export const maxHeadBytes = 256 * 1024;

export function serveRequests(server: Pick<HttpServer, "on">, context: ServingContext): void {
  const { host, routes, debugging, extendWebSockets = true, logger, metrics, dial, admit } = context;
  const count = (request: IncomingMessage, until: NodeJS.EventEmitter): void => {
    const ended = metrics?.begin({ method: request.method ?? "", pathname: urlOf(request).pathname, readOnly: false });
    if (ended) until.once("close", ended);
  };
  server.on("request", (request, response) => {
    count(request, response);
    admit(request)
      .then(() => answerByRoute(routes, request, response))
      .catch((error: unknown) => respondError(logger, response, error));
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // The client may go while it is being asked who it is.
    socket.on("error", () => socket.destroy());
    count(request, socket);
    admit(request)
      .then(() => {
        if (!debugging && isStream(urlOf(request).pathname)) throw methodNotAllowed("Debug endpoints are disabled.");
        return streamUrl(host(), request);
      })
      .then((url) =>
        extendWebSockets && streamForm(request) !== "as it is"
          ? serveWebSocket(request, { socket, head }, url, { timeoutMs: dialTimeoutMs, dial })
          : passThrough({ socket, head }, url, {
              method: request.method ?? "POST",
              headers: upgradeHeaders(splitProtocols(request)),
              timeoutMs: dialTimeoutMs,
              dial,
            }),
      )
      .catch((error: unknown) =>
        refuseUpgrade(socket, { status: isStatus(error) ? error.code : 500, contentType: "text/plain", body: Buffer.from(textOf(error)) }),
      );
  });
}

/** The kubelet, once it is there. */
export function hostOf(deps: { readonly host: () => KubeletServerHost | undefined }): () => KubeletServerHost {
  return () => {
    const host = deps.host();
    if (!host) throw serviceUnavailable("the kubelet is starting");
    return host;
  };
}

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export function respondError(logger: Logger, response: ServerResponse, error: unknown): void {
  if (!isStatus(error)) logger.error("Serving a request of the kubelet's API failed", { error });
  if (response.headersSent) return void response.destroy();
  response.writeHead(isStatus(error) ? error.code : 500, { "content-type": "text/plain; charset=utf-8" });
  response.end(textOf(error));
}
