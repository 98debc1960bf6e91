// Names in a node's network namespace. Programs there read the machine's /etc/resolv.conf; where that names a stub on the
// machine's loopback, which in the namespace is nobody's, what is sent to the stub goes to the resolver behind it instead.
import { writeFile } from "node:fs/promises";
import { isIPv4 } from "node:net";
import { createNftables, type Nftables } from "../../linux/nftables.ts";
import { findResolverFile, isLoopbackText } from "../../linux/resolver-file.ts";

const table = "ip coracle-resolver";

/** The commands for nft: from stubs on loopback to a resolver that is reached. */
export function renderResolver(stubs: readonly string[], resolver: string): string {
  return [
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    "  chain output {",
    "    type nat hook output priority -100; policy accept;",
    `    ip daddr { ${stubs.join(", ")} } meta l4proto { tcp, udp } th dport 53 dnat to ${resolver}`,
    "  }",
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    '    oifname != "lo" ip saddr 127.0.0.0/8 masquerade',
    "  }",
    "}",
    "",
  ].join("\n");
}

/** To be called in the node's namespace; does nothing where the resolvers are reached as they stand. */
export async function reachResolver(nftables: Nftables = createNftables()): Promise<void> {
  const [usual, behind] = await Promise.all([findResolverFile(["/etc/resolv.conf"]), findResolverFile()]);
  const stubs = usual.nameservers.filter((address) => isIPv4(address) && isLoopbackText(address));
  const resolver = behind.nameservers.find((address) => isIPv4(address) && !isLoopbackText(address));
  if (usual.path === behind.path || stubs.length === 0 || resolver === undefined) return;
  // Without it the kernel sends nothing from loopback addresses out of other interfaces.
  await writeFile("/proc/sys/net/ipv4/conf/all/route_localnet", "1");
  await nftables.apply(renderResolver(stubs, resolver));
}
