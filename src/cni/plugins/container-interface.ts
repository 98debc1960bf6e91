// A container's interface: the commands that give it addresses and routes, in one process in its namespace, and the check that it
// has them still.
import { failed } from "../spec/cni-error.ts";
import type { CniAddress, CniResult, CniRoute } from "../spec/result.ts";
import { familyOf, requireCidr, splitCidr } from "./addresses.ts";
import type { CniCall, CniEffects, IpBatch, IpCommand } from "./plugin.ts";

export interface ContainerInterface {
  readonly netns: string;
  readonly ifName: string;
  readonly ips?: readonly CniAddress[];
  readonly routes?: readonly CniRoute[];
  /** Whether IPv6 addresses are first asked for on the network. Default false: they can be used at once. */
  readonly duplicateDetection?: boolean;
  /** After the interface is up and before its routes. */
  readonly beforeRoutes?: readonly IpCommand[];
}

/** Brings it up, tells neighbours, adds addresses and routes. */
export function configureInterface(options: ContainerInterface): IpBatch {
  const { netns, ifName, ips = [], routes = [], duplicateDetection = false, beforeRoutes = [] } = options;
  const hasV6 = ips.some(({ address }) => familyOf(address) === 6);
  return {
    netns,
    sysctls: {
      [`net/ipv4/conf/${ifName}/arp_notify`]: "1",
      ...(hasV6 ? { [`net/ipv6/conf/${ifName}/disable_ipv6`]: "0", [`net/ipv6/conf/${ifName}/keep_addr_on_down`]: "1" } : {}),
      [`net/ipv6/conf/${ifName}/accept_dad`]: duplicateDetection ? "1" : "0",
    },
    commands: [
      `link set dev ${ifName} up`,
      ...ips.map(({ address }) => `address add ${address} dev ${ifName}${familyOf(address) === 6 && !duplicateDetection ? " nodad" : ""}`),
      ...beforeRoutes,
      ...routes.map((route) => routeCommand(route, ifName, ips)),
    ],
  };
}

function routeCommand(route: CniRoute, ifName: string, ips: readonly CniAddress[]): string {
  const { dst, mtu, advmss, priority, table, scope } = route;
  const gateway = route.gw ?? ips.find((ip) => familyOf(ip.address) === familyOf(dst) && ip.gateway !== undefined)?.gateway;
  const details = [
    ...(gateway === undefined ? [] : [`via ${gateway}`]),
    `dev ${ifName}`,
    ...(mtu ? [`mtu ${mtu}`] : []),
    ...(advmss ? [`advmss ${advmss}`] : []),
    ...(priority ? [`metric ${priority}`] : []),
    ...(table ? [`table ${table}`] : []),
    ...(scope === undefined ? [] : [`scope ${scope}`]),
  ];
  return `route add ${requireCidr(dst, "routes").canonical} ${details.join(" ")}`;
}

interface ListedLink {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu?: number;
  readonly flags?: readonly string[];
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

interface ListedRoute {
  readonly dst: string;
  readonly gateway?: string;
}

/** Throws where the interface, one of its addresses or one of the routes of `prevResult` is not there. */
export async function checkContainerInterface(call: CniCall, effects: CniEffects): Promise<void> {
  const { netns, ifName } = call;
  const result = requirePreviousResult(call);
  const expected = result.interfaces?.find(({ name, sandbox }) => name === ifName && sandbox !== undefined);
  if (!expected) throw failed(`prevResult: no interface ${ifName} in a sandbox`);
  if (expected.sandbox !== netns) throw failed(`Sandbox in prevResult ${expected.sandbox} doesn't match configured netns: ${netns}`);
  const link = await findLink(ifName, effects, netns);
  if (!link) throw failed(`Container Interface name ${ifName} not found`);
  if (expected.mac !== undefined && link.address !== expected.mac)
    throw failed(`Interface ${ifName} Mac ${expected.mac} doesn't match container Mac: ${link.address}`);
  const index = result.interfaces?.indexOf(expected);
  for (const { address, interface: on } of result.ips ?? []) if (on === undefined || on === index) requireListed(address, link);
  await requireRoutes(result.routes ?? [], ifName, effects, netns);
}

export function requirePreviousResult({ config }: CniCall): CniResult {
  if (!config.prevResult) throw failed("Required prevResult missing");
  return config.prevResult;
}

/** Undefined where there is none of this name. */
export async function findLink(name: string, effects: CniEffects, netns?: string): Promise<ListedLink | undefined> {
  const links = await effects.ipList<ListedLink>(["address", "show"], netns === undefined ? {} : { netns });
  return links.find(({ ifname }) => ifname === name);
}

function requireListed(cidr: string, link: ListedLink): void {
  const { address, length } = splitCidr(cidr);
  if (!link.addr_info?.some(({ local, prefixlen }) => local === address && prefixlen === length))
    throw failed(`Failed to match addr ${cidr} on interface ${link.ifname}`);
}

async function requireRoutes(routes: readonly CniRoute[], ifName: string, effects: CniEffects, netns: string): Promise<void> {
  for (const family of [4, 6] as const) {
    const wanted = routes.filter(({ dst, table }) => familyOf(dst) === family && table === undefined);
    if (wanted.length === 0) continue;
    const listed = await effects.ipList<ListedRoute>([`-${family}`, "route", "show", "dev", ifName], { netns });
    const destinations = new Set(listed.map(({ dst }) => normal(dst, family)));
    const missing = wanted.find(({ dst }) => !destinations.has(normal(dst, family)));
    if (missing) throw failed(`Expected Route ${missing.dst} not found in routing table`);
  }
}

function normal(dst: string, family: 4 | 6): string {
  if (dst === "default") return family === 4 ? "0.0.0.0/0" : "::/0";
  return requireCidr(dst.includes("/") ? dst : `${dst}/${family === 4 ? 32 : 128}`, "route").canonical;
}

/** What is left of an attachment: the interface in the container's namespace, if both are there. */
export async function deleteContainerInterface({ netns, ifName }: CniCall, effects: CniEffects): Promise<void> {
  if (!(await effects.namespaceExists(netns))) return;
  await effects.ip({ netns, commands: [{ command: `link delete dev ${ifName}`, unless: gone }] });
}

/** The kernel's words for an interface that is not there. */
export const gone = /Cannot find device|does not exist|No such device/;
/** And for what is there already. */
export const exists = /File exists|already assigned/;
