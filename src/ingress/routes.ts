// Which route a request takes, as a pure function of host and path: exact hosts before wildcard hosts before rules without a
// host; of one host's rules the exact path, else the longest prefix, element by element. A host whose rules do not have the
// path falls to the next kind of host, then to the default of its own Ingress, then to the default of all. Knows nothing of
// Ingress objects, so that other kinds of routes can be made of the same.

export interface Backend {
  readonly namespace: string;
  readonly service: string;
  /** Number or name of the service's port. */
  readonly port: number | string;
}

/** What is done with requests of a route besides sending them on. */
export interface RoutePolicy {
  /** Requests that come without TLS are sent to the HTTPS port. */
  readonly redirectToHttps: boolean;
  /** Undefined: the server's own limit. */
  readonly maxBodyBytes?: number;
}

export interface Target {
  /** Undefined: answered with 503, because what the route asks for is not supported. */
  readonly backend: Backend | undefined;
  readonly policy: RoutePolicy;
  /** "namespace/name" of what made the route, for logs. */
  readonly source: string;
}

export interface Route {
  /** In lower case; "*.example.com" has any first label; undefined has any host. */
  readonly host: string | undefined;
  readonly match: "exact" | "prefix";
  readonly path: string;
  readonly target: Target;
}

/** Where requests go that no route takes. */
export interface DefaultRoute {
  /** Undefined: of all hosts. */
  readonly host: string | undefined;
  readonly target: Target;
}

interface HostRoutes {
  readonly exact: Map<string, Target>;
  /** Without a slash at the end; "" takes everything. */
  readonly prefixes: Map<string, Target>;
  longestPrefix: number;
  fallback: Target | undefined;
}

export interface RouteTable {
  readonly size: number;
  /** By host. */
  readonly hosts: ReadonlyMap<string, HostRoutes>;
  /** By what follows the first label, with its dot. */
  readonly wildcards: ReadonlyMap<string, HostRoutes>;
  readonly any: HostRoutes;
}

const newHostRoutes = (): HostRoutes => ({ exact: new Map(), prefixes: new Map(), longestPrefix: 0, fallback: undefined });

/** Of several routes for the same host and path the first counts, and likewise of defaults. */
export function compileRoutes(routes: readonly Route[], defaults: readonly DefaultRoute[] = []): RouteTable {
  const hosts = new Map<string, HostRoutes>();
  const wildcards = new Map<string, HostRoutes>();
  const any = newHostRoutes();
  const routesOf = (host: string | undefined): HostRoutes => {
    if (host === undefined) return any;
    const [map, key] = host.startsWith("*.") ? ([wildcards, host.slice(1)] as const) : ([hosts, host] as const);
    let found = map.get(key);
    if (!found) map.set(key, (found = newHostRoutes()));
    return found;
  };
  for (const { host, match, path, target } of routes) {
    const of = routesOf(host);
    const [map, key] = match === "exact" ? ([of.exact, path] as const) : ([of.prefixes, withoutEndSlash(path)] as const);
    if (map.has(key)) continue;
    map.set(key, target);
    if (match === "prefix") of.longestPrefix = Math.max(of.longestPrefix, key.length);
  }
  for (const { host, target } of defaults) routesOf(host).fallback ??= target;
  return { size: routes.length + defaults.length, hosts, wildcards, any };
}

/** `host` in lower case and without a port, `path` without a query. */
export function findRoute({ hosts, wildcards, any }: RouteTable, host: string, path: string): Target | undefined {
  const exact = hosts.get(host);
  const dot = host.indexOf(".");
  // A wildcard stands for one whole label: not for none.
  const wildcard = wildcards.size > 0 && dot > 0 ? wildcards.get(host.slice(dot)) : undefined;
  return (
    (exact && findPath(exact, path)) ??
    (wildcard && findPath(wildcard, path)) ??
    findPath(any, path) ??
    exact?.fallback ??
    wildcard?.fallback ??
    any.fallback
  );
}

function findPath({ exact, prefixes, longestPrefix }: HostRoutes, path: string): Target | undefined {
  const same = exact.get(path);
  if (same) return same;
  if (prefixes.size === 0) return undefined;
  // "/a/b/c", "/a/b", "/a", "": what is longer than every prefix is not looked up.
  let end = path.length;
  for (;;) {
    if (end <= longestPrefix) {
      const found = prefixes.get(path.slice(0, end));
      if (found) return found;
    }
    if (end <= 0) return undefined;
    end = path.lastIndexOf("/", Math.min(end - 1, longestPrefix));
    if (end < 0) return undefined;
  }
}

function withoutEndSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}
