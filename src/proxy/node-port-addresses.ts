// At which of the node's addresses node ports answer: its primary ones ("primary", the default of this mode), those in given
// ranges, or all. A range of one family says nothing about the other, which then has all. Never at loopback addresses.
import { cidrContains, parseCIDR, parseIP } from "../api/meta/ip.ts";
import type { IpFamily } from "../linux/packet-rules/rule-set.ts";
import type { NodeView } from "./node-view.ts";
import { addressesOf } from "./service-port.ts";

export interface NodePortAddressFacts {
  /** "primary" alone, or ranges. */
  readonly wanted: readonly string[];
  readonly node: NodeView;
  /** Of all interfaces of this machine. */
  readonly local: readonly string[];
}

export function nodePortAddresses({ wanted, node, local }: NodePortAddressFacts, family: IpFamily): "all" | readonly string[] {
  if (wanted[0] === "primary") return node.addresses[family] === undefined ? [] : [node.addresses[family]];
  const length = family === "IPv4" ? 4 : 16;
  const ranges = wanted.flatMap((text) => parseCIDR(text) ?? []).filter(({ network }) => network.length === length);
  if (ranges.length === 0 || ranges.some(({ prefixLength }) => prefixLength === 0)) return "all";
  const own = new Set(addressesOf(local, family));
  return [...own].filter((address) => {
    const ip = parseIP(address);
    return ip !== undefined && !isLoopback(address) && ranges.some((range) => cidrContains(range, ip));
  });
}

const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";
