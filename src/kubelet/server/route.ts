// A path of the kubelet's server and what answers it. Whoever adds endpoints (stats, metrics) makes a list of routes and
// hands it to the server; authentication, authorization and errors are the server's.
import type { IncomingMessage, ServerResponse } from "node:http";
import { StatusError } from "../../api/meta/status-error.ts";

export interface RouteCall {
  readonly url: URL;
  /** Decoded segments of the path below the route's. */
  readonly parts: readonly string[];
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export interface Route {
  /** "/pods": the path itself and everything below it. The longest that fits is taken. */
  readonly path: string;
  /** Default GET and HEAD. */
  readonly methods?: readonly string[];
  /** Also served on the read-only port, to anybody. Default false. */
  readonly readOnly?: boolean;
  /** Part of what enableDebuggingHandlers turns off. Default false. */
  readonly debugging?: boolean;
  /** Ends the response, or throws a StatusError. */
  answer(call: RouteCall): Promise<void> | void;
}

export const pageNotFound = (): StatusError => new StatusError({ code: 404, reason: "NotFound", message: "404 page not found\n" });

export const methodNotAllowed = (message = "405: Method Not Allowed"): StatusError =>
  new StatusError({ code: 405, reason: "MethodNotAllowed", message });

const readMethods = ["GET", "HEAD"];

/** Answers by the route that fits. Throws StatusError where there is none, and what routes throw. */
export async function answerByRoute(routes: readonly Route[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = urlOf(request);
  const route = routeFor(routes, url.pathname);
  if (!route) throw pageNotFound();
  if (!(route.methods ?? readMethods).includes(request.method ?? "")) throw methodNotAllowed();
  const rest = url.pathname.slice(route.path.length).replace(/^\/|\/$/g, "");
  await route.answer({ url, parts: rest === "" ? [] : rest.split("/").map(decoded), request, response });
}

export const urlOf = (request: IncomingMessage): URL => new URL(request.url ?? "/", "https://kubelet");

function routeFor(routes: readonly Route[], path: string): Route | undefined {
  let best: Route | undefined;
  for (const route of routes) {
    const fits = path === route.path || path.startsWith(`${route.path}/`);
    if (fits && route.path.length > (best?.path.length ?? -1)) best = route;
  }
  return best;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw pageNotFound(); // no name has half an escape in it
  }
}

export function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

export function sendText(response: ServerResponse, text: string): void {
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(text);
}
