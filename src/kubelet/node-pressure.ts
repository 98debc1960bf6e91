// Whether the node runs short of memory, disk or process ids, by upstream's default hard eviction thresholds.
import { readFile, statfs } from "node:fs/promises";
import { availableMemoryBytes } from "../linux/system-info.ts";

export interface NodePressure {
  readonly memory: boolean;
  readonly disk: boolean;
  readonly pid: boolean;
}

export interface PressureThresholds {
  /** memory.available, bytes. Default 100 MiB. */
  readonly memoryBytes?: number;
  /** nodefs.available as a part of the whole. Default 0.1. */
  readonly diskFraction?: number;
  /** nodefs.inodesFree as a part of the whole. Default 0.05. */
  readonly inodeFraction?: number;
  /** pid.available as a part of the whole. Default 0: not watched. */
  readonly pidFraction?: number;
}

/** `directory` lies on the disk that is watched. */
export async function readPressure(directory: string, thresholds: PressureThresholds = {}): Promise<NodePressure> {
  const { memoryBytes = 100 * 2 ** 20, diskFraction = 0.1, inodeFraction = 0.05, pidFraction = 0 } = thresholds;
  const [memory, disk, pids] = await Promise.all([availableMemoryBytes(), statfs(directory), pidFreeFraction()]);
  return {
    memory: memory !== undefined && memory < memoryBytes,
    disk: disk.bavail < disk.blocks * diskFraction || (disk.files > 0 && disk.ffree < disk.files * inodeFraction),
    pid: pids < pidFraction,
  };
}

/** Of the disk that holds `directory`. */
export async function diskBytes(directory: string): Promise<number> {
  const { blocks, bsize } = await statfs(directory);
  return blocks * bsize;
}

async function pidFreeFraction(): Promise<number> {
  try {
    const [load, max] = await Promise.all([readFile("/proc/loadavg", "utf8"), readFile("/proc/sys/kernel/pid_max", "utf8")]);
    return 1 - Number(/\/(\d+)/.exec(load)?.[1] ?? 0) / Number(max);
  } catch {
    return 1; // no such files here: not Linux, nothing to watch
  }
}
