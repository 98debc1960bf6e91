// The configuration of the routing daemon (BIRD 2) of a node. Pure. It tells all nodes on one link of this node's blocks and of
// addresses it has borrowed, and puts into the kernel what they tell of theirs: nothing but routes within the pools. Blocks
// stand in the kernel as black holes, so that packets to addresses nobody has do not wander about between nodes.
import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import type { Neighbour, RoutedPlan } from "./plan.ts";

/** All nodes are of one autonomous system, a private one. */
export const autonomousSystem = 64_512;

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
}

const logBytes = 1_048_576;

export function renderBirdConfig({ nodeName, nodeAddress, metric, logFile, plan }: BirdConfigInput): string {
  const lines = [
    "# Written by Coracle; changes are overwritten.",
    `log "${logFile}" ${logBytes} "${logFile}.1" { info, remote, warning, error, auth, fatal, bug };`,
    `router id ${routerId(nodeName, nodeAddress)};`,
    "graceful restart wait 10;",
    "protocol device { scan time 10; }",
    "",
    ...([4, 6] as const).flatMap((family) => familyLines(family, metric, plan)),
    "template bgp nodes {",
    `  local as ${autonomousSystem};`,
    "  direct;",
    "  strict bind on;",
    "  graceful restart on;",
    "  connect delay time 1;",
    "  connect retry time 5;",
    "  error wait time 1, 30;",
    "  hold time 30;",
    "}",
    ...[...plan.neighbours].sort((a, b) => (protocolName(a) < protocolName(b) ? -1 : 1)).flatMap(neighbourLines),
    "",
  ];
  return lines.join("\n");
}

function familyLines(family: 4 | 6, metric: number, { blocks, announced, accepted }: BirdConfigInput["plan"]): readonly string[] {
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
    "  if source != RTS_STATIC then reject;",
    within(ofFamily(announced)),
    "}",
    `filter kernel${family} {`,
    `  if proto = "borrowed${family}" then reject;`,
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

function neighbourLines(neighbour: Neighbour): readonly string[] {
  const { name, family, address, local } = neighbour;
  return [
    `protocol bgp ${protocolName(neighbour)} from nodes {`,
    `  description "${name.replaceAll(/[^a-zA-Z0-9.-]/g, "_")}";`,
    `  local ${local} as ${autonomousSystem};`,
    `  neighbor ${address} as ${autonomousSystem};`,
    `  ipv${family} { next hop self; import filter accepted${family}; export filter announced${family}; };`,
    "}",
  ];
}

/** By the node's name: a change of one neighbour leaves the others' sessions alone. */
export function protocolName({ name, family }: Pick<Neighbour, "name" | "family">): string {
  return `node${family}_${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;
}

function routerId(nodeName: string, address: string): string {
  if (isIPv4(address)) return address;
  const [a = 0, b = 0, c = 0, d = 0] = createHash("sha256").update(nodeName).digest();
  return `${1 + (a % 223)}.${b}.${c}.${1 + (d % 254)}`;
}
