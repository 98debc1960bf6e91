// What BGPFilter objects and the prefixAdvertisements of a BGPConfiguration say about single routes, as statements of the routing
// daemon's language, with Calico's meaning. Pure. Nothing but what has been parsed gets into the daemon's configuration; what cannot
// be understood is thrown, for a person.
import { type ParsedCIDR, parseCIDR } from "../api/meta/ip.ts";
import type { BGPConfiguration, BGPFilter, BGPFilterRule } from "./resources.ts";

/** Of one address family, before what a session takes or tells anyhow: the first rule that fits a route decides. */
export interface RouteFilters {
  readonly imported: readonly string[];
  readonly exported: readonly string[];
}

/** Routes within a range that are told with these communities, in the daemon's words. */
export interface MarkedRoutes {
  readonly cidr: string;
  readonly marks: readonly string[];
}

/** Of the filters of a peer, in their order. */
export function routeFilters(names: readonly string[], family: 4 | 6, find: (name: string) => BGPFilter | undefined): RouteFilters {
  const filters = names.map((name) => {
    const filter = find(name);
    if (!filter) throw new Error(`there is no BGPFilter ${name}`);
    return filter;
  });
  const statements = (direction: "import" | "export"): readonly string[] =>
    filters.flatMap(({ metadata, spec }) =>
      (spec[`${direction}V${family}`] ?? []).map((rule, i) => {
        try {
          return statementOf(rule, family, direction);
        } catch (cause) {
          throw new Error(`rule ${i + 1} of ${direction}V${family} of the BGPFilter ${metadata.name}: ${(cause as Error).message}`, {
            cause,
          });
        }
      }),
    );
  return { imported: statements("import"), exported: statements("export") };
}

/** The node's own say in place of the cluster's. */
export function markedRoutes(
  cluster: BGPConfiguration["spec"] | undefined,
  node: BGPConfiguration["spec"] | undefined,
): readonly MarkedRoutes[] {
  const values = new Map([...(cluster?.communities ?? []), ...(node?.communities ?? [])].map(({ name = "", value = "" }) => [name, value]));
  return (node?.prefixAdvertisements ?? cluster?.prefixAdvertisements ?? []).flatMap(({ cidr = "", communities = [] }) => {
    const range = parseCIDR(cidr);
    if (!range) throw new Error(`prefixAdvertisements: ${JSON.stringify(cidr)} is no range of addresses`);
    const marks = communities.map((text) => markOf(values.get(text) ?? text));
    return marks.length > 0 ? [{ cidr: range.canonical, marks }] : [];
  });
}

const operators = {
  Equal: (net: string) => `net = ${net}`,
  NotEqual: (net: string) => `net != ${net}`,
  In: (net: string) => `net ~ ${net}`,
  NotIn: (net: string) => `net !~ ${net}`,
} as const;

function statementOf({ action, source, interface: device, ...rule }: BGPFilterRule, family: 4 | 6, direction: "import" | "export"): string {
  if (action !== "Accept" && action !== "Reject") throw new Error(`its action ${JSON.stringify(action)} is neither Accept nor Reject`);
  const conditions = rule.cidr === undefined ? [] : [netCondition(rule, rule.cidr, family)];
  if (rule.cidr === undefined && (rule.matchOperator !== undefined || rule.prefixLength !== undefined))
    throw new Error("it has a matchOperator or a prefixLength, and no cidr");
  if (source !== undefined && source !== "RemotePeers") throw new Error(`its source ${JSON.stringify(source)} is not RemotePeers`);
  if (source !== undefined) conditions.push("source = RTS_BGP");
  if (device !== undefined) {
    if (direction === "import") throw new Error("routes that are told have no interface");
    if (!/^[\w.*?-]{1,32}$/.test(device)) throw new Error(`its interface ${JSON.stringify(device)} is no pattern of names`);
    conditions.push(`ifname ~ "${device}"`);
  }
  const verb = action === "Accept" ? "accept" : "reject";
  return conditions.length === 0 ? `${verb};` : `if ${conditions.map((each) => `(${each})`).join(" && ")} then ${verb};`;
}

function netCondition({ matchOperator, prefixLength }: BGPFilterRule, cidr: string, family: 4 | 6): string {
  const range = parseCIDR(cidr);
  if (!range || range.network.length !== (family === 4 ? 4 : 16))
    throw new Error(`its cidr ${JSON.stringify(cidr)} is no range of IPv${family}`);
  const operator = Object.entries(operators).find(([name]) => name === matchOperator)?.[1];
  if (!operator) throw new Error(`its matchOperator ${JSON.stringify(matchOperator)} is none of ${Object.keys(operators).join(", ")}`);
  if (prefixLength === undefined) return operator(range.canonical);
  if (matchOperator !== "In" && matchOperator !== "NotIn") throw new Error("prefixLength goes with In and NotIn alone");
  return operator(`[ ${range.canonical}{${lengthsOf(prefixLength, range)}} ]`);
}

function lengthsOf({ min, max }: NonNullable<BGPFilterRule["prefixLength"]>, range: ParsedCIDR): string {
  const bits = range.network.length * 8;
  const [from, to] = [min ?? range.prefixLength, max ?? bits];
  if (![from, to].every((length) => Number.isInteger(length) && length >= 0 && length <= bits) || from > to)
    throw new Error(`its prefixLength from ${from} to ${to} is none`);
  return `${from},${to}`;
}

/** "65000:100", or three parts of 32 bits. */
function markOf(text: string): string {
  const parts = text.split(":");
  const limit = parts.length === 2 ? 2 ** 16 : 2 ** 32;
  if ((parts.length !== 2 && parts.length !== 3) || !parts.every((part) => /^\d{1,10}$/.test(part) && Number(part) < limit))
    throw new Error(`prefixAdvertisements: there is no community ${JSON.stringify(text)}`);
  return `${parts.length === 2 ? "bgp_community" : "bgp_large_community"}.add((${parts.map(Number).join(", ")}));`;
}
