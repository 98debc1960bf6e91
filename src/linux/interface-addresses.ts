// Addresses on the machine's network interfaces, by iproute2; and telling the neighbours of one that has come.
import { createSocket } from "node:dgram";
import { findExecutable } from "./find-executable.ts";
import { runCommand } from "./run-command.ts";

export interface InterfaceAddress {
  readonly interface: string;
  readonly address: string;
  readonly family: 4 | 6;
  readonly prefixLength: number;
}

interface Placed {
  readonly address: string;
  readonly interface: string;
}

const timeoutMs = 10_000;

export async function interfaceAddresses(): Promise<readonly InterfaceAddress[]> {
  const { stdout } = await runCommand("ip", ["-j", "addr", "show"], { timeoutMs });
  return parseInterfaceAddresses(stdout);
}

interface IpLink {
  readonly ifname?: string;
  readonly addr_info?: readonly { readonly family?: string; readonly local?: string; readonly prefixlen?: number }[];
}

/** The output of `ip -j addr show`. */
export function parseInterfaceAddresses(json: string): readonly InterfaceAddress[] {
  const links = JSON.parse(json === "" ? "[]" : json) as readonly IpLink[]; // iproute2's form
  return links.flatMap(({ ifname = "", addr_info = [] }) =>
    addr_info.flatMap(({ family, local, prefixlen }): readonly InterfaceAddress[] =>
      local === undefined || prefixlen === undefined
        ? []
        : [{ interface: ifname, address: local, family: family === "inet6" ? 6 : 4, prefixLength: prefixlen }],
    ),
  );
}

/** A single address, of no network. IPv6 ones are never chosen as the source of what the machine sends itself. */
export async function addAddress({ address, interface: name }: Placed, signal?: AbortSignal): Promise<void> {
  const rest = address.includes(":") ? ["nodad", "preferred_lft", "0"] : [];
  await runCommand("ip", ["addr", "replace", cidrOf(address), "dev", name, ...rest], { timeoutMs, ...(signal ? { signal } : {}) });
}

export async function removeAddress({ address, interface: name }: Placed, signal?: AbortSignal): Promise<void> {
  await runCommand("ip", ["addr", "del", cidrOf(address), "dev", name], { timeoutMs, ...(signal ? { signal } : {}) });
}

function cidrOf(address: string): string {
  return `${address}/${address.includes(":") ? 128 : 32}`;
}

/**
 * Neighbours that know the address from elsewhere learn where it is now: by an unsolicited ARP reply where arping is
 * installed, else by making the kernel ask for the gateway in the address' name, which goes to all of them and tells the
 * same. Those who do not know it yet need not be told.
 */
export async function announceAddress(placed: Placed, signal?: AbortSignal): Promise<void> {
  const { address, interface: name } = placed;
  const bounded = { timeoutMs, ...(signal ? { signal } : {}) };
  if (!address.includes(":") && (await findExecutable("arping")) !== undefined) {
    await runCommand("arping", ["-U", "-c", "2", "-I", name, address], bounded);
    return;
  }
  const family = address.includes(":") ? "-6" : "-4";
  const { stdout } = await runCommand("ip", ["-j", family, "route", "show", "default", "dev", name], bounded);
  const [route] = JSON.parse(stdout === "" ? "[]" : stdout) as readonly { readonly gateway?: string }[]; // iproute2's form
  if (!route?.gateway) return;
  // Only who is not known is asked for. It may be unknown already.
  await runCommand("ip", ["neigh", "del", route.gateway, "dev", name], bounded).catch(() => undefined);
  await sendFrom(address, route.gateway.startsWith("fe80:") ? `${route.gateway}%${name}` : route.gateway);
}

/** One empty datagram to the discard port. */
function sendFrom(address: string, to: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    const end = (error?: Error | null): void => {
      socket.close();
      if (error) reject(error);
      else resolve();
    };
    socket.once("error", end);
    socket.bind({ address, port: 0, exclusive: true }, () => socket.send("", 9, to, end));
  });
}
