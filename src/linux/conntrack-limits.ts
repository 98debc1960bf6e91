// Limits of the kernel's table of connections, in /proc/sys/net/netfilter. Values that are right already are left alone, so
// that a process that may not write them need not.
import { readFile, writeFile } from "node:fs/promises";

export interface ConntrackLimits {
  /** Connections at most; undefined leaves the kernel's. */
  readonly max?: number;
  /** Seconds by the kernel's name: { tcp_timeout_established: 86400 }. */
  readonly timeouts: Readonly<Record<string, number>>;
  /** Take packets out of a TCP connection's window for its own. */
  readonly tcpBeLiberal: boolean;
}

const directory = "/proc/sys/net/netfilter";
const hashSizeFile = "/sys/module/nf_conntrack/parameters/hashsize";

/** Rejects with the first file that cannot be written. */
export async function applyConntrackLimits({ max, timeouts, tcpBeLiberal }: ConntrackLimits): Promise<void> {
  if (max !== undefined) {
    await setNumber(`${directory}/nf_conntrack_max`, max);
    // Four entries in a bucket at most.
    if ((await readNumber(hashSizeFile)) < Math.floor(max / 4)) await setNumber(hashSizeFile, Math.floor(max / 4));
  }
  for (const [name, seconds] of Object.entries(timeouts)) await setNumber(`${directory}/nf_conntrack_${name}`, seconds);
  if (tcpBeLiberal) await setNumber(`${directory}/nf_conntrack_tcp_be_liberal`, 1);
}

async function readNumber(file: string): Promise<number> {
  return Number((await readFile(file, "utf8")).trim());
}

async function setNumber(file: string, value: number): Promise<void> {
  if ((await readNumber(file)) !== value) await writeFile(file, `${value}\n`);
}
