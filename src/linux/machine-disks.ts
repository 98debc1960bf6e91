// The disks that file systems of this machine lie on: what is free on each, and what the kernel has counted of its traffic
// (/proc/diskstats; Documentation/admin-guide/iostats.rst). A disk that is mounted in several places is one.
import { type FileSystemSpace, fileSystemSpace } from "./disk-usage.ts";
import { hostFile } from "./host-file.ts";

/** Since the machine's start, but for what is under way. Times are milliseconds. */
export interface DiskTraffic {
  readonly reads: number;
  readonly readsMerged: number;
  readonly sectorsRead: number;
  readonly readMs: number;
  readonly writes: number;
  readonly writesMerged: number;
  readonly sectorsWritten: number;
  readonly writeMs: number;
  readonly underWay: number;
  readonly busyMs: number;
  readonly weightedMs: number;
}

export interface MachineDisk extends FileSystemSpace {
  /** "/dev/vda1". */
  readonly device: string;
  /** Undefined where the kernel counts none. */
  readonly traffic?: DiskTraffic;
}

export async function machineDisks(): Promise<readonly MachineDisk[]> {
  const [mounts, stats] = await Promise.all([hostFile("/proc/self/mountinfo"), hostFile("/proc/diskstats")]);
  const traffic = parseDiskStats(stats);
  const disks = await Promise.all(
    [...mountedDisks(mounts)].map(async ([device, { at, number }]): Promise<readonly MachineDisk[]> => {
      const space = await fileSystemSpace(at);
      const counted = traffic.get(number);
      return space ? [{ device, ...space, ...(counted ? { traffic: counted } : {}) }] : [];
    }),
  );
  return disks.flat();
}

/** By device: its number ("254:1") and the first place it is mounted at. */
export function mountedDisks(mountinfo: string): ReadonlyMap<string, { readonly at: string; readonly number: string }> {
  const found = new Map<string, { readonly at: string; readonly number: string }>();
  for (const line of mountinfo.split("\n")) {
    const [before = "", after = ""] = line.split(" - ");
    const [, , number = "", , at = ""] = before.split(" ");
    const device = after.split(" ")[1] ?? "";
    if (device.startsWith("/dev/") && !found.has(device)) found.set(device, { at: unescaped(at), number });
  }
  return found;
}

/** By the numbers of devices. */
export function parseDiskStats(diskstats: string): ReadonlyMap<string, DiskTraffic> {
  const found = new Map<string, DiskTraffic>();
  for (const line of diskstats.split("\n")) {
    const [major, minor, , ...counted] = line.trim().split(/\s+/);
    if (counted.length < 11) continue;
    const at = (i: number): number => Number(counted[i]);
    found.set(`${major}:${minor}`, {
      ...{ reads: at(0), readsMerged: at(1), sectorsRead: at(2), readMs: at(3) },
      ...{ writes: at(4), writesMerged: at(5), sectorsWritten: at(6), writeMs: at(7) },
      ...{ underWay: at(8), busyMs: at(9), weightedMs: at(10) },
    });
  }
  return found;
}

/** Blanks and the like are octal numbers there. */
const unescaped = (path: string): string =>
  path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
