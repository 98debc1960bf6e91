// Packets that leave the cluster carry the node's address; packets between pods keep their own, on whichever node the other
// pod is, as Kubernetes' network model wants. One nftables table per data directory, replaced as a whole, so it can be applied
// any number of times.
import { createNftables } from "../linux/nftables.ts";
import { CommandError } from "../linux/run-command.ts";
import { podBridgeName, podNetworkName } from "./network-config.ts";

export interface MasqueradeOptions {
  readonly dataDir: string;
  /** The node's pod range, one per address family. */
  readonly podCidrs: readonly string[];
  /** Ranges reached without translation besides the node's own: the cluster's pod range. */
  readonly clusterCidrs: readonly string[];
  /** Addresses of other nodes that know the way back to the pods. Default none: then nodes see this node's address. */
  readonly nodeAddresses?: readonly string[];
}

/** The commands for `nft -f -`. */
export function renderMasquerade(options: MasqueradeOptions): string {
  const table = `inet ${podNetworkName(options.dataDir)}`;
  const bridge = podBridgeName(options.dataDir);
  const rules = ["ip", "ip6"].flatMap((family) => {
    const ofFamily = (cidrs: readonly string[]): readonly string[] => cidrs.filter((cidr) => cidr.includes(":") === (family === "ip6"));
    const nodes = ofFamily(options.nodeAddresses ?? []);
    const inside = [...ofFamily(options.podCidrs), ...ofFamily(options.clusterCidrs), family === "ip" ? "224.0.0.0/4" : "ff00::/8"];
    return ofFamily(options.podCidrs).flatMap((source) => [
      ...inside.map((cidr) => `    ${family} saddr ${source} ${family} daddr ${cidr} return`),
      ...(nodes.length > 0 ? [`    ${family} saddr ${source} ${family} daddr { ${nodes.join(", ")} } return`] : []),
      `    ${family} saddr ${source} oifname != "${bridge}" masquerade`,
    ]);
  });
  return [
    // Adding first makes the deletion succeed on the first run.
    `add table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    "  chain postrouting {",
    "    type nat hook postrouting priority srcnat; policy accept;",
    ...rules,
    "  }",
    "}",
    "",
  ].join("\n");
}

export async function applyMasquerade(options: MasqueradeOptions): Promise<void> {
  await createNftables().apply(renderMasquerade(options));
}

/** Does nothing where there is no such table, or no nft at all. */
export async function removeMasquerade(dataDir: string): Promise<void> {
  const table = `inet ${podNetworkName(dataDir)}`;
  try {
    await createNftables().apply(`add table ${table}\ndelete table ${table}\n`);
  } catch (error) {
    if (!(error instanceof CommandError && error.notFound)) throw error;
  }
}
