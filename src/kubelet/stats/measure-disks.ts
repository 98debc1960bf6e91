// Measures disks for the full summary: the file system of the kubelet's directory, those of images and writable layers, and the
// containers' logs (a handful of files each, so they are looked at every time).
import { readdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type CriRuntime, criTimeMs } from "../../cri/cri.ts";
import type { FilesystemUsage } from "../../cri/generated/runtime-v1.ts";
import { fileSystemSpace } from "../../linux/disk-usage.ts";
import type { DiskReading, FileSystemReading } from "./measurement.ts";

const timeoutMs = 10_000;
const blockBytes = 512;

export async function measureFileSystem(path: string, nowMs: number): Promise<FileSystemReading | undefined> {
  const space = await fileSystemSpace(path);
  if (!space) return undefined;
  const { capacityBytes, availableBytes, usedBytes, inodes, inodesFree } = space;
  return { timeMs: nowMs, capacityBytes, availableBytes, usedBytes, inodes, inodesFree, inodesUsed: inodes - inodesFree };
}

export interface RuntimeFileSystems {
  readonly imageFileSystem?: FileSystemReading;
  readonly containerFileSystem?: FileSystemReading;
}

/** Where a runtime tells of one file system only, writable layers are on it too. */
export async function measureRuntimeFileSystems(cri: CriRuntime): Promise<RuntimeFileSystems> {
  const { imageFilesystems, containerFilesystems } = await cri.imageFsInfo({}, { timeoutMs });
  // Most runtimes have one for both.
  const spaces = new Map<string, ReturnType<typeof fileSystemSpace>>();
  const spaceOf = (path: string): ReturnType<typeof fileSystemSpace> => {
    const space = spaces.get(path) ?? fileSystemSpace(path);
    spaces.set(path, space);
    return space;
  };
  const [images, containers] = await Promise.all([
    measureRuntimeFileSystem(imageFilesystems[0], spaceOf),
    measureRuntimeFileSystem(containerFilesystems[0], spaceOf),
  ]);
  const containerFileSystem = containers ?? images;
  return { ...(images ? { imageFileSystem: images } : {}), ...(containerFileSystem ? { containerFileSystem } : {}) };
}

/** What is used is the runtime's own part of the file system. */
async function measureRuntimeFileSystem(
  usage: FilesystemUsage | undefined,
  spaceOf: typeof fileSystemSpace,
): Promise<FileSystemReading | undefined> {
  if (!usage) return undefined;
  const mountpoint = usage.fsId?.mountpoint ?? "";
  const space = await spaceOf(mountpoint === "" ? "/" : mountpoint);
  const { capacityBytes, availableBytes, inodes, inodesFree } = space ?? {};
  return {
    timeMs: criTimeMs(usage.timestamp),
    ...(capacityBytes === undefined ? {} : { capacityBytes }),
    ...(availableBytes === undefined ? {} : { availableBytes }),
    ...(inodes === undefined ? {} : { inodes }),
    ...(inodesFree === undefined ? {} : { inodesFree }),
    ...(usage.usedBytes ? { usedBytes: usage.usedBytes.value } : {}),
    ...(usage.inodesUsed ? { inodesUsed: usage.inodesUsed.value } : {}),
  };
}

/** Of a container: the directory of its log file holds the rotated ones too. */
export async function measureLogs(logPath: string, nowMs: number): Promise<DiskReading | undefined> {
  if (logPath === "") return undefined;
  const directory = dirname(logPath);
  const names = await readdir(directory).catch(() => undefined);
  if (!names) return undefined;
  // A log that is rotated away while it is counted counts for nothing.
  const sizes = await Promise.all(names.map((name) => stat(`${directory}/${name}`).catch(() => undefined)));
  return { timeMs: nowMs, bytes: sizes.reduce((sum, found) => sum + (found?.blocks ?? 0) * blockBytes, 0), inodes: names.length };
}
