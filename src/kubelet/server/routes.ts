// All routes of the kubelet's server, by its configuration: what is turned off says so.
import type { Clock } from "../../base/clock.ts";
import { type AboutKubelet, aboutRoutes } from "./about-routes.ts";
import { type HealthCheck, healthRoute } from "./health.ts";
import type { KubeletServerHost } from "./host.ts";
import { podRoutes } from "./pod-routes.ts";
import { methodNotAllowed, type Route } from "./route.ts";
import { statsRoutes } from "./stats-routes.ts";

/** Names as in KubeletConfiguration. */
export interface RouteOptions {
  /** Default true. */
  readonly enableDebuggingHandlers?: boolean;
  /** Default true. */
  readonly enableSystemLogHandler?: boolean;
  /** Default false. */
  readonly enableSystemLogQuery?: boolean;
  /** WebSockets of the newest protocols are translated for the runtime. Default true. */
  readonly extendWebSockets?: boolean;
  /** Checks of /healthz besides ping and log. */
  readonly checks?: ReadonlyMap<string, HealthCheck>;
  /** Paths that are not there, by feature gates that are off. Default none. */
  readonly withoutPaths?: readonly string[];
  /** Default: no /configz, /flagz and /statusz. */
  readonly about?: AboutKubelet;
}

export interface RouteDependencies {
  readonly host: () => KubeletServerHost;
  readonly clock: Clock;
  readonly more: readonly Route[];
}

export function serverRoutes(deps: RouteDependencies, options: RouteOptions): readonly Route[] {
  const { withoutPaths = [] } = options;
  return allRoutes(deps, options).filter(({ path }) => !withoutPaths.includes(path));
}

function allRoutes({ host, clock, more }: RouteDependencies, options: RouteOptions): readonly Route[] {
  const { enableDebuggingHandlers = true, enableSystemLogHandler = true, enableSystemLogQuery = false } = options;
  const routes: Route[] = [healthRoute(options.checks ?? new Map()), ...podRoutes(host), ...statsRoutes(host), ...more];
  const withQuery = enableSystemLogQuery;
  routes.push(
    enableSystemLogHandler
      ? {
          path: "/logs",
          debugging: true,
          answer: async (call) => (await import("./node-logs.ts")).answerNodeLogs(call, { clock, withQuery }),
        }
      : disabled("/logs", "logs endpoint is disabled."),
  );
  if (options.about) routes.push(...aboutRoutes(options.about, clock, () => routes.map((route) => route.path)));
  if (enableDebuggingHandlers) return routes;
  return routes.map((route) => (route.debugging ? disabled(route.path, "Debug endpoints are disabled.") : route));
}

const disabled = (path: string, message: string): Route => ({
  path,
  methods: ["GET", "HEAD", "POST", "PUT", "DELETE"],
  answer: () => {
    throw methodNotAllowed(`${message}\n`);
  },
});
