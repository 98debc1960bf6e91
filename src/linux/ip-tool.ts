// The kernel's interfaces, routes, neighbours and forwarding entries by way of `ip` and `bridge`: read as JSON, changed by
// batches of commands, in this process's network namespace or in a named one.
import { type CommandResult, runCommand } from "./run-command.ts";

/** As `ip -json address show` has it, as far as it matters here. */
export interface ListedInterface {
  readonly ifname: string;
  readonly mtu?: number;
  /** The hardware address. */
  readonly address?: string;
  /** The bridge it is part of. */
  readonly master?: string;
  readonly addr_info?: readonly ListedAddress[];
}

export interface ListedAddress {
  readonly family?: "inet" | "inet6";
  readonly local?: string;
  readonly prefixlen?: number;
  /** "global", "link", "host". */
  readonly scope?: string;
}

export interface ListedRoute {
  /** "10.244.1.0/24", "default"; a single address has no length. */
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
}

export interface ListedNeighbour {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

/** An entry of a device's forwarding database: behind which address a hardware address is. */
export interface ListedForwarding {
  readonly mac: string;
  readonly dst?: string;
}

export interface VxlanDetails {
  readonly id?: number;
  readonly port?: number;
  readonly local?: string;
  readonly local6?: string;
}

export interface IpTool {
  addresses(): Promise<readonly ListedInterface[]>;
  /** Routes of the main table that carry the protocol number of whoever made them. */
  routes(family: 4 | 6, protocol: number): Promise<readonly ListedRoute[]>;
  /** Permanent entries. */
  neighbours(device: string): Promise<readonly ListedNeighbour[]>;
  forwarding(device: string): Promise<readonly ListedForwarding[]>;
  /** Undefined where there is no such device, or it is of another kind. */
  vxlan(device: string): Promise<(VxlanDetails & Pick<ListedInterface, "address" | "mtu">) | undefined>;
  /** Commands of `ip`, one each, without the "ip"; stops at the first that fails, with the kernel's words. */
  apply(commands: readonly string[]): Promise<void>;
  /** The same for `bridge`. */
  applyBridge(commands: readonly string[]): Promise<void>;
}

/** `netns`: the name of another network namespace (one of /run/netns). */
export function createIpTool({ netns }: { readonly netns?: string } = {}): IpTool {
  const within = netns === undefined ? [] : ["-n", netns];
  const run = (tool: "ip" | "bridge", args: readonly string[], input?: string): Promise<CommandResult> =>
    runCommand(tool, [...within, ...args], input === undefined ? {} : { input });
  const read = async <T>(tool: "ip" | "bridge", args: readonly string[]): Promise<readonly T[]> => {
    const { stdout } = await run(tool, ["-json", ...args]);
    // iproute2 writes nothing at all for an empty list of some kinds, and {} for an element it has filtered out.
    const rows = stdout.trim() === "" ? [] : (JSON.parse(stdout) as readonly T[]);
    return rows.filter((row) => Object.keys(row as object).length > 0);
  };
  const batch = async (tool: "ip" | "bridge", commands: readonly string[]): Promise<void> => {
    if (commands.length > 0) await run(tool, ["-batch", "-"], `${commands.join("\n")}\n`);
  };
  const addresses = (): Promise<readonly ListedInterface[]> => read<ListedInterface>("ip", ["address", "show"]);
  return {
    addresses,
    routes: (family, protocol) => read<ListedRoute>("ip", [`-${family}`, "route", "show", "proto", String(protocol)]),
    neighbours: (device) => read<ListedNeighbour>("ip", ["neigh", "show", "dev", device, "nud", "permanent"]),
    forwarding: (device) => read<ListedForwarding>("bridge", ["fdb", "show", "dev", device]),
    async vxlan(device) {
      const links = await read<ListedInterface & { readonly linkinfo?: { readonly info_data?: VxlanDetails } }>("ip", [
        "-details",
        ...["link", "show", "type", "vxlan"],
      ]);
      const link = links.find(({ ifname }) => ifname === device);
      return (
        link && { ...link.linkinfo?.info_data, ...(link.address ? { address: link.address } : {}), ...(link.mtu ? { mtu: link.mtu } : {}) }
      );
    },
    apply: (commands) => batch("ip", commands),
    applyBridge: (commands) => batch("bridge", commands),
  };
}
