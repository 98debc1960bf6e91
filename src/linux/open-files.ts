// What the processes of a control group have open: descriptors, how many of these are sockets, and how many its first process
// may have. Read when somebody asks for figures, never otherwise.
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { hostFile } from "./host-file.ts";

export interface OpenFiles {
  readonly fileDescriptors: number;
  readonly sockets: number;
  /** Soft limit of the first process; -1 for none, undefined where it is not known. */
  readonly softLimit?: number;
}

/** Processes of one group that are looked at, and descriptors of one process whose kind is. */
const maxProcesses = 256;
const maxLinks = 4096;

/** Processes that have ended meanwhile count for nothing. */
export async function openFilesOf(pids: readonly number[], proc = "/proc"): Promise<OpenFiles> {
  const counts = await Promise.all(pids.slice(0, maxProcesses).map((pid) => ofProcess(join(proc, String(pid), "fd"))));
  const [first] = pids;
  const limits = first === undefined ? "" : await hostFile(join(proc, String(first), "limits"));
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1];
  return {
    fileDescriptors: counts.reduce((sum, { all }) => sum + all, 0),
    sockets: counts.reduce((sum, { sockets }) => sum + sockets, 0),
    ...(soft === undefined ? {} : { softLimit: soft === "unlimited" ? -1 : Number(soft) }),
  };
}

async function ofProcess(directory: string): Promise<{ readonly all: number; readonly sockets: number }> {
  const names = await readdir(directory).catch((): string[] => []);
  const links = await Promise.all(names.slice(0, maxLinks).map((name) => readlink(join(directory, name)).catch(() => "")));
  return { all: names.length, sockets: links.filter((link) => link.startsWith("socket:")).length };
}
