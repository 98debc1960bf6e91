// Reads once what this node is made of.
import { statfs } from "node:fs/promises";
import { hostFile } from "../linux/host-file.ts";
import { readSystemInfo } from "../linux/system-info.ts";
import { nodeHostAddresses } from "./node-addresses.ts";
import type { NodeFacts } from "./node-status.ts";
import type { ResolvedOptions } from "./options.ts";

export async function readNodeFacts(options: ResolvedOptions): Promise<NodeFacts> {
  const [system, disk, addresses, appArmor] = await Promise.all([
    readSystemInfo(),
    diskBytes(options.rootDirectory),
    nodeHostAddresses(options.nodeIPs),
    hostFile("/sys/module/apparmor/parameters/enabled"),
  ]);
  const { cpus = system.cpus, memoryBytes = system.memoryBytes } = options.capacity ?? {};
  return {
    name: options.nodeName,
    hostname: options.hostname,
    system: { ...system, cpus, memoryBytes },
    addresses,
    diskBytes: disk,
    appArmor: appArmor.startsWith("Y"),
  };
}

/** Of the disk that holds `directory`. */
async function diskBytes(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory);
  return blocks * bsize;
}
