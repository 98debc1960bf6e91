// What a summary of the node says about each eviction signal: how much is available, of how much, and when it was measured.
// A signal that was not measured is absent.
import { type Quantity, quantityOf } from "../../api/meta/quantity.ts";
import { parseTime } from "../../api/meta/time.ts";
import type { FsStats, NodeStats } from "../stats/summary.ts";
import type { EvictionSignal } from "./thresholds.ts";

export interface Observation {
  readonly available: Quantity;
  readonly capacity: Quantity;
  /** Milliseconds since 1970; undefined when the summary does not say. */
  readonly atMs: number | undefined;
}

export type Observations = ReadonlyMap<EvictionSignal, Observation>;

/** The cgroup of all pods, as the summary names it. */
const podsContainer = "pods";

export function observe(node: NodeStats): Observations {
  const found = new Map<EvictionSignal, Observation>();
  const memory = (signal: EvictionSignal, stats: { time: string; availableBytes?: number; workingSetBytes?: number } | undefined): void => {
    if (stats?.availableBytes === undefined || stats.workingSetBytes === undefined) return;
    found.set(signal, bytes(stats.availableBytes, stats.availableBytes + stats.workingSetBytes, stats.time));
  };
  const disk = (name: "nodefs" | "imagefs" | "containerfs", fs: FsStats | undefined): void => {
    if (fs?.availableBytes !== undefined && fs.capacityBytes !== undefined)
      found.set(`${name}.available`, bytes(fs.availableBytes, fs.capacityBytes, fs.time));
    if (fs?.inodesFree !== undefined && fs.inodes !== undefined) found.set(`${name}.inodesFree`, count(fs.inodesFree, fs.inodes, fs.time));
  };
  memory("memory.available", node.memory);
  memory("allocatableMemory.available", node.systemContainers?.find((c) => c.name === podsContainer)?.memory);
  disk("nodefs", node.fs);
  disk("imagefs", node.runtime?.imageFs);
  disk("containerfs", node.runtime?.containerFs);
  const { maxpid, curproc, time } = node.rlimit ?? { time: "" };
  if (maxpid !== undefined && curproc !== undefined) found.set("pid.available", count(maxpid - curproc, maxpid, time));
  return found;
}

const bytes = (available: number, capacity: number, time: string): Observation => ({
  available: quantityOf(available, "BinarySI"),
  capacity: quantityOf(capacity, "BinarySI"),
  atMs: parseTime(time),
});

const count = (available: number, capacity: number, time: string): Observation => ({
  available: quantityOf(available),
  capacity: quantityOf(capacity),
  atMs: parseTime(time),
});
