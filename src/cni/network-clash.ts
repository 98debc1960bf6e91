// Whether a range of pod addresses is in use on this machine already: by another cluster's bridge, a VPN, the machine's own
// network. The kernel would take both, and packets to pods would go the wrong way without a word.
import { BlockList, isIPv6 } from "node:net";
import { createIpTool, type ListedInterface } from "../linux/ip-tool.ts";
import { ipipDeviceName, nodeBridgeName, podBridgeName, udpDeviceName, vxlanDeviceName } from "./network-config.ts";

/**
 * Says which interface has an address in one of the ranges, for a person: "10.244.0.0/16 is in use on this machine: …".
 * Undefined when they are free. What is there for the data directory's own pods does not count.
 */
export async function findNetworkClash(dataDir: string, cidrs: readonly string[]): Promise<string | undefined> {
  const tunnels = [vxlanDeviceName(dataDir), udpDeviceName(dataDir), ipipDeviceName(dataDir)];
  const own = [podBridgeName(dataDir), ...tunnels, nodeBridgeName(dataDir)];
  return networkClash(await createIpTool().addresses(), cidrs, own);
}

/** `own`: names of interfaces that do not count. */
export function networkClash(interfaces: readonly ListedInterface[], cidrs: readonly string[], own: readonly string[]): string | undefined {
  for (const cidr of cidrs) {
    const [network = "", length = ""] = cidr.split("/");
    const range = new BlockList();
    range.addSubnet(network, Number(length), isIPv6(network) ? "ipv6" : "ipv4");
    for (const { ifname, addr_info: addresses = [] } of interfaces) {
      if (own.includes(ifname)) continue;
      const inside = addresses.find(({ local }) => local !== undefined && range.check(local, isIPv6(local) ? "ipv6" : "ipv4"));
      if (inside) return `${cidr} is in use on this machine: interface ${ifname} has ${inside.local}`;
    }
  }
  return undefined;
}
