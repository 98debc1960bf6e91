// The kubelet's API for callers in the same process, over connections that they hand over: no port, no TLS, no questions, as only
// the cluster's own parts hold the network by which a simulated node is reached. Nothing is made before the first connection.
import { createServer, type Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/log.ts";
import type { Dial } from "../../rpc/dial.ts";
import type { KubeletServerHost } from "./host.ts";
import { type RouteOptions, serverRoutes } from "./routes.ts";
import { hostOf, maxHeadBytes, serveRequests } from "./serve-requests.ts";

export interface InProcessServerDependencies {
  readonly host: () => KubeletServerHost | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Reaches the runtime's streaming server. */
  readonly dial: Dial;
}

export function inProcessServer(deps: InProcessServerDependencies, options: RouteOptions): (connection: Duplex) => void {
  let server: Server | undefined;
  const create = (): Server => {
    const host = hostOf(deps);
    const routes = serverRoutes({ host, clock: deps.clock, more: [] }, options);
    const created = createServer({ maxHeaderSize: maxHeadBytes });
    const { logger, dial } = deps;
    serveRequests(created, {
      host,
      routes,
      debugging: options.enableDebuggingHandlers ?? true,
      logger,
      dial,
      admit: async () => undefined,
    });
    return created;
  };
  return (connection) => {
    server ??= create();
    server.emit("connection", connection);
  };
}
