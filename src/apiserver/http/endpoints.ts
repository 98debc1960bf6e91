// The paths that are not resources: discovery, health, metrics, version, OpenAPI, OpenID. Each source knows its own; what
// none of them knows is answered as the router does. "/" lists them all.

import type { Handler } from "../request.ts";
import { methodNotServed } from "../server.ts";
import { negotiateRaw } from "./negotiate.ts";
import { pageNotFound } from "./plain-text.ts";

/** Serves some paths. */
export interface EndpointSource {
  /** Listed at "/". */
  paths(): readonly string[];
  /** The handler of a path without its trailing slash; undefined where it is not this source's. */
  find(path: string): Handler | undefined;
}

/** Handlers of exact paths. */
export function fixedEndpoints(handlers: Readonly<Record<string, Handler>>): EndpointSource {
  return { paths: () => Object.keys(handlers), find: (path) => (Object.hasOwn(handlers, path) ? handlers[path] : undefined) };
}

/** Paths that upstream's router knows without a trailing slash alone. */
const exactPaths = /^\/(?:healthz|livez|readyz|metrics|openapi|statusz|flagz)(?:\/|$)/;

export function createEndpoints(sources: readonly EndpointSource[]): Handler {
  return (context) => {
    const { path } = context.info;
    const wanted = wantedPath(path);
    for (const source of sources) {
      const handler = source.find(wanted);
      if (handler) return handler(context);
    }
    if (wanted !== "/" && path !== "/index.html") return Promise.resolve(pageNotFound);
    const paths = [...new Set(sources.flatMap((source) => source.paths()))].sort();
    return Promise.resolve({
      kind: "bytes",
      status: 200,
      contentType: "application/json",
      bytes: Buffer.from(JSON.stringify({ paths }, undefined, 2)),
    });
  };
}

/** A path without the slashes at its end, where the router takes none of them for a part. */
function wantedPath(path: string): string {
  if (!path.endsWith("/") || exactPaths.test(path)) return path;
  return path.replace(/(?<=[^/])\/+$/, "");
}

/** A handler for GET alone; other methods get the router's 405. */
export function getOnly(handler: Handler): Handler {
  return (context) => {
    if (context.request.method !== "GET") return Promise.reject(methodNotServed());
    return handler(context);
  };
}

/** A handler for GET of a path that produces one media type; asked for another it is the router's 406. */
export function producing(contentType: string, handler: Handler): Handler {
  return getOnly(async (context) => {
    negotiateRaw(context.request, contentType);
    return handler(context);
  });
}
