// What routes of the Gateway API do with requests and answers on their way: headers changed, paths and hosts rewritten, redirects,
// copies sent elsewhere, deadlines. Pure.
import type { OutgoingHttpHeaders } from "node:http";
import type { Asked } from "./client-request.ts";
import type { Entrance } from "./forwarded-headers.ts";
import type { Backend } from "./routes.ts";

/** Names in lower case. In this order: set, added to, removed. */
export interface HeaderChanges {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
}

export type PathChange =
  | { readonly kind: "full"; readonly path: string }
  /** `matched`: the prefix of the route. */
  | { readonly kind: "prefix"; readonly matched: string; readonly path: string };

export interface Redirect {
  readonly scheme?: "http" | "https";
  readonly hostname?: string;
  readonly port?: number;
  readonly path?: PathChange;
  readonly status: number;
}

export interface Rewrite {
  readonly hostname?: string;
  readonly path?: PathChange;
}

export interface Mirror {
  readonly backend: Backend;
  /** Of the requests, in [0, 1]. */
  readonly share: number;
}

export interface Filters {
  /** One after the other. */
  readonly requestHeaders: readonly HeaderChanges[];
  readonly responseHeaders: readonly HeaderChanges[];
  readonly redirect?: Redirect;
  readonly rewrite?: Rewrite;
  readonly mirrors: readonly Mirror[];
  /** From the request's head to the end of its answer. */
  readonly requestTimeoutMs?: number;
  /** The same for one attempt. */
  readonly backendTimeoutMs?: number;
}

/** Changes the headers that are given. */
export function changeHeaders(headers: OutgoingHttpHeaders, changes: readonly HeaderChanges[]): void {
  for (const { set, add, remove } of changes) {
    for (const [name, value] of set) headers[name] = value;
    for (const [name, value] of add) {
      const known = headers[name];
      headers[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [String(known)]), value];
    }
    for (const name of remove) delete headers[name];
  }
}

/** The path and query that a backend is asked for. */
export function rewrittenPath({ path, pathAndQuery }: Asked, change: PathChange | undefined): string {
  return change ? changedPath(path, change) + pathAndQuery.slice(path.length) : pathAndQuery;
}

function changedPath(path: string, change: PathChange): string {
  if (change.kind === "full") return change.path.startsWith("/") ? change.path : `/${change.path}`;
  const matched = change.matched.endsWith("/") ? change.matched.slice(0, -1) : change.matched;
  const rest = path.slice(matched.length);
  const prefix = change.path.endsWith("/") ? change.path.slice(0, -1) : change.path;
  const changed = `${prefix}${rest}`;
  return changed.startsWith("/") ? changed : `/${changed}`;
}

const usualPorts = { http: 80, https: 443 } as const;

/** Where the client is sent. */
export function redirectLocation({ scheme, hostname, port, path }: Redirect, asked: Asked, entrance: Entrance): string {
  const toScheme = scheme ?? entrance.scheme;
  // Another scheme without a port is at that scheme's usual one.
  const toPort = port ?? (scheme === undefined ? entrance.port : usualPorts[scheme]);
  const authority = `${hostname ?? asked.host}${toPort === usualPorts[toScheme] ? "" : `:${toPort}`}`;
  return `${toScheme}://${authority}${rewrittenPath(asked, path)}`;
}
