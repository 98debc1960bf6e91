// The pod network of one node, as CNI configuration: pods on a bridge of the node, addresses from the node's pod range given
// out by host-local, host ports by portmap. Written for the runtime, which runs the plugins. Everything that is shared with
// other clusters on the machine (the bridge's name, the plugins' files) carries the data directory's hash, so that clusters
// do not meet.
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { CommandError, runCommand } from "../linux/run-command.ts";

export interface PodNetworkOptions {
  readonly dataDir: string;
  /** The node's pod range, one per address family: ["10.244.0.0/24"]. */
  readonly podCidrs: readonly string[];
  /** Of pods' interfaces, in bytes; at most that of the interface by which pods leave the node. */
  readonly mtu: number;
  /** Whose plugins the runtime finds: ours, which run in one call, or those of the system. Default the system's. */
  readonly plugins?: "coracle" | "system";
  /** Whether packets to and from pods must be accepted in iptables, as where another program drops forwarded ones. Default false. */
  readonly acceptForwarding?: boolean;
}

/** The network's name in CNI; also how its iptables rules are recognised. */
export function podNetworkName(dataDir: string): string {
  return `coracle-${hash(dataDir)}`;
}

/** 12 characters; an interface name has at most 15. */
export function podBridgeName(dataDir: string): string {
  return `cor-${hash(dataDir)}`;
}

/** Of the VXLAN between nodes. */
export function vxlanDeviceName(dataDir: string): string {
  return `corx-${hash(dataDir)}`;
}

/** Of the tunnel between nodes in plain UDP packets. */
export function udpDeviceName(dataDir: string): string {
  return `coru-${hash(dataDir)}`;
}

/** Of the IPIP tunnels between nodes. */
export function ipipDeviceName(dataDir: string): string {
  return `corp-${hash(dataDir)}`;
}

/** Of the link between the nodes of one machine. Begins otherwise than bridges of pods, which are told apart by that. */
export function nodeBridgeName(dataDir: string): string {
  return `corn-${hash(dataDir)}`;
}

/** The directory the runtime reads the configuration from. */
export function cniConfigDirectory(dataDir: string): string {
  return join(resolve(dataDir), "cni", "net.d");
}

/** The network configuration list (CNI specification 1.0.0, section 1). */
export function renderPodNetwork(options: PodNetworkOptions): object {
  const { dataDir, podCidrs, mtu, acceptForwarding = false, plugins = "system" } = options;
  const bridge = {
    type: "bridge",
    bridge: podBridgeName(dataDir),
    mtu,
    isGateway: true,
    // A bridge that an earlier cluster with this directory has left, with the gateway of other pods, becomes ours.
    forceAddress: true,
    // Leaving the node under its address is arranged by masquerade.ts, which knows the cluster's other ranges.
    ipMasq: false,
    // A pod may reach itself through its service.
    hairpinMode: true,
    ipam: {
      type: "host-local",
      dataDir: join(resolve(dataDir), "cni", "addresses"),
      ranges: podCidrs.map((subnet) => [{ subnet }]),
      routes: podCidrs.map((cidr) => ({ dst: cidr.includes(":") ? "::/0" : "0.0.0.0/0" })),
    },
  };
  const portmap = { type: "portmap", capabilities: { portMappings: true }, snat: true };
  const firewall = acceptForwarding ? [{ type: "firewall", backend: "iptables" }] : [];
  const list = [bridge, portmap, ...firewall];
  // kubernetes.io/ingress-bandwidth and egress-bandwidth of pods. Where no pod has them it costs nothing in one call of many.
  const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
  const one = { type: "coracle", capabilities: { portMappings: true, bandwidth: true }, plugins: [...list, bandwidth] };
  return { cniVersion: "1.0.0", name: podNetworkName(dataDir), plugins: plugins === "coracle" ? [one] : list };
}

/** Writes the configuration at once and whole; the runtime watches the directory. Leaves an equal file alone. */
export async function writePodNetwork(options: PodNetworkOptions): Promise<void> {
  const path = configPath(options.dataDir);
  const text = `${JSON.stringify(renderPodNetwork(options), null, 2)}\n`;
  if ((await readFile(path, "utf8").catch(() => "")) === text) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

/**
 * Whether iptables drops forwarded packets by default, as Docker sets it up: then pods reach nothing unless their packets are
 * accepted explicitly. Decides `acceptForwarding`.
 */
export async function forwardingIsDropped(): Promise<boolean> {
  try {
    const { stdout } = await runCommand("iptables", ["-S", "FORWARD"]);
    return stdout.startsWith("-P FORWARD DROP");
  } catch (error) {
    if (error instanceof CommandError) return false; // no iptables: nobody can have set it to drop
    throw error;
  }
}

/** The pod ranges of the configuration that is written; none where there is none. */
export async function writtenPodCidrs(dataDir: string): Promise<readonly string[]> {
  const text = await readFile(configPath(dataDir), "utf8").catch(() => "");
  // Written by writePodNetwork, at once and whole.
  const config = text === "" ? {} : (JSON.parse(text) as WrittenPlugin);
  return subnetsOf(config);
}

interface WrittenPlugin {
  readonly ipam?: { readonly ranges?: readonly (readonly { readonly subnet: string }[])[] };
  readonly plugins?: readonly WrittenPlugin[];
}

function subnetsOf({ ipam, plugins = [] }: WrittenPlugin): readonly string[] {
  return [...(ipam?.ranges ?? []).flat().map(({ subnet }) => subnet), ...plugins.flatMap(subnetsOf)];
}

function configPath(dataDir: string): string {
  return join(cniConfigDirectory(dataDir), "10-coracle.conflist");
}

/** Removes the configuration and the record of addresses given out. */
export async function removePodNetworkFiles(dataDir: string): Promise<void> {
  await rm(join(resolve(dataDir), "cni"), { recursive: true, force: true });
}

function hash(dataDir: string): string {
  return createHash("sha256").update(resolve(dataDir)).digest("hex").slice(0, 8);
}
