// Reads once what this node is made of.
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { hostFile } from "../../linux/host-file.ts";
import { readHugePages } from "../../linux/huge-pages.ts";
import { readSystemInfo } from "../../linux/system-info.ts";
import type { ResolvedOptions } from "../options.ts";
import { nodeHostAddresses } from "./node-addresses.ts";
import type { NodeFacts } from "./node-status.ts";

export async function readNodeFacts(options: ResolvedOptions, readSystem = readSystemInfo): Promise<NodeFacts> {
  const [system, disk, addresses, appArmor, hugePages] = await Promise.all([
    readSystem(),
    diskBytes(options.rootDirectory),
    nodeHostAddresses(options),
    hostFile("/sys/module/apparmor/parameters/enabled"),
    readHugePages(),
  ]);
  const { cpus = system.cpus, memoryBytes = system.memoryBytes } = options.capacity ?? {};
  return {
    name: options.nodeName,
    hostname: options.hostname,
    system: { ...system, cpus, memoryBytes },
    addresses,
    diskBytes: disk,
    appArmor: appArmor.startsWith("Y"),
    hugePages,
  };
}

/** Of the disk that holds `directory`, or will hold it when it is made. */
async function diskBytes(directory: string): Promise<number> {
  try {
    const { blocks, bsize } = await statfs(directory);
    return blocks * bsize;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || directory === dirname(directory)) throw error;
    return await diskBytes(dirname(directory));
  }
}
