// Reads once what this node is made of.
import { statfs } from "node:fs/promises";
import { hostFile } from "../linux/host-file.ts";
import { hostAddresses, readSystemInfo } from "../linux/system-info.ts";
import type { NodeFacts } from "./node-status.ts";
import type { ResolvedOptions } from "./options.ts";

export async function readNodeFacts(options: ResolvedOptions): Promise<NodeFacts> {
  const [system, disk, found, appArmor] = await Promise.all([
    readSystemInfo(),
    diskBytes(options.rootDirectory),
    hostAddresses(),
    hostFile("/sys/module/apparmor/parameters/enabled"),
  ]);
  const { cpus = system.cpus, memoryBytes = system.memoryBytes } = options.capacity ?? {};
  const given = options.nodeIPs?.map((address) => ({
    interface: "",
    address,
    family: address.includes(":") ? (6 as const) : (4 as const),
  }));
  // One address of each family, IPv4 first: what pods and other nodes use.
  const own = [4, 6].flatMap((family) => found.filter((a) => a.family === family).slice(0, 1));
  return {
    name: options.nodeName,
    hostname: options.hostname,
    system: { ...system, cpus, memoryBytes },
    addresses: given ?? own,
    diskBytes: disk,
    appArmor: appArmor.startsWith("Y"),
  };
}

/** Of the disk that holds `directory`. */
async function diskBytes(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory);
  return blocks * bsize;
}
