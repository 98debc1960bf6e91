// The configuration of the routing daemon (BIRD 2) of a node. Pure. It tells all nodes on one link of this node's blocks and of
// addresses it has borrowed, and puts into the kernel what they tell of theirs: nothing but routes within the pools. Blocks
// stand in the kernel as black holes, so that packets to addresses nobody has do not wander about between nodes. Peers that a
// BGPPeer names are trusted with more: they are told of services too, and what they tell is taken, but for this node's own blocks.
import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import type { MarkedRoutes, RouteFilters } from "./bgp-filters.ts";
import { type BgpPlan, type BgpSession, defaultAutonomousSystem, defaultBgpPort } from "./bgp-sessions.ts";
import type { Neighbour, RoutedPlan } from "./plan.ts";

/** Of the kernel's routes that a routing daemon of ours makes: others', on the same machine, have other ones and are left alone. */
export function routeMetric(vni: number): number {
  return 10_000 + (vni % 50_000);
}

export interface BirdConfigInput {
  readonly nodeName: string;
  /** By which neighbours know the node: an IPv4 address. One is made from the name where the node has none. */
  readonly nodeAddress: string;
  readonly metric: number;
  readonly logFile: string;
  readonly plan: Pick<RoutedPlan, "neighbours" | "blocks" | "announced" | "accepted">;
  /** Default the neighbours alone, all of one autonomous system. */
  readonly bgp?: BirdBgp;
}

export interface BirdBgp extends Pick<BgpPlan, "as" | "port" | "asOfNodes"> {
  readonly mesh: { readonly password?: string } | undefined;
  /** By node, where it is not this node's. Default none is. */
  readonly portOfNodes?: BgpPlan["portOfNodes"];
  readonly sessions: readonly (Omit<BgpSession, "password" | "filters"> & {
    readonly password?: string;
    readonly filters?: RouteFilters;
  })[];
  /** What is told with communities. Default nothing. */
  readonly marked?: readonly MarkedRoutes[];
  /** Addresses of services that peers are told of, as ranges. */
  readonly services: readonly string[];
}

const noPeers: BirdBgp = { as: defaultAutonomousSystem, port: defaultBgpPort, asOfNodes: new Map(), mesh: {}, sessions: [], services: [] };

const logBytes = 1_048_576;

export function renderBirdConfig({ nodeName, nodeAddress, metric, logFile, plan, bgp = noPeers }: BirdConfigInput): string {
  const neighbours = bgp.mesh ? plan.neighbours : [];
  const lines = [
    "# Written by Coracle; changes are overwritten.",
    `log "${logFile}" ${logBytes} "${logFile}.1" { info, remote, warning, error, auth, fatal, bug };`,
    `router id ${routerId(nodeName, nodeAddress)};`,
    "graceful restart wait 10;",
    "protocol device { scan time 10; }",
    "",
    ...([4, 6] as const).flatMap((family) => familyLines(family, metric, { ...plan, bgp })),
    "template bgp nodes {",
    `  local as ${bgp.as};`,
    "  strict bind on;",
    "  graceful restart on;",
    "  connect delay time 1;",
    "  connect retry time 5;",
    "  error wait time 1, 30;",
    "  hold time 30;",
    "}",
    ...byName(neighbours).flatMap((neighbour) => neighbourLines(neighbour, bgp)),
    ...byName(bgp.sessions, "peer").flatMap((session) => sessionLines(session, bgp)),
    "",
  ];
  return lines.join("\n");
}

function familyLines(
  family: 4 | 6,
  metric: number,
  { blocks, announced, accepted, bgp }: BirdConfigInput["plan"] & { readonly bgp: BirdBgp },
): readonly string[] {
  const ofFamily = (cidrs: readonly string[]): readonly string[] => cidrs.filter((cidr) => cidr.includes(":") === (family === 6));
  const own = ofFamily(blocks);
  const borrowed = ofFamily(announced).filter((cidr) => !own.includes(cidr));
  const bits = family === 4 ? 32 : 128;
  const ranges = accepted.filter(({ cidr }) => ofFamily([cidr]).length > 0).map(({ cidr, blockSize }) => `${cidr}{${blockSize},${bits}}`);
  const within = (list: readonly string[]): string =>
    list.length === 0 ? "  reject;" : `  if net ~ [ ${list.join(", ")} ] then accept;\n  reject;`;
  return [
    `protocol static blocks${family} {`,
    `  ipv${family};`,
    ...own.map((cidr) => `  route ${cidr} blackhole;`),
    "}",
    `protocol static borrowed${family} {`,
    `  ipv${family};`,
    ...borrowed.map((cidr) => `  route ${cidr} blackhole;`),
    "}",
    `filter accepted${family} {`,
    within(ranges),
    "}",
    `filter announced${family} {`,
    ...markLines(family, bgp),
    "  if source != RTS_STATIC then reject;",
    within(ofFamily(announced)),
    "}",
    ...(bgp.sessions.length > 0
      ? peerFilters(family, { own, told: [...ofFamily(announced), ...ofFamily(bgp.services)], ranges }, bgp)
      : []),
    ...(ofFamily(bgp.services).length > 0
      ? [
          `protocol static services${family} {`,
          `  ipv${family};`,
          ...ofFamily(bgp.services).map((cidr) => `  route ${cidr} blackhole;`),
          "}",
        ]
      : []),
    `filter kernel${family} {`,
    `  if proto = "borrowed${family}" then reject;`,
    `  if proto = "services${family}" then reject;`,
    "  accept;",
    "}",
    `protocol kernel kernel_${family} {`,
    `  ipv${family} { import none; export filter kernel${family}; };`,
    `  metric ${metric};`,
    "  scan time 30;",
    "  persist;",
    "  graceful restart on;",
    "}",
    "",
  ];
}

/** Of peers that are named: what they tell, what they are told, and, of clients, what others have told as well. */
function peerFilters(
  family: 4 | 6,
  { own, told, ranges }: { readonly own: readonly string[]; readonly told: readonly string[]; readonly ranges: readonly string[] },
  bgp: BirdBgp,
): readonly string[] {
  const from = (source: string, list: readonly string[]): string =>
    list.length === 0 ? "" : `  if source = ${source} && net ~ [ ${list.join(", ")} ] then accept;\n`;
  const marks = markLines(family, bgp);
  // This node's own blocks are nobody else's, whatever filters say.
  const learnt = own.length > 0 ? [`  if net ~ [ ${own.map((cidr) => `${cidr}+`).join(", ")} ] then reject;`] : [];
  const toldLines = [`${from("RTS_STATIC", told)}  reject;`];
  const passedOn = [`${from("RTS_STATIC", told)}${from("RTS_BGP", ranges)}  reject;`];
  const indented = (lines: readonly string[]): readonly string[] => lines.map((line) => `  ${line}`);
  return [
    ...[`filter learnt${family} {`, ...learnt, "  accept;", "}"],
    ...[`filter told${family} {`, ...marks, ...toldLines, "}"],
    ...[`filter passed_on${family} {`, ...marks, ...passedOn, "}"],
    ...bgp.sessions.flatMap((session) => {
      if (session.family !== family || !session.filters) return [];
      const { imported, exported } = session.filters;
      return [
        ...[`filter learnt_${protocolName(session, "peer")} {`, ...learnt, ...indented(imported), "  accept;", "}"],
        ...[`filter told_${protocolName(session, "peer")} {`, ...marks, ...indented(exported)],
        ...[...(session.isClientOf === undefined ? toldLines : passedOn), "}"],
      ];
    }),
  ];
}

/** Communities of what is told. */
function markLines(family: 4 | 6, { marked = [] }: BirdBgp): readonly string[] {
  return marked
    .filter(({ cidr }) => cidr.includes(":") === (family === 6))
    .map(({ cidr, marks }) => `  if net ~ ${cidr} then { ${marks.join(" ")} }`);
}

/** A password that the daemon's language has no way to write leaves no session, rather than one without it. */
const passwordLines = (password: string | undefined): readonly string[] => (password === undefined ? [] : [`  password "${password}";`]);

export const isPasswordFor = (text: string): boolean => /^[\x20-\x7e]{1,80}$/.test(text) && !text.includes('"');

function sessionLines(session: BirdBgp["sessions"][number], { as, port }: BirdBgp): readonly string[] {
  const { name, family, address, local = "", keepsNextHop, isFar, hops, isClientOf } = session;
  const nextHop = keepsNextHop || isClientOf !== undefined ? "keep" : "self";
  const own = session.filters && `_${protocolName(session, "peer")}`;
  const learnt = `learnt${own ?? family}`;
  const told = own ? `told${own}` : isClientOf === undefined ? `told${family}` : `passed_on${family}`;
  return [
    `protocol bgp ${protocolName(session, "peer")} from nodes {`,
    `  description "${described(name)}";`,
    `  local ${local}${portWords(port)} as ${as};`,
    ...(session.local === undefined ? ["  strict bind off;"] : []),
    `  neighbor ${address}${portWords(session.port)} as ${session.as};`,
    isFar ? `  multihop${hops === undefined ? "" : ` ${hops}`};` : "  direct;",
    ...(hops === undefined ? [] : ["  ttl security on;"]),
    ...passwordLines(session.password),
    ...(session.restartSeconds === undefined ? [] : [`  graceful restart time ${session.restartSeconds};`]),
    ...(session.allowedOwnAs === undefined ? [] : [`  allow local as ${session.allowedOwnAs};`]),
    ...(isClientOf === undefined ? [] : ["  rr client;", `  rr cluster id ${isClientOf};`]),
    `  ipv${family} { next hop ${nextHop}; import filter ${learnt}; export filter ${told}; };`,
    "}",
  ];
}

const portWords = (port: number): string => (port === defaultBgpPort ? "" : ` port ${port}`);
const described = (name: string): string => name.replaceAll(/[^a-zA-Z0-9.-]/g, "_");

function byName<T extends Pick<Neighbour, "name" | "family">>(all: readonly T[], kind?: "peer"): readonly T[] {
  return [...all].sort((a, b) => (protocolName(a, kind) < protocolName(b, kind) ? -1 : 1));
}

function neighbourLines(neighbour: Neighbour, { as, port, asOfNodes, portOfNodes, mesh }: BirdBgp): readonly string[] {
  const { name, family, address, local } = neighbour;
  return [
    `protocol bgp ${protocolName(neighbour)} from nodes {`,
    `  description "${described(name)}";`,
    `  local ${local}${portWords(port)} as ${as};`,
    `  neighbor ${address}${portWords(portOfNodes?.get(name) ?? port)} as ${asOfNodes.get(name) ?? as};`,
    "  direct;",
    ...passwordLines(mesh?.password),
    `  ipv${family} { next hop self; import filter accepted${family}; export filter announced${family}; };`,
    "}",
  ];
}

/** By the node's name: a change of one neighbour leaves the others' sessions alone. */
export function protocolName({ name, family }: Pick<Neighbour, "name" | "family">, kind: "node" | "peer" = "node"): string {
  return `${kind}${family}_${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;
}

function routerId(nodeName: string, address: string): string {
  if (isIPv4(address)) return address;
  const [a = 0, b = 0, c = 0, d = 0] = createHash("sha256").update(nodeName).digest();
  return `${1 + (a % 223)}.${b}.${c}.${1 + (d % 254)}`;
}
