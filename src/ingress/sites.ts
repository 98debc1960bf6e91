// What one port serves: sites by their names, each with routes of its own. A request belongs to the site with the most specific
// name, as listeners of the Gateway API want it; only what that one has no route for is looked for among the Ingress objects,
// which have no site of their own.
import type { SecureContext } from "node:tls";
import type { Asked } from "./client-request.ts";
import { findRoute, type RequestFacts, type RouteTable, type Target } from "./routes.ts";

export interface Site {
  /** In lower case; "*.example.com" has any number of first labels; undefined has every host. */
  readonly host: string | undefined;
  /** Of Ingress objects: for all that other sites have no route for. */
  readonly isLastResort?: boolean;
  readonly table: RouteTable;
}

export interface PortPlan {
  readonly scheme: "http" | "https";
  /** 0 is any free one. */
  readonly port: number;
  readonly sites: readonly Site[];
  /** Whether clients may begin with HTTP/2 without TLS, as those of gRPC do. Default not. */
  readonly h2c?: boolean;
  /** The certificate for a name; undefined: one that nobody believes. */
  readonly contextOf?: (serverName: string) => SecureContext | undefined;
}

export function findInSites(sites: readonly Site[], { host, path }: Asked, facts: RequestFacts): Target | undefined {
  let best: Site | undefined;
  let lastResort: Site | undefined;
  for (const site of sites) {
    if (site.isLastResort) lastResort = site;
    else if (coversHost(site.host, host) && (!best || specificity(site.host) > specificity(best.host))) best = site;
  }
  return (best && findRoute(best.table, host, path, facts)) ?? (lastResort && findRoute(lastResort.table, host, path, facts));
}

/** Whether a site, or a route, is for a host. */
export function coversHost(pattern: string | undefined, host: string): boolean {
  if (pattern === undefined) return true;
  return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 : pattern === host;
}

/** Exact names before wildcards, longer ones first. */
function specificity(host: string | undefined): number {
  if (host === undefined) return 0;
  return host.startsWith("*.") ? host.length : host.length + 1000;
}
