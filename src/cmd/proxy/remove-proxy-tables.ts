// Takes packet rules, such as the service proxy's, off the machine: what `coracle down` and `coracle proxy --cleanup` do.
import { podNetworkName } from "../../cni/network-config.ts";
import { createNftables, type NftFamily } from "../../linux/nftables.ts";
import { CommandError } from "../../linux/run-command.ts";

/** Of the node of a data directory. Upstream's name with the cluster's, as there may be several clusters on a machine. */
export const proxyTableName = (dataDir: string): string => `kube-proxy-${podNetworkName(dataDir)}`;

/** Does nothing where there are no such tables, or no nft at all. */
export async function removePacketTables(name: string, families: readonly NftFamily[] = ["ip", "ip6"]): Promise<void> {
  const nftables = createNftables();
  try {
    for (const family of families) {
      if ((await nftables.tableNames(family, name)) === undefined) continue;
      await nftables.apply(`add table ${family} ${name}\ndelete table ${family} ${name}\n`);
    }
  } catch (error) {
    if (!(error instanceof CommandError && error.notFound)) throw error;
  }
}
