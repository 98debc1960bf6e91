// Whose questions are answered. The server listens on an address of the machine, which may be reached from the Internet;
// one that answers everybody would be used to flood others.
import { cidrContains, type ParsedCIDR, parseCIDR, parseIP } from "../api/meta/ip.ts";
import { LruMap } from "../base/lru-map.ts";

/** Ranges that are not routed on the Internet. */
export const privateRanges = [
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "fc00::/7",
  "fe80::/10",
  "::1/128",
];

/** Decisions that are remembered. */
const maxKnown = 10_000;

export function createClientFilter(ranges: readonly string[]): (address: string) => boolean {
  const parsed = ranges.map((range) => parseCIDR(range)).filter((range): range is ParsedCIDR => range !== undefined);
  const known = new LruMap<string, boolean>(maxKnown);
  return (address) => {
    const remembered = known.get(address);
    if (remembered !== undefined) return remembered;
    // Link-local addresses carry their interface: "fe80::1%eth0".
    const ip = parseIP(address.split("%", 1)[0] ?? "");
    const allowed = ip !== undefined && parsed.some((range) => cidrContains(range, ip));
    known.set(address, allowed);
    return allowed;
  };
}
