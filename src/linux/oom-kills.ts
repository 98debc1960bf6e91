// Processes that the kernel killed for want of memory, from its log. The log is read only when the kernel's count of such
// kills has grown, so that looking costs nothing as long as nothing happens.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { hostFile } from "./host-file.ts";

export interface OomKill {
  readonly pid: number;
  readonly process: string;
  /** A control group was at its limit: else the whole machine was out of memory. */
  readonly inControlGroup: boolean;
}

export interface OomKills {
  /** Since the last call, or since creation. */
  next(): Promise<readonly OomKill[]>;
}

export interface OomKillFiles {
  /** Default /proc/vmstat, /proc/uptime and /dev/kmsg. */
  readonly vmstat?: string;
  readonly uptime?: string;
  readonly kmsg?: string;
}

export async function watchOomKills({ vmstat = "/proc/vmstat", uptime = "/proc/uptime", kmsg = "/dev/kmsg" }: OomKillFiles = {}) {
  const count = async (): Promise<number> => Number(/^oom_kill (\d+)$/m.exec(await hostFile(vmstat))?.[1] ?? 0);
  let known = await count();
  let since = Number((await hostFile(uptime)).split(" ")[0]) * 1e6;
  const watch: OomKills = {
    async next() {
      const now = await count();
      if (now === known) return [];
      known = now;
      const records = (await readRecords(kmsg)).filter((r) => r.atMicros > since);
      since = records.at(-1)?.atMicros ?? since;
      return parseOomKills(records.map((r) => r.text));
    },
  };
  return watch;
}

/** From lines of the kernel's log, in their order. */
export function parseOomKills(lines: readonly string[]): readonly OomKill[] {
  const kills: OomKill[] = [];
  let inControlGroup = false;
  for (const line of lines) {
    if (line.includes("invoked oom-killer:")) inControlGroup = false;
    if (/oom-kill:constraint=.*,oom_memcg=/.test(line) || line.includes("Memory cgroup out of memory")) inControlGroup = true;
    const killed = /Killed process (\d+) \(([^)]+)\)/.exec(line);
    if (killed) kills.push({ pid: Number(killed[1]), process: killed[2] ?? "", inControlGroup });
  }
  return kills;
}

interface KernelRecord {
  readonly atMicros: number;
  readonly text: string;
}

const recordBytes = 8192;
const maxRecords = 20_000;

/** Every read gives one record; without more, EAGAIN. */
async function readRecords(path: string): Promise<readonly KernelRecord[]> {
  const records: KernelRecord[] = [];
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(recordBytes);
    for (let i = 0; i < maxRecords; i++) {
      const text = await readOne(file, buffer);
      if (text === "end") break;
      // "6,339,5140900,-;NET: Registered", followed by lines of properties.
      for (const match of text.matchAll(/^\d+,\d+,(\d+)[^;\n]*;(.*)$/gm))
        records.push({ atMicros: Number(match[1]), text: match[2] ?? "" });
    }
  } finally {
    await file.close();
  }
  return records;
}

async function readOne(file: { read: (buffer: Buffer) => Promise<{ bytesRead: number }> }, buffer: Buffer): Promise<string> {
  try {
    const { bytesRead } = await file.read(buffer);
    return bytesRead === 0 ? "end" : buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN") return "end";
    if (code === "EPIPE") return ""; // the record was overwritten before it could be read: the next one is there
    throw error;
  }
}
