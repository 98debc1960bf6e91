// How much of a disk a directory takes, as `du -x` counts it: blocks of every file below it, hard links once, nothing of other
// file systems. A walk is bounded in entries and time, and gives way to other work between directories.
import type { Stats } from "node:fs";
import { lstat, opendir, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface DiskUsage {
  readonly bytes: number;
  readonly inodes: number;
}

export interface FileSystemSpace {
  readonly capacityBytes: number;
  readonly availableBytes: number;
  readonly usedBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

export interface WalkOptions {
  readonly signal?: AbortSignal;
  /** Default 500,000. */
  readonly maxEntries?: number;
}

const blockBytes = 512;

/** A directory with more entries than a walk may visit. */
export class TooManyFilesError extends Error {}

/** Zeros when there is no such directory. Throws TooManyFilesError, or the signal's reason. */
export async function diskUsage(directory: string, { signal, maxEntries = 500_000 }: WalkOptions = {}): Promise<DiskUsage> {
  const top = await statOf(directory);
  if (!top) return { bytes: 0, inodes: 0 };
  let bytes = top.blocks * blockBytes;
  let inodes = 1;
  let visited = 0;
  const linked = new Set<number>();
  const pending = top.isDirectory() ? [directory] : [];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted();
    for (const name of await namesIn(next)) {
      if (++visited > maxEntries) throw new TooManyFilesError(`${directory} holds more than ${maxEntries} files`);
      const path = join(next, name);
      const found = await statOf(path);
      if (!found || found.dev !== top.dev) continue;
      if (found.nlink > 1 && !found.isDirectory()) {
        if (linked.has(found.ino)) continue;
        linked.add(found.ino);
      }
      bytes += found.blocks * blockBytes;
      inodes++;
      if (found.isDirectory()) pending.push(path);
    }
  }
  return { bytes, inodes };
}

/** Of the file system that holds `path`. Undefined when there is no such path. */
export async function fileSystemSpace(path: string): Promise<FileSystemSpace | undefined> {
  const found = await orMissing(statfs(path));
  if (!found) return undefined;
  return {
    capacityBytes: found.blocks * found.bsize,
    availableBytes: found.bavail * found.bsize,
    usedBytes: (found.blocks - found.bfree) * found.bsize,
    inodes: found.files,
    inodesFree: found.ffree,
  };
}

/** Whether a file system begins at this directory. */
export async function isMountPoint(directory: string): Promise<boolean> {
  const [own, parent] = await Promise.all([statOf(directory), statOf(dirname(directory))]);
  return own !== undefined && parent !== undefined && own.dev !== parent.dev;
}

async function namesIn(directory: string): Promise<readonly string[]> {
  const names: string[] = [];
  const opened = await orMissing(opendir(directory));
  if (opened) for await (const { name } of opened) names.push(name);
  return names;
}

const statOf = (path: string): Promise<Stats | undefined> => orMissing(lstat(path));

/** Files come and go while they are counted. */
async function orMissing<T extends object>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EACCES") return undefined;
    throw error;
  }
}
