// Takes the service proxy's packet rules off the machine: what `coracle down` and `coracle proxy --cleanup` do.
import { podNetworkName } from "../cni/network-config.ts";
import { createNftables } from "../linux/nftables.ts";
import { CommandError } from "../linux/run-command.ts";

/** Of the node of a data directory. Upstream's name with the cluster's, as there may be several clusters on a machine. */
export const proxyTableName = (dataDir: string): string => `kube-proxy-${podNetworkName(dataDir)}`;

/** Does nothing where there are no such tables, or no nft at all. */
export async function removeProxyTables(name: string): Promise<void> {
  const nftables = createNftables();
  try {
    for (const family of ["ip", "ip6"] as const) {
      if ((await nftables.tableNames(family, name)) === undefined) continue;
      await nftables.apply(`add table ${family} ${name}\ndelete table ${family} ${name}\n`);
    }
  } catch (error) {
    if (!(error instanceof CommandError && error.notFound)) throw error;
  }
}
