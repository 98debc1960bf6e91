// Which route a request takes, as a pure function of the request: exact hosts before wildcard hosts before rules without a host;
// of one host's rules the exact path, else a pattern, else the longest prefix, element by element; of rules for one path the
// first whose conditions hold. A host whose rules do not have the path falls to the next kind of host, then to the default of its
// own Ingress, then to the default of all. Knows nothing of the objects that routes are made of: those of Ingress have no
// conditions and one backend, those of the Gateway API may have all of it.
import type { Filters } from "./filters.ts";

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
  readonly filters?: Filters;
  /** Of the pods; h2c is HTTP/2 without TLS. Default HTTP/1.1. */
  readonly protocol?: "h2c";
}

export interface Target {
  /** Undefined: answered with `status`, or shared out. */
  readonly backend: Backend | undefined;
  readonly policy: RoutePolicy;
  /** "namespace/name" of what made the route, for logs. */
  readonly source: string;
  /** Of the answer where there is no backend. Default 503: what the route asks for is not supported. */
  readonly status?: number;
  /** Takes the place of the backend: each gets its part of the requests. */
  readonly shares?: readonly Share[];
}

export interface Share {
  /** At least one of a target is above 0. */
  readonly weight: number;
  readonly target: Target;
}

/** What of a request conditions look at. */
export interface RequestFacts {
  readonly method: string;
  /** By name in lower case; of several values those in one line. */
  header(name: string): string | undefined;
  /** The first value of that name. */
  query(name: string): string | undefined;
}

export interface ValueCondition {
  readonly name: string;
  readonly holds: (value: string) => boolean;
}

/** All have to hold. */
export interface Conditions {
  readonly method?: string;
  /** Names in lower case. */
  readonly headers: readonly ValueCondition[];
  readonly query: readonly ValueCondition[];
}

export interface Route {
  /** In lower case; "*.example.com" has any first label; undefined has any host. */
  readonly host: string | undefined;
  readonly match: "exact" | "prefix" | "pattern";
  readonly path: string;
  /** Of a pattern: whether it has the path. */
  readonly hasPath?: (path: string) => boolean;
  readonly conditions?: Conditions;
  readonly target: Target;
}

/** Where requests go that no route takes. */
export interface DefaultRoute {
  /** Undefined: of all hosts. */
  readonly host: string | undefined;
  readonly target: Target;
}

interface Candidate {
  readonly conditions: Conditions | undefined;
  readonly target: Target;
}

interface PatternCandidate extends Candidate {
  readonly hasPath: (path: string) => boolean;
}

interface HostRoutes {
  readonly exact: Map<string, Candidate[]>;
  /** Without a slash at the end; "" takes everything. */
  readonly prefixes: Map<string, Candidate[]>;
  readonly patterns: PatternCandidate[];
  longestPrefix: number;
  fallback: Target | undefined;
}

export interface RouteTable {
  readonly size: number;
  /** By host. */
  readonly hosts: ReadonlyMap<string, HostRoutes>;
  /** By what follows the first label, with its dot. */
  readonly wildcards: ReadonlyMap<string, HostRoutes>;
  /** Whether a wildcard stands for one label or for any number of them. */
  readonly deepWildcards: boolean;
  readonly any: HostRoutes;
}

const newHostRoutes = (): HostRoutes => ({
  exact: new Map(),
  prefixes: new Map(),
  patterns: [],
  longestPrefix: 0,
  fallback: undefined,
});

export interface TableOptions {
  /** Default none. */
  readonly defaults?: readonly DefaultRoute[];
  /** A wildcard stands for one label (false, the default), as Ingress has it, or for any number. */
  readonly deepWildcards?: boolean;
}

/** Of several routes for the same host, path and request the first counts, and likewise of defaults. */
export function compileRoutes(routes: readonly Route[], { defaults = [], deepWildcards = false }: TableOptions = {}): RouteTable {
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
  for (const route of routes) addRoute(routesOf(route.host), route);
  for (const { host, target } of defaults) routesOf(host).fallback ??= target;
  return { size: routes.length + defaults.length, hosts, wildcards, deepWildcards, any };
}

function addRoute(of: HostRoutes, { match, path, hasPath, conditions, target }: Route): void {
  const candidate: Candidate = { conditions, target };
  if (match === "pattern") {
    if (hasPath) of.patterns.push({ ...candidate, hasPath });
    return;
  }
  const [map, key] = match === "exact" ? ([of.exact, path] as const) : ([of.prefixes, withoutEndSlash(path)] as const);
  const known = map.get(key);
  if (!known) map.set(key, [candidate]);
  // What follows one that takes every request is never reached.
  else if (known.at(-1)?.conditions) known.push(candidate);
  if (match === "prefix") of.longestPrefix = Math.max(of.longestPrefix, key.length);
}

/** What has no conditions needs no facts. */
const noFacts: RequestFacts = { method: "", header: () => undefined, query: () => undefined };

/** `host` in lower case and without a port, `path` without a query. */
export function findRoute(table: RouteTable, host: string, path: string, facts: RequestFacts = noFacts): Target | undefined {
  const { hosts, wildcards, any } = table;
  const exact = hosts.get(host);
  const found = exact && findPath(exact, path, facts);
  if (found) return found;
  let wildcard: HostRoutes | undefined;
  if (wildcards.size > 0) {
    // A wildcard stands for one whole label at least: not for none.
    for (let dot = host.indexOf("."); dot > 0; dot = table.deepWildcards ? host.indexOf(".", dot + 1) : -1) {
      const of = wildcards.get(host.slice(dot));
      const byWildcard = of && findPath(of, path, facts);
      if (byWildcard) return byWildcard;
      wildcard ??= of;
    }
  }
  return findPath(any, path, facts) ?? exact?.fallback ?? wildcard?.fallback ?? any.fallback;
}

function findPath({ exact, prefixes, patterns, longestPrefix }: HostRoutes, path: string, facts: RequestFacts): Target | undefined {
  const same = firstOf(exact.get(path), facts);
  if (same) return same;
  for (const candidate of patterns)
    if (candidate.hasPath(path) && (!candidate.conditions || holds(candidate.conditions, facts))) return candidate.target;
  if (prefixes.size === 0) return undefined;
  // "/a/b/c", "/a/b", "/a", "": what is longer than every prefix is not looked up.
  let end = path.length;
  for (;;) {
    if (end <= longestPrefix) {
      const found = firstOf(prefixes.get(path.slice(0, end)), facts);
      if (found) return found;
    }
    if (end <= 0) return undefined;
    end = path.lastIndexOf("/", Math.min(end - 1, longestPrefix));
    if (end < 0) return undefined;
  }
}

function firstOf(candidates: readonly Candidate[] | undefined, facts: RequestFacts): Target | undefined {
  if (!candidates) return undefined;
  for (const { conditions, target } of candidates) if (!conditions || holds(conditions, facts)) return target;
  return undefined;
}

function holds({ method, headers, query }: Conditions, facts: RequestFacts): boolean {
  if (method !== undefined && method !== facts.method) return false;
  const isMet = (value: string | undefined, condition: ValueCondition): boolean => value !== undefined && condition.holds(value);
  return headers.every((c) => isMet(facts.header(c.name), c)) && query.every((c) => isMet(facts.query(c.name), c));
}

/** The target itself, or that of its shares whose turn it is; `random` in [0, 1). */
export function chosenTarget(target: Target, random: () => number): Target {
  const { shares } = target;
  if (!shares) return target;
  let left = random() * shares.reduce((sum, { weight }) => sum + weight, 0);
  for (const share of shares) {
    if (left < share.weight) return share.target;
    left -= share.weight;
  }
  return target;
}

function withoutEndSlash(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}
