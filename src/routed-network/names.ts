// Names of what a routed pod network has in the kernel and on disk. They come from the data directory, so that clusters of one
// machine do not meet; interfaces have at most 15 characters.
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";

/** Of the plugin, in the CNI configuration. */
export const routedPluginName = "coracle-routed";

const letters = "0123456789abcdefghijklmnopqrstuvwxyz";

/** How the names of the host's ends of pods' cables begin. Like those of bridges of pods, but never the same as one. */
export function podCablePrefix(dataDir: string): string {
  return `cor-r${hashed(resolve(dataDir), 4)}`;
}

/** The host's end of the cable of a container's interface. */
export function podCableName(prefix: string, containerId: string, interfaceName: string): string {
  return `${prefix}${hashed(`${containerId}/${interfaceName}`, 6)}`;
}

/** Of the routing daemon: configuration, control socket, process id, log. Sockets need a short path. */
export function birdDirectory(dataDir: string): string {
  return join("/run/coracle", `bird-${createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 8)}`);
}

/** What has to be known to take a node's network away. */
export function routedNetworkFile(dataDir: string): string {
  return join(resolve(dataDir), "routed-network.json");
}

/** Whose addresses a pod's sandbox has: the network and the container, as Calico has it. */
export function sandboxHandle(network: string, containerId: string): string {
  return `${network}.${containerId}`;
}

/** Whose addresses a node's end of a tunnel has. */
export function tunnelHandle(by: "vxlan" | "ipip", node: string): string {
  return `${by}-tunnel-addr-${node}`;
}

function hashed(text: string, length: number): string {
  const digest = createHash("sha256").update(text).digest();
  return Array.from({ length }, (_, i) => letters[(digest.readUInt16BE(2 * i) ?? 0) % letters.length]).join("");
}
