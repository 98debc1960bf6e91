// Removes what the pod network of a data directory leaves in the kernel once its pods are gone, or were killed: the bridge with
// its interfaces, host port rules of the portmap plugin, the masquerade table. Nothing that belongs to another network.
import { readdir, rm } from "node:fs/promises";
import { BlockList, isIPv6 } from "node:net";
import { join } from "node:path";
import { createNftables } from "../linux/nftables.ts";
import { CommandError, runCommand } from "../linux/run-command.ts";
import { removeMasquerade } from "./masquerade.ts";
import { podBridgeName, podNetworkName, removePodNetworkFiles, writtenPodCidrs } from "./network-config.ts";
import { isTableOf } from "./plugins/container-names.ts";
import { networkRuleRemoval } from "./plugins/portmap-iptables.ts";
import { resultDirectory } from "./pod-addresses.ts";

/** Safe to call at any time, also when there is nothing. Running pods lose their network. */
export async function removePodNetwork(dataDir: string): Promise<void> {
  await removeMasquerade(dataDir);
  const cidrs = await writtenPodCidrs(dataDir);
  for (const command of ["iptables", "ip6tables"] as const) {
    await removeRules(command, "nat", (saved) => networkRuleRemoval(saved, podNetworkName(dataDir)));
    await removeRules(command, "filter", (saved) => forwardRuleRemoval(saved, cidrs));
  }
  await removePluginTables(podNetworkName(dataDir));
  await removeBridge(podBridgeName(dataDir));
  await removeResults(podNetworkName(dataDir));
  await removePodNetworkFiles(dataDir);
}

/** Those our own plugins make for each pod. */
async function removePluginTables(network: string): Promise<void> {
  try {
    const { stdout } = await runCommand("nft", ["--json", "list", "tables"]);
    const { nftables } = JSON.parse(stdout) as { readonly nftables: readonly { readonly table?: { family: string; name: string } }[] };
    const ours = nftables.flatMap(({ table }) => (table && isTableOf(network, table.name) ? [table] : []));
    await createNftables().apply(ours.map(({ family, name }) => `add table ${family} ${name}\ndelete table ${family} ${name}\n`).join(""));
  } catch (error) {
    if (!(error instanceof CommandError && error.notFound)) throw error;
  }
}

async function removeBridge(name: string): Promise<void> {
  const interfaces = JSON.parse((await runCommand("ip", ["-json", "link", "show"])).stdout) as readonly {
    ifname: string;
    master?: string;
  }[];
  // Deleting the node's end of a veth pair deletes the pod's.
  const ours = interfaces.filter((link) => link.master === name || link.ifname === name);
  for (const { ifname } of ours) await runCommand("ip", ["link", "delete", ifname]).catch(ignoreGone);
}

/** What the runtime remembers of each pod's network, in a directory all of the machine's runtimes share. */
async function removeResults(network: string): Promise<void> {
  const names = await readdir(resultDirectory).catch(() => []);
  for (const name of names) if (name.startsWith(`${network}-`)) await rm(join(resultDirectory, name), { force: true });
}

async function removeRules(
  command: "iptables" | "ip6tables",
  table: "nat" | "filter",
  removalFor: (saved: string) => string | undefined,
): Promise<void> {
  let saved: string;
  try {
    saved = (await runCommand(`${command}-save`, ["-t", table])).stdout;
  } catch (error) {
    if (error instanceof CommandError) return; // not installed, or no such table in this kernel
    throw error;
  }
  const removal = removalFor(saved);
  if (removal !== undefined) await runCommand(`${command}-restore`, ["--noflush"], { input: removal });
}

/** From the output of iptables-save: the rules of the firewall plugin, which are known by the pods' addresses only. */
export function forwardRuleRemoval(saved: string, podCidrs: readonly string[]): string | undefined {
  const pods = new BlockList();
  for (const cidr of podCidrs) {
    const [address = "", length = ""] = cidr.split("/");
    pods.addSubnet(address, Number(length), isIPv6(address) ? "ipv6" : "ipv4");
  }
  const ours = saved.split("\n").filter((line) => {
    const address = /^-A CNI-FORWARD (?:-s|-d) ([0-9a-f.:]+)\//.exec(line)?.[1];
    return address !== undefined && pods.check(address, isIPv6(address) ? "ipv6" : "ipv4");
  });
  if (ours.length === 0) return undefined;
  return ["*filter", ...ours.map((line) => line.replace(/^-A/, "-D")), "COMMIT", ""].join("\n");
}

/** An interface can vanish with its pod's namespace in the meantime. */
function ignoreGone(error: unknown): void {
  if (!(error instanceof CommandError && /Cannot find device/.test(error.stderr))) throw error;
}
