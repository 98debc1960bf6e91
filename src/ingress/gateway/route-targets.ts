// The rules of an HTTPRoute, or a GRPCRoute, as routes: matches, filters, backends by weight, deadlines. Pure. What a reference leads to nowhere is
// answered with 500, in its share of the requests.
import { keyOf } from "../../api/meta/object.ts";
import { parseDuration } from "../../base/duration.ts";
import { compilePattern, PatternError } from "../../base/regex/pattern.ts";
import type { Filters, HeaderChanges, Mirror, PathChange, Redirect } from "../filters.ts";
import type { Backend, Conditions, Route, Share, Target, ValueCondition } from "../routes.ts";
import {
  type BackendReference,
  type GRPCRoute,
  type GRPCRouteMatch,
  gatewayGroup,
  type HeaderModifier,
  type HTTPRoute,
  type PathModifier,
  type RouteFilter,
  type RouteMatch,
  type RouteRule,
  type ValueMatch,
} from "./gateway-types.ts";
import { type GatewayView, isGranted } from "./gateway-view.ts";
import type { Verdict } from "./listeners.ts";

/** A route without its host: the listeners have to say. */
export type HostlessRoute = Omit<Route, "host">;

export interface RouteTargets {
  /** By precedence among those of the same route. */
  readonly routes: readonly HostlessRoute[];
  /** A reference that leads nowhere. */
  readonly unresolved: Verdict | undefined;
  /** Something that is not served: then nothing of the route is. */
  readonly unsupported: Verdict | undefined;
  /** Services that are asked for. */
  readonly backends: readonly Backend[];
}

const servedFilters: ReadonlySet<string> = new Set([
  "RequestHeaderModifier",
  "ResponseHeaderModifier",
  "RequestRedirect",
  "URLRewrite",
  "RequestMirror",
]);
const everything: RouteMatch = { path: { type: "PathPrefix", value: "/" } };

export function targetsOf(route: HTTPRoute, view: GatewayView): RouteTargets {
  const reader = new RouteReader(route, view);
  const routes = (route.spec.rules ?? [{}]).flatMap((rule) => reader.routesOf(rule));
  return { routes, unresolved: reader.unresolved, unsupported: reader.unsupported, backends: reader.backends };
}

/** A call is a request of its own kind: POST /service/method, to pods that speak HTTP/2. */
export function grpcTargetsOf(route: GRPCRoute, view: GatewayView): RouteTargets {
  const reader = new RouteReader(route, view, "GRPCRoute");
  const routes = (route.spec.rules ?? [{}]).flatMap(({ matches, ...rule }) =>
    reader.routesOf({ ...rule, ...(matches ? { matches: matches.map(requestMatch) } : {}) }),
  );
  return { routes, unresolved: reader.unresolved, unsupported: reader.unsupported, backends: reader.backends };
}

const anyName = "[^/]+";

function requestMatch({ method, headers }: GRPCRouteMatch): RouteMatch {
  return { path: pathOfCall(method ?? {}), ...(headers ? { headers } : {}) };
}

function pathOfCall({ type = "Exact", service, method }: NonNullable<GRPCRouteMatch["method"]>): NonNullable<RouteMatch["path"]> {
  const group = (pattern: string | undefined): string => (pattern ? `(?:${pattern})` : anyName);
  if (type === "RegularExpression") return { type, value: `/${group(service)}/${group(method)}` };
  if (type !== "Exact") return { type, value: "" }; // refused as a path of that type
  if (service && method) return { type, value: `/${service}/${method}` };
  if (service) return { type: "PathPrefix", value: `/${service}` };
  if (method) return { type: "RegularExpression", value: `/${anyName}/${method.replaceAll(/[^A-Za-z0-9_]/g, "\\$&")}` };
  return { type: "PathPrefix", value: "/" };
}

/** A service whose port says so speaks HTTP/2 without TLS. */
const h2cProtocol = "kubernetes.io/h2c";

class RouteReader {
  readonly #route: HTTPRoute | GRPCRoute;
  readonly #kind: "HTTPRoute" | "GRPCRoute";
  readonly #view: GatewayView;
  readonly #source: string;
  readonly backends: Backend[] = [];
  unresolved: Verdict | undefined;
  unsupported: Verdict | undefined;

  constructor(route: HTTPRoute | GRPCRoute, view: GatewayView, kind: "HTTPRoute" | "GRPCRoute" = "HTTPRoute") {
    this.#route = route;
    this.#kind = kind;
    this.#view = view;
    this.#source = `${kind} ${keyOf(route)}`;
  }

  routesOf(rule: RouteRule): readonly HostlessRoute[] {
    const matches = rule.matches && rule.matches.length > 0 ? rule.matches : [everything];
    return matches.flatMap((match) => {
      const at = this.#pathOf(match);
      const conditions = this.#conditionsOf(match);
      if (!at || conditions === "unsupported") return [];
      const target = this.#targetOf(rule, at.match === "prefix" ? at.path : "");
      return [{ ...at, ...(conditions ? { conditions } : {}), target }];
    });
  }

  #pathOf({ path }: RouteMatch): Pick<HostlessRoute, "match" | "path" | "hasPath"> | undefined {
    const { type = "PathPrefix", value = "/" } = path ?? {};
    if (type === "Exact") return { match: "exact", path: value };
    if (type === "PathPrefix") return { match: "prefix", path: value };
    const hasPath = type === "RegularExpression" ? this.#whole(value) : undefined;
    if (hasPath) return { match: "pattern", path: value, hasPath };
    this.#refuse(`Paths of type ${type} with ${JSON.stringify(value)} are not served`);
    return undefined;
  }

  /** Whether a pattern has a whole text, in time that grows with the text alone. */
  #whole(pattern: string): ((text: string) => boolean) | undefined {
    try {
      const compiled = compilePattern(`^(?:${pattern})$`);
      return (text) => compiled.test(text);
    } catch (error) {
      if (error instanceof PatternError) return undefined;
      throw error;
    }
  }

  #conditionsOf({ method, headers = [], queryParams = [] }: RouteMatch): Conditions | undefined | "unsupported" {
    const ofHeaders = this.#valuesOf(headers, (name) => name.toLowerCase());
    const ofQuery = this.#valuesOf(queryParams, (name) => name);
    if (!ofHeaders || !ofQuery) return "unsupported";
    if (method === undefined && ofHeaders.length === 0 && ofQuery.length === 0) return undefined;
    return { ...(method === undefined ? {} : { method }), headers: ofHeaders, query: ofQuery };
  }

  #valuesOf(matches: readonly ValueMatch[], nameOf: (name: string) => string): readonly ValueCondition[] | undefined {
    const found = new Map<string, ValueCondition>();
    for (const { type = "Exact", name, value } of matches) {
      const holds = type === "Exact" ? (text: string) => text === value : type === "RegularExpression" ? this.#whole(value) : undefined;
      if (!holds) {
        this.#refuse(`Values of type ${type} with ${JSON.stringify(value)} are not served`);
        return undefined;
      }
      // Of equal names the first counts.
      if (!found.has(nameOf(name))) found.set(nameOf(name), { name: nameOf(name), holds });
    }
    return [...found.values()];
  }

  #targetOf(rule: RouteRule, matched: string): Target {
    const filters = this.#filtersOf(rule, rule.filters ?? [], matched);
    const policy = { redirectToHttps: false, filters };
    const nothing: Target = { backend: undefined, status: 500, policy, source: this.#source };
    const references = rule.backendRefs ?? [];
    const weighted = references.filter(({ weight = 1 }) => weight > 0);
    const shares = references.map((reference): Share => {
      const backend = this.#backendOf(reference);
      const own = this.#filtersOf({}, reference.filters ?? [], matched);
      const protocol = backend && this.#speaksH2c(backend) ? ({ protocol: "h2c" } as const) : {};
      return {
        weight: reference.weight ?? 1,
        target: { ...nothing, backend, policy: { ...policy, ...protocol, filters: joined(filters, own) } },
      };
    });
    if (weighted.length === 0) return nothing;
    const [first] = shares;
    return shares.length === 1 && first ? first.target : { ...nothing, shares };
  }

  #filtersOf({ timeouts }: RouteRule, filters: readonly RouteFilter[], matched: string): Filters {
    const of = <K extends keyof RouteFilter>(key: K): readonly NonNullable<RouteFilter[K]>[] =>
      filters.flatMap((filter) => (filter[key] === undefined ? [] : [filter[key] as NonNullable<RouteFilter[K]>]));
    // A copy of a call that goes on in both directions would have to be answered.
    const isServed = (type: string): boolean => servedFilters.has(type) && (this.#kind === "HTTPRoute" || type !== "RequestMirror");
    for (const { type } of filters) if (!isServed(type)) this.#refuse(`Filters of type ${type} are not served`);
    const [redirect] = of("requestRedirect");
    const [rewrite] = of("urlRewrite");
    const pathOf = (path: PathModifier | undefined) => (path ? { path: pathChange(path, matched) } : {});
    const requestTimeoutMs = timeoutMs(timeouts?.request);
    const backendTimeoutMs = timeoutMs(timeouts?.backendRequest);
    return {
      requestHeaders: of("requestHeaderModifier").map(headerChanges),
      responseHeaders: of("responseHeaderModifier").map(headerChanges),
      ...(redirect ? { redirect: this.#redirectOf(redirect, matched) } : {}),
      ...(rewrite ? { rewrite: { ...(rewrite.hostname ? { hostname: rewrite.hostname } : {}), ...pathOf(rewrite.path) } } : {}),
      mirrors: of("requestMirror").flatMap((mirror) => this.#mirrorOf(mirror)),
      ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
      ...(backendTimeoutMs === undefined ? {} : { backendTimeoutMs }),
    };
  }

  #redirectOf({ path, statusCode = 302, ...rest }: NonNullable<RouteFilter["requestRedirect"]>, matched: string): Redirect {
    return { ...rest, ...(path ? { path: pathChange(path, matched) } : {}), status: statusCode };
  }

  #mirrorOf({ backendRef, percent, fraction }: NonNullable<RouteFilter["requestMirror"]>): readonly Mirror[] {
    const backend = this.#backendOf(backendRef);
    if (!backend) return [];
    const share = fraction ? fraction.numerator / (fraction.denominator ?? 100) : (percent ?? 100) / 100;
    return [{ backend, share }];
  }

  /** Undefined where the reference leads nowhere. */
  #backendOf({ group = "", kind = "Service", name, namespace: of, port }: BackendReference): Backend | undefined {
    const { namespace = "" } = this.#route.metadata;
    const target = of ?? namespace;
    const key = `${target}/${name}`;
    const fail = (reason: string, message: string): undefined => void (this.unresolved ??= { reason, message });
    if (group !== "" || kind !== "Service") return fail("InvalidKind", `${kind} ${key} is no Service`);
    const from = { group: gatewayGroup, kind: this.#kind, namespace };
    if (!isGranted({ from, to: { group, kind, namespace: target, name } }, this.#view.grants))
      return fail("RefNotPermitted", `No ReferenceGrant of namespace ${target} allows service ${key}`);
    const service = this.#view.service(key);
    if (!service) return fail("BackendNotFound", `There is no service ${key}`);
    if (port === undefined || !service.spec?.ports?.some((p) => p.port === port))
      return fail("BackendNotFound", `Service ${key} has no port ${port ?? ""}`);
    const backend = { namespace: target, service: name, port };
    this.backends.push(backend);
    return backend;
  }

  #speaksH2c({ namespace, service, port }: Backend): boolean {
    if (this.#kind === "GRPCRoute") return true;
    const ports = this.#view.service(`${namespace}/${service}`)?.spec?.ports ?? [];
    return ports.some((each) => each.port === port && each.appProtocol === h2cProtocol);
  }

  #refuse(message: string): void {
    this.unsupported ??= { reason: "UnsupportedValue", message };
  }
}

/** Those of a rule, then those of one of its backends. */
function joined(rule: Filters, own: Filters): Filters {
  return {
    ...rule,
    requestHeaders: [...rule.requestHeaders, ...own.requestHeaders],
    responseHeaders: [...rule.responseHeaders, ...own.responseHeaders],
    mirrors: [...rule.mirrors, ...own.mirrors],
    ...(own.redirect ? { redirect: own.redirect } : {}),
    ...(own.rewrite ? { rewrite: own.rewrite } : {}),
  };
}

function headerChanges({ set = [], add = [], remove = [] }: HeaderModifier): HeaderChanges {
  const pair = ({ name, value }: { readonly name: string; readonly value: string }) => [name.toLowerCase(), value] as const;
  return { set: set.map(pair), add: add.map(pair), remove: remove.map((name) => name.toLowerCase()) };
}

function pathChange({ type, replaceFullPath = "/", replacePrefixMatch = "/" }: PathModifier, matched: string): PathChange {
  return type === "ReplaceFullPath" ? { kind: "full", path: replaceFullPath } : { kind: "prefix", matched, path: replacePrefixMatch };
}

/** Nothing, and zero, are no deadline. */
function timeoutMs(text: string | undefined): number | undefined {
  return (text === undefined ? undefined : parseDuration(text)) || undefined;
}
