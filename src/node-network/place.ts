// Where this node is: the address under which it publishes itself, the interface that has it, and the links by which it
// reaches other nodes. Pure, from what `ip address` shows.
import { createHash } from "node:crypto";
import { parseIP } from "../api/meta/ip.ts";
import type { ListedInterface } from "../linux/ip-tool.ts";
import type { LocalLink } from "./plan.ts";

export interface Underlay {
  readonly address: string;
  readonly device: string;
  readonly mtu: number;
}

const ethernetMtu = 1500;
/** What VXLAN adds to a packet: Ethernet 14, VXLAN 8, UDP 8, and the outer IP header. */
const vxlanBytes = { 4: 50, 6: 70 } as const;
/** What UDP alone adds: 8, and the outer IP header. */
const udpBytes = { 4: 28, 6: 48 } as const;

/** The first of the node's addresses that an interface of this machine has. */
export function findUnderlay(interfaces: readonly ListedInterface[], nodeAddresses: readonly string[]): Underlay | undefined {
  for (const address of nodeAddresses)
    for (const { ifname, mtu = ethernetMtu, addr_info: own = [] } of interfaces)
      if (own.some(({ local }) => local !== undefined && canonical(local) === address)) return { address, device: ifname, mtu };
  return undefined;
}

/**
 * Ranges that the interfaces named are directly connected to. Others are left out: what is behind the bridges of containers,
 * virtual machines and other clusters has addresses that other machines give out as well.
 */
export function localLinks(interfaces: readonly ListedInterface[], names: readonly string[]): readonly LocalLink[] {
  return interfaces
    .filter(({ ifname }) => names.includes(ifname))
    .flatMap(({ ifname, addr_info: own = [] }) =>
      own
        .filter(({ scope }) => scope === "global")
        .flatMap(({ local = "", prefixlen }) => {
          const address = canonical(local);
          return address === undefined || prefixlen === undefined ? [] : [{ device: ifname, address, prefixLength: prefixlen }];
        }),
    );
}

/** The addresses an interface of this machine has; none where there is no such interface. */
export function addressesOf(interfaces: readonly ListedInterface[], name: string): readonly string[] {
  const found = interfaces.find(({ ifname }) => ifname === name);
  return (found?.addr_info ?? []).filter(({ scope }) => scope === "global").flatMap(({ local = "" }) => canonical(local) ?? []);
}

/** Of packets that go through the VXLAN, or the tunnel in plain UDP. */
export function tunnelMtu({ address, mtu }: Underlay, by: "vxlan" | "udp"): number {
  return mtu - (by === "vxlan" ? vxlanBytes : udpBytes)[address.includes(":") ? 6 : 4];
}

/** The same at each start, so that the other nodes' entries stay right: a locally administered address from the node's name. */
export function tunnelMac(nodeName: string, vni: number): string {
  const bytes = createHash("sha256").update(`${vni}/${nodeName}`).digest().subarray(0, 6);
  const [first = 0, ...rest] = bytes;
  return [(first & 0xfc) | 0x02, ...rest].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function canonical(address: string): string | undefined {
  return parseIP(address)?.canonical;
}
