// The link between the nodes of one machine: a bridge in the machine's own network namespace, which is the first node's, and a
// namespace with an address of its own for every other node. The machine is their router: it hides them behind its own
// address on the way out, and reaches them and their pods as any node does. All names carry the data directory's hash.
import { writeFile } from "node:fs/promises";
import { cidrContains, formatIP, type ParsedCIDR, parseCIDR, parseIP } from "../../api/meta/ip.ts";
import { forwardingIsDropped, nodeBridgeName, podNetworkName } from "../../cni/network-config.ts";
import { createIpTool, type ListedInterface } from "../../linux/ip-tool.ts";
import { createNamespace, namespaceExists, namespacesNamed, removeNamespace } from "../../linux/network-namespaces.ts";
import { createNftables } from "../../linux/nftables.ts";
import { CommandError, runCommand } from "../../linux/run-command.ts";
import { defaultRoute } from "../../linux/system-info.ts";

export interface MachineNetworkOptions {
  readonly dataDir: string;
  /** Of nodes, at most one of each family. */
  readonly nodeCidrs: readonly string[];
  /** Of pods, which leave nodes under their own addresses. */
  readonly clusterCidrs: readonly string[];
}

/** Node 1 is the machine itself. */
export type NodeIndex = number;

const ethernetMtu = 1500;
const uplink = "eth0";
const addressFor = (cidr: ParsedCIDR, index: NodeIndex): string => {
  const bytes = [...cidr.network];
  let carry = index;
  for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
    const sum = (bytes[i] ?? 0) + carry;
    bytes[i] = sum & 0xff;
    carry = sum >> 8;
  }
  return formatIP(bytes);
};

export const namespaceOf = (dataDir: string, nodeName: string): string => `${podNetworkName(dataDir)}-${nodeName}`;
/** Of the machine's end of a node's cable. 15 characters at most. */
const cableOf = (dataDir: string, index: NodeIndex): string => `${nodeBridgeName(dataDir).replaceAll("-", "")}${index}`;
const tableOf = (dataDir: string): string => `inet ${podNetworkName(dataDir)}-nodes`;

/** The addresses of a node, one of each range. Throws where the range has none for it. */
export function nodeAddressesFor(nodeCidrs: readonly string[], index: NodeIndex): readonly string[] {
  return nodeCidrs.map((text) => {
    const cidr = parseCIDR(text);
    const address = cidr && addressFor(cidr, index);
    const ip = address === undefined ? undefined : parseIP(address);
    const isLast = cidr?.network.length === 4 && index === 2 ** (32 - cidr.prefixLength) - 1;
    if (!cidr || !ip || isLast || !cidrContains(cidr, ip)) throw new Error(`the node range ${text} has no address for node ${index}`);
    return ip.canonical;
  });
}

/** Makes the bridge, and what packets to and from the nodes need. Safe to call again. */
export async function ensureMachineNetwork(options: MachineNetworkOptions): Promise<void> {
  const { dataDir, nodeCidrs } = options;
  const bridge = nodeBridgeName(dataDir);
  const ip = createIpTool();
  const interfaces = await ip.addresses();
  const exists = interfaces.some(({ ifname }) => ifname === bridge);
  const mtu = (await defaultRoute())?.mtu ?? ethernetMtu;
  await ip.apply([
    ...(exists ? [] : [`link add name ${bridge} type bridge`]),
    `link set dev ${bridge} mtu ${mtu} up`,
    ...addressCommands(nodeCidrs, 1, bridge, interfaces),
  ]);
  await enableForwarding(nodeCidrs);
  await createNftables().apply(renderNodeNat(options));
  if (await forwardingIsDropped()) await acceptForwarding(bridge);
}

/** The namespace of a node, with its addresses and its way out. Keeps what runs in it; safe to call again. */
export async function ensureNodeNamespace(options: MachineNetworkOptions, name: string, index: NodeIndex): Promise<void> {
  const { dataDir, nodeCidrs } = options;
  const netns = namespaceOf(dataDir, name);
  const [bridge, cable] = [nodeBridgeName(dataDir), cableOf(dataDir, index)];
  const outside = createIpTool();
  const interfaces = await outside.addresses();
  const mtu = interfaces.find(({ ifname }) => ifname === bridge)?.mtu ?? ethernetMtu;
  const inside = createIpTool({ netns });
  const within = (await namespaceExists(netns)) ? await inside.addresses() : [];
  const isWhole = within.some(({ ifname }) => ifname === uplink);
  await createNamespace(netns);
  const isLoose = interfaces.some(({ ifname }) => ifname === cable) && !isWhole;
  await outside.apply([
    ...(isLoose ? [`link delete dev ${cable}`] : []),
    ...(isWhole ? [] : [`link add name ${cable} type veth peer name ${uplink} netns ${netns}`]),
    `link set dev ${cable} master ${bridge} mtu ${mtu} up`,
    // What a node sends to a service's port of this machine may have to go back to it, to a pod of its own: where bridged packets
    // are shown to the packet filter, that happens within the bridge.
    `link set dev ${cable} type bridge_slave hairpin on`,
  ]);
  const gateways = nodeAddressesFor(nodeCidrs, 1);
  await inside.apply([
    "link set dev lo up",
    `link set dev ${uplink} mtu ${mtu} up`,
    ...addressCommands(nodeCidrs, index, uplink, within),
    ...gateways.map((gateway) => `route replace default via ${gateway} dev ${uplink}`),
  ]);
}

/** Pulls a node's cable, or puts it back: cut off from everything, as by a broken switch. */
export async function setNodeCable(dataDir: string, index: NodeIndex, isPlugged: boolean): Promise<void> {
  await createIpTool().apply([`link set dev ${cableOf(dataDir, index)} ${isPlugged ? "up" : "down"}`]);
}

/** Everything in the namespace must have ended. */
export async function removeNodeNamespace(dataDir: string, name: string, index: NodeIndex): Promise<void> {
  // The other end goes with the namespace, but only after a while.
  await createIpTool()
    .apply([`link delete dev ${cableOf(dataDir, index)}`])
    .catch(ignoreGone);
  await removeNamespace(namespaceOf(dataDir, name));
}

/** Removes the bridge, the namespaces and the rules, whatever of them there is. */
export async function removeMachineNetwork(dataDir: string): Promise<void> {
  const bridge = nodeBridgeName(dataDir);
  for (const netns of await namespacesNamed(`${podNetworkName(dataDir)}-`)) await removeNamespace(netns);
  const ours = (await createIpTool().addresses()).filter(({ ifname, master }) => ifname === bridge || master === bridge);
  for (const { ifname } of ours)
    await createIpTool()
      .apply([`link delete dev ${ifname}`])
      .catch(ignoreGone);
  await createNftables().apply(`add table ${tableOf(dataDir)}\ndelete table ${tableOf(dataDir)}\n`);
  await stopAcceptingForwarding(bridge);
}

/** Lets programs of a node forward packets: pods are behind it. To be called in the node's namespace. */
export async function enableForwarding(nodeCidrs: readonly string[]): Promise<void> {
  await writeFile("/proc/sys/net/ipv4/ip_forward", "1");
  if (nodeCidrs.some((cidr) => cidr.includes(":"))) await writeFile("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

/** The commands for nft: nodes are hidden behind the machine where they leave it. */
export function renderNodeNat({ dataDir, nodeCidrs, clusterCidrs }: MachineNetworkOptions): string {
  const table = tableOf(dataDir);
  const rules = nodeCidrs.flatMap((cidr) => {
    const family = cidr.includes(":") ? "ip6" : "ip";
    const inside = [cidr, ...clusterCidrs.filter((pods) => pods.includes(":") === cidr.includes(":"))];
    return [`    ${family} saddr ${cidr} ${family} daddr != { ${inside.join(", ")} } oifname != "${nodeBridgeName(dataDir)}" masquerade`];
  });
  const chain = ["  chain postrouting {", "    type nat hook postrouting priority srcnat; policy accept;", ...rules, "  }"];
  return [`add table ${table}`, `delete table ${table}`, `table ${table} {`, ...chain, "}", ""].join("\n");
}

/** Gives an interface the addresses of its node, and takes away those of a range that it had before. */
function addressCommands(
  nodeCidrs: readonly string[],
  index: NodeIndex,
  device: string,
  interfaces: readonly ListedInterface[],
): readonly string[] {
  const wanted = nodeAddressesFor(nodeCidrs, index);
  const present = interfaces.find(({ ifname }) => ifname === device)?.addr_info ?? [];
  const stale = present.filter(({ scope, local = "" }) => scope === "global" && !wanted.includes(parseIP(local)?.canonical ?? ""));
  return [
    ...stale.map(({ local, prefixlen }) => `address del ${local}/${prefixlen} dev ${device}`),
    ...wanted.map((address, i) => {
      const length = nodeCidrs[i]?.split("/")[1];
      // Nobody else has the address: there is no need to wait for the detection of duplicates.
      return `address replace ${address}/${length} dev ${device}${address.includes(":") ? " nodad" : ""}`;
    }),
  ];
}

const directions = ["-i", "-o"] as const;

/** Where another program drops forwarded packets, those of nodes are accepted before. */
async function acceptForwarding(bridge: string): Promise<void> {
  await stopAcceptingForwarding(bridge);
  for (const direction of directions) await runCommand("iptables", ["-I", "FORWARD", direction, bridge, "-j", "ACCEPT"]);
}

async function stopAcceptingForwarding(bridge: string): Promise<void> {
  for (const direction of directions)
    await runCommand("iptables", ["-D", "FORWARD", direction, bridge, "-j", "ACCEPT"]).catch((error: unknown) => {
      if (!(error instanceof CommandError)) throw error; // there is no such rule, or no iptables
    });
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof CommandError && /Cannot find device/.test(error.stderr))) throw error;
}
