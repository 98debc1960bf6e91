// What a node reports about its machine: the facts of Node.status.nodeInfo, capacity and addresses. Falls back to what Node
// knows on systems other than Linux.
import { arch, availableParallelism, hostname, networkInterfaces, release, totalmem, type } from "node:os";
import { hostFile } from "./host-file.ts";
import { createIpTool } from "./ip-tool.ts";
import { bootId } from "./processes.ts";

export interface SystemInfo {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly swapBytes: number;
  /** "6.1.0-18-amd64". */
  readonly kernelVersion: string;
  /** "Debian GNU/Linux 12 (bookworm)". */
  readonly osImage: string;
  /** "linux". */
  readonly operatingSystem: string;
  /** In Go's words: "amd64", "arm64". */
  readonly architecture: string;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly hostname: string;
}

export interface HostAddress {
  readonly interface: string;
  readonly address: string;
  readonly family: 4 | 6;
}

export interface DefaultRoute {
  readonly interface: string;
  /** Of that interface, in bytes. */
  readonly mtu: number;
}

const ethernetMtu = 1500;

const goArchitecture: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  arm: "arm",
  arm64: "arm64",
  ppc64: "ppc64le",
  s390x: "s390x",
  riscv64: "riscv64",
};

export async function readSystemInfo(): Promise<SystemInfo> {
  const [meminfo, osRelease, machineId, dbusId, uuid, boot] = await Promise.all([
    hostFile("/proc/meminfo"),
    hostFile("/etc/os-release"),
    hostFile("/etc/machine-id"),
    hostFile("/var/lib/dbus/machine-id"),
    hostFile("/sys/class/dmi/id/product_uuid"),
    bootId(),
  ]);
  const machine = machineId || dbusId;
  return {
    cpus: availableParallelism(),
    memoryBytes: meminfoBytes(meminfo, "MemTotal") ?? totalmem(),
    swapBytes: meminfoBytes(meminfo, "SwapTotal") ?? 0,
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(osRelease)?.[1] ?? type(),
    operatingSystem: process.platform,
    architecture: goArchitecture[arch()] ?? arch(),
    machineId: machine,
    systemUuid: uuid || machine,
    bootId: boot,
    hostname: hostname().toLowerCase(),
  };
}

/** Memory that can still be given out without swapping, as the kernel estimates it. Undefined where it does not say. */
export async function availableMemoryBytes(): Promise<number | undefined> {
  return meminfoBytes(await hostFile("/proc/meminfo"), "MemAvailable");
}

/** Addresses other machines can use: neither loopback nor link-local. The default route's interface comes first. */
export async function hostAddresses(): Promise<readonly HostAddress[]> {
  const first = await uplink();
  const all = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter((a) => !a.internal && !/^(fe80:|169\.254\.)/i.test(a.address))
      .map((a): HostAddress => ({ interface: name, address: a.address, family: a.family === "IPv6" ? 6 : 4 })),
  );
  return [...all.filter((a) => a.interface === first), ...all.filter((a) => a.interface !== first)];
}

/** The interface by which packets leave this machine. Undefined without a default route. */
export async function defaultRoute(): Promise<DefaultRoute | undefined> {
  const name = await uplink();
  // Not from /sys, which shows the network namespace it was mounted in, whichever this process is in.
  const found = name === undefined ? undefined : (await createIpTool().addresses()).find(({ ifname }) => ifname === name);
  return found && { interface: found.ifname, mtu: found.mtu ?? ethernetMtu };
}

/** The name of the interface by which packets leave this machine: two files of the kernel, and nothing else. */
export async function uplink(): Promise<string | undefined> {
  return defaultInterface(await hostFile("/proc/net/route")) ?? defaultInterface6(await hostFile("/proc/net/ipv6_route"));
}

/** The interface of /proc/net/route's default route with the lowest metric. */
export function defaultInterface(table: string): string | undefined {
  const routes = table
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    // Destination and mask are zero; flag 1 is "up".
    .filter((route) => route[1] === "00000000" && route[7] === "00000000" && (Number.parseInt(route[3] ?? "0", 16) & 1) === 1);
  return routes.sort((a, b) => Number(a[6]) - Number(b[6]))[0]?.[0];
}

function defaultInterface6(table: string): string | undefined {
  const routes = table.split("\n").map((line) => line.trim().split(/\s+/));
  return routes.find((route) => /^0{32}$/.test(route[0] ?? "") && route[1] === "00" && route[9] !== "lo")?.[9];
}

function meminfoBytes(meminfo: string, key: string): number | undefined {
  const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** How many processes and threads this machine can have; undefined where it does not tell. */
export async function machinePids(): Promise<number | undefined> {
  const limits = await Promise.all(["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"].map(hostFile));
  const known = limits.map((text) => Number.parseInt(text, 10)).filter((limit) => limit > 0);
  return known.length > 0 ? Math.min(...known) : undefined;
}
