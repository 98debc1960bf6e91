// Reads once what this node is made of.
import { readSystemInfo } from "../linux/system-info.ts";
import { nodeHostAddresses } from "./node-addresses.ts";
import { diskBytes } from "./node-pressure.ts";
import type { NodeFacts } from "./node-status.ts";
import type { ResolvedOptions } from "./options.ts";

export async function readNodeFacts(options: ResolvedOptions): Promise<NodeFacts> {
  const [system, disk, addresses] = await Promise.all([
    readSystemInfo(),
    diskBytes(options.rootDirectory),
    nodeHostAddresses(options.nodeIPs),
  ]);
  const { cpus = system.cpus, memoryBytes = system.memoryBytes } = options.capacity ?? {};
  return {
    name: options.nodeName,
    hostname: options.hostname,
    system: { ...system, cpus, memoryBytes },
    addresses,
    diskBytes: disk,
  };
}
